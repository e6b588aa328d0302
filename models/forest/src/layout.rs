//! The flat layout of a forest in memory.
//!
//! All trees of a forest stand one after the other in one slice of nodes of 8 bytes; `roots` says where each begins:
//!
//! ```text
//!               32 bits      16         16
//!   split     | threshold | children | slot |   children stand side by side, `children` nodes further on
//!   in a set  | set's no. | children | slot |
//!   leaf      | value     | 0        | 0    |
//! ```
//!
//! A row is turned into *keys* before it walks: whole numbers in the order of its values, so that a step is one
//! comparison of integers and no step asks whether a value is missing. A feature has a key a way in which a split can
//! treat a missing value, and the split's *slot* says which one it reads:
//!
//! ```text
//!   slot   0      1 ..= F          F+1 ..= 2F        2F+1 ..= 3F      3F+1 ..= 4F      4F+1 ..= 5F
//!        | leaf | missing: left  | missing: right  | missing: exit  | set, missing:  | set, missing:  |
//!        |      | i32::MIN       | i32::MAX - 1    | i32::MAX       |   inside, -2   |   outside, -1  |
//! ```
//!
//! In a row's keys these are the upper half of 64 bits, and the lower half is more than any node has there: so a key is
//! held against a node as it is, and the upper halves decide. A key from its threshold on goes right, to the second
//! child. Of a split by category the first child is for categories in the set. An exit is a third child: a tree trained
//! by `gbdt` answers with a value of the inner node itself when the feature is missing. A leaf reads slot 0, whose key
//! is below every threshold, and leads to itself: trees that have arrived wait in place while others walk on beside
//! them.
//!
//! **Precision.** XGBoost and `gbdt` compare `x < t` in f32, and threshold and key are those f32s. LightGBM compares
//! `x <= t` in f64: the threshold is the key after that of `t` rounded down to f32, which parts all f32 inputs as `t`
//! does. `numbers` has the f64 thresholds for inputs that no f32 is, and the f64 leaves.
//!
//! **Order.** Each pair of children is followed by the subtree of the one that more training rows reached, so that the
//! way most rows take lies in few cache lines.

use crate::number::Number;

/// The slot of leaves.
const LEAF: u16 = 0;

/// One node of a tree. See the module's drawing: one number, so that it is one load.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(transparent)]
pub struct Node(u64);

impl Node {
    /// Makes a node of the parts that [`Node::parts`] returns: a threshold as a key, the number of a set, or the bits
    /// of an f32 leaf; a slot; the distance to the first child, 0 for a leaf.
    pub const fn new(threshold: i32, slot: u16, children: u16) -> Node {
        Node((threshold as u32 as u64) << 32 | (children as u64) << 16 | slot as u64)
    }

    /// Returns the one number that it is.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Returns threshold, slot and distance to the first child.
    pub const fn parts(self) -> (i32, u16, u16) {
        (self.threshold(), self.0 as u16, (self.0 >> 16) as u16)
    }

    #[inline(always)]
    pub(crate) const fn threshold(self) -> i32 {
        (self.0 >> 32) as i32
    }

    #[inline(always)]
    pub(crate) const fn slot(self) -> usize {
        self.0 as u16 as usize
    }

    /// Returns the distance to the first child; 0 for a leaf.
    #[inline(always)]
    pub(crate) const fn children(self) -> usize {
        (self.0 as u32 >> 16) as usize
    }

    /// Returns the lower half: 0 for a leaf, and for nothing else.
    #[inline(always)]
    pub(crate) const fn way(self) -> u32 {
        self.0 as u32
    }

    /// Returns the number that a key is compared with.
    #[inline(always)]
    pub(crate) const fn bits(self) -> i64 {
        self.0 as i64
    }
}

/// Way in which a split reads its feature: the child for a missing value, and by size or by category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// By size; missing goes left.
    MissingLeft,
    /// By size; missing goes right.
    MissingRight,
    /// By size; missing takes the third child.
    MissingExit,
    /// By category; missing counts as inside the set.
    SetMissingInside,
    /// By category; missing counts as outside the set.
    SetMissingOutside,
}

impl Reading {
    const ALL: [Reading; 5] = [
        Reading::MissingLeft,
        Reading::MissingRight,
        Reading::MissingExit,
        Reading::SetMissingInside,
        Reading::SetMissingOutside,
    ];

