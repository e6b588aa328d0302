//! CatBoost's JSON, as 1.x writes it with `save_model(..., format="json")`.
//!
//! Its rules, read from its source and tried: a feature is cast to f32 and goes right when it is above the border; a
//! missing value goes left, or right where the file says so. A category goes right when it is the split's own. A tree
//! is either symmetric, with one split a level whose leaf is numbered by the outcomes, the first split's lowest, or it
//! is nested. Leaves are f64 and are added up in f64; the sum is scaled, and the bias comes last.
//!
//! CatBoost adds the leaves of several trees at once, in an order that depends on the processor: its sums and those
//! here differ in the last bits.

use super::categories::{CategorySet, set_words};
use super::document::{self, JsonPath, float};
use super::tree::{Builder, Missing, Side, Source};
use super::{Forests, ImportError, Imported, Library, MAX_OUTPUTS};
use crate::layout::MAX_FEATURES;
use crate::transform::Transform;
use serde_json::Value;
use std::collections::HashMap;
use std::rc::Rc;

/// Trees of more levels have more leaves than CatBoost makes.
const MAX_DEPTH: usize = 16;

/// Reads a CatBoost model, or its first `rounds` trees. Errors name the path in the file.
pub fn read(bytes: &[u8], rounds: Option<usize>) -> Result<Imported, ImportError> {
    let file = document::read(bytes)?;
    let file = JsonPath::root(&file);
    let mut features = Features::read(&file.get("features_info")?, bytes.len())?;
    let (scale, biases) = scale_and_biases(&file)?;
    let (objective, transform) = objective(&file)?;
    let (trees, is_symmetric) = match file.optional("oblivious_trees") {
        Some(trees) => (trees.array()?, true),
        None => (file.get("trees")?.array()?, false),
    };
    let kept = rounds.unwrap_or(trees.len());
    if kept > trees.len() || rounds == Some(0) {
        return Err(ImportError::new("rounds", format!("the file has {} rounds", trees.len())));
    }
    let mut forests: Vec<Builder<f64>> = biases.iter().map(|_| Builder::new(0.0, features.count)).collect();
    for tree in &trees[..kept] {
        let nodes = if is_symmetric { symmetric(tree, &mut features)? } else { nested(tree, &mut features)? };
        for (output, forest) in forests.iter_mut().enumerate() {
            append(forest, tree, &nodes, output, biases.len(), scale)?;
        }
    }
    for (forest, bias) in forests.iter_mut().zip(&biases) {
        forest.append_constant(*bias, "scale_and_bias")?;
    }
    let tree_rounds = vec![(1..=kept as u32).collect(); biases.len()];
    let forests = forests.into_iter().map(|forest| forest.finish(Vec::new())).collect::<Result<_, _>>()?;
    Ok(Imported {
        library: Library::CatBoost,
        version: version(&file),
        objective,
        feature_names: features.names,
        forests: Forests::F64(forests),
        transform,
        divisor: 1.0,
        tree_rounds,
        warnings: Vec::new(),
    })
}

/// The features that a file describes.
struct Features {
    count: usize,
    /// Empty if any has none.
    names: Vec<String>,
    /// The number of each numeric feature among all, and whether a missing value counts as above every border.
    numeric: Vec<(usize, bool)>,
    /// The number of each categorical feature among all.
    categorical: Vec<usize>,
    /// The texts of categories by their hashes.
    categories: HashMap<u32, String>,
    /// The words that sets of categories may still take: one high category takes few bytes in a file.
    set_words: usize,
}

