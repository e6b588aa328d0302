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
//! exact, and at each point `t` a factor `(1-t) z_j + t o_j` is a number. Let `B` be the product of the factors above a
//! split, and `G` of a node the sum over the leaves below it of their value times the factors between. Then a child's
//! share of the effect of the split's feature is `(o - z)` times the integral of `B G`: one pass down a tree for `B`,
//! one up for `G`, and nothing is divided.
//!
//! A feature that is split on again folds into its earlier edge: the leaves below count for the later edge. There the
//! earlier factor is taken out of `B` and of `G`, and what the earlier edge would have had of these leaves is taken
//! back.

use crate::layout::{Forest, Link};
use crate::number::Number;
use crate::walk::{Exact, Key, every_value_has_a_key};
use std::ops::Range;

/// Points that go through a tree side by side; more go one group after the other.
const AT_ONCE: usize = 8;
/// More features on a path need more points than there are.
const MAX_FEATURES_ON_PATH: usize = 256;

impl<T: Number> Forest<'_, T> {
    /// Adds to `contributions[i]` by how much feature `i` moved this row's margin from [`Forest::mean_margin`]; the
    /// mean plus all contributions is the margin, up to rounding. `None` if the forest has no covers, a tree has more
    /// than 256 features on a path, or the row or `contributions` is not `features` long.
    pub fn explain(&self, row: &[T], contributions: &mut [f64]) -> Option<()> {
        let row = self.canonical(row)?;
        let parts = self.parts();
        if contributions.len() != parts.features || parts.covers.len() != parts.nodes.len() {
            return None;
        }
        match self.keys::<i64, 1>([&row]) {
            Some(keys) => self.explain_by(&keys, contributions),
            None if every_value_has_a_key::<T>() => None,
            None => self.explain_by(&self.keys::<Exact, 1>([&row])?, contributions),
        }
    }

    /// Explains a row, by its keys.
    fn explain_by<K: Key<T>>(&self, keys: &[[K; 1]], contributions: &mut [f64]) -> Option<()> {
        let features = self.features_of_slots();
        let mut nodes = Vec::new();
        let mut scratch = Scratch::default();
        for tree in 0..self.parts().roots.len() {
            let on_path = self.decode(self.tree(tree)?, keys, &features, &mut nodes)?;
            // Half as many points as features on the longest path.
            match on_path {
                0 => {}
                1..=4 => explain(&nodes, &GAUSS_2, &mut scratch.two, contributions)?,
                5..=8 => explain(&nodes, &GAUSS_4, &mut scratch.four, contributions)?,
                9..=12 => explain(&nodes, &GAUSS_6, &mut scratch.six, contributions)?,
                13..=MAX_FEATURES_ON_PATH => {
                    let Scratch { gauss, eight, .. } = &mut scratch;
                    for points in gauss_in_groups(gauss, on_path.div_ceil(2).next_multiple_of(AT_ONCE)) {
                        explain(&nodes, points, eight, contributions)?;
                    }
                }
                _ => return None,
            }
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

/// A node of a tree, decoded for a row, and the edge to it, with every earlier split on the path on the same feature
/// folded in.
#[derive(Clone, Copy, Default)]
struct Decoded {
    /// Probability of passing the edge when its feature is unknown.
    zero: f64,
    /// 1 if the row passes when it is known, else 0; less `zero`.
    gain: f64,
    /// A leaf's value.
    value: f64,
    feature: u32,
    /// The split, from the tree's root on, as all nodes here.
    parent: u32,
    /// The node that the nearest earlier edge of the feature leads to, for which the root stands if there is none.
    earlier: u32,
    /// The first child; for a leaf 0.
    first: u32,
    /// Number of children.
    count: u32,
    /// Number of features on the path.
    on_path: u32,
    /// The features on the path, each as a bit: of several with the same bit one may be there.
    features: u64,
}

impl Decoded {
    /// The factor of the edge's feature at a point.
    #[inline(always)]
    fn factor(&self, point: f64) -> f64 {
        self.zero + point * self.gain
    }

    fn children(&self) -> Range<usize> {
        self.first as usize..(self.first + self.count) as usize
    }
}

impl<T: Number> Forest<'_, T> {
    /// The feature that each slot is of.
    fn features_of_slots(&self) -> Vec<u32> {
        let features = self.parts().features as u32;
        let slots = (0..).flat_map(|_| 0..features);
        std::iter::once(0).chain(slots).take(self.shape().slots(features as usize)).collect()
    }

    /// Decodes a tree for a row with these keys; returns the number of features on the longest path.
    fn decode<K: Key<T>>(
        &self,
        tree: Range<usize>,
        keys: &[[K; 1]],
        features: &[u32],
        nodes: &mut Vec<Decoded>,
    ) -> Option<usize> {
        let covers = self.parts().covers.get(tree.clone())?;
        nodes.clear();
        nodes.resize(tree.len(), Decoded::default());
        let mut longest = 0;
        for at in 0..tree.len() {
            let (packed, followed) = self.node_and_next(tree.start + at, keys)?;
            let own = nodes.get_mut(at)?;
            if packed.children() == 0 {
                own.value = self.leaf_value(tree.start + at)?.into();
                continue;
            }
            (own.first, own.count) = ((at + packed.children()) as u32, self.child_count(packed));
            let own = *own;
            let feature = *features.get(packed.slot())?;
            let bit = 1 << (feature % 64);
            let earlier = if own.features & bit == 0 { 0 } else { nearest(nodes, at, feature) };
            let before = if earlier == 0 { Decoded { zero: 1.0, gain: 0.0, ..own } } else { *nodes.get(earlier)? };
            let cover = f64::from(*covers.get(at)?);
            let zero = if cover > 0.0 { before.zero / cover } else { 0.0 };
            let on_path = own.on_path + u32::from(earlier == 0);
            longest = longest.max(on_path);
            for child in own.children() {
                let zero = zero * f64::from(*covers.get(child)?);
                let one = if tree.start + child == followed { before.zero + before.gain } else { 0.0 };
                let node = nodes.get_mut(child)?;
                (node.zero, node.gain, node.feature) = (zero, one - zero, feature);
                (node.parent, node.earlier) = (at as u32, earlier as u32);
                (node.on_path, node.features) = (on_path, own.features | bit);
            }
        }
        Some(longest as usize)
    }
}

/// Finds the nearest edge of a feature on the way from a node up to the root, or 0 if there is none.
fn nearest(nodes: &[Decoded], mut at: usize, feature: u32) -> usize {
    while let Some(node) = nodes.get(at).filter(|node| at > 0 && node.feature != feature) {
        at = node.parent as usize;
    }
    at
}

/// The quantities of a node at each of `N` points.
#[derive(Clone, Copy)]
struct AtPoints<const N: usize> {
    /// Of a split the product of the factors on its path, without that of an earlier split on its feature: `B`.
    product: [f64; N],
    /// The sum over the leaves below of their value times the factors between.
    below: [f64; N],
    /// The inverse of the factor that an earlier split on its feature has, if there is one.
    inverse: [f64; N],
}

/// Adds the effects in a tree at these points, of these weights.
fn explain<const N: usize>(
    nodes: &[Decoded],
    (points, weights): &Gauss<N>,
    scratch: &mut Vec<AtPoints<N>>,
    contributions: &mut [f64],
) -> Option<()> {
    if scratch.len() < nodes.len() {
        scratch.resize(nodes.len(), AtPoints { product: [1.0; N], below: [0.0; N], inverse: [1.0; N] });
    }
    // Down. What an earlier split has at a node is not in its `product`, and is in its children's.
    for (at, node) in nodes.iter().enumerate() {
        let Some(child) = nodes.get(node.first as usize).filter(|_| node.count > 0) else { continue };
        let mut product = [1.0; N];
        if at > 0 {
            let above = scratch.get(node.parent as usize)?;
            for k in 0..N {
                product[k] = above.product[k] * node.factor(points[k]);
            }
        }
        let own = scratch.get_mut(at)?;
        if child.earlier > 0 {
            let earlier = nodes.get(child.earlier as usize)?;
            for k in 0..N {
                let factor = earlier.factor(points[k]);
                // Where nothing passes, nothing below has an effect.
                own.inverse[k] = if factor > 0.0 { 1.0 / factor } else { 0.0 };
                product[k] *= own.inverse[k];
            }
        }
        own.product = product;
    }
    // Up.
    for (at, node) in nodes.iter().enumerate().rev() {
        let Some(first) = nodes.get(node.first as usize).filter(|_| node.count > 0) else {
            scratch.get_mut(at)?.below = [node.value; N];
            continue;
        };
        let AtPoints { product, inverse, .. } = *scratch.get(at)?;
        let (mut sum, mut effect) = ([0.0; N], [0.0; N]);
        for child in node.children() {
            let (child, below) = (nodes.get(child)?, scratch.get(child)?.below);
            for k in 0..N {
                sum[k] += child.factor(points[k]) * below[k];
                effect[k] += child.gain * below[k];
            }
        }
        if first.earlier > 0 {
            let earlier = nodes.get(first.earlier as usize)?;
            for k in 0..N {
                sum[k] *= inverse[k];
                effect[k] -= earlier.gain * sum[k];
            }
        }
        let total: f64 = (0..N).map(|k| weights[k] * product[k] * effect[k]).sum();
        *contributions.get_mut(first.feature as usize)? += total;
        scratch.get_mut(at)?.below = sum;
    }
    Some(())
}

/// Memory that is used for one tree after another.
#[derive(Default)]
struct Scratch {
    two: Vec<AtPoints<2>>,
    four: Vec<AtPoints<4>>,
    six: Vec<AtPoints<6>>,
    eight: Vec<AtPoints<AT_ONCE>>,
    /// The last points and weights of more than six.
    gauss: Vec<Gauss<AT_ONCE>>,
}

/// Points and weights.
type Gauss<const N: usize> = ([f64; N], [f64; N]);

/// Returns so many points and weights in groups, which `last` may have.
fn gauss_in_groups(last: &mut Vec<Gauss<AT_ONCE>>, count: usize) -> &[Gauss<AT_ONCE>] {
    if last.len() != count / AT_ONCE {
        let (points, weights) = gauss_legendre(count);
        let groups = points.as_chunks().0.iter().zip(weights.as_chunks().0);
        *last = groups.map(|(points, weights)| (*points, *weights)).collect();
    }
    last
}

/// The points and weights of [`gauss_legendre`] for most trees.
const GAUSS_2: Gauss<2> = ([0.7886751345948129, 0.21132486540518713], [0.5000000000000001, 0.5000000000000001]);
const GAUSS_4: Gauss<4> = (
    [0.9305681557970262, 0.6699905217924281, 0.33000947820757187, 0.06943184420297371],
    [0.17392742256872687, 0.32607257743127305, 0.32607257743127305, 0.17392742256872687],
);
const GAUSS_6: Gauss<6> = (
    [
        0.9662347571015759,
        0.8306046932331322,
        0.6193095930415985,
        0.38069040695840156,
        0.16939530676686776,
        0.03376524289842403,
    ],
    [
        0.08566224618958514,
        0.18038078652406936,
        0.23395696728634552,
        0.23395696728634552,
        0.18038078652406936,
        0.08566224618958514,
    ],
);

/// Returns points and weights of Gauss-Legendre quadrature on [0, 1]: the roots of the Legendre polynomial of degree
/// `count`, found by Newton's method (Press et al., Numerical Recipes, section 4.6).
fn gauss_legendre(count: usize) -> (Vec<f64>, Vec<f64>) {
    let root = |at: usize| {
        let mut x = (std::f64::consts::PI * (at as f64 + 0.75) / (count as f64 + 0.5)).cos();
        let mut slope = 1.0;
        // Quadratic convergence from a guess that is good to 1 / count^2: five steps reach the last bit.
        for _ in 0..8 {
            let (mut value, mut before) = (1.0, 0.0);
            for degree in 0..count {
                let degree = degree as f64;
                (value, before) = (((2.0 * degree + 1.0) * x * value - degree * before) / (degree + 1.0), value);
            }
            slope = count as f64 * (x * value - before) / (x * x - 1.0);
            x -= value / slope;
        }
        ((1.0 + x) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..count).map(root).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Linear, Node, Parts, Reading};

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
            linear: Linear::NONE,
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
        let integral = |points: &[f64], weights: &[f64], degree: i32| -> f64 {
            points.iter().zip(weights).map(|(t, weight)| weight * t.powi(degree)).sum()
        };
        for count in [1, 2, 3, 4, 8, 16, 24, 64, 128] {
            let (points, weights) = gauss_legendre(count);
            for degree in 0..2 * count as i32 {
                let (exact, found) = (1.0 / f64::from(degree + 1), integral(&points, &weights, degree));
                assert!((found - exact).abs() < 1e-14, "{count} points, degree {degree}: {found} is not {exact}");
            }
        }
        for (constants, count) in [
            ((&GAUSS_2.0[..], &GAUSS_2.1[..]), 2),
            ((&GAUSS_4.0[..], &GAUSS_4.1[..]), 4),
            ((&GAUSS_6.0[..], &GAUSS_6.1[..]), 6),
        ] {
            let (points, weights) = gauss_legendre(count);
            let all = constants.0.iter().zip(points).chain(constants.1.iter().zip(weights));
            assert!(all.into_iter().all(|(constant, found)| (constant - found).abs() < 1e-15));
        }
    }
}