    /// Returns the first slot of those that are read this way.
    pub(crate) const fn first_slot(self, features: usize) -> usize {
        1 + self as usize * features
    }

    /// Returns the number of children of a split that reads this way.
    const fn children(self) -> usize {
        if matches!(self, Reading::MissingExit) { 3 } else { 2 }
    }

    /// Tells if it reads a category.
    pub const fn is_set(self) -> bool {
        matches!(self, Reading::SetMissingInside | Reading::SetMissingOutside)
    }
}

/// Readings that a forest has, in [`Reading`]'s own order.
pub(crate) type Readings = [bool; Reading::ALL.len()];

/// Kinds of node that a forest has, which decide how a step is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Splits by size with two children.
    Plain,
    /// Splits by size, some with an exit.
    Exits,
    /// Splits by size and by category, with two children or three.
    Sets,
}

impl Shape {
    const fn of(readings: Readings) -> Shape {
        match readings {
            [_, _, _, true, _] | [_, _, _, _, true] => Shape::Sets,
            [_, _, true, _, _] => Shape::Exits,
            _ => Shape::Plain,
        }
    }

    /// Returns the number of slots that a row's keys take.
    pub(crate) const fn slots(self, features: usize) -> usize {
        match self {
            Shape::Plain => Reading::MissingExit.first_slot(features),
            Shape::Exits => Reading::SetMissingInside.first_slot(features),
            Shape::Sets => Reading::ALL.len() * features + 1,
        }
    }
}

/// Parts of a forest.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a, T> {
    /// Margin before the first tree.
    pub base_margin: T,
    /// Number of features that a row must have, from 1 to [`MAX_FEATURES`].
    pub features: usize,
    /// Splits on the longest path from a root to a leaf. Walks go by it, and [`Forest::new`] does not: with fewer,
    /// margins are wrong.
    pub depth: usize,
    /// Features of which zero means missing, as LightGBM has it on request.
    pub zero_is_missing: &'a [u16],
    /// Place of each tree's root in `nodes`, in the order in which their leaves are added.
    pub roots: &'a [u32],
    /// All trees' nodes.
    pub nodes: &'a [Node],
    /// In f64 each split's threshold or set and each leaf's value; empty in f32.
    pub numbers: &'a [T],
    /// Number of training rows (or the sum of their hessian) that reached each node; empty when the model file does not
    /// say.
    pub covers: &'a [f32],
    /// The most features on a path from the root of each tree; empty without covers. Explanations go by it, and
    /// [`Forest::new`] does not: with fewer, they are wrong.
    pub path_features: &'a [u16],
    /// Start of each set of categories in `set_words`, and the end of the last; empty without sets.
    pub set_starts: &'a [u32],
    /// Sets of categories, as bits.
    pub set_words: &'a [u32],
    /// Leaves that are linear functions of features.
    pub linear: Linear<'a, T>,
}

/// Leaves that are linear functions of features, as LightGBM's `linear_tree` makes them: a constant, and features times
/// coefficients. Where one of the features is missing the leaf has its value in the node, as others have.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a, T> {
    /// The leaves, by their places in `nodes`, which rise.
    pub leaves: &'a [u32],
    /// The constant of each.
    pub constants: &'a [T],
    /// Start of the terms of each, and the end of the last; empty without leaves.
    pub starts: &'a [u32],
    /// The feature of each term.
    pub features: &'a [u16],
    /// The coefficient of each term.
    pub coefficients: &'a [T],
}

impl<T> Linear<'_, T> {
    /// No leaf is.
    pub const NONE: Self = Linear { leaves: &[], constants: &[], starts: &[], features: &[], coefficients: &[] };

    /// Checks the invariants that walks rely on.
    const fn check(&self, nodes: &[Node], features: usize) -> Result<(), &'static str> {
        let count = self.leaves.len();
        if count == 0 {
            return Ok(());
        }
        if self.constants.len() != count
            || self.starts.len() != count + 1
            || self.features.len() != self.coefficients.len()
        {
            return Err("linear leaves have a constant and terms each");
        }
        let mut leaf = 0;
        while leaf < count {
            let at = self.leaves[leaf] as usize;
            if at >= nodes.len() || nodes[at].way() != 0 || (leaf > 0 && at <= self.leaves[leaf - 1] as usize) {
                return Err("linear leaves are leaves, in order");
            }
            if self.starts[leaf] > self.starts[leaf + 1] || self.starts[leaf + 1] as usize > self.features.len() {
                return Err("a linear leaf's terms are not there");
            }
            leaf += 1;
        }
        let mut term = 0;
        while term < self.features.len() {
            if self.features[term] as usize >= features {
                return Err("a linear leaf's term is of no feature");
            }
            term += 1;
        }
        Ok(())
    }
}