impl Features {
    fn read(info: &JsonPath<'_>, file_bytes: usize) -> Result<Features, ImportError> {
        // A list of nothing is left out, or null.
        let list = |key: &str| match info.optional(key) {
            Some(place) if !place.value.is_null() => place.array(),
            _ => Ok(Vec::new()),
        };
        for kind in ["text_features", "embedding_features"] {
            if !list(kind)?.is_empty() {
                return Err(info.get(kind)?.refuse("features of this kind are no numbers: train without them"));
            }
        }
        let (numeric, categorical) = (list("float_features")?, list("categorical_features")?);
        let mut features = Features {
            count: 0,
            names: Vec::new(),
            numeric: Vec::new(),
            categorical: Vec::new(),
            categories: HashMap::new(),
            set_words: set_words(file_bytes),
        };
        let mut names = HashMap::new();
        for (is_numeric, place) in
            numeric.iter().map(|place| (true, place)).chain(categorical.iter().map(|place| (false, place)))
        {
            let number = place.get("flat_feature_index")?.index()?;
            if number >= MAX_FEATURES {
                return Err(place.refuse(format!("feature {number} is not below {MAX_FEATURES}")));
            }
            features.count = features.count.max(number + 1);
            match place.optional("feature_id").map(|name| name.text()).transpose()? {
                Some(name) if !name.is_empty() => names.insert(number, name.to_owned()),
                _ => None,
            };
            if !is_numeric {
                features.categorical.push(number);
                continue;
            }
            let is_above = match place.optional("nan_value_treatment").map(|place| place.text()).transpose()? {
                None | Some("AsIs" | "AsFalse") => false,
                Some("AsTrue") => true,
                Some(other) => return Err(place.refuse(format!("nan_value_treatment {other:?} is not known"))),
            };
            features.numeric.push((number, is_above));
        }
        if features.count == 0 {
            return Err(info.refuse("there are no features"));
        }
        features.names = (0..features.count).map_while(|number| names.remove(&number)).collect();
        if features.names.len() < features.count {
            features.names.clear();
        }
        for place in list("cat_features_hash")? {
            let hash = u32::try_from(place.get("hash")?.whole()?).map_err(|_| place.refuse("its hash is no u32"))?;
            features.categories.insert(hash, place.get("value")?.text()?.to_owned());
        }
        Ok(features)
    }

    fn split(&mut self, place: &JsonPath<'_>) -> Result<Split, ImportError> {
        match place.get("split_type")?.text()? {
            "FloatFeature" => {
                let own = place.get("float_feature_index")?;
                let (feature, is_above) =
                    *self.numeric.get(own.index()?).ok_or_else(|| own.refuse("there is no such feature"))?;
                let border = place.get("border")?;
                let border = float(border.value).filter(|x| !x.is_nan()).ok_or_else(|| border.refuse("is no number"))?;
                let missing = if is_above { Side::Second } else { Side::First };
                Ok(Split::Above { feature, threshold: greatest_not_above(border), missing })
            }
            "OneHotFeature" => {
                let own = place.get("cat_feature_index")?;
                let feature =
                    *self.categorical.get(own.index()?).ok_or_else(|| own.refuse("there is no such feature"))?;
                // The hash is a u32 that is written as an i32.
                let value = place.get("value")?;
                let hash = value.whole()? as u32;
                let text = self.categories.get(&hash).ok_or_else(|| {
                    value.refuse(
                        "the file does not say which category this is: save it with the data that it was trained on, \
                         as in `model.save_model(\"model.json\", format=\"json\", pool=pool)`",
                    )
                })?;
                let mut set = CategorySet::default();
                let missing = if text == "nan" { Side::First } else { Side::Second };
                if text != "nan" {
                    let category = text.parse().ok().filter(|category: &usize| category.to_string() == *text);
                    let category = category.ok_or_else(|| {
                        value.refuse(format!(
                            "a category is the text {text:?}: train it on whole numbers from 0 in place of them, as in \
                             `frame[column].cat.codes`, and name the column in `cat_features`, because callers send numbers"
                        ))
                    })?;
                    set.insert(category, &mut self.set_words).map_err(|reason| value.refuse(reason))?;
                }
                Ok(Split::Is { feature, set: Rc::new(set.0), missing })
            }
            "OnlineCtr" => Err(place.refuse(
                "a split by the statistics of a category cannot be represented: train with a one_hot_max_size above the \
                 number of categories and max_ctr_complexity=0, or without cat_features",
            )),
            other => Err(place.get("split_type")?.refuse(format!("{other:?} is not known; FloatFeature and OneHotFeature are"))),
        }
    }
}

/// The greatest f64 that, rounded to f32, is not above a border: CatBoost compares in f32.
fn greatest_not_above(border: f32) -> f64 {
    let next = border.next_up();
    let next = if next.is_infinite() { 2f64.powi(128) } else { f64::from(next) };
    let middle = (f64::from(border) + next) / 2.0;
    // Halfway between two f32s rounds to that whose last bit is 0.
    if border.to_bits() & 1 == 0 { middle } else { middle.next_down() }
}

