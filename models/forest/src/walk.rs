//! From a row to a margin.

use crate::layout::{Forest, Link, Node};

impl Forest<'_> {
    /// The margin of one row: the base margin, then every tree's leaf added in `f32` in file order, which is the
    /// order in which `gbdt` and XGBoost add, so that the bits are theirs. `None` if the row is not `features` long.
    pub fn margin(&self, row: &[f32]) -> Option<f32> {
        self.staged_margins(row)?.last().or(Some(self.base_margin))
    }

    /// The margin after each tree, for choosing how many trees to keep. `None` if the row is not `features` long.
    pub fn staged_margins<'s>(&'s self, row: &'s [f32]) -> Option<impl Iterator<Item = f32> + 's> {
        (row.len() == self.features).then(|| {
            (0..self.roots.len()).scan(self.base_margin, move |margin, tree| {
                let (nodes, _) = self.tree(tree)?;
                *margin += leaf_value(nodes, row)?;
                Some(*margin)
            })
        })
    }
}

#[cfg(feature = "import")]
impl Forest<'_> {
    /// Calls `visit` with each node of one tree that a row passes, counted from the tree's root.
    pub(crate) fn visit_path(&self, tree: usize, row: &[f32], mut visit: impl FnMut(usize)) {
        let Some((nodes, _)) = self.tree(tree) else { return };
        let mut at = 0;
        while let Some(node) = nodes.get(at) {
            visit(at);
            match node.link() {
                Link::Leaf(_) => return,
                Link::Split { feature, threshold, left, right, missing } => {
                    let x = row.get(usize::from(feature)).copied().unwrap_or(f32::NAN);
                    at = usize::from(child_for(x, threshold, left, right, missing));
                }
            }
        }
    }
}

/// The child that a feature's value leads to.
#[inline]
pub(crate) fn child_for(x: f32, threshold: f32, left: u16, right: u16, missing: u16) -> u16 {
    if x < threshold {
        left
    } else if x.is_nan() {
        missing
    } else {
        right
    }
}

/// The value of the leaf that a row reaches. The importers put a child after its parent, so the walk ends: each
/// step goes forward in a finite slice. `None` cannot happen in an imported forest, and costs one compare.
fn leaf_value(nodes: &[Node], row: &[f32]) -> Option<f32> {
    let mut node = nodes.first()?;
    loop {
        match node.link() {
            Link::Leaf(value) => return Some(value),
            Link::Split { feature, threshold, left, right, missing } => {
                let x = *row.get(usize::from(feature))?;
                node = nodes.get(usize::from(child_for(x, threshold, left, right, missing)))?;
            }
        }
    }
}
