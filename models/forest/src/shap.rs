//! Exact path-dependent TreeSHAP: how much each feature moved one margin.
//!
//! The Shapley value of a feature is its average effect over all orders in which features can become known,
//! where a feature that is not yet known sends a row down every child in proportion to the training rows that
//! went there (the cover). The polynomial-time algorithm is algorithm 2 of Lundberg et al., "Consistent
//! Individualized Feature Attribution for Tree Ensembles", arXiv:1802.03888: walk every path once, carrying for
//! each feature on it the share of rows that follow the path when it is unknown (`zero`) and whether this row
//! does when it is known (`one`), and the summed permutation weights of each subset size.

use crate::layout::{Forest, Link, Node};
use crate::number::Number;
use crate::walk::Step as Next;

/// A bound on the recursion. Trees people train are 5 to 20 deep.
const MOST_FEATURES_ON_A_PATH: usize = 256;

/// One feature on the path from the root, in the notation of the paper.
#[derive(Clone, Copy)]
struct Step {
    /// `None` only at the root.
    feature: Option<u16>,
    /// Share of training rows that follow the path when the feature is unknown.
    zero: f64,
    /// 1 if this row follows the path, else 0.
    one: f64,
    /// Summed weight of the subsets of one size.
    weight: f64,
}

impl<T: Number> Forest<'_, T> {
    /// Adds to `contributions[i]` how much feature `i` moved this row's margin from the forest's mean margin over
    /// its training rows, and returns that mean; the mean plus all contributions is the margin, up to rounding.
    /// `None` if the forest has no covers, or the row or `contributions` is not `features` long.
    pub fn explain(&self, row: &[T], contributions: &mut [f64]) -> Option<f64> {
        let fits = row.len() == self.features && contributions.len() == self.features;
        if !fits || self.covers.len() != self.nodes.len() {
            return None;
        }
        let row = self.canonical(row)?;
        let mut mean: f64 = self.base_margin.into();
        let mut path = Vec::new();
        for tree in 0..self.roots.len() {
            let (nodes, covers) = self.tree(tree)?;
            mean += mean_value(nodes, covers)?;
            let walk = Walk { forest: self, nodes, covers, row: &row };
            path.clear();
            extend(&mut path, Step { feature: None, zero: 1.0, one: 1.0, weight: 0.0 });
            walk.visit(0, &path, contributions)?;
        }
        Some(mean)
    }
}

struct Walk<'a, T> {
    forest: &'a Forest<'a, T>,
    nodes: &'a [Node<T>],
    covers: &'a [f32],
    row: &'a [T],
}

impl<T: Number> Walk<'_, T> {
    fn visit(&self, at: u16, path: &[Step], contributions: &mut [f64]) -> Option<()> {
        if path.len() > MOST_FEATURES_ON_A_PATH {
            return None;
        }
        let node = self.nodes.get(usize::from(at))?;
        let (feature, followed) = match (node.link(), self.forest.next(node, self.row)?) {
            (Link::Split { feature, .. } | Link::InSet { feature, .. }, Next::Child(followed)) => (feature, followed),
            (Link::Leaf(value), _) | (_, Next::Leaf(value)) => {
                for (index, step) in path.iter().enumerate().skip(1) {
                    let effect = unwound_weight(path, index) * (step.one - step.zero) * value.into();
                    *contributions.get_mut(usize::from(step.feature?))? += effect;
                }
                return Some(());
            }
        };
        // A feature split on twice counts once: take its earlier step out and fold it into this one.
        let mut path = path.to_vec();
        let (mut zero, mut one) = (1.0, 1.0);
        if let Some(index) = path.iter().position(|step| step.feature == Some(feature)) {
            (zero, one) = (path[index].zero, path[index].one);
            unwind(&mut path, index);
        }
        let cover = f64::from(*self.covers.get(usize::from(at))?);
        for child in node.children() {
            let child_cover = f64::from(*self.covers.get(usize::from(child))?);
            let share = if cover > 0.0 { child_cover / cover } else { 0.0 };
            let follows = if child == followed { one } else { 0.0 };
            if share * zero == 0.0 && follows == 0.0 {
                continue;
            }
            let mut longer = path.clone();
            extend(&mut longer, Step { feature: Some(feature), zero: zero * share, one: follows, weight: 0.0 });
            self.visit(child, &longer, contributions)?;
        }
        Some(())
    }
}

/// Appends a step and brings the weights of all subset sizes up to date.
fn extend(path: &mut Vec<Step>, mut step: Step) {
    let length = path.len();
    step.weight = if length == 0 { 1.0 } else { 0.0 };
    let (zero, one) = (step.zero, step.one);
    path.push(step);
    for at in (0..length).rev() {
        path[at + 1].weight += one * path[at].weight * (at + 1) as f64 / (length + 1) as f64;
        path[at].weight *= zero * (length - at) as f64 / (length + 1) as f64;
    }
}

