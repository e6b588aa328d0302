//! ONNX files with one ensemble of trees: `TreeEnsembleClassifier` and `TreeEnsembleRegressor` of ai.onnx.ml 1 to 4,
//! and `TreeEnsemble` of ai.onnx.ml 5, which scikit-learn's forests and boosters become through skl2onnx.
//!
//! The rules are those of the operators' description, and where it leaves them open, of ONNX Runtime on one thread: it
//! compares and adds up in the precision of the thresholds, tree after tree, and adds the base value last.

mod ensemble;
mod messages;

use super::{Forests, ImportError, Imported, Library, MAX_OUTPUTS};
use crate::layout::MAX_FEATURES;
use crate::transform::Transform;
use ensemble::{Ensemble, Node, Rule, are_shares};
use messages::{Attribute, DOUBLE, FLOAT, Graph, Model, Operation, Tensor, UINT8};
use prost::Message;
use std::collections::{BTreeSet, HashMap, HashSet};

/// The operators that are read.
const OPERATORS: [&str; 3] = ["TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble"];
/// Operators behind the trees that leave the numbers as they are.
const HARMLESS: [&str; 3] = ["Cast", "Identity", "ZipMap"];
/// The names of rules, each at its number in ai.onnx.ml 5.
const MODES: [&str; 7] =
    ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER"];
/// The names of aggregate functions, each at its number in ai.onnx.ml 5.
const AGGREGATES: [&str; 4] = ["AVERAGE", "SUM", "MIN", "MAX"];

/// Reads an ONNX file. Errors name the operator and its attribute.
pub fn read(bytes: &[u8]) -> Result<Imported, ImportError> {
    let model = Model::decode(bytes).map_err(|error| ImportError::new("file", format!("is no ONNX: {error}")))?;
    let refuse = |reason: &str| Err(ImportError::new("graph", reason));
    let Some(graph) = &model.graph else { return refuse("is not there: this is no ONNX file, or one that is cut off") };
    let ensembles: Vec<&Operation> =
        graph.nodes.iter().filter(|node| OPERATORS.contains(&node.kind.as_str())).collect();
    let [operation] = ensembles.as_slice() else {
        let others: BTreeSet<&str> = graph.nodes.iter().map(|node| node.kind.as_str()).collect();
        let others: Vec<&str> = others.into_iter().take(8).collect();
        return refuse(&format!(
            "{} ensembles of trees, one can be served; the graph has {}",
            ensembles.len(),
            others.join(", ")
        ));
    };
    let input = Input::of(graph, operation)?;
    check_what_follows(graph, operation)?;
    let attributes = Attributes::of(operation);
    let described = match operation.kind.as_str() {
        "TreeEnsembleClassifier" => classifier(&attributes)?,
        "TreeEnsembleRegressor" => regressor(&attributes)?,
        _ => since_5(&attributes)?,
    };
    let Described { mut ensemble, mut transform, is_average } = described;
    let mut warnings = Vec::new();
    ensemble.features = input.features.unwrap_or_else(|| {
        warnings.push(
            "the file does not say how many features there are: those up to the last that is split on".to_owned(),
        );
        ensemble.least_features()
    });
    if !(1..=MAX_FEATURES).contains(&ensemble.features) {
        return refuse(&format!("{} features are not between 1 and {MAX_FEATURES}", ensemble.features));
    }
    if model.producer_name == "skl2onnx" && !ensemble.sends_missing_somewhere() {
        warnings.push(
            "no branch says where what is missing goes, so it goes where the comparison is false: scikit-learn's forests may \
             send it the other way, which skl2onnx does not write (for boosters of histograms it does)"
                .to_owned(),
        );
    }
    let divisor = if is_average { ensemble.roots.len().max(1) as f64 } else { 1.0 };
    if is_average && ensemble.base.iter().any(|base| *base != 0.0) {
        return Err(attributes.refuse("base_values", "beside an average cannot be represented"));
    }
    let is_wide = input.is_wide || ensemble.is_wide;
    let forests = match is_wide {
        true => Forests::F64(ensemble.forests(&operation.kind)?),
        false => Forests::F32(ensemble.forests(&operation.kind)?),
    };
    let are_shares = match &forests {
        Forests::F32(forests) => are_shares(forests),
        Forests::F64(forests) => are_shares(forests),
    };
    // What a classifier answers as it is are probabilities, unless they cannot be.
    if matches!(transform, Post::None) && operation.kind == "TreeEnsembleClassifier" && are_shares {
        transform = Post::Shares;
    }
    let producer = format!("{} {}", model.producer_name, model.producer_version);
    Ok(Imported {
        library: Library::Onnx,
        version: Some(format!("by {}", producer.trim())).filter(|version| version != "by "),
        objective: format!("{} {}", operation.kind, transform.name()),
        feature_names: Vec::new(),
        forests,
        transform: transform.transform(is_wide),
        divisor,
        tree_rounds: Vec::new(),
        warnings,
    })
}

