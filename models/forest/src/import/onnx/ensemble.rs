//! An ensemble of trees by ONNX's rules, and its conversion to forests.

use crate::import::ImportError;
use crate::import::tree::{Builder, Missing, OwnedForest, Side, Source};
use crate::layout::Link;
use crate::number::Number;

/// The rule of a branch, which is true or false of a value.
pub(super) enum Rule {
    /// At most this.
    AtMost(f64),
    /// Below this.
    Below(f64),
    /// Above this.
    Above(f64),
    /// This, or above.
    AtLeast(f64),
    /// Any of these, in order.
    AnyOf(Vec<f64>),
    /// None of these, in order.
    NoneOf(Vec<f64>),
}

impl Rule {
    /// Makes the rule of a mode by its number in ai.onnx.ml 5.
    pub(super) fn new(mode: usize, value: f64, mut members: Vec<f64>) -> Rule {
        match mode {
            0 => Rule::AtMost(value),
            1 => Rule::Below(value),
            2 => Rule::AtLeast(value),
            3 => Rule::Above(value),
            4 => Rule::AnyOf(vec![value]),
            5 => Rule::NoneOf(vec![value]),
            _ => {
                members.sort_by(f64::total_cmp);
                members.dedup();
                Rule::AnyOf(members)
            }
        }
    }
}

/// A node.
pub(super) enum Node {
    /// The weights that it adds to outputs.
    Leaf(Vec<(usize, f64)>),
    Branch {
        feature: usize,
        rule: Rule,
        yes: usize,
        no: usize,
        /// A missing value goes where the rule is true, whatever the rule.
        missing_is_true: bool,
    },
}

/// An ensemble.
#[derive(Default)]
pub(super) struct Ensemble {
    pub(super) nodes: Vec<Node>,
    /// The first node of each tree.
    pub(super) roots: Vec<usize>,
    /// The number of outputs.
    pub(super) targets: usize,
    /// The number that is added to each output.
    pub(super) base: Vec<f64>,
    pub(super) features: usize,
    /// Thresholds or weights are f64s.
    pub(super) is_wide: bool,
}

const TOO_MANY: &str =
    "the branches lead to one another, or compare with so many single values that they would dwarf the file";

/// A node after rules that know more than two sides were replaced by several that do not.
enum Step<T> {
    Leaf(usize),
    Split { feature: usize, threshold: T, left: usize, right: usize, missing: Side },
}

impl Ensemble {
    /// Returns what leaves add, with the output to which.
    pub(super) fn weights(&self) -> impl Iterator<Item = &(usize, f64)> {
        self.nodes.iter().flat_map(|node| match node {
            Node::Leaf(weights) => weights.as_slice(),
            Node::Branch { .. } => &[],
        })
    }

