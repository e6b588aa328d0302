//! Conversion of a library's own trees to the flat layout.

use super::ImportError;
use crate::layout::{Forest, Linear, Link, MAX_FEATURES, Node, Parts, Reading, Readings};
use crate::number::Number;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// A node as a file describes it, children by the file's own numbers.
pub(super) enum Source<T> {
    Leaf(T),
    /// A leaf of a linear function: its value where a feature is missing, its constant, and its terms.
    Linear {
        value: T,
        constant: T,
        terms: Vec<(usize, T)>,
    },
    Split {
        feature: usize,
        threshold: T,
        left: usize,
        right: usize,
        missing: Missing<T>,
    },
    /// The set is shared by the splits that have the same.
    InSet {
        feature: usize,
        set: Rc<Vec<u32>>,
        inside: usize,
        outside: usize,
        missing: Side,
    },
}

/// Destination of a missing value at a split by size.
#[derive(Clone, Copy)]
pub(super) enum Missing<T> {
    To(Side),
    /// Nowhere: this is the tree's value then.
    Value(T),
}

#[derive(Clone, Copy)]
pub(super) enum Side {
    /// Left, or inside.
    First,
    /// Right, or outside.
    Second,
}

/// A [`Forest`] that owns its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedForest<T> {
    base_margin: T,
    features: usize,
    depth: usize,
    zero_is_missing: Vec<u16>,
    roots: Vec<u32>,
    nodes: Vec<Node>,
    numbers: Vec<T>,
    covers: Vec<f32>,
    path_features: Vec<u16>,
    set_starts: Vec<u32>,
    set_words: Vec<u32>,
    linear: LinearLeaves<T>,
    /// Each node's number in the file, counted over all trees; [`EXIT`] for what is no node there.
    origins: Vec<u32>,
    readings: Readings,
}

/// The origin of an exit, and of a constant.
const EXIT: u32 = u32::MAX;

impl<T: Number> OwnedForest<T> {
    /// Returns the forest over these parts.
    #[allow(unsafe_code, reason = "nothing changes an owned forest, and `Builder::finish` had it accepted")]
    pub fn forest(&self) -> Forest<'_, T> {
        // SAFETY: the fields are private to this file, and only `Builder::finish` makes this type.
        unsafe { Forest::accepted(self.parts(), self.readings) }
    }

    fn parts(&self) -> Parts<'_, T> {
        Parts {
            base_margin: self.base_margin,
            features: self.features,
            depth: self.depth,
            zero_is_missing: &self.zero_is_missing,
            roots: &self.roots,
            nodes: &self.nodes,
            numbers: &self.numbers,
            covers: &self.covers,
            path_features: &self.path_features,
            set_starts: &self.set_starts,
            set_words: &self.set_words,
            linear: Linear {
                leaves: &self.linear.leaves,
                constants: &self.linear.constants,
                starts: &self.linear.starts,
                features: &self.linear.features,
                coefficients: &self.linear.coefficients,
            },
        }
    }

    /// Returns the bytes that the forest takes in a Wasm module.
    pub fn bytes(&self) -> usize {
        size_of_val(self.nodes.as_slice())
            + size_of_val(self.numbers.as_slice())
            + 4 * (self.covers.len() + self.roots.len() + self.set_starts.len() + self.set_words.len())
            + size_of_val(self.path_features.as_slice())
            + self.linear.bytes()
    }

    /// Returns the most features on a path from the root of a tree.
    fn most_features_on_path(&self, tree: usize) -> u16 {
        /// The next step on a way through all paths.
        enum Step {
            To(usize),
            /// Back above a split on a feature.
            Back(usize),
        }
        let (mut on_path, mut features, mut most) = (vec![0u32; self.features], 0, 0);
        let mut steps = vec![Step::To(self.roots[tree] as usize)];
        while let Some(step) = steps.pop() {
            match step {
                Step::To(at) => {
                    let Some(Link::Split { feature, first, count, .. }) = self.forest().link(at) else { continue };
                    features += u16::from(on_path[feature] == 0);
                    on_path[feature] += 1;
                    most = most.max(features);
                    steps.push(Step::Back(feature));
                    steps.extend((first..first + count).map(Step::To));
                }
                Step::Back(feature) => {
                    on_path[feature] -= 1;
                    features -= u16::from(on_path[feature] == 0);
                }
            }
        }
        most
    }

    /// Counts how many of `rows` reach each node of the file, tree after tree in the file's own order. Errors if a row
    /// does not have the model's number of features.
    pub fn replay<'r>(&self, rows: impl IntoIterator<Item = &'r [T]>) -> Result<Vec<u32>, ImportError> {
        let mut covers = vec![0; self.origins.iter().filter(|origin| **origin != EXIT).count()];
        for row in rows {
            for tree in 0..self.roots.len() {
                let count = |at: usize, _| {
                    if let Some(cover) = self.origins.get(at).and_then(|origin| covers.get_mut(*origin as usize)) {
                        *cover += 1;
                    }
                };
                self.forest().visit_path(tree, row, count).ok_or_else(|| {
                    let reason = format!("a row has {} features, the model {}", row.len(), self.features);
                    ImportError::new("rows", reason)
                })?;
            }
        }
        Ok(covers)
    }
}