/// Takes step `at` out again: the inverse of [`extend`].
fn unwind(path: &mut Vec<Step>, at: usize) {
    let last = path.len() - 1;
    let (zero, one) = (path[at].zero, path[at].one);
    let mut carried = path[last].weight;
    for i in (0..last).rev() {
        if one != 0.0 {
            let weight = path[i].weight;
            path[i].weight = carried * (last + 1) as f64 / ((i + 1) as f64 * one);
            carried = weight - path[i].weight * zero * (last - i) as f64 / (last + 1) as f64;
        } else {
            path[i].weight = path[i].weight * (last + 1) as f64 / (zero * (last - i) as f64);
        }
    }
    for i in at..last {
        (path[i].feature, path[i].zero, path[i].one) = (path[i + 1].feature, path[i + 1].zero, path[i + 1].one);
    }
    path.pop();
}

/// The sum of the weights that [`unwind`] would leave, without building them.
fn unwound_weight(path: &[Step], at: usize) -> f64 {
    let last = path.len() - 1;
    let (zero, one) = (path[at].zero, path[at].one);
    let mut carried = path[last].weight;
    let mut total = 0.0;
    for i in (0..last).rev() {
        if one != 0.0 {
            let weight = carried * (last + 1) as f64 / ((i + 1) as f64 * one);
            total += weight;
            carried = path[i].weight - weight * zero * (last - i) as f64 / (last + 1) as f64;
        } else if zero != 0.0 {
            total += path[i].weight * (last + 1) as f64 / (zero * (last - i) as f64);
        }
    }
    total
}

/// The mean of a subtree's leaves, weighted by cover.
fn mean_value<T: Number>(nodes: &[Node<T>], covers: &[f32]) -> Option<f64> {
    // A child stands after its parent, so from the back every child is known before its parent asks.
    let mut means = vec![0.0; nodes.len()];
    for (at, node) in nodes.iter().enumerate().rev() {
        if let Link::Leaf(value) = node.link() {
            means[at] = value.into();
            continue;
        }
        let cover = f64::from(*covers.get(at)?);
        for child in node.children() {
            let share = f64::from(*covers.get(usize::from(child))?) / cover;
            means[at] += if cover > 0.0 { means.get(usize::from(child))? * share } else { 0.0 };
        }
    }
    means.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a tree when only the features in `known` are: the definition that Shapley values average over.
    fn expected(forest: &Forest<'_, f32>, row: &[f32], known: u32, at: u16) -> f64 {
        let node = &forest.nodes[usize::from(at)];
        let (Link::Split { feature, .. } | Link::InSet { feature, .. }) = node.link() else {
            let Link::Leaf(value) = node.link() else { unreachable!() };
            return value.into();
        };
        if known & (1 << feature) != 0 {
            let Some(Next::Child(child)) = forest.next(node, row) else { unreachable!() };
            return expected(forest, row, known, child);
        }
        let cover = |at: u16| f64::from(forest.covers[usize::from(at)]);
        node.children().map(|child| expected(forest, row, known, child) * cover(child) / cover(at)).sum()
    }

    fn factorial(n: u32) -> f64 {
        (1..=n).map(f64::from).product()
    }

    #[test]
    fn equals_brute_force_shapley_values_with_a_repeated_feature_a_category_and_a_missing_value() {
        let nodes = [
            Node::split(0, 1.0, 1, 4, 9),
            Node::in_set(1, 0.0, 2, 3, 2),
            Node::leaf(-1.5),
            Node::leaf(0.25),
            Node::split(2, 3.0, 5, 8, 8),
            Node::split(0, 2.0, 6, 7, 7),
            Node::leaf(2.0),
            Node::leaf(-0.75),
            Node::leaf(1.0),
            Node::leaf(0.125),
        ];
        let covers = [40.0, 18.0, 11.0, 7.0, 19.0, 12.0, 5.0, 7.0, 7.0, 3.0];
        let forest = Forest {
            base_margin: 0.5,
            roots: &[0],
            nodes: &nodes,
            covers: &covers,
            sets: &[&[0b1001]],
            ..Forest::empty(4)
        };
        for row in
            [[0.0, 1.0, 2.0, 0.0], [1.5, 0.0, 2.0, 7.0], [2.5, f32::NAN, f32::NAN, 0.0], [f32::NAN, 0.0, 9.0, 0.0]]
        {
            let mut contributions = [0.0; 4];
            let mean = forest.explain(&row, &mut contributions).expect("covers are there");
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
}
