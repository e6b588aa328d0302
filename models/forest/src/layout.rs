//! The flat layout: what a forest is in memory.
//!
//! All trees of a forest stand one after the other in one slice of nodes; `roots` says where each begins. A node
//! is 12 bytes:
//!
//! ```text
//!            4 bytes      2         2      2       2
//!   split  | threshold | feature | left | right | missing |   children are indexes from the tree's root
//!   leaf   | value     | 0xffff  |  0   |   0   |    0    |
//! ```
//!
//! `missing` is a third child of its own rather than a direction, because a tree trained by `gbdt` may answer
//! with a value of the inner node itself when the feature is missing: the importer adds that value as one more
//! leaf. Where the format sends missing values left or right, `missing` repeats that child.

/// The value of [`Node::feature`] that marks a leaf.
const LEAF: u16 = u16::MAX;

/// One node of a tree. See the module's drawing.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Node {
    /// A split's threshold, or a leaf's value.
    number: f32,
    feature: u16,
    left: u16,
    right: u16,
    missing: u16,
}

impl Node {
    /// A split: left when the feature is below the threshold, right when it is not, `missing` when it is NaN.
    /// Children are indexes counted from the tree's root.
    pub const fn split(feature: u16, threshold: f32, left: u16, right: u16, missing: u16) -> Node {
        Node { number: threshold, feature, left, right, missing }
    }

    /// A leaf, with the value that it adds to the margin (any shrinkage already applied).
    pub const fn leaf(value: f32) -> Node {
        Node { number: value, feature: LEAF, left: 0, right: 0, missing: 0 }
    }

    /// The split or leaf that this node is.
    #[inline]
    pub const fn link(&self) -> Link {
        if self.feature == LEAF {
            Link::Leaf(self.number)
        } else {
            Link::Split {
                feature: self.feature,
                threshold: self.number,
                left: self.left,
                right: self.right,
                missing: self.missing,
            }
        }
    }
}

/// A node read as what it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Link {
    /// A leaf's value.
    Leaf(f32),
    /// A split and its three children, counted from the tree's root.
    Split {
        /// Index of the feature in the model's own order.
        feature: u16,
        /// Left when the feature is below it.
        threshold: f32,
        /// The child below the threshold.
        left: u16,
        /// The child at or above the threshold.
        right: u16,
        /// The child for a missing feature; may repeat `left` or `right`.
        missing: u16,
    },
}

/// A forest whose leaves add up to one margin.
#[derive(Clone, Copy, Debug)]
pub struct Forest<'a> {
    /// What the margin starts from.
    pub base_margin: f32,
    /// How many features a row must have.
    pub features: usize,
    /// Where each tree's root stands in `nodes`, in the order in which their leaves are added.
    pub roots: &'a [u32],
    /// All trees' nodes.
    pub nodes: &'a [Node],
    /// How many training rows reached each node; empty when the model file does not say.
    pub covers: &'a [u32],
}

impl Forest<'_> {
    /// The nodes of one tree, and their covers (empty where there are none).
    pub(crate) fn tree(&self, index: usize) -> Option<(&[Node], &[u32])> {
        let begin = *self.roots.get(index)? as usize;
        let end = self.roots.get(index + 1).map_or(self.nodes.len(), |&next| next as usize);
        Some((self.nodes.get(begin..end)?, self.covers.get(begin..end).unwrap_or(&[])))
    }
}