/// A split, whose second child is for what is above its border, or is its category.
#[derive(Clone)]
enum Split {
    Above { feature: usize, threshold: f64, missing: Side },
    Is { feature: usize, set: Rc<Vec<u32>>, missing: Side },
}

/// A node of a tree, before it is one output's.
enum Node {
    Leaf { values: Vec<f64> },
    Split { split: Split, children: [usize; 2] },
}

/// Nodes, the root first, each with its cover.
type Nodes = Vec<(Node, Option<f32>)>;

/// Reads a symmetric tree.
fn symmetric(tree: &JsonPath<'_>, features: &mut Features) -> Result<Nodes, ImportError> {
    let splits = match tree.optional("splits") {
        Some(splits) if !splits.value.is_null() => splits.array()?,
        _ => Vec::new(),
    };
    if splits.len() > MAX_DEPTH {
        return Err(tree.refuse(format!("{} levels of splits, {MAX_DEPTH} are the most", splits.len())));
    }
    let splits = splits.iter().map(|split| features.split(split)).collect::<Result<Vec<_>, _>>()?;
    let leaves = 1 << splits.len();
    let values = tree.get("leaf_values")?;
    let count = values.array()?.len();
    let outputs = count / leaves;
    if outputs == 0 || count % leaves != 0 {
        return Err(values.refuse(format!("{count} numbers for {leaves} leaves")));
    }
    let values = values.numbers(count, Value::as_f64)?;
    let weights = tree.optional("leaf_weights").map(|weights| weights.numbers(leaves, Value::as_f64)).transpose()?;
    // A level's nodes are numbered by the outcomes so far; the last split is asked first, so that a node's leaves stand
    // side by side.
    let mut nodes = Nodes::new();
    for (level, split) in splits.iter().rev().enumerate() {
        let below = leaves >> level;
        for node in 0..1 << level {
            let cover =
                weights.as_ref().map(|weights| weights[node * below..(node + 1) * below].iter().sum::<f64>() as f32);
            let first = (2 << level) - 1 + 2 * node;
            nodes.push((Node::Split { split: split.clone(), children: [first, first + 1] }, cover));
        }
    }
    for leaf in 0..leaves {
        let values = values[leaf * outputs..(leaf + 1) * outputs].to_vec();
        nodes.push((Node::Leaf { values }, weights.as_ref().map(|weights| weights[leaf] as f32)));
    }
    Ok(nodes)
}

/// Reads a tree whose nodes stand within one another.
fn nested(tree: &JsonPath<'_>, features: &mut Features) -> Result<Nodes, ImportError> {
    let mut nodes = Nodes::new();
    let mut waiting = vec![(tree.clone(), None::<(usize, usize)>)];
    while let Some((place, parent)) = waiting.pop() {
        let at = nodes.len();
        if let Some((parent, side)) = parent
            && let Some((Node::Split { children, .. }, _)) = nodes.get_mut(parent)
        {
            children[side] = at;
        }
        let node = match place.optional("split") {
            Some(split) if !split.value.is_null() => {
                waiting.push((place.get("right")?, Some((at, 1))));
                waiting.push((place.get("left")?, Some((at, 0))));
                Node::Split { split: features.split(&split)?, children: [0; 2] }
            }
            _ => {
                let value = place.get("value")?;
                let values = match value.value.as_f64() {
                    Some(value) => vec![value],
                    None => value.numbers(value.array()?.len(), Value::as_f64)?,
                };
                Node::Leaf { values }
            }
        };
        let cover = place.optional("weight").and_then(|weight| weight.value.as_f64()).map(|weight| weight as f32);
        nodes.push((node, cover));
    }
    // A split has the cover of its children, which stand behind it.
    for at in (0..nodes.len()).rev() {
        if let Node::Split { children, .. } = &nodes[at].0 {
            let [left, right] = children.map(|child| nodes[child].1);
            nodes[at].1 = left.zip(right).map(|(left, right)| left + right);
        }
    }
    Ok(nodes)
}