/// A forest that trees are still added to.
#[derive(Clone)]
pub(super) struct Builder<T> {
    forest: OwnedForest<T>,
    /// The numbers of the sets that are in it.
    sets: HashMap<Rc<Vec<u32>>, i32>,
    /// The constant and the terms of each leaf of a linear function, by its place.
    linear: BTreeMap<u32, (T, Vec<(usize, T)>)>,
    /// Number of the file's nodes that are in it.
    file_nodes: usize,
}

impl<T: Number> Builder<T> {
    /// Makes a forest without trees. `features` is at most [`MAX_FEATURES`].
    pub(super) fn new(base_margin: T, features: usize) -> Builder<T> {
        let forest = OwnedForest {
            base_margin,
            features: features.min(MAX_FEATURES),
            depth: 0,
            zero_is_missing: Vec::new(),
            roots: Vec::new(),
            nodes: Vec::new(),
            numbers: Vec::new(),
            covers: Vec::new(),
            path_features: Vec::new(),
            set_starts: Vec::new(),
            set_words: Vec::new(),
            linear: LinearLeaves::default(),
            origins: Vec::new(),
            readings: [false; 5],
        };
        Builder { forest, sets: HashMap::new(), linear: BTreeMap::new(), file_nodes: 0 }
    }

    /// Returns the forest, with the features of which zero means missing.
    pub(super) fn finish(self, zero_is_missing: Vec<u16>) -> Result<OwnedForest<T>, ImportError> {
        let mut forest = self.forest;
        forest.zero_is_missing = zero_is_missing;
        for (at, (constant, terms)) in self.linear {
            forest.linear.push(at, constant, &terms);
        }
        // Covers are for all nodes or of no use; nobody says how linear functions would be explained, LightGBM neither.
        if forest.covers.iter().any(|cover| cover.is_nan()) || !forest.linear.leaves.is_empty() {
            forest.covers.clear();
        }
        let accepted = Forest::new(forest.parts()).map_err(|reason| ImportError::new("layout", reason))?;
        forest.readings = accepted.readings();
        if !forest.covers.is_empty() {
            forest.path_features = (0..forest.roots.len()).map(|tree| forest.most_features_on_path(tree)).collect();
        }
        Ok(forest)
    }

    /// Adds one tree of `count` nodes, root first. `read` gives a node and its cover, each once; `place` names it.
    /// Errors if the nodes are no tree: a child that is not there, two parents, or a node that nothing leads to; or if
    /// a number is not finite.
    pub(super) fn append(
        &mut self,
        count: usize,
        place: impl Fn(usize) -> String,
        mut read: impl FnMut(usize) -> Result<(Source<T>, Option<f32>), ImportError>,
    ) -> Result<(), ImportError> {
        let refuse = |index: usize, reason: String| Err(ImportError::new(place(index), reason));
        let mut tree: Vec<Option<(Source<T>, Option<f32>)>> = Vec::new();
        tree.resize_with(count, || None);
        let mut waiting = vec![(0, 0)];
        while let Some((index, depth)) = waiting.pop() {
            self.forest.depth = self.forest.depth.max(depth);
            match tree.get(index) {
                None => return refuse(index, "there is no such node".to_owned()),
                Some(Some(_)) => return refuse(index, "two parents lead here, so this is not a tree".to_owned()),
                Some(None) => {}
            }
            let (source, cover) = read(index)?;
            if let Err(reason) = self.check(&source, cover) {
                return refuse(index, reason);
            }
            if let Source::Split { left: first, right: second, .. }
            | Source::InSet { inside: first, outside: second, .. } = &source
            {
                waiting.extend([(*second, depth + 1), (*first, depth + 1)]);
            }
            tree[index] = Some((source, cover));
        }
        if let Some(index) = tree.iter().position(Option::is_none) {
            return refuse(index, "no path from the root leads here".to_owned());
        }
        let tree = tree.into_iter().flatten().collect();
        self.lay_out(tree).or_else(|index| refuse(index, "a tree of more than 65,535 nodes".to_owned()))
    }