/// Maximum number of features that slots can tell apart.
pub const MAX_FEATURES: usize = (u16::MAX as usize - 1) / Reading::ALL.len();

/// A forest whose leaves add up to one margin, checked: every walk stays within its slices and ends.
#[derive(Clone, Copy, Debug)]
pub struct Forest<'a, T> {
    parts: Parts<'a, T>,
    readings: Readings,
}

impl<'a, T: Copy> Forest<'a, T> {
    /// Makes a forest of parts that fit together, and refuses others. For static data this runs in the compiler.
    ///
    /// Checks the invariants that the walks rely on:
    /// 1. Trees are not empty and fill `nodes`. A leaf is `children` = 0 in slot 0, and its bits are no key that slot 0
    ///    would not be below; every other node's children stand behind it and within its tree.
    /// 2. A slot is one that a row's keys have.
    /// 3. In f64 there is a number a node, and no exits.
    pub const fn new(parts: Parts<'a, T>) -> Result<Forest<'a, T>, &'static str> {
        if parts.features == 0 || parts.features > MAX_FEATURES {
            return Err("a forest has from 1 to 13,106 features");
        }
        let wide = size_of::<T>() == 8;
        if parts.numbers.len() != if wide { parts.nodes.len() } else { 0 } {
            return Err("in f64 each node has a number, in f32 none");
        }
        if !parts.covers.is_empty() && parts.covers.len() != parts.nodes.len() {
            return Err("covers are for all nodes or none");
        }
        if let Err(reason) = parts.linear.check(parts.nodes, parts.features) {
            return Err(reason);
        }
        if parts.nodes.len() > i32::MAX as usize {
            return Err("more nodes than can be addressed");
        }
        let sets = parts.set_starts.len().saturating_sub(1);
        let mut set = 0;
        while set < sets {
            let (start, end) = (parts.set_starts[set], parts.set_starts[set + 1]);
            if start > end || end as usize > parts.set_words.len() {
                return Err("a set of categories is not within the words");
            }
            set += 1;
        }
        let mut readings = [false; Reading::ALL.len()];
        let mut tree = 0;
        let mut at = 0;
        while tree < parts.roots.len() {
            let last = tree + 1 == parts.roots.len();
            let end = if last { parts.nodes.len() } else { parts.roots[tree + 1] as usize };
            if parts.roots[tree] as usize != at || end <= at || end > parts.nodes.len() {
                return Err("the roots do not part the nodes into trees");
            }
            while at < end {
                let node = parts.nodes[at];
                let (threshold, slot, children) = node.parts();
                if slot == LEAF {
                    if children != 0 || threshold == i32::MIN {
                        return Err("a leaf leads on");
                    }
                    at += 1;
                    continue;
                }
                let reading = (slot as usize - 1) / parts.features;
                if reading >= Reading::ALL.len() {
                    return Err("a slot is of no feature");
                }
                let reading = Reading::ALL[reading];
                if children == 0 || at + children as usize + reading.children() > end {
                    return Err("a child is not in its tree, behind its parent");
                }
                readings[reading as usize] = true;
                if reading.is_set() && (threshold < 0 || threshold as usize >= sets) {
                    return Err("there is no such set of categories");
                }
                at += 1;
            }
            tree += 1;
        }
        if at != parts.nodes.len() {
            return Err("the roots do not part the nodes into trees");
        }
        if wide && readings[Reading::MissingExit as usize] {
            return Err("a forest in f64 has no exits");
        }
        Ok(Forest { parts, readings })
    }
}

impl<'a, T> Forest<'a, T> {
    /// Makes a forest of parts that [`Forest::new`] has accepted and found to have these readings.
    ///
    /// # Safety
    /// It has, and they have not changed since.
    #[cfg(feature = "import")]
    #[allow(unsafe_code, reason = "to check again at every row would cost more than the row")]
    pub(crate) const unsafe fn accepted(parts: Parts<'a, T>, readings: Readings) -> Forest<'a, T> {
        Forest { parts, readings }
    }

    pub(crate) const fn shape(&self) -> Shape {
        Shape::of(self.readings)
    }

    pub(crate) const fn readings(&self) -> Readings {
        self.readings
    }

    /// Returns its parts.
    pub const fn parts(&self) -> &Parts<'a, T> {
        &self.parts
    }

