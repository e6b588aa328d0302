//! From a row to a margin.

use crate::layout::{Forest, Link, Node};
use crate::number::Number;
use std::borrow::Cow;

/// How many trees are walked at once.
const LANES: usize = 8;

impl<T: Number> Forest<'_, T> {
    /// The margin of one row: the base margin, then every tree's leaf added in file order and in the library's own
    /// precision, so that the bits are the library's. `None` if the row is not `features` long.
    pub fn margin(&self, row: &[T]) -> Option<T> {
        let row = self.canonical(row)?;
        let mut margin = self.base_margin;
        let (groups, rest) = if self.sets.is_empty() { self.roots.as_chunks() } else { (&[][..], self.roots) };
        for group in groups {
            for value in self.leaf_values(group, &row)? {
                margin += value;
            }
        }
        for tree in self.roots.len() - rest.len()..self.roots.len() {
            margin += self.leaf_value(tree, &row)?;
        }
        Some(margin)
    }

    /// The leaves that a canonical row reaches in several trees at once, without splits by category. One walk waits for
    /// memory at every step; several in flight wait together. None of them branches on the row, which no processor could
    /// foresee.
    fn leaf_values(&self, roots: &[u32; LANES], row: &[T]) -> Option<[T; LANES]> {
        let mut at = roots.map(|root| root as usize);
        loop {
            let before = at;
            for lane in 0..LANES {
                let child = self.nodes.get(at[lane])?.step(row)?;
                at[lane] = roots[lane] as usize + usize::from(child);
            }
            if at == before {
                break;
            }
        }
        let mut values = [T::ZERO; LANES];
        for lane in 0..LANES {
            values[lane] = self.nodes.get(at[lane])?.value();
        }
        Some(values)
    }

    /// The margin after each tree, for choosing how many trees to keep. `None` if the row is not `features` long.
    pub fn staged_margins(&self, row: &[T]) -> Option<Vec<T>> {
        let row = self.canonical(row)?;
        let mut margin = self.base_margin;
        let stages = (0..self.roots.len()).map(|tree| {
            margin += self.leaf_value(tree, &row)?;
            Some(margin)
        });
        stages.collect()
    }

    /// The row with every value that means missing made NaN. `None` if it is not `features` long.
    pub(crate) fn canonical<'r>(&self, row: &'r [T]) -> Option<Cow<'r, [T]>> {
        if row.len() != self.features {
            return None;
        }
        if self.zero_is_missing.is_empty() {
            return Some(Cow::Borrowed(row));
        }
        let mut row = row.to_vec();
        for &feature in self.zero_is_missing {
            let value = row.get_mut(usize::from(feature))?;
            if value.is_almost_zero() {
                *value = T::NAN;
            }
        }
        Some(Cow::Owned(row))
    }

    /// The value of the leaf that a canonical row reaches. The importers put a child after its parent, so the walk
    /// ends: each step goes forward in a finite slice. `None` cannot happen in an imported forest.
    fn leaf_value(&self, tree: usize, row: &[T]) -> Option<T> {
        let (nodes, _) = self.tree(tree)?;
        let mut node = nodes.first()?;
        loop {
            match self.next(node, row)? {
                Step::Leaf(value) => return Some(value),
                Step::Child(child) => node = nodes.get(usize::from(child))?,
            }
        }
    }

    /// Calls `visit` with each node of one tree that a row passes, counted from the tree's root.
    pub fn visit_path(&self, tree: usize, row: &[T], mut visit: impl FnMut(usize, &Node<T>)) -> Option<()> {
        let row = self.canonical(row)?;
        let (nodes, _) = self.tree(tree)?;
        let mut at = 0;
        loop {
            let node = nodes.get(at)?;
            visit(at, node);
            match self.next(node, &row)? {
                Step::Leaf(_) => return Some(()),
                Step::Child(child) => at = usize::from(child),
            }
        }
    }

    /// Where a canonical row goes from a node. `None` if the node asks for a feature or a set that is not there.
    #[inline]
    pub(crate) fn next(&self, node: &Node<T>, row: &[T]) -> Option<Step<T>> {
        Some(Step::Child(match node.link() {
            Link::Leaf(value) => return Some(Step::Leaf(value)),
            Link::Split { feature, threshold, left, right, missing } => {
                let value = *row.get(usize::from(feature))?;
                if value.goes_left(threshold) {
                    left
                } else if value.is_missing() {
                    missing
                } else {
                    right
                }
            }
            Link::InSet { feature, set, inside, outside, missing } => {
                let value = *row.get(usize::from(feature))?;
                let words = *self.sets.get(set.into() as usize)?;
                if value.is_missing() {
                    missing
                } else if value.category().is_some_and(|category| has_bit(words, category)) {
                    inside
                } else {
                    outside
                }
            }
        }))
    }
}

/// Where a row goes from a node.
pub(crate) enum Step<T> {
    Leaf(T),
    Child(u16),
}

fn has_bit(words: &[u32], bit: u32) -> bool {
    words.get(bit as usize / 32).is_some_and(|word| word >> (bit % 32) & 1 == 1)
}