/// The function of the sums.
#[derive(Clone, Copy)]
enum Post {
    /// None, and they are no probabilities.
    None,
    /// None, and they are probabilities.
    Shares,
    Softmax,
    Logistic,
}

impl Post {
    fn parse(attributes: &Attributes<'_>, name: &str) -> Result<Post, ImportError> {
        match name {
            "NONE" => Ok(Post::None),
            "SOFTMAX" => Ok(Post::Softmax),
            "LOGISTIC" => Ok(Post::Logistic),
            _ => Err(attributes
                .refuse("post_transform", format!("{name:?} cannot be represented; NONE, SOFTMAX and LOGISTIC can"))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Post::None | Post::Shares => "NONE",
            Post::Softmax => "SOFTMAX",
            Post::Logistic => "LOGISTIC",
        }
    }

    fn transform(self, is_wide: bool) -> Transform {
        match (self, is_wide) {
            (Post::None, _) => Transform::Identity,
            (Post::Shares, _) => Transform::Clamp,
            (Post::Softmax, true) => Transform::Softmax,
            (Post::Softmax, false) => Transform::SoftmaxF32,
            (Post::Logistic, true) => Transform::Sigmoid { scale: 1.0 },
            (Post::Logistic, false) => Transform::SigmoidF32,
        }
    }
}

/// An operator, read.
struct Described {
    ensemble: Ensemble,
    transform: Post,
    is_average: bool,
}

/// The input of the trees.
struct Input {
    /// The number of features, if the file says it.
    features: Option<usize>,
    /// They are f64s.
    is_wide: bool,
}

impl Input {
    /// Follows the trees' input to the graph's. Errors if anything on the way changes the numbers.
    fn of(graph: &Graph, operation: &Operation) -> Result<Input, ImportError> {
        let mut name = operation.inputs.first().map(String::as_str).unwrap_or_default();
        let mut cast_to = None;
        // As many steps as there are operations, lest they go in a circle.
        for _ in 0..=graph.nodes.len() {
            if let Some(input) = graph.inputs.iter().find(|input| input.name == name) {
                return Input::of_graph(graph, input, cast_to);
            }
            let before = graph.nodes.iter().find(|node| node.outputs.iter().any(|output| output == name));
            let Some(before) = before else { break };
            match before.kind.as_str() {
                "Identity" => {}
                "Cast" => {
                    cast_to = cast_to
                        .or_else(|| before.attributes.iter().find(|own| own.name == "to").map(|own| own.whole as i32));
                }
                other => {
                    return Err(ImportError::new(
                        "graph",
                        format!(
                            "{other} stands in front of the trees and changes their input: export the trees alone \
                             (trees need no scaling, and what is missing can be left missing)"
                        ),
                    ));
                }
            }
            name = before.inputs.first().map(String::as_str).unwrap_or_default();
        }
        Err(ImportError::new("graph", format!("the trees' input {name:?} comes from nowhere")))
    }

    fn of_graph(graph: &Graph, input: &messages::ValueInfo, cast_to: Option<i32>) -> Result<Input, ImportError> {
        let place = || format!("input {}", input.name);
        let initializers: HashSet<&str> = graph.initializers.iter().map(|tensor| tensor.name.as_str()).collect();
        let inputs = graph.inputs.iter().filter(|input| !initializers.contains(input.name.as_str())).count();
        if inputs != 1 {
            let reason = format!(
                "the model has {inputs} inputs, and a row is one: export it with `initial_types=[(\"X\", \
                 FloatTensorType([None, columns]))]`"
            );
            return Err(ImportError::new(place(), reason));
        }
        let kind = input.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
        let element = cast_to.or_else(|| kind.map(|kind| kind.element)).unwrap_or_default();
        if ![FLOAT, DOUBLE].contains(&element) {
            return Err(ImportError::new(place(), "is no tensor of float or double: export it with FloatTensorType"));
        }
        let dimensions = kind.and_then(|kind| kind.shape.as_ref()).map_or(&[][..], |shape| &shape.dimensions);
        let features = dimensions.get(1).and_then(|width| usize::try_from(width.value).ok()).filter(|width| *width > 0);
        Ok(Input { features, is_wide: element == DOUBLE })
    }
}

/// Errors if anything behind the trees changes their numbers.
fn check_what_follows(graph: &Graph, operation: &Operation) -> Result<(), ImportError> {
    let mut reached: HashSet<&str> = operation.outputs.iter().map(String::as_str).collect();
    // A graph's operations stand in an order in which each comes after what it needs.
    for node in &graph.nodes {
        if !node.inputs.iter().any(|input| reached.contains(input.as_str())) {
            continue;
        }
        if !HARMLESS.contains(&node.kind.as_str()) {
            let reason =
                format!("{} stands behind the trees and changes their numbers: export the trees alone", node.kind);
            return Err(ImportError::new("graph", reason));
        }
        reached.extend(node.outputs.iter().map(String::as_str));
    }
    Ok(())
}

/// An operator's attributes by name.
struct Attributes<'a> {
    operator: &'a str,
    by_name: HashMap<&'a str, &'a Attribute>,
}

