//! The flat layout: what a forest is in memory.
//!
//! All trees of a forest stand one after the other in one slice of nodes; `roots` says where each begins. A node
//! is 12 bytes with `f32` numbers and 16 with `f64`:
//!
//! ```text
//!               4 or 8    2 bytes    2       2       2
//!   split     | threshold | feature | left | right | missing |   children are indexes from the tree's root
//!   in a set  | set's no. | feature | in   | out   | missing |   the highest bit of feature is set
//!   leaf      | value     | 0       | itself | itself | itself |
//! ```
//!
//! A leaf leads to itself, so that a step is the same for every node: trees that have arrived wait in place while others
//! walk on beside them. A split has two children at least, by which the two are told apart.
//!
//! `missing` is a third child of its own rather than a direction, because a tree trained by `gbdt` may answer
//! with a value of the inner node itself when the feature is missing: the importer adds that value as one more
//! leaf. Where the format sends missing values left or right, `missing` repeats that child.
//!
//! Whether a value equal to the threshold goes left is the library's affair, and so the precision's:
//! see [`Number::goes_left`].

use crate::number::Number;

/// The bit of [`Node::feature`] that marks a split by category.
const IN_SET: u16 = 1 << 15;

/// One node of a tree. See the module's drawing.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Node<T> {
    /// A threshold, the number of a set, or a leaf's value.
    number: T,
    feature: u16,
    first: u16,
    second: u16,
    missing: u16,
}

impl<T: Copy> Node<T> {
    /// The most features that nodes can tell apart.
    pub const MOST_FEATURES: usize = IN_SET as usize - 1;

    /// A split: left or right of the threshold, `missing` when the feature is NaN.
    /// Children are indexes counted from the tree's root.
    pub const fn split(feature: u16, threshold: T, left: u16, right: u16, missing: u16) -> Node<T> {
        Node { number: threshold, feature, first: left, second: right, missing }
    }

    /// A split by category: `inside` when set number `set` of the forest has the feature's category, `missing` when
    /// it is NaN, `outside` otherwise.
    pub const fn in_set(feature: u16, set: T, inside: u16, outside: u16, missing: u16) -> Node<T> {
        Node { number: set, feature: feature | IN_SET, first: inside, second: outside, missing }
    }

    /// A leaf, with the value that it adds to the margin (any shrinkage already applied), and its own index counted from
    /// the tree's root.
    pub const fn leaf(value: T, at: u16) -> Node<T> {
        Node { number: value, feature: 0, first: at, second: at, missing: at }
    }

    /// What this node is.
    #[inline]
    pub const fn link(&self) -> Link<T> {
        let Node { number, feature, first, second, missing } = *self;
        if first == second {
            Link::Leaf(number)
        } else if feature & IN_SET == 0 {
            Link::Split { feature, threshold: number, left: first, right: second, missing }
        } else {
            Link::InSet { feature: feature & !IN_SET, set: number, inside: first, outside: second, missing }
        }
    }

    /// Where a row goes from this node by the size of a feature: for a leaf, nowhere. `None` if the row lacks the feature.
    #[inline(always)]
    pub(crate) fn step(&self, row: &[T]) -> Option<u16>
    where
        T: Number,
    {
        let value = *row.get(usize::from(self.feature))?;
        let child = if value.goes_left(self.number) { self.first } else { self.second };
        Some(if value.is_missing() { self.missing } else { child })
    }

    /// A leaf's value.
    #[inline(always)]
    pub(crate) const fn value(&self) -> T {
        self.number
    }

    /// The node's distinct children; none for a leaf.
    pub(crate) fn children(&self) -> impl Iterator<Item = u16> + use<T> {
        let third = self.missing != self.first && self.missing != self.second;
        let count = if self.first == self.second { 0 } else { 2 + usize::from(third) };
        [self.first, self.second, self.missing].into_iter().take(count)
    }
}

/// A node read as what it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Link<T> {
    /// A leaf's value.
    Leaf(T),
    /// A split by size.
    Split {
        /// Index of the feature in the model's own order.
        feature: u16,
        /// What values are held against: see [`Number::goes_left`].
        threshold: T,
        /// The child for values that go left.
        left: u16,
        /// The child for values that do not.
        right: u16,
        /// The child for a missing feature; may repeat `left` or `right`.
        missing: u16,
    },
    /// A split by category.
    InSet {
        /// Index of the feature in the model's own order.
        feature: u16,
        /// Number of the set, a whole number.
        set: T,
        /// The child for categories in the set.
        inside: u16,
        /// The child for all others.
        outside: u16,
        /// The child for a missing feature; may repeat `inside` or `outside`.
        missing: u16,
    },
}

/// A forest whose leaves add up to one margin.
#[derive(Clone, Copy, Debug)]
pub struct Forest<'a, T> {
    /// What the margin starts from.
    pub base_margin: T,
    /// How many features a row must have.
    pub features: usize,
    /// Splits on the longest path from a root to a leaf.
    pub depth: usize,
    /// Features of which zero means missing, as LightGBM has it on request.
    pub zero_is_missing: &'a [u16],
    /// Where each tree's root stands in `nodes`, in the order in which their leaves are added.
    pub roots: &'a [u32],
    /// All trees' nodes.
    pub nodes: &'a [Node<T>],
    /// How many training rows (or how much of their hessian) reached each node; empty when the model file does not say.
    pub covers: &'a [f32],
    /// Sets of categories, as bits.
    pub sets: &'a [&'a [u32]],
}

impl<T: Number> Forest<'_, T> {
    /// A forest without trees.
    pub const fn empty(features: usize) -> Self {
        Forest {
            base_margin: T::ZERO,
            features,
            depth: 0,
            zero_is_missing: &[],
            roots: &[],
            nodes: &[],
            covers: &[],
            sets: &[],
        }
    }
}

impl<T> Forest<'_, T> {
    /// The nodes of one tree, and their covers (empty where there are none).
    pub(crate) fn tree(&self, index: usize) -> Option<(&[Node<T>], &[f32])> {
        let begin = *self.roots.get(index)? as usize;
        let end = self.roots.get(index + 1).map_or(self.nodes.len(), |&next| next as usize);
        Some((self.nodes.get(begin..end)?, self.covers.get(begin..end).unwrap_or(&[])))
    }
}

#[cfg(feature = "import")]
impl<T> Node<T> {
    /// Sets the children that are given.
    pub(crate) fn set_children(&mut self, first: Option<u16>, second: Option<u16>, missing: Option<u16>) {
        self.first = first.unwrap_or(self.first);
        self.second = second.unwrap_or(self.second);
        self.missing = missing.unwrap_or(self.missing);
    }
}
