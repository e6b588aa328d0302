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

#![allow(
    unsafe_code,
    reason = "bounds checks take a third of an explanation's time; `Forest::new` has checked once what they would check at every node"
)]

use crate::layout::{Forest, Link, Node, Shape};
use crate::number::Number;
use crate::walk::{Exact, Key, every_value_has_a_key};

/// Points that go through a tree side by side; more go one group after the other.
const AT_ONCE: usize = 8;
/// Maximum number of splits on a path that is explained: each is a call.
const MAX_DEPTH: usize = 256;

const PLAIN: u8 = Shape::Plain as u8;
const EXITS: u8 = Shape::Exits as u8;
const SETS: u8 = Shape::Sets as u8;

impl<T: Number> Forest<'_, T> {
    /// Adds to `contributions[i]` by how much feature `i` moved this row's margin from [`Forest::mean_margin`]; the
    /// mean plus all contributions is the margin, up to rounding. `None` if the forest cannot explain, or the row or
    /// `contributions` is not `features` long.
    pub fn explain(&self, row: &[T], contributions: &mut [f64]) -> Option<()> {
        let row = self.canonical(row)?;
        let parts = self.parts();
        if contributions.len() != parts.features || !self.can_explain() {
            return None;
        }
        match self.keys::<i64, 1>([&row]) {
            Some(keys) => self.explain_by(&keys, contributions),
            None if every_value_has_a_key::<T>() => return None,
            None => self.explain_by(&self.keys::<Exact, 1>([&row])?, contributions),
        }
        Some(())
    }

    /// Tells if the forest can explain its margins: it has covers, and no path has more than 256 splits.
    pub fn can_explain(&self) -> bool {
        let parts = self.parts();
        parts.covers.len() == parts.nodes.len()
            && parts.path_features.len() == parts.roots.len()
            && parts.depth <= MAX_DEPTH
    }

    /// Explains a row, by its keys.
    fn explain_by<K: Key<T>>(&self, keys: &[[K; 1]], contributions: &mut [f64]) {
        let features = self.features_of_slots();
        let mut edges = vec![OPEN; self.parts().features];
        // What `Walk` relies on.
        assert!(keys.len() == features.len() && contributions.len() == edges.len() && self.can_explain());
        let walk = Walk { forest: self, keys, features: &features, edges: &mut edges, contributions };
        // SAFETY: as asserted, and the shape is the forest's.
        unsafe {
            match self.shape() {
                Shape::Plain => walk.explain::<PLAIN>(),
                Shape::Exits => walk.explain::<EXITS>(),
                Shape::Sets => walk.explain::<SETS>(),
            }
        }
    }

    /// The feature that each slot is of.
    fn features_of_slots(&self) -> Vec<u32> {
        let features = self.parts().features as u32;
        let mut slots = Vec::with_capacity(self.shape().slots(features as usize));
        slots.push(0);
        while slots.len() < slots.capacity() {
            slots.extend(0..features);
        }
        slots
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

/// An edge from a split to a child, with every earlier split on the path on the same feature folded in.
#[derive(Clone, Copy)]
struct Edge {
    /// Probability of passing the edge when its feature is unknown.
    zero: f64,
    /// 1 if the row passes when it is known, else 0.
    one: f64,
}

/// Where no split on the path is on a feature.
const OPEN: Edge = Edge { zero: 1.0, one: 1.0 };

impl Edge {
    fn gain(self) -> f64 {
        self.one - self.zero
    }

    /// The factor of the edge's feature at each point.
    #[inline(always)]
    fn factors<const N: usize>(self, points: &[f64; N]) -> [f64; N] {
        let gain = self.gain();
        points.map(|point| self.zero + point * gain)
    }
}

/// A row on its way through a forest.
struct Walk<'a, T, K> {
    forest: &'a Forest<'a, T>,
    keys: &'a [[K; 1]],
    /// The feature that each slot is of.
    features: &'a [u32],
    /// Of each feature the edge of it that is on the path.
    edges: &'a mut [Edge],
    contributions: &'a mut [f64],
}

