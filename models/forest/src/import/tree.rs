//! From a library's own tree to the flat layout.

use super::{ImportError, OwnedForest};
use crate::layout::Node;
use crate::number::Number;

/// A node as a file describes it, children by the file's own numbers.
pub(super) enum Source<T> {
    Leaf(T),
    Split { feature: usize, threshold: T, left: usize, right: usize, missing: Missing<T> },
    InSet { feature: usize, set: Vec<u32>, inside: usize, outside: usize, missing: Missing<T> },
}

/// Where a missing value goes.
pub(super) enum Missing<T> {
    /// Left, or inside.
    First,
    /// Right, or outside.
    Second,
    /// Nowhere: this is the tree's value then.
    Value(T),
}

/// Appends one tree of `count` nodes, root first, a parent before its children. `read` gives a node and its cover;
/// `place` names it. Errors if the nodes are no tree: a child that is not there, two parents, or a node that nothing
/// leads to; or if a number in it is not finite.
pub(super) fn append<T: Number>(
    forest: &mut OwnedForest<T>,
    count: usize,
    place: impl Fn(usize) -> String,
    mut read: impl FnMut(usize) -> Result<(Source<T>, Option<f32>), ImportError>,
) -> Result<(), ImportError> {
    let refuse = |index: usize, reason: String| Err(ImportError::new(place(index), reason));
    let root = forest.nodes.len();
    let mut seen = vec![false; count];
    let mut waiting = vec![Waiting { index: 0, parent: None, depth: 0 }];
    while let Some(Waiting { index, parent, depth }) = waiting.pop() {
        forest.depth = forest.depth.max(depth);
        match seen.get_mut(index) {
            None => return refuse(index, "there is no such node".to_owned()),
            Some(true) => return refuse(index, "two parents lead here, so this is not a tree".to_owned()),
            Some(seen) => *seen = true,
        }
        let at = forest.nodes.len();
        let Some(here) = u16::try_from(at - root).ok().filter(|here| *here < u16::MAX) else {
            return refuse(index, "a tree of more than 65534 nodes".to_owned());
        };
        if let Some((parent, child)) = parent {
            set_child(&mut forest.nodes[parent], child, here);
        }
        let (source, cover) = read(index)?;
        if let Some(cover) = cover {
            if !cover.is_finite() || cover < 0.0 {
                return refuse(index, format!("the cover {cover} is not a finite number from 0"));
            }
            forest.covers.push(cover);
        }
        let (feature, first, second, missing) = match source {
            Source::Leaf(value) => {
                if !value.into().is_finite() {
                    return refuse(index, format!("the leaf's value {value} is not a finite number"));
                }
                forest.nodes.push(Node::leaf(value, here));
                continue;
            }
            Source::Split { feature, threshold, left, right, missing } => {
                // An infinite one parts what is missing from what is not, and is written by LightGBM.
                if threshold.into().is_nan() {
                    return refuse(index, "the threshold is not a number".to_owned());
                }
                forest.nodes.push(Node::split(feature as u16, threshold, 0, 0, 0));
                (feature, left, right, missing)
            }
            Source::InSet { feature, set, inside, outside, missing } => {
                let number = T::from_f64(forest.sets.len() as f64);
                forest.sets.push(set);
                forest.nodes.push(Node::in_set(feature as u16, number, 0, 0, 0));
                (feature, inside, outside, missing)
            }
        };
        if feature >= forest.features {
            let reason = format!("feature {feature} is out of range: the model has {} features", forest.features);
            return refuse(index, reason);
        }
        let (first_is_missing, second_is_missing) = match missing {
            Missing::First => (true, false),
            Missing::Second => (false, true),
            Missing::Value(value) => {
                if !value.into().is_finite() {
                    return refuse(index, format!("the value {value} for a missing feature is not a finite number"));
                }
                forest.nodes.push(Node::leaf(value, here + 1));
                set_child(&mut forest.nodes[at], Child::Missing, here + 1);
                (false, false)
            }
        };
        for (index, child) in [
            (second, Child::Second { missing_too: second_is_missing }),
            (first, Child::First { missing_too: first_is_missing }),
        ] {
            waiting.push(Waiting { index, parent: Some((at, child)), depth: depth + 1 });
        }
    }
    match seen.iter().position(|seen| !seen) {
        Some(index) => refuse(index, "no path from the root leads here".to_owned()),
        None => {
            forest.roots.push(root as u32);
            Ok(())
        }
    }
}

/// A node to be laid out.
struct Waiting {
    /// Its number in the file.
    index: usize,
    /// Its parent's place in the layout, and which child it is.
    parent: Option<(usize, Child)>,
    /// Splits above it.
    depth: usize,
}

#[derive(Clone, Copy)]
enum Child {
    First { missing_too: bool },
    Second { missing_too: bool },
    Missing,
}

fn set_child<T: Copy>(parent: &mut Node<T>, which: Child, child: u16) {
    match which {
        Child::First { missing_too } => parent.set_children(Some(child), None, missing_too.then_some(child)),
        Child::Second { missing_too } => parent.set_children(None, Some(child), missing_too.then_some(child)),
        Child::Missing => parent.set_children(None, None, Some(child)),
    }
}
