//! Exact path-dependent TreeSHAP: how much each feature moved one margin.
//!
//! The Shapley value of a feature is its average effect over all orders in which features can become known, where a
//! feature that is not yet known sends a row down every child in proportion to the training rows that went there (the
//! cover). This is the quantity of Lundberg et al., "Consistent Individualized Feature Attribution for Tree Ensembles",
//! arXiv:1802.03888; their algorithm takes O(depth^2) a leaf. This one takes O(n) a node, from an integral:
//!
//! Let a leaf of value `v` have `d` distinct features on its path; feature `j` is passed with probability `z_j` when
//! unknown and `o_j` (1 or 0) when known. A set `S` of the other features that are known weighs `|S|! (d-1-|S|)! / d!`,
//! which is the integral over [0, 1] of `t^|S| (1-t)^(d-1-|S|)`. Summed over all `S`, the leaf's share of feature `i`'s
//! value is
//!
//! ```text
//! v (o_i - z_i)  integral over [0,1] of  product over j != i of ((1-t) z_j + t o_j)  dt
//! ```
//!
//! The integrand is a polynomial of degree `d - 1`, for which Gauss-Legendre quadrature with `n >= d/2` points is
//! exact. At each point `t` the product along the path is one number, and the sum over the leaves below an edge is
//! found on the way back up. A feature that is split on again folds into its earlier edge: the leaves below count for
//! the later edge, and what the earlier one would have had of them is taken back.

use crate::layout::{Forest, Link};
use crate::number::Number;

/// Maximum depth of the recursion. Trees people train are 5 to 20 deep.
const MAX_DEPTH: usize = 512;

impl<T: Number> Forest<'_, T> {
    /// Adds to `contributions[i]` by how much feature `i` moved this row's margin from [`Forest::mean_margin`]; the
    /// mean plus all contributions is the margin, up to rounding. `None` if the forest has no covers, a tree is more
    /// than 512 deep with more than 256 features on a path, or the row or `contributions` is not `features` long.
    pub fn explain(&self, row: &[T], contributions: &mut [f64]) -> Option<()> {
        let row = self.canonical(row)?;
        let parts = self.parts();
        if contributions.len() != parts.features || parts.covers.len() != parts.nodes.len() || parts.depth > MAX_DEPTH {
            return None;
        }
        // Half as many points as features on the longest path.
        match parts.depth.min(parts.features) {
            0..=4 => self.explain_at::<2>(&row, contributions),
            5..=8 => self.explain_at::<4>(&row, contributions),
            9..=16 => self.explain_at::<8>(&row, contributions),
            17..=32 => self.explain_at::<16>(&row, contributions),
            33..=64 => self.explain_at::<32>(&row, contributions),
            65..=256 => self.explain_at::<128>(&row, contributions),
            _ => None,
        }
    }

    fn explain_at<const N: usize>(&self, row: &[T], contributions: &mut [f64]) -> Option<()> {
        let (points, weights) = gauss_legendre();
        let path = Vec::with_capacity(self.parts().depth);
        let mut walk = Walk { forest: self, row, points, weights, path, contributions };
        for &root in self.parts().roots {
            walk.visit(root as usize, [1.0; N])?;
        }
        Some(())
    }

    /// Returns the mean margin over the training rows: the base margin and each tree's leaves weighted by cover. `None`
    /// without covers.
    pub fn mean_margin(&self) -> Option<f64> {
        let means = (0..self.parts().roots.len()).map(|tree| self.mean_value(tree));
        means.sum::<Option<f64>>().map(|mean| self.parts().base_margin.into() + mean)
    }

    /// The mean of a tree's leaves, weighted by cover.
    fn mean_value(&self, tree: usize) -> Option<f64> {
        let tree = self.tree(tree)?;
        // A child stands behind its parent, so from the back every child is known before its parent asks.
        let mut means = vec![0.0; tree.len()];
        for at in tree.clone().rev() {
            let mean = match self.link(at)? {
                Link::Leaf(value) => value.into(),
                Link::Split { first, count, .. } => {
                    let cover = f64::from(*self.parts().covers.get(at)?);
                    let mut mean = 0.0;
                    for child in first..first + count {
                        let share = f64::from(*self.parts().covers.get(child)?) / cover;
                        mean += if cover > 0.0 { means.get(child - tree.start)? * share } else { 0.0 };
                    }
                    mean
                }
            };
            *means.get_mut(at - tree.start)? = mean;
        }
        means.first().copied()
    }
}