impl<T: Number, K: Key<T>> Walk<'_, T, K> {
    /// Explains the row.
    ///
    /// # Safety
    /// `SHAPE` is the forest's, keys and features are as many as it has slots, edges and contributions as many as it
    /// has features, and it can explain.
    unsafe fn explain<const SHAPE: u8>(mut self) {
        let parts = self.forest.parts();
        let mut gauss = Vec::new();
        for (&root, &on_path) in parts.roots.iter().zip(parts.path_features) {
            // Half as many points as features on the longest path.
            // SAFETY: the caller's; a walk begins at a root.
            unsafe {
                match on_path {
                    0 => {}
                    1..=4 => self.tree::<SHAPE, 2>(root, &GAUSS_2),
                    5..=8 => self.tree::<SHAPE, 4>(root, &GAUSS_4),
                    9..=12 => self.tree::<SHAPE, 6>(root, &GAUSS_6),
                    _ => {
                        let count = usize::from(on_path).div_ceil(2).next_multiple_of(AT_ONCE);
                        for points in gauss_in_groups(&mut gauss, count) {
                            self.tree::<SHAPE, AT_ONCE>(root, points);
                        }
                    }
                }
            }
        }
    }

    /// Adds the effects in a tree at these points, of these weights.
    ///
    /// # Safety
    /// As for [`Walk::explain`]; there is such a root, and its tree has a split.
    unsafe fn tree<const SHAPE: u8, const N: usize>(&mut self, root: u32, gauss: &Gauss<N>) {
        // SAFETY: the caller's.
        unsafe {
            let node = *self.forest.parts().nodes.get_unchecked(root as usize);
            if node.way() != 0 {
                self.below::<SHAPE, N>(root as usize, node, &[1.0; N], gauss, self.forest.parts().depth);
            }
        }
    }

    /// Adds the effects of a split and of those below it; returns its `G`. `product` is that of the factors above it.
    /// No path has more than `left` splits.
    ///
    /// # Safety
    /// As for [`Walk::explain`]; `split` is that at `at`, and no leaf.
    unsafe fn below<const SHAPE: u8, const N: usize>(
        &mut self,
        at: usize,
        split: Node,
        product: &[f64; N],
        gauss: &Gauss<N>,
        left: usize,
    ) -> [f64; N] {
        let (points, weights) = gauss;
        let forest = self.forest;
        let parts = forest.parts();
        // SAFETY: `Forest::new` has made sure that slots and children are there, and the caller that the rest is as
        // long.
        unsafe {
            let feature = *self.features.get_unchecked(split.slot()) as usize;
            let before = *self.edges.get_unchecked(feature);
            let (mut product, mut inverse) = (*product, [1.0; N]);
            // The edges below take the place of the feature's earlier one.
            let is_again = before.zero != 1.0 || before.one != 1.0;
            if is_again {
                // Where nothing passes, nothing below has an effect.
                inverse = before.factors(points).map(|factor| if factor > 0.0 { 1.0 / factor } else { 0.0 });
                for k in 0..N {
                    product[k] *= inverse[k];
                }
            }
            let followed = forest.step_from::<K, SHAPE>(self.keys, at, split);
            let cover = f64::from(*parts.covers.get_unchecked(at));
            let share = if cover > 0.0 { before.zero / cover } else { 0.0 };
            let first = at + split.children();
            let (mut sum, mut effect) = ([0.0; N], [0.0; N]);
            let count = if SHAPE == PLAIN { 2 } else { forest.child_count(split) as usize };
            for child in first..first + count {
                let zero = share * f64::from(*parts.covers.get_unchecked(child));
                let edge = Edge { zero, one: if child == followed { before.one } else { 0.0 } };
                let factors = edge.factors(points);
                let node = *parts.nodes.get_unchecked(child);
                let below = if node.way() == 0 {
                    [forest.leaf_at(child, node).into(); N]
                } else if left > 1 {
                    *self.edges.get_unchecked_mut(feature) = edge;
                    let mut product = product;
                    for k in 0..N {
                        product[k] *= factors[k];
                    }
                    self.below::<SHAPE, N>(child, node, &product, gauss, left - 1)
                } else {
                    [0.0; N]
                };
                for k in 0..N {
                    sum[k] += factors[k] * below[k];
                    effect[k] += edge.gain() * below[k];
                }
            }
            *self.edges.get_unchecked_mut(feature) = before;
            if is_again {
                for k in 0..N {
                    sum[k] *= inverse[k];
                    effect[k] -= before.gain() * sum[k];
                }
            }
            let total: f64 = (0..N).map(|k| weights[k] * product[k] * effect[k]).sum();
            *self.contributions.get_unchecked_mut(feature) += total;
            sum
        }
    }
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
            path_features: &[3],
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

    /// Explains a tree in which each split but the last leads to a leaf and to the next.
    fn explain_chain(depth: usize) -> Option<f64> {
        let split =
            |at: usize| Node::new(0.5f32.threshold_key(), (Reading::MissingRight.first_slot(depth) + at) as u16, 1);
        let leaf = |value: f32| Node::new(value.leaf_bits(), 0, 0);
        let mut nodes: Vec<Node> = (0..depth).flat_map(|at| [split(at), leaf(at as f32)]).collect();
        nodes.push(leaf(-1.0));
        let mut covers: Vec<f32> = (0..depth).flat_map(|at| [(depth - at) as f32 + 1.0, 1.0]).collect();
        covers.push(1.0);
        let parts = Parts {
            base_margin: 0.0,
            features: depth,
            depth,
            zero_is_missing: &[],
            roots: &[0],
            nodes: &nodes,
            numbers: &[],
            covers: &covers,
            path_features: &[depth as u16],
            set_starts: &[],
            set_words: &[],
            linear: Linear::NONE,
        };
        let forest = Forest::new(parts).expect("the parts fit together");
        let (row, mut contributions) = (vec![1f32; depth], vec![0.0; depth]);
        forest.explain(&row, &mut contributions)?;
        Some(forest.mean_margin()? + contributions.iter().sum::<f64>())
    }

    #[test]
    fn explains_paths_of_256_splits_and_of_no_more() {
        for depth in [1, 4, 9, 17, 100, MAX_DEPTH] {
            let margin = explain_chain(depth).expect("covers are there");
            assert!((margin + 1.0).abs() < 1e-9, "{depth}: {margin}");
        }
        assert_eq!(explain_chain(MAX_DEPTH + 1), None);
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