/// Adds a tree to the forest of one output.
fn append(
    forest: &mut Builder<f64>,
    place: &JsonPath<'_>,
    nodes: &Nodes,
    output: usize,
    outputs: usize,
    scale: f64,
) -> Result<(), ImportError> {
    let node_place = |node: usize| format!("{}, node {node}", place.path());
    forest.append(nodes.len(), node_place, |node| {
        let (read, cover) = &nodes[node];
        let source = match read {
            Node::Leaf { values } if values.len() != outputs => {
                let reason = format!("{} values of a leaf for {outputs} outputs", values.len());
                return Err(ImportError::new(node_place(node), reason));
            }
            Node::Leaf { values } => Source::Leaf(scale * values[output]),
            Node::Split { split: Split::Above { feature, threshold, missing }, children: [left, right] } => {
                Source::Split {
                    feature: *feature,
                    threshold: *threshold,
                    left: *left,
                    right: *right,
                    missing: Missing::To(*missing),
                }
            }
            Node::Split { split: Split::Is { feature, set, missing }, children: [other, same] } => {
                Source::InSet { feature: *feature, set: set.clone(), inside: *same, outside: *other, missing: *missing }
            }
        };
        Ok((source, *cover))
    })
}

/// Reads the factor of every leaf, and the bias of each output.
fn scale_and_biases(file: &JsonPath<'_>) -> Result<(f64, Vec<f64>), ImportError> {
    let both = file.get("scale_and_bias")?;
    let parts = both.array()?;
    let [scale, biases] = parts.as_slice() else { return Err(both.refuse("is not a scale and a bias")) };
    let scale = scale.value.as_f64().ok_or_else(|| scale.refuse("is not a number"))?;
    let biases = match biases.value.as_f64() {
        Some(bias) => vec![bias],
        None => biases.numbers(biases.array()?.len(), Value::as_f64)?,
    };
    if !(1..=MAX_OUTPUTS).contains(&biases.len()) {
        return Err(both.refuse(format!("{} biases, hence outputs, are not between 1 and {MAX_OUTPUTS}", biases.len())));
    }
    Ok((scale, biases))
}

/// Reads the loss that the model was trained by, and what becomes of a margin with it.
fn objective(file: &JsonPath<'_>) -> Result<(String, Transform), ImportError> {
    let loss = file.get("model_info")?.get("params")?.get("loss_function")?.get("type")?;
    let name = loss.text()?;
    let transform = match name {
        "Logloss" | "CrossEntropy" | "MultiClassOneVsAll" | "Focal" => Transform::Sigmoid { scale: 1.0 },
        "MultiClass" => Transform::Softmax,
        // A loss of one's own: the card names the function.
        "PythonUserDefinedPerObject" | "PythonUserDefinedMultiTarget" => Transform::Identity,
        "RMSE" | "MAE" | "Quantile" | "Huber" | "MAPE" | "Lq" | "Expectile" | "LogCosh" | "MultiRMSE" => {
            Transform::Identity
        }
        "Poisson" | "Tweedie" => Transform::Exp,
        "MultiLogloss" | "MultiCrossEntropy" => {
            return Err(loss.refuse(format!(
                "with {name} several labels can be true at once, and classes exclude each other: train a model for each label"
            )));
        }
        _ => {
            return Err(loss.refuse(format!(
                "{name:?} is not known; Logloss, CrossEntropy, Focal, MultiClass, MultiClassOneVsAll, RMSE, MAE, Quantile, \
                 Huber, MAPE, Lq, Expectile, LogCosh, MultiRMSE, Poisson and Tweedie are"
            )));
        }
    };
    Ok((name.to_owned(), transform))
}

/// Returns the release that the file names: `1.2.10`.
fn version(file: &JsonPath<'_>) -> Option<String> {
    let info = file.optional("model_info")?.optional("catboost_version_info")?;
    let release = info.text().ok()?.split_once("CatBoost release ")?.1;
    Some(release.split(char::is_whitespace).next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::greatest_not_above;

    #[test]
    fn threshold_parts_f64s_as_the_border_parts_them_in_f32() {
        for border in [0.0f32, -0.0, 1.0, -1.0, 0.1, -0.1, 1e-45, -1e-45, 16_777_217.0, f32::MAX, f32::MIN] {
            let threshold = greatest_not_above(border);
            assert!(threshold as f32 <= border, "{border}: {threshold}");
            assert!(threshold.next_up() as f32 > border, "{border}: {threshold}");
        }
    }
}