/// Numbers, and whether they are f64s in the file.
struct Numbers {
    values: Vec<f64>,
    is_wide: bool,
}

impl<'a> Attributes<'a> {
    fn of(operation: &'a Operation) -> Attributes<'a> {
        let by_name = operation.attributes.iter().map(|attribute| (attribute.name.as_str(), attribute)).collect();
        Attributes { operator: &operation.kind, by_name }
    }

    fn refuse(&self, name: &str, reason: impl Into<String>) -> ImportError {
        ImportError::new(format!("{}: {name}", self.operator), reason)
    }

    fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    fn whole(&self, name: &str, otherwise: i64) -> i64 {
        self.by_name.get(name).map_or(otherwise, |attribute| attribute.whole)
    }

    fn text(&self, name: &str, otherwise: &'static str) -> String {
        let text = self.by_name.get(name).map(|attribute| String::from_utf8_lossy(&attribute.text).into_owned());
        text.unwrap_or_else(|| otherwise.to_owned())
    }

    fn wholes(&self, name: &str) -> &'a [i64] {
        self.by_name.get(name).map_or(&[], |attribute| &attribute.wholes)
    }

    /// Returns so many whole numbers from 0.
    fn indexes(&self, name: &str, count: usize) -> Result<Vec<usize>, ImportError> {
        let all = self.wholes(name);
        self.check_count(name, all.len(), count)?;
        let index =
            |number: &i64| usize::try_from(*number).map_err(|_| self.refuse(name, format!("{number} is below 0")));
        all.iter().map(index).collect()
    }

    fn check_count(&self, name: &str, found: usize, count: usize) -> Result<(), ImportError> {
        if found == count { Ok(()) } else { Err(self.refuse(name, format!("{found} numbers, {count} are needed"))) }
    }

    /// Returns the numbers of an attribute or, of the name with `_as_tensor`, of a tensor; none if there is neither.
    fn numbers(&self, name: &str) -> Result<Numbers, ImportError> {
        let tensor = self.by_name.get(format!("{name}_as_tensor").as_str()).or(self.by_name.get(name));
        match tensor.and_then(|attribute| attribute.tensor.as_ref()) {
            Some(tensor) => tensor_numbers(tensor).map_err(|reason| self.refuse(name, reason)),
            None => {
                let floats = self.by_name.get(name).map_or(&[][..], |attribute| &attribute.floats);
                Ok(Numbers { values: floats.iter().map(|x| f64::from(*x)).collect(), is_wide: false })
            }
        }
    }

    fn post_transform(&self) -> Result<Post, ImportError> {
        Post::parse(self, &self.text("post_transform", "NONE"))
    }

    /// Returns true for an average, false for a sum.
    fn is_average(&self, name: &str) -> Result<bool, ImportError> {
        match name {
            "SUM" => Ok(false),
            "AVERAGE" => Ok(true),
            _ => Err(self.refuse("aggregate_function", format!("{name:?} cannot be represented; SUM and AVERAGE can"))),
        }
    }
}

/// Reads a tensor of numbers, wherever the file has them.
fn tensor_numbers(tensor: &Tensor) -> Result<Numbers, String> {
    let raw = |size: usize| match tensor.raw.len() % size {
        0 => Ok(tensor.raw.chunks_exact(size)),
        _ => Err("the tensor's bytes are no whole number of elements".to_owned()),
    };
    let values = match tensor.data_type {
        FLOAT if tensor.raw.is_empty() => tensor.floats.iter().map(|x| f64::from(*x)).collect(),
        FLOAT => raw(4)?.filter_map(|bytes| Some(f64::from(f32::from_le_bytes(bytes.try_into().ok()?)))).collect(),
        DOUBLE if tensor.raw.is_empty() => tensor.doubles.clone(),
        DOUBLE => raw(8)?.filter_map(|bytes| Some(f64::from_le_bytes(bytes.try_into().ok()?))).collect(),
        UINT8 if tensor.raw.is_empty() => tensor.wholes.iter().map(|x| f64::from(*x)).collect(),
        UINT8 => tensor.raw.iter().map(|x| f64::from(*x)).collect(),
        other => return Err(format!("a tensor of type {other}; float and double are read")),
    };
    Ok(Numbers { values, is_wide: tensor.data_type == DOUBLE })
}