    /// Adds a number to every row's sum, after the trees so far; `place` names it. Errors if it is not finite.
    pub(super) fn append_constant(&mut self, value: T, place: &str) -> Result<(), ImportError> {
        self.check(&Source::Leaf(value), None).map_err(|reason| ImportError::new(place, reason))?;
        if value != T::ZERO {
            let at = self.forest.nodes.len();
            self.forest.roots.push(at as u32);
            self.forest.reserve(1);
            // No row of the training data is known to have come here, and nothing is asked of it.
            self.forest.put(at, Node::new(value.leaf_bits(), 0, 0), value, Some(0.0));
        }
        Ok(())
    }

    fn check(&self, source: &Source<T>, cover: Option<f32>) -> Result<(), String> {
        if let Some(cover) = cover.filter(|cover| !cover.is_finite() || *cover < 0.0) {
            return Err(format!("the cover {cover} is not a finite number from 0"));
        }
        let feature = match *source {
            Source::Leaf(value) if !value.into().is_finite() => {
                return Err(format!("the leaf's value {value} is not a finite number"));
            }
            Source::Leaf(_) => return Ok(()),
            Source::Linear { value, constant, ref terms } => {
                let mut numbers = terms.iter().map(|term| term.1).chain([value, constant]);
                if let Some(number) = numbers.find(|number| !(*number).into().is_finite()) {
                    return Err(format!("{number} in the leaf's function is not a finite number"));
                }
                match terms.iter().map(|term| term.0).max() {
                    Some(feature) => feature,
                    None => return Ok(()),
                }
            }
            // An infinite one parts what is missing from what is not, and is written by LightGBM.
            Source::Split { threshold, .. } if !threshold.is_threshold() => {
                return Err("the threshold is not a number".to_owned());
            }
            Source::Split { missing: Missing::Value(value), .. } if !value.into().is_finite() => {
                return Err(format!("the value {value} for a missing feature is not a finite number"));
            }
            Source::Split { feature, .. } | Source::InSet { feature, .. } => feature,
        };
        if feature >= self.forest.features {
            return Err(format!("feature {feature} is out of range: the model has {} features", self.forest.features));
        }
        Ok(())
    }