    /// Tells if a branch says that a missing value goes where its rule is true.
    pub(super) fn sends_missing_somewhere(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node, Node::Branch { missing_is_true: true, .. }))
    }

    /// Errors if a leaf adds to an output that is not there, or twice to one.
    pub(super) fn check_targets(&self, targets: usize) -> Result<(), String> {
        for node in &self.nodes {
            let Node::Leaf(weights) = node else { continue };
            for (at, (target, _)) in weights.iter().enumerate() {
                if *target >= targets {
                    return Err(format!("output {target} is not below {targets}"));
                }
                if weights[..at].iter().any(|(other, _)| other == target) {
                    return Err(format!("a leaf has two weights for output {target}"));
                }
            }
        }
        Ok(())
    }

    /// Leaves one of the outputs, as the only one.
    pub(super) fn keep_only(&mut self, own: usize) {
        for node in &mut self.nodes {
            if let Node::Leaf(weights) = node {
                weights.retain(|(target, _)| *target == own);
                weights.iter_mut().for_each(|(target, _)| *target = 0);
            }
        }
    }

    /// Returns the least number of features that the branches need.
    pub(super) fn least_features(&self) -> usize {
        let feature = |node: &Node| match node {
            Node::Branch { feature, .. } => feature.saturating_add(1),
            Node::Leaf(_) => 0,
        };
        self.nodes.iter().map(feature).max().unwrap_or_default()
    }

    /// Returns the forest of each output.
    pub(super) fn forests<T: Number>(&self, operator: &str) -> Result<Vec<OwnedForest<T>>, ImportError> {
        let mut forests: Vec<Builder<T>> = (0..self.targets).map(|_| Builder::new(T::ZERO, self.features)).collect();
        // A tree may take more nodes than its file has for it, and all together not many times as many.
        let weights = self.weights().count();
        let mut left = self.nodes.len().saturating_mul(4) + 64;
        let mut left_of_all = self.nodes.len().saturating_add(weights).saturating_mul(16) + 64;
        for (tree, root) in self.roots.iter().enumerate() {
            let place = |node: usize| format!("{operator}: tree {tree}, node {node}");
            let steps = self.steps::<T>(*root, &mut left).map_err(|reason| ImportError::new(place(0), reason))?;
            for (target, forest) in forests.iter_mut().enumerate() {
                if steps.iter().any(|step| matches!(step, Step::Leaf(leaf) if self.weight(*leaf, target).is_some())) {
                    let more = left_of_all.checked_sub(steps.len());
                    left_of_all =
                        more.ok_or_else(|| ImportError::new(place(0), "few leaves add to very many outputs"))?;
                    forest.append(steps.len(), place, |node| Ok((self.source(&steps[node], target), None)))?;
                }
            }
        }
        let finish = |(mut forest, base): (Builder<T>, &f64)| {
            forest.append_constant(T::from_f64(*base), &format!("{operator}: base_values"))?;
            forest.finish(Vec::new())
        };
        forests.into_iter().zip(&self.base).map(finish).collect()
    }

    fn weight(&self, leaf: usize, target: usize) -> Option<f64> {
        match self.nodes.get(leaf) {
            Some(Node::Leaf(weights)) => weights.iter().find(|(own, _)| *own == target).map(|(_, weight)| *weight),
            _ => None,
        }
    }

    fn source<T: Number>(&self, step: &Step<T>, target: usize) -> Source<T> {
        match *step {
            Step::Leaf(leaf) => Source::Leaf(T::from_f64(self.weight(leaf, target).unwrap_or_default())),
            Step::Split { feature, threshold, left, right, missing } => {
                Source::Split { feature, threshold, left, right, missing: Missing::To(missing) }
            }
        }
    }

    /// Lists a tree's steps, the root first, and takes their number from what is `left`. Errors if there are not so
    /// many, which is so, too, where nodes lead back to themselves.
    fn steps<T: Number>(&self, root: usize, left: &mut usize) -> Result<Vec<Step<T>>, String> {
        let mut steps = Steps { steps: Vec::new(), waiting: Vec::new(), left };
        steps.add(root)?;
        while let Some((node, at)) = steps.waiting.pop() {
            match &self.nodes[node] {
                Node::Leaf(_) => steps.steps[at] = Step::Leaf(node),
                Node::Branch { feature, rule, yes, no, missing_is_true } => {
                    steps.branch(at, *feature, rule, [*yes, *no], *missing_is_true)?;
                }
            }
        }
        Ok(steps.steps)
    }
}

/// Steps that are still added to.
struct Steps<'a, T> {
    steps: Vec<Step<T>>,
    /// Nodes of the ensemble, and the step that each becomes.
    waiting: Vec<(usize, usize)>,
    left: &'a mut usize,
}