fn classifier(attributes: &Attributes<'_>) -> Result<Described, ImportError> {
    let texts = attributes.by_name.get("classlabels_strings").map_or(0, |labels| labels.texts.len());
    let labels = texts.max(attributes.wholes("classlabels_int64s").len());
    let mut ensemble = trees(attributes, "class")?;
    ensemble.check_targets(labels.max(1)).map_err(|reason| attributes.refuse("class_ids", reason))?;
    ensemble.base = attributes.numbers("base_values")?.values;
    let transform = attributes.post_transform()?;
    if labels <= 2 {
        let ids: BTreeSet<usize> = ensemble.weights().map(|(target, _)| *target).collect();
        // With one score it is the second label's; of two that exclude each other the second is enough.
        let own = match (ids.len(), transform) {
            (0 | 1, Post::Softmax) => return Err(attributes.refuse("post_transform", "SOFTMAX of a single score")),
            (0 | 1, _) => ids.first().copied(),
            (_, Post::Softmax) => None,
            (_, _) => Some(1),
        };
        if let Some(own) = own {
            ensemble.keep_only(own);
            ensemble.base = ensemble.base.pop().into_iter().collect();
        }
        ensemble.targets = if own.is_some() || ids.is_empty() { 1 } else { 2 };
    } else {
        ensemble.targets = labels;
    }
    complete_base(attributes, &mut ensemble)?;
    Ok(Described { ensemble, transform, is_average: false })
}

fn regressor(attributes: &Attributes<'_>) -> Result<Described, ImportError> {
    let mut ensemble = trees(attributes, "target")?;
    ensemble.targets = outputs(attributes)?;
    ensemble.check_targets(ensemble.targets).map_err(|reason| attributes.refuse("target_ids", reason))?;
    ensemble.base = attributes.numbers("base_values")?.values;
    complete_base(attributes, &mut ensemble)?;
    let is_average = attributes.is_average(&attributes.text("aggregate_function", "SUM"))?;
    Ok(Described { ensemble, transform: attributes.post_transform()?, is_average })
}

/// Gives each output a base value: 0 where there is none at all.
fn complete_base(attributes: &Attributes<'_>, ensemble: &mut Ensemble) -> Result<(), ImportError> {
    if ensemble.base.is_empty() {
        ensemble.base = vec![0.0; ensemble.targets];
    }
    attributes.check_count("base_values", ensemble.base.len(), ensemble.targets)
}

fn outputs(attributes: &Attributes<'_>) -> Result<usize, ImportError> {
    let outputs = usize::try_from(attributes.whole("n_targets", 1)).unwrap_or_default();
    if (1..=MAX_OUTPUTS).contains(&outputs) {
        return Ok(outputs);
    }
    Err(attributes.refuse("n_targets", format!("{outputs} is not between 1 and {MAX_OUTPUTS}")))
}