/// Where the walk stands.
struct Walk<'a, T, const N: usize> {
    forest: &'a Forest<'a, T>,
    row: &'a [T],
    points: [f64; N],
    weights: [f64; N],
    path: Vec<Edge<N>>,
    contributions: &'a mut [f64],
}

/// A feature on the path from the root, with every earlier split on it folded in.
#[derive(Clone, Copy)]
struct Edge<const N: usize> {
    feature: usize,
    /// Probability of passing when the feature is unknown.
    zero: f64,
    /// 1 if the row passes when it is known, else 0.
    one: f64,
    /// `1 / ((1-t) zero + t one)` at each point.
    inverse: [f64; N],
}

impl<T: Number, const N: usize> Walk<'_, T, N> {
    /// Gives, at each point, the sum over the leaves below of their value times the product along their path.
    fn visit(&mut self, at: usize, product: [f64; N]) -> Option<[f64; N]> {
        let link = self.forest.link(at)?;
        let (feature, first, count) = match link {
            Link::Leaf(value) => return Some(product.map(|product| product * value.into())),
            Link::Split { feature, first, count, .. } => (feature, first, count),
        };
        let followed = self.forest.next(link, self.row)?;
        let covers = self.forest.parts().covers;
        let earlier = self.path.iter().rfind(|edge| edge.feature == feature).copied();
        let (zero, one) = earlier.map_or((1.0, 1.0), |edge| (edge.zero, edge.one));
        let others = match earlier {
            Some(edge) => std::array::from_fn(|k| product[k] * edge.inverse[k]),
            None => product,
        };
        let cover = f64::from(*covers.get(at)?);
        let mut sum = [0.0; N];
        for child in first..first + count {
            let child_cover = f64::from(*covers.get(child)?);
            let zero = if cover > 0.0 { zero * child_cover / cover } else { 0.0 };
            let one = if Some(child) == followed { one } else { 0.0 };
            if zero == 0.0 && one == 0.0 {
                continue;
            }
            // Above zero: no point is at either end of [0, 1].
            let factor: [f64; N] = std::array::from_fn(|k| (1.0 - self.points[k]) * zero + self.points[k] * one);
            let edge = Edge { feature, zero, one, inverse: factor.map(f64::recip) };
            self.path.push(edge);
            let below = self.visit(child, std::array::from_fn(|k| others[k] * factor[k]))?;
            self.path.pop();
            let mut effect = edge.effect(&below, &self.weights);
            if let Some(earlier) = earlier {
                effect -= earlier.effect(&below, &self.weights);
            }
            *self.contributions.get_mut(feature)? += effect;
            sum = std::array::from_fn(|k| sum[k] + below[k]);
        }
        Some(sum)
    }
}

impl<const N: usize> Edge<N> {
    /// Returns the share of this edge's feature in the leaves below it.
    fn effect(&self, below: &[f64; N], weights: &[f64; N]) -> f64 {
        let integral: f64 = (0..N).map(|k| weights[k] * below[k] * self.inverse[k]).sum();
        (self.one - self.zero) * integral
    }
}