impl<T: Number> Steps<'_, T> {
    /// Makes room for a step.
    fn reserve(&mut self) -> Result<usize, String> {
        *self.left = self.left.checked_sub(1).ok_or(TOO_MANY)?;
        self.steps.push(Step::Leaf(0));
        Ok(self.steps.len() - 1)
    }

    /// Makes room for a step that a node becomes.
    fn add(&mut self, node: usize) -> Result<usize, String> {
        let at = self.reserve()?;
        self.waiting.push((node, at));
        Ok(at)
    }

    /// Writes a branch as a split, or as several.
    fn branch(
        &mut self,
        at: usize,
        feature: usize,
        rule: &Rule,
        [yes, no]: [usize; 2],
        missing_is_true: bool,
    ) -> Result<(), String> {
        let missing = if missing_is_true { yes } else { no };
        match rule {
            Rule::AtMost(value) => self.split(at, feature, cut(*value, true), [yes, no], missing),
            Rule::Below(value) => self.split(at, feature, cut(*value, false), [yes, no], missing),
            Rule::AtLeast(value) => self.split(at, feature, cut(*value, false), [no, yes], missing),
            Rule::Above(value) => self.split(at, feature, cut(*value, true), [no, yes], missing),
            Rule::AnyOf(members) => self.among(at, feature, members, [yes, no], missing_is_true),
            // A missing value differs from every number.
            Rule::NoneOf(members) => self.among(at, feature, members, [no, yes], false),
        }
    }

    fn split(
        &mut self,
        at: usize,
        feature: usize,
        threshold: T,
        children: [usize; 2],
        missing: usize,
    ) -> Result<(), String> {
        let [left, right] = [self.add(children[0])?, self.add(children[1])?];
        let missing = if missing == children[0] { Side::First } else { Side::Second };
        self.steps[at] = Step::Split { feature, threshold, left, right, missing };
        Ok(())
    }

    /// Parts a few values from all others: two splits for each.
    fn among(
        &mut self,
        mut at: usize,
        feature: usize,
        members: &[f64],
        [inside, outside]: [usize; 2],
        missing_is_inside: bool,
    ) -> Result<(), String> {
        for member in members {
            let (below, from) = (self.add(outside)?, self.reserve()?);
            let missing = if missing_is_inside { Side::Second } else { Side::First };
            self.steps[at] = Step::Split { feature, threshold: cut(*member, false), left: below, right: from, missing };
            let (same, above) = (self.add(inside)?, self.reserve()?);
            self.steps[from] =
                Step::Split { feature, threshold: cut(*member, true), left: same, right: above, missing: Side::First };
            at = above;
        }
        // Of no member nothing was counted, and nodes that lead to themselves must not go on for ever.
        *self.left = self.left.checked_sub(1).ok_or(TOO_MANY)?;
        self.waiting.push((outside, at));
        Ok(())
    }
}

/// Returns the threshold that parts what is below a value, or at most it, from the rest: f32s go left below theirs,
/// f64s at most at theirs.
fn cut<T: Number>(value: f64, is_inclusive: bool) -> T {
    if size_of::<T>() == 8 {
        return T::from_f64(if is_inclusive { value } else { value.next_down() });
    }
    match value as f32 {
        f32::INFINITY if is_inclusive => T::ABOVE_ALL,
        value => T::from_f64(f64::from(if is_inclusive { value.next_up() } else { value })),
    }
}

/// Tells if the sums of every forest can be probabilities: no leaf takes away, and all together do not come far above
/// 1.
pub(super) fn are_shares<T: Number>(forests: &[OwnedForest<T>]) -> bool {
    forests.iter().all(|forest| {
        let forest = forest.forest();
        let mut most = 0.0;
        for tree in (0..).map_while(|tree| forest.tree(tree)) {
            let mut of_tree = 0f64;
            for at in tree {
                if let Some(Link::Leaf(value)) = forest.link(at) {
                    let value: f64 = value.into();
                    if value < 0.0 {
                        return false;
                    }
                    of_tree = of_tree.max(value);
                }
            }
            most += of_tree;
        }
        most <= 1.001
    })
}