/// Reads the trees of the operators before ai.onnx.ml 5, whose leaves' weights have names that begin with `leaf`.
fn trees(attributes: &Attributes<'_>, leaf: &str) -> Result<Ensemble, ImportError> {
    let trees = attributes.wholes("nodes_treeids");
    let count = trees.len();
    let ids = attributes.wholes("nodes_nodeids");
    attributes.check_count("nodes_nodeids", ids.len(), count)?;
    let modes = attributes.by_name.get("nodes_modes").map_or(&[][..], |modes| &modes.texts);
    attributes.check_count("nodes_modes", modes.len(), count)?;
    let features = attributes.indexes("nodes_featureids", count)?;
    let values = attributes.numbers("nodes_values")?;
    attributes.check_count("nodes_values", values.values.len(), count)?;
    let tracks = match attributes.wholes("nodes_missing_value_tracks_true") {
        [] => vec![false; count],
        own => {
            attributes.check_count("nodes_missing_value_tracks_true", own.len(), count)?;
            own.iter().map(|tracks| *tracks != 0).collect()
        }
    };
    let keys = trees.iter().copied().zip(ids.iter().copied());
    let places: HashMap<(i64, i64), usize> = keys.clone().zip(0..).collect();
    if places.len() != count {
        return Err(attributes.refuse("nodes_nodeids", "a tree has two nodes of one number"));
    }
    let child = |name: &str| {
        let all = attributes.wholes(name);
        attributes.check_count(name, all.len(), count).map(|()| all)
    };
    let (yes, no) = (child("nodes_truenodeids")?, child("nodes_falsenodeids")?);
    let mut nodes = Vec::with_capacity(count);
    let mut is_child = vec![false; count];
    for at in 0..count {
        if modes[at] == b"LEAF" {
            nodes.push(Node::Leaf(Vec::new()));
            continue;
        }
        let place = |id: i64, name: &str| {
            let place = places.get(&(trees[at], id)).copied();
            place.ok_or_else(|| attributes.refuse(name, format!("tree {} has no node {id}", trees[at])))
        };
        let (yes, no) = (place(yes[at], "nodes_truenodeids")?, place(no[at], "nodes_falsenodeids")?);
        (is_child[yes], is_child[no]) = (true, true);
        let mode = MODES[..6].iter().position(|mode| mode.as_bytes() == modes[at]).ok_or_else(|| {
            let mode = String::from_utf8_lossy(&modes[at]).into_owned();
            attributes.refuse("nodes_modes", format!("{mode:?} is not known"))
        })?;
        let rule = Rule::new(mode, values.values[at], Vec::new());
        nodes.push(Node::Branch { feature: features[at], rule, yes, no, missing_is_true: tracks[at] });
    }
    let mut ensemble = Ensemble {
        roots: roots(trees, &is_child).map_err(|reason| attributes.refuse("nodes_treeids", reason))?,
        nodes,
        is_wide: values.is_wide,
        ..Ensemble::default()
    };
    let name = |rest: &str| format!("{leaf}_{rest}");
    let weights = attributes.numbers(&name("weights"))?;
    ensemble.is_wide |= weights.is_wide;
    let targets = attributes.indexes(&name("ids"), weights.values.len())?;
    let (leaf_trees, leaf_ids) = (attributes.wholes(&name("treeids")), attributes.wholes(&name("nodeids")));
    attributes.check_count(&name("treeids"), leaf_trees.len(), weights.values.len())?;
    attributes.check_count(&name("nodeids"), leaf_ids.len(), weights.values.len())?;
    for (at, weight) in weights.values.into_iter().enumerate() {
        let key = (leaf_trees[at], leaf_ids[at]);
        let place = places.get(&key).copied();
        let place = place
            .ok_or_else(|| attributes.refuse(&name("nodeids"), format!("tree {} has no node {}", key.0, key.1)))?;
        // A node that is no leaf may have weights, which nothing reads.
        if let Node::Leaf(own) = &mut ensemble.nodes[place] {
            own.push((targets[at], weight));
        }
    }
    Ok(ensemble)
}

/// Returns the first node of each tree, which nothing may lead to, as something must to every other.
fn roots(trees: &[i64], is_child: &[bool]) -> Result<Vec<usize>, String> {
    let mut begun = HashSet::new();
    let mut roots = Vec::new();
    for (at, tree) in trees.iter().enumerate() {
        let is_first = begun.insert(*tree);
        if is_first {
            roots.push(at);
        }
        if is_first == is_child[at] {
            return Err(format!("tree {tree} does not begin with its root, or has two"));
        }
    }
    Ok(roots)
}

