//! The JSON that the `gbdt` crate 0.1 writes with `save_model`.
//!
//! Its rules, read from its source: the margin is `bias`, then `shrinkage * leaf` added tree by tree in f32; a
//! row goes left when its value is below `feature_value`; a value equal to `f32::MIN` is missing, and `missing`
//! says what then: -1 left, +1 right, 0 the node's own `pred`. Index 0 in `left` or `right` means no child.

use super::tree::{Builder, Missing, Side, Source};
use super::{Forests, ImportError, Imported, Library};
use crate::layout::MAX_FEATURES;
use crate::transform::Transform;
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

/// Reads a `gbdt` model, with the covers of its nodes, tree after tree, if they are known. Errors name the field, the
/// value seen and what would be accepted.
pub fn read(bytes: &[u8], covers: Option<&[f32]>) -> Result<Imported, ImportError> {
    let file: File = serde_json::from_slice(bytes).map_err(|e| ImportError::new("gbdt model", e.to_string()))?;
    let conf = &file.conf;
    let transform = match conf.loss.as_str() {
        "LogLikelyhood" => Transform::GbdtSigmoid,
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
        let reason = "a model that needs an initial guess a row cannot be served";
        return Err(ImportError::new("conf.initial_guess_enabled", reason));
    }
    if conf.iterations != file.trees.len() {
        let reason = format!("says {} trees, the file has {}", conf.iterations, file.trees.len());
        return Err(ImportError::new("conf.iterations", reason));
    }
    if conf.feature_size == 0 || conf.feature_size > MAX_FEATURES {
        let reason = format!("{} is not between 1 and {MAX_FEATURES}", conf.feature_size);
        return Err(ImportError::new("conf.feature_size", reason));
    }
    for (number, place) in [(conf.shrinkage, "conf.shrinkage"), (file.bias, "bias")] {
        if !number.is_finite() {
            return Err(ImportError::new(place, format!("{number} is not a finite number")));
        }
    }
    let nodes: usize = file.trees.iter().map(|tree| tree.tree.tree.len()).sum();
    if let Some(covers) = covers.filter(|covers| covers.len() != nodes) {
        return Err(ImportError::new("covers", format!("{} covers for {nodes} nodes", covers.len())));
    }
    let mut forest = Builder::new(file.bias, conf.feature_size);
    let mut before = 0;
    for (index, tree) in file.trees.iter().enumerate() {
        let nodes = &tree.tree.tree;
        let place = |node: usize| format!("trees[{index}].tree[{node}]");
        forest.append(nodes.len(), place, |node| {
            let source =
                source(&nodes[node], conf.shrinkage).map_err(|reason| ImportError::new(place(node), reason))?;
            Ok((source, covers.and_then(|covers| covers.get(before + node).copied())))
        })?;
        before += nodes.len();
    }
    let forest = forest.finish(Vec::new())?;
    Ok(Imported {
        library: Library::Gbdt,
        version: None,
        objective: conf.loss.clone(),
        feature_names: Vec::new(),
        forests: Forests::F32(vec![forest]),
        transform,
        divisor: 1.0,
        tree_rounds: Vec::new(),
        warnings: Vec::new(),
    })
}

/// Shrinkage is folded into the leaf: `gbdt` multiplies the same two f32 at every prediction.
fn source(node: &ArenaNode, shrinkage: f32) -> Result<Source<f32>, String> {
    let value = &node.value;
    if value.is_leaf {
        return Ok(Source::Leaf(shrinkage * value.pred));
    }
    if node.left == 0 || node.right == 0 {
        return Err("an inner node lacks a child".to_owned());
    }
    Ok(Source::Split {
        feature: value.feature_index,
        threshold: value.feature_value,
        left: node.left,
        right: node.right,
        missing: match value.missing {
            -1 => Missing::To(Side::First),
            0 => Missing::Value(shrinkage * value.pred),
            1 => Missing::To(Side::Second),
            other => return Err(format!("missing is {other}; -1, 0 and 1 are known")),
        },
    })
}