    /// Returns the nodes of one tree, as a range in `nodes`.
    pub fn tree(&self, index: usize) -> Option<std::ops::Range<usize>> {
        let begin = *self.parts.roots.get(index)? as usize;
        let end = self.parts.roots.get(index + 1).map_or(self.parts.nodes.len(), |&next| next as usize);
        Some(begin..end)
    }

    /// Tells if a set has a category.
    #[inline]
    pub(crate) fn has(&self, set: i32, category: i32) -> bool {
        let words = || {
            let start = *self.parts.set_starts.get(set as usize)? as usize;
            let end = *self.parts.set_starts.get(set as usize + 1)? as usize;
            self.parts.set_words.get(start..end)
        };
        // A negative category becomes an index that no set has.
        let category = category as u32;
        words().and_then(|words| words.get(category as usize / 32)).is_some_and(|word| word >> (category % 32) & 1 == 1)
    }
}

/// A node, decoded. Children are indexes in `nodes`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Link<T> {
    /// A leaf's value.
    Leaf(T),
    /// A split.
    Split {
        /// Index of the feature in the model's own order.
        feature: usize,
        /// The way in which the feature is read.
        reading: Reading,
        /// The threshold that values are compared with, or the number of a set of categories: see
        /// [`Number::goes_left`].
        threshold: T,
        /// The first child, for values that go left or are in the set; the others stand behind it.
        first: usize,
        /// Number of children.
        count: usize,
    },
}

impl<T: Number> Forest<'_, T> {
    /// Returns the value of a leaf, by its index.
    #[inline(always)]
    pub(crate) fn leaf_value(&self, at: usize) -> Option<T> {
        match self.parts.numbers.get(at) {
            Some(number) => Some(*number),
            None => Some(T::from_leaf_bits(self.parts.nodes.get(at)?.threshold())),
        }
    }

    /// Returns what a leaf adds for a row: its value, or what its linear function makes of the row.
    pub(crate) fn leaf_output(&self, at: usize, value: T, row: &[T]) -> T {
        let Linear { leaves, constants, starts, features, coefficients } = self.parts.linear;
        let Ok(leaf) = leaves.binary_search(&(at as u32)) else { return value };
        let terms = || {
            let terms = *starts.get(leaf)? as usize..*starts.get(leaf + 1)? as usize;
            Some(features.get(terms.clone())?.iter().zip(coefficients.get(terms)?))
        };
        let mut sum: f64 = constants.get(leaf).copied().unwrap_or(value).into();
        for (feature, coefficient) in terms().into_iter().flatten() {
            let input = row.get(usize::from(*feature)).copied().unwrap_or(T::NAN);
            if input.is_missing() {
                return value;
            }
            // LightGBM takes what is almost zero for zero before the trees see it.
            let input = if input.is_almost_zero() { T::ZERO } else { input };
            sum += Into::<f64>::into(*coefficient) * Into::<f64>::into(input);
        }
        T::from_f64(sum)
    }

    /// Returns the number of children of a split.
    #[inline(always)]
    pub(crate) fn child_count(&self, split: Node) -> u32 {
        let exits = Reading::MissingExit.first_slot(self.parts.features);
        let sets = Reading::SetMissingInside.first_slot(self.parts.features);
        if (exits..sets).contains(&split.slot()) { 3 } else { 2 }
    }

    /// Reads node `at` of `nodes`. `None` beyond the last.
    pub fn link(&self, at: usize) -> Option<Link<T>> {
        let node = *self.parts.nodes.get(at)?;
        if node.way() == 0 {
            return self.leaf_value(at).map(Link::Leaf);
        }
        let slot = node.slot() - 1;
        let reading = *Reading::ALL.get(slot / self.parts.features)?;
        let threshold = match self.parts.numbers.get(at).copied() {
            Some(number) => number,
            None if reading.is_set() => T::from_f64(node.threshold().into()),
            None => T::from_key(node.threshold()),
        };
        Some(Link::Split {
            feature: slot % self.parts.features,
            reading,
            threshold,
            first: at + node.children(),
            count: reading.children(),
        })
    }
}