/// Returns points and weights of Gauss-Legendre quadrature on [0, 1]: the roots of the Legendre polynomial of degree
/// `N`, found by Newton's method (Press et al., Numerical Recipes, section 4.6).
fn gauss_legendre<const N: usize>() -> ([f64; N], [f64; N]) {
    let (mut points, mut weights) = ([0.0; N], [0.0; N]);
    for at in 0..N {
        let mut x = (std::f64::consts::PI * (at as f64 + 0.75) / (N as f64 + 0.5)).cos();
        let mut slope = 1.0;
        // Quadratic convergence from a guess that is good to 1 / N^2: five steps reach the last bit.
        for _ in 0..8 {
            let (mut value, mut before) = (1.0, 0.0);
            for degree in 0..N {
                let degree = degree as f64;
                (value, before) = (((2.0 * degree + 1.0) * x * value - degree * before) / (degree + 1.0), value);
            }
            slope = N as f64 * (x * value - before) / (x * x - 1.0);
            x -= value / slope;
        }
        points[at] = (1.0 + x) / 2.0;
        weights[at] = 1.0 / ((1.0 - x * x) * slope * slope);
    }
    (points, weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Node, Parts, Reading};

    /// The value of a tree when only the features in `known` are: the definition that Shapley values average over.
    fn expected(forest: &Forest<'_, f32>, row: &[f32], known: u32, at: usize) -> f64 {
        let link = forest.link(at).expect("a node");
        let (feature, first, count) = match link {
            Link::Leaf(value) => return value.into(),
            Link::Split { feature, first, count, .. } => (feature, first, count),
        };
        if known & (1 << feature) != 0 {
            let child = forest.next(link, row).expect("the row fits").expect("a split has children");
            return expected(forest, row, known, child);
        }
        let cover = |at: usize| f64::from(forest.parts().covers[at]);
        (first..first + count).map(|child| expected(forest, row, known, child) * cover(child) / cover(at)).sum()
    }

    fn factorial(n: u32) -> f64 {
        (1..=n).map(f64::from).product()
    }

    #[test]
    fn equals_brute_force_shapley_values_with_a_repeated_feature_a_category_and_a_missing_value() {
        let split = |reading: Reading, feature: usize, threshold: f32, children| {
            Node::new(threshold.threshold_key(), (reading.first_slot(4) + feature) as u16, children)
        };
        let leaf = |value: f32| Node::new(value.leaf_bits(), 0, 0);
        let nodes = [
            split(Reading::MissingExit, 0, 1.0, 1),
            Node::new(0, (Reading::SetMissingInside.first_slot(4) + 1) as u16, 3),
            split(Reading::MissingRight, 2, 3.0, 4),
            leaf(0.125),
            leaf(-1.5),
            leaf(0.25),
            split(Reading::MissingRight, 0, 2.0, 2),
            leaf(1.0),
            leaf(2.0),
            leaf(-0.75),
        ];
        let covers = [40.0, 18.0, 19.0, 3.0, 11.0, 7.0, 12.0, 7.0, 5.0, 7.0];
        let parts = Parts {
            base_margin: 0.5,
            features: 4,
            depth: 3,
            zero_is_missing: &[],
            roots: &[0],
            nodes: &nodes,
            numbers: &[],
            covers: &covers,
            set_starts: &[0, 1],
            set_words: &[0b1001],
        };
        let forest = Forest::new(parts).expect("the parts fit together");
        for row in
            [[0.0, 1.0, 2.0, 0.0], [1.5, 0.0, 2.0, 7.0], [2.5, f32::NAN, f32::NAN, 0.0], [f32::NAN, 0.0, 9.0, 0.0]]
        {
            let mut contributions = [0.0; 4];
            forest.explain(&row, &mut contributions).expect("covers are there");
            let mean = forest.mean_margin().expect("covers are there");
            for feature in 0..4u32 {
                let mut brute = 0.0;
                for others in (0..16u32).filter(|set| set & (1 << feature) == 0) {
                    let size = others.count_ones();
                    let weight = factorial(size) * factorial(3 - size) / factorial(4);
                    brute += weight
                        * (expected(&forest, &row, others | (1 << feature), 0) - expected(&forest, &row, others, 0));
                }
                let found = contributions[feature as usize];
                assert!((found - brute).abs() < 1e-12, "feature {feature}: {found} is not {brute}");
            }
            let margin = f64::from(forest.margin(&row).expect("the row fits"));
            assert!((mean + contributions.iter().sum::<f64>() - margin).abs() < 1e-6);
            assert_eq!(contributions[3], 0.0, "a feature no tree asks for moves nothing");
        }
    }

    #[test]
    fn quadrature_is_exact_to_twice_its_points() {
        fn integral<const N: usize>(degree: i32) -> f64 {
            let (points, weights) = gauss_legendre::<N>();
            points.iter().zip(weights).map(|(t, weight): (&f64, f64)| weight * t.powi(degree)).sum()
        }
        for degree in 0..256 {
            let exact = 1.0 / f64::from(degree + 1);
            let found = match degree {
                0..4 => vec![integral::<2>(degree), integral::<4>(degree)],
                4..8 => vec![integral::<4>(degree), integral::<8>(degree)],
                8..16 => vec![integral::<8>(degree), integral::<16>(degree)],
                16..64 => vec![integral::<32>(degree)],
                _ => vec![integral::<128>(degree)],
            };
            for found in found {
                assert!((found - exact).abs() < 1e-14, "degree {degree}: {found} is not {exact}");
            }
        }
    }
}