    /// Appends a tree whose nodes are sound. Errors with a node whose children would be too far away to be named.
    fn lay_out(&mut self, mut tree: Vec<(Source<T>, Option<f32>)>) -> Result<(), usize> {
        let forest = &mut self.forest;
        let root = forest.nodes.len();
        forest.roots.push(root as u32);
        forest.reserve(1);
        // Sets are compared once: many nodes may share one, which is kept so that no other has its address.
        let mut known: HashMap<*const Vec<u32>, (Rc<Vec<u32>>, i32)> = HashMap::new();
        let mut waiting = vec![(0, root)];
        while let Some((index, at)) = waiting.pop() {
            forest.origins[at] = (self.file_nodes + index) as u32;
            let (source, cover) = (std::mem::replace(&mut tree[index].0, Source::Leaf(T::ZERO)), tree[index].1);
            let first = forest.nodes.len();
            let children = u16::try_from(first - at).ok().filter(|_| first - root < usize::from(u16::MAX));
            let (feature, reading, threshold, number, pair) = match source {
                Source::Leaf(value) => {
                    forest.put(at, Node::new(value.leaf_bits(), 0, 0), value, cover);
                    continue;
                }
                Source::Linear { value, constant, terms } => {
                    forest.put(at, Node::new(value.leaf_bits(), 0, 0), value, cover);
                    self.linear.insert(at as u32, (constant, terms));
                    continue;
                }
                Source::Split { feature, threshold, left, right, missing } => {
                    let reading = match missing {
                        Missing::To(Side::First) => Reading::MissingLeft,
                        Missing::To(Side::Second) => Reading::MissingRight,
                        Missing::Value(_) => Reading::MissingExit,
                    };
                    forest.reserve(2);
                    if let Missing::Value(value) = missing {
                        forest.reserve(1);
                        // Who reached the split and neither child has left by the exit.
                        let cover_of = |index: usize| tree.get(index).and_then(|(_, cover)| *cover);
                        let stayed = cover_of(left).zip(cover_of(right)).map(|(left, right)| left + right);
                        let left_by = cover.zip(stayed).map(|(cover, stayed)| (cover - stayed).max(0.0));
                        forest.put(first + 2, Node::new(value.leaf_bits(), 0, 0), value, left_by);
                    }
                    (feature, reading, threshold.threshold_key(), threshold, [left, right])
                }
                Source::InSet { feature, set, inside, outside, missing } => {
                    let reading = match missing {
                        Side::First => Reading::SetMissingInside,
                        Side::Second => Reading::SetMissingOutside,
                    };
                    let number = known.entry(Rc::as_ptr(&set)).or_insert_with(|| {
                        let number = self.sets.entry(set.clone()).or_insert_with_key(|set| forest.add_set(set));
                        (set, *number)
                    });
                    let number = number.1;
                    forest.reserve(2);
                    (feature, reading, number, T::from_f64(number.into()), [inside, outside])
                }
            };
            let slot = (reading.first_slot(forest.features) + feature) as u16;
            forest.put(at, Node::new(threshold, slot, children.ok_or(index)?), number, cover);
            // The one on top is laid out next: that which more rows reach.
            let cover_of = |index: usize| tree.get(index).and_then(|(_, cover)| *cover);
            let mut pair = [(pair[0], first), (pair[1], first + 1)];
            if cover_of(pair[0].0) >= cover_of(pair[1].0) {
                pair.reverse();
            }
            waiting.extend(pair);
        }
        self.file_nodes += tree.len();
        Ok(())
    }
}

impl<T: Number> OwnedForest<T> {
    /// Makes room for `count` nodes.
    fn reserve(&mut self, count: usize) {
        let nodes = self.nodes.len() + count;
        self.nodes.resize(nodes, Node::new(0, 0, 0));
        self.origins.resize(nodes, EXIT);
        self.covers.resize(nodes, NO_COVER);
        self.numbers.resize(if size_of::<T>() == 8 { nodes } else { 0 }, T::ZERO);
    }

    /// Adds a set of categories; returns its number.
    fn add_set(&mut self, set: &[u32]) -> i32 {
        if self.set_starts.is_empty() {
            self.set_starts.push(0);
        }
        self.set_words.extend(set);
        self.set_starts.push(self.set_words.len() as u32);
        self.set_starts.len() as i32 - 2
    }

    fn put(&mut self, at: usize, node: Node, number: T, cover: Option<f32>) {
        self.nodes[at] = node;
        self.covers[at] = cover.unwrap_or(NO_COVER);
        if let Some(place) = self.numbers.get_mut(at) {
            *place = number;
        }
    }
}

/// The cover of a node of which the file does not say it.
const NO_COVER: f32 = f32::NAN;

/// [`Linear`], owned.
#[derive(Clone, Debug, PartialEq)]
struct LinearLeaves<T> {
    leaves: Vec<u32>,
    constants: Vec<T>,
    starts: Vec<u32>,
    features: Vec<u16>,
    coefficients: Vec<T>,
}

impl<T> Default for LinearLeaves<T> {
    fn default() -> LinearLeaves<T> {
        LinearLeaves {
            leaves: Vec::new(),
            constants: Vec::new(),
            starts: Vec::new(),
            features: Vec::new(),
            coefficients: Vec::new(),
        }
    }
}

impl<T: Number> LinearLeaves<T> {
    /// Adds a leaf, whose place is above those of the others.
    fn push(&mut self, at: u32, constant: T, terms: &[(usize, T)]) {
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        self.leaves.push(at);
        self.constants.push(constant);
        // A feature is one of those that slots can tell apart.
        self.features.extend(terms.iter().map(|term| term.0 as u16));
        self.coefficients.extend(terms.iter().map(|term| term.1));
        self.starts.push(self.features.len() as u32);
    }

    fn bytes(&self) -> usize {
        4 * (self.leaves.len() + self.starts.len())
            + 2 * self.features.len()
            + size_of_val(self.constants.as_slice())
            + size_of_val(self.coefficients.as_slice())
    }
}
