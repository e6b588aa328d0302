//! The JSON that the `gbdt` crate 0.1 writes with `save_model`.
//!
//! Its rules, read from its source: the margin is `bias`, then `shrinkage * leaf` added tree by tree in f32; a
//! row goes left when its value is below `feature_value`; a value equal to `f32::MIN` is missing, and `missing`
//! says what then: -1 left, +1 right, 0 the node's own `pred`. Index 0 in `left` or `right` means no child.

use super::{ImportError, Imported, Transform};
use crate::layout::Node;
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    conf: Conf,
    trees: Vec<Tree>,
    bias: f32,
}

#[derive(Deserialize)]
struct Conf {
    feature_size: usize,
    iterations: usize,
    shrinkage: f32,
    loss: String,
    initial_guess_enabled: bool,
}

#[derive(Deserialize)]
struct Tree {
    tree: Arena,
}

#[derive(Deserialize)]
struct Arena {
    tree: Vec<ArenaNode>,
}

#[derive(Deserialize)]
struct ArenaNode {
    value: Value,
    left: usize,
    right: usize,
}

#[derive(Deserialize)]
struct Value {
    feature_index: usize,
    feature_value: f32,
    pred: f32,
    missing: i8,
    is_leaf: bool,
}

/// Reads a `gbdt` model. Errors name the field, the value seen and what would be accepted.
pub fn read(bytes: &[u8]) -> Result<Imported, ImportError> {
    let file: File = serde_json::from_slice(bytes).map_err(|e| ImportError::new("gbdt model", e.to_string()))?;
    let conf = &file.conf;
    let transform = match conf.loss.as_str() {
        "LogLikelyhood" => Transform::DoubledSigmoid,
        "SquaredError" | "LAD" => Transform::Identity,
        other => {
            let reason = format!(
                "{other:?} cannot be represented exactly; LogLikelyhood, SquaredError and LAD can \
                 (import a model that came from XGBoost from XGBoost's own file)"
            );
            return Err(ImportError::new("conf.loss", reason));
        }
    };
    if conf.initial_guess_enabled {
        return Err(ImportError::new(
            "conf.initial_guess_enabled",
            "a model that needs an initial guess a row cannot be served",
        ));
    }
    if conf.iterations != file.trees.len() {
        let reason = format!("says {} trees, the file has {}", conf.iterations, file.trees.len());
        return Err(ImportError::new("conf.iterations", reason));
    }
    if conf.feature_size == 0 || conf.feature_size >= usize::from(u16::MAX) {
        return Err(ImportError::new("conf.feature_size", format!("{} is not between 1 and 65534", conf.feature_size)));
    }
    finite(conf.shrinkage, || "conf.shrinkage".into())?;
    finite(file.bias, || "bias".into())?;
    let mut imported = Imported {
        base_margin: file.bias,
        features: conf.feature_size,
        roots: Vec::new(),
        nodes: Vec::new(),
        covers: Vec::new(),
        transform,
    };
    for (index, tree) in file.trees.iter().enumerate() {
        imported.roots.push(imported.nodes.len() as u32);
        Layout { arena: &tree.tree.tree, tree: index, conf, out: Vec::new() }.lay_out(&mut imported.nodes)?;
    }
    Ok(imported)
}

fn finite(number: f32, place: impl FnOnce() -> String) -> Result<(), ImportError> {
    if number.is_finite() {
        return Ok(());
    }
    Err(ImportError::new(place(), format!("{number} is not a finite number")))
}

struct Layout<'a> {
    arena: &'a [ArenaNode],
    tree: usize,
    conf: &'a Conf,
    out: Vec<Node>,
}

impl Layout<'_> {
    /// Lays a tree out parent first, left branch first, so that a child always stands after its parent.
    fn lay_out(mut self, nodes: &mut Vec<Node>) -> Result<(), ImportError> {
        let mut seen = vec![false; self.arena.len()];
        // (index in the arena, where its number goes: the parent's place in `out` and which child it is)
        let mut waiting: Vec<(usize, Option<(usize, Side)>)> = vec![(0, None)];
        while let Some((index, parent)) = waiting.pop() {
            let Some(node) = self.arena.get(index) else {
                return Err(self.refuse(index, "there is no such node"));
            };
            if std::mem::replace(&mut seen[index], true) {
                return Err(self.refuse(index, "two parents lead here, so this is not a tree"));
            }
            let here = self.push(Node::leaf(0.0))?;
            if let Some((parent, side)) = parent {
                self.link(parent, side, here);
            }
            let value = &node.value;
            if value.is_leaf {
                self.out[usize::from(here)] = self.leaf(index, value.pred)?;
                continue;
            }
            if value.feature_index >= self.conf.feature_size {
                let reason = format!(
                    "feature_index {} is out of range: the model has {} features",
                    value.feature_index, self.conf.feature_size
                );
                return Err(self.refuse(index, reason));
            }
            finite(value.feature_value, || self.place(index, "feature_value"))?;
            if node.left == 0 || node.right == 0 {
                return Err(self.refuse(index, "an inner node lacks a child"));
            }
            self.out[usize::from(here)] = Node::split(value.feature_index as u16, value.feature_value, 0, 0, 0);
            let at = usize::from(here);
            let (left_is_missing, right_is_missing) = match value.missing {
                -1 => (true, false),
                1 => (false, true),
                0 => {
                    let exit = self.leaf(index, value.pred)?;
                    let exit = self.push(exit)?;
                    self.link(at, Side::Missing, exit);
                    (false, false)
                }
                other => return Err(self.refuse(index, format!("missing is {other}; -1, 0 and 1 are known"))),
            };
            waiting.push((node.right, Some((at, Side::Right { also_missing: right_is_missing }))));
            waiting.push((node.left, Some((at, Side::Left { also_missing: left_is_missing }))));
        }
        if let Some(index) = seen.iter().position(|seen| !seen) {
            return Err(self.refuse(index, "no path from the root leads here"));
        }
        nodes.append(&mut self.out);
        Ok(())
    }

    fn push(&mut self, node: Node) -> Result<u16, ImportError> {
        let place = u16::try_from(self.out.len()).ok().filter(|&at| at < u16::MAX);
        let place = place.ok_or_else(|| self.refuse(0, "a tree of more than 65534 nodes"))?;
        self.out.push(node);
        Ok(place)
    }

    fn link(&mut self, parent: usize, side: Side, child: u16) {
        if let crate::Link::Split { feature, threshold, mut left, mut right, mut missing } = self.out[parent].link() {
            match side {
                Side::Left { also_missing } => {
                    left = child;
                    missing = if also_missing { child } else { missing };
                }
                Side::Right { also_missing } => {
                    right = child;
                    missing = if also_missing { child } else { missing };
                }
                Side::Missing => missing = child,
            }
            self.out[parent] = Node::split(feature, threshold, left, right, missing);
        }
    }

    /// Shrinkage is folded into the leaf: `gbdt` multiplies the same two f32 at every prediction.
    fn leaf(&self, index: usize, pred: f32) -> Result<Node, ImportError> {
        let value = self.conf.shrinkage * pred;
        finite(value, || self.place(index, "pred"))?;
        Ok(Node::leaf(value))
    }

    fn place(&self, index: usize, field: &str) -> String {
        format!("trees[{}].tree[{index}].{field}", self.tree)
    }

    fn refuse(&self, index: usize, reason: impl Into<String>) -> ImportError {
        ImportError::new(format!("trees[{}].tree[{index}]", self.tree), reason)
    }
}

#[derive(Clone, Copy)]
enum Side {
    Left { also_missing: bool },
    Right { also_missing: bool },
    Missing,
}