/// Reads `TreeEnsemble` of ai.onnx.ml 5, whose leaves have numbers of their own, and one weight each.
fn since_5(attributes: &Attributes<'_>) -> Result<Described, ImportError> {
    let features = attributes.wholes("nodes_featureids");
    let count = features.len();
    let features = attributes.indexes("nodes_featureids", count)?;
    let modes = attributes.numbers("nodes_modes")?.values;
    attributes.check_count("nodes_modes", modes.len(), count)?;
    let splits = attributes.numbers("nodes_splits")?;
    attributes.check_count("nodes_splits", splits.values.len(), count)?;
    let weights = attributes.numbers("leaf_weights")?;
    let targets = attributes.indexes("leaf_targetids", weights.values.len())?;
    let tracks = match attributes.has("nodes_missing_value_tracks_true") {
        true => attributes.indexes("nodes_missing_value_tracks_true", count)?,
        false => vec![0; count],
    };
    // Sets stand behind one another in the order of their nodes, each ended by NaN.
    let members = attributes.numbers("membership_values")?.values;
    let mut members = members.split(|member| member.is_nan());
    let leaves = weights.values.len();
    let child = |nodes: &str, is_leaf: &str| {
        let (places, is_leaf) = (attributes.indexes(nodes, count)?, attributes.indexes(is_leaf, count)?);
        let place =
            |(place, is_leaf): (usize, usize)| match is_leaf {
                0 if place < count => Ok(place),
                1 if place < leaves => Ok(count + place),
                _ => Err(attributes
                    .refuse(nodes, format!("there is no {} {place}", if is_leaf == 0 { "node" } else { "leaf" }))),
            };
        places.into_iter().zip(is_leaf).map(place).collect::<Result<Vec<usize>, _>>()
    };
    let (yes, no) = (child("nodes_truenodeids", "nodes_trueleafs")?, child("nodes_falsenodeids", "nodes_falseleafs")?);
    let mut nodes = Vec::with_capacity(count + leaves);
    for at in 0..count {
        let mode = modes[at] as usize;
        let mode = Some(mode).filter(|mode| *mode < MODES.len() && modes[at] >= 0.0);
        let mode = mode.ok_or_else(|| attributes.refuse("nodes_modes", format!("{} is not known", modes[at])))?;
        let own = if MODES[mode] == "BRANCH_MEMBER" { members.next().unwrap_or_default().to_vec() } else { Vec::new() };
        let rule = Rule::new(mode, splits.values[at], own);
        let missing_is_true = tracks[at] != 0;
        nodes.push(Node::Branch { feature: features[at], rule, yes: yes[at], no: no[at], missing_is_true });
    }
    let is_wide = splits.is_wide || weights.is_wide;
    nodes.extend(targets.into_iter().zip(weights.values).map(|weight| Node::Leaf(vec![weight])));
    let roots = attributes.indexes("tree_roots", attributes.wholes("tree_roots").len())?;
    if let Some(root) = roots.iter().find(|root| **root >= count) {
        return Err(attributes.refuse("tree_roots", format!("there is no node {root}")));
    }
    let targets = outputs(attributes)?;
    let ensemble = Ensemble { nodes, roots, targets, base: vec![0.0; targets], is_wide, ..Ensemble::default() };
    ensemble.check_targets(targets).map_err(|reason| attributes.refuse("leaf_targetids", reason))?;
    // The description of the operator and ONNX Runtime give the others different numbers.
    if attributes.whole("post_transform", 0) != 0 {
        return Err(attributes.refuse(
            "post_transform",
            "which function this is, ONNX Runtime and the operator's description disagree about: export it with 0, and name \
             the function in the card",
        ));
    }
    let is_average = {
        let number = attributes.whole("aggregate_function", 1);
        let name = usize::try_from(number).ok().and_then(|number| AGGREGATES.get(number).copied());
        attributes.is_average(name.unwrap_or_default())?
    };
    Ok(Described { ensemble, transform: Post::None, is_average })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test ends there")]

    use super::messages::{Dimension, Shape, TensorType, Type, ValueInfo};
    use super::*;

    fn operation(kind: &str, input: &str, output: &str, attributes: Vec<Attribute>) -> Operation {
        Operation {
            inputs: vec![input.to_owned()],
            outputs: vec![output.to_owned()],
            kind: kind.to_owned(),
            attributes,
        }
    }

    fn wholes(name: &str, wholes: &[i64]) -> Attribute {
        Attribute { name: name.to_owned(), wholes: wholes.to_vec(), ..Attribute::default() }
    }

    fn floats(name: &str, floats: &[f32]) -> Attribute {
        Attribute { name: name.to_owned(), floats: floats.to_vec(), ..Attribute::default() }
    }

    fn text(name: &str, text: &str) -> Attribute {
        Attribute { name: name.to_owned(), text: text.as_bytes().to_vec(), ..Attribute::default() }
    }

    /// One stump over feature 1, whose children the ids say.
    fn stump(yes: i64, no: i64, more: Vec<Attribute>) -> Operation {
        let modes = ["BRANCH_LEQ", "LEAF", "LEAF"].map(|mode| mode.as_bytes().to_vec()).to_vec();
        let mut attributes = vec![
            wholes("nodes_treeids", &[0, 0, 0]),
            wholes("nodes_nodeids", &[0, 1, 2]),
            wholes("nodes_featureids", &[1, 0, 0]),
            Attribute { name: "nodes_modes".to_owned(), texts: modes, ..Attribute::default() },
            floats("nodes_values", &[0.5, 0.0, 0.0]),
            wholes("nodes_truenodeids", &[yes, 0, 0]),
            wholes("nodes_falsenodeids", &[no, 0, 0]),
            wholes("target_treeids", &[0, 0]),
            wholes("target_nodeids", &[1, 2]),
            wholes("target_ids", &[0, 0]),
            floats("target_weights", &[-1.0, 1.0]),
        ];
        attributes.retain(|attribute| more.iter().all(|other| other.name != attribute.name));
        attributes.extend(more);
        operation("TreeEnsembleRegressor", "X", "Y", attributes)
    }

    fn input(name: &str, element: i32) -> ValueInfo {
        let shape = Some(Shape { dimensions: vec![Dimension { value: 0 }, Dimension { value: 2 }] });
        ValueInfo { name: name.to_owned(), kind: Some(Type { tensor: Some(TensorType { element, shape }) }) }
    }

    fn read_graph(nodes: Vec<Operation>, inputs: Vec<ValueInfo>) -> Result<Imported, String> {
        let graph = Some(Graph { nodes, inputs, ..Graph::default() });
        let model = Model { producer_name: "a test".to_owned(), graph, ..Model::default() };
        read(&model.encode_to_vec()).map_err(|error| error.to_string())
    }

    fn refused(nodes: Vec<Operation>) -> String {
        read_graph(nodes, vec![input("X", FLOAT)]).expect_err("refused")
    }

    #[test]
    fn stump_is_read_with_a_cast_before_it_and_one_behind() {
        let mut cast = operation("Cast", "X", "as float", vec![]);
        cast.attributes.push(Attribute { name: "to".to_owned(), whole: FLOAT.into(), ..Attribute::default() });
        let mut trees = stump(1, 2, vec![]);
        trees.inputs = vec!["as float".to_owned()];
        let behind = operation("Cast", "Y", "Z", vec![]);
        let model = read_graph(vec![cast, trees, behind], vec![input("X", DOUBLE)]).expect("read");
        assert_eq!(model.library_and_version(), "ONNX by a test");
        assert!(matches!(model.forests, Forests::F32(_)), "the cast decides");
        assert_eq!(model.forests.margins(&[9.0, 0.5]), Some(vec![-1.0]));
        assert_eq!(model.forests.margins(&[9.0, f64::NAN]), Some(vec![1.0]));
    }

    #[test]
    fn what_changes_numbers_before_the_trees_or_behind_is_refused_by_name() {
        let mut trees = stump(1, 2, vec![]);
        trees.inputs = vec!["scaled".to_owned()];
        let error = refused(vec![operation("Scaler", "X", "scaled", vec![]), trees]);
        assert!(error.starts_with("graph: Scaler stands in front of the trees"), "{error}");
        let error = refused(vec![stump(1, 2, vec![]), operation("Sigmoid", "Y", "Z", vec![])]);
        assert!(error.starts_with("graph: Sigmoid stands behind the trees"), "{error}");
        let cast = operation("Cast", "Y", "as double", vec![]);
        let error = refused(vec![stump(1, 2, vec![]), cast, operation("Sigmoid", "as double", "Z", vec![])]);
        assert!(error.starts_with("graph: Sigmoid stands behind the trees"), "behind a harmless one: {error}");
        let error = refused(vec![operation("Gemm", "X", "Y", vec![])]);
        assert_eq!(error, "graph: 0 ensembles of trees, one can be served; the graph has Gemm");
        assert!(refused(vec![stump(1, 2, vec![]), stump(1, 2, vec![])]).starts_with("graph: 2 ensembles of trees"));
        let mut circle = stump(1, 2, vec![]);
        circle.inputs = vec!["a".to_owned()];
        let error =
            refused(vec![operation("Identity", "b", "a", vec![]), operation("Identity", "a", "b", vec![]), circle]);
        assert!(error.contains("comes from nowhere"), "{error}");
        let error = read_graph(vec![stump(1, 2, vec![])], vec![input("X", FLOAT), input("more", FLOAT)]);
        assert!(error.expect_err("refused").starts_with("input X: the model has 2 inputs"));
        let error = read_graph(vec![stump(1, 2, vec![])], vec![input("X", 7)]).expect_err("refused");
        assert!(error.contains("FloatTensorType"), "{error}");
    }

    #[test]
    fn what_is_no_tree_or_cannot_be_represented_is_refused() {
        assert!(refused(vec![stump(0, 2, vec![])]).contains("tree 0 does not begin with its root, or has two"));
        assert!(refused(vec![stump(1, 7, vec![])]).ends_with("nodes_falsenodeids: tree 0 has no node 7"));
        let wrong = |more: Attribute| refused(vec![stump(1, 2, vec![more])]);
        assert!(wrong(wholes("nodes_nodeids", &[0, 1, 1])).contains("two nodes of one number"));
        assert!(wrong(wholes("nodes_nodeids", &[0, 1])).contains("2 numbers, 3 are needed"));
        assert!(wrong(wholes("nodes_featureids", &[2, 0, 0])).contains("feature 2 is out of range"));
        assert!(wrong(wholes("target_ids", &[0, 1])).contains("output 1 is not below 1"));
        assert!(wrong(floats("nodes_values", &[f32::NAN, 0.0, 0.0])).contains("the threshold is not a number"));
        assert!(wrong(floats("target_weights", &[f32::INFINITY, 0.0])).contains("is not a finite number"));
        assert!(wrong(text("post_transform", "PROBIT")).contains("\"PROBIT\" cannot be represented"));
        assert!(wrong(text("aggregate_function", "MIN")).contains("\"MIN\" cannot be represented"));
        let average = vec![text("aggregate_function", "AVERAGE"), floats("base_values", &[0.5])];
        assert!(refused(vec![stump(1, 2, average)]).contains("beside an average"));
        let many = Attribute { name: "n_targets".to_owned(), whole: 1 << 40, ..Attribute::default() };
        assert!(wrong(many).contains("is not between 1 and 1000"));
        assert!(read(b"\x08\x07").expect_err("no graph").to_string().starts_with("graph: is not there"));
        assert!(read(b"\x08\x07\x3a\x7f").expect_err("cut off").to_string().starts_with("file: is no ONNX"));
    }

    #[test]
    fn branches_that_lead_to_one_another_end() {
        let many = |names: &[&str], count: usize| -> Vec<Attribute> {
            names.iter().map(|name| wholes(name, &vec![0; count])).collect()
        };
        let mut attributes = many(
            &[
                "nodes_featureids",
                "nodes_truenodeids",
                "nodes_falsenodeids",
                "nodes_trueleafs",
                "nodes_falseleafs",
                "tree_roots",
            ],
            1,
        );
        let tensor = |name: &str, data_type: i32, floats: &[f32], wholes: &[i32]| Attribute {
            name: name.to_owned(),
            tensor: Some(Tensor { data_type, floats: floats.to_vec(), wholes: wholes.to_vec(), ..Tensor::default() }),
            ..Attribute::default()
        };
        for mode in 0..7 {
            let mut attributes = attributes.clone();
            attributes.push(tensor("nodes_modes", UINT8, &[], &[mode]));
            attributes.push(tensor("nodes_splits", FLOAT, &[0.5], &[]));
            let error = refused(vec![operation("TreeEnsemble", "X", "Y", attributes)]);
            assert!(error.contains("the branches lead to one another"), "{error}");
        }
        attributes.push(Attribute { name: "post_transform".to_owned(), whole: 2, ..Attribute::default() });
        attributes.push(tensor("nodes_modes", UINT8, &[], &[0]));
        attributes.push(tensor("nodes_splits", FLOAT, &[0.5], &[]));
        let error = refused(vec![operation("TreeEnsemble", "X", "Y", attributes)]);
        assert!(error.contains("ONNX Runtime and the operator's description disagree"), "{error}");
    }

    #[test]
    fn one_score_of_two_labels_is_that_of_the_second() {
        let labels = wholes("classlabels_int64s", &[0, 1]);
        let with = |ids: &[i64], post: &str| {
            let mut trees = stump(1, 2, vec![]);
            trees.kind = "TreeEnsembleClassifier".to_owned();
            for attribute in &mut trees.attributes {
                attribute.name = attribute.name.replace("target_", "class_");
            }
            trees.attributes.retain(|attribute| attribute.name != "class_ids");
            trees.attributes.extend([wholes("class_ids", ids), labels.clone(), text("post_transform", post)]);
            read_graph(vec![trees], vec![input("X", FLOAT)])
        };
        let model = with(&[0, 0], "LOGISTIC").expect("read");
        assert_eq!((model.forests.len(), model.transform), (1, Transform::SigmoidF32));
        let model = with(&[0, 1], "NONE").expect("read");
        assert_eq!(model.forests.margins(&[0.0, 9.0]), Some(vec![1.0]), "what the second label has");
        assert_eq!(model.transform, Transform::Clamp);
        let model = with(&[0, 0], "NONE").expect("read");
        assert_eq!(model.transform, Transform::Identity, "a leaf of -1 is of no probability");
        assert!(with(&[0, 0], "SOFTMAX").expect_err("refused").contains("SOFTMAX of a single score"));
    }
}
