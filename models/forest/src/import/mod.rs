//! Model files, read into forests on the heap.
//!
//! An importer either represents a file exactly or refuses it with the place and the reason. It never panics and
//! never allocates beyond a multiple of the file's size: 150 times, and 700 times where categories are so high that
//! their sets are larger than what the file says of them (`tests/memory.rs`).

mod catboost;
mod categories;
mod document;
mod foreign;
mod gbdt;
mod lightgbm;
mod onnx;
#[cfg(test)]
mod random;
mod tree;
mod ubjson;
mod xgboost;

pub use self::catboost::read as read_catboost;
pub use self::gbdt::read as read_gbdt;
pub use self::lightgbm::read as read_lightgbm;
pub use self::onnx::read as read_onnx;
pub use self::tree::OwnedForest;
pub use self::xgboost::read as read_xgboost;

use crate::number::Number;
use crate::transform::Transform;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The endings of model files' names, whatever library wrote them.
pub const FILE_ENDINGS: [&str; 4] = ["json", "onnx", "txt", "ubj"];

/// More outputs than any model has that people bring.
const MAX_OUTPUTS: usize = 1_000;

/// Returns the endings as a sentence lists them: `.json, .onnx, .txt or .ubj`.
pub fn listed_endings() -> String {
    let [others @ .., last] = FILE_ENDINGS;
    format!(".{} or .{last}", others.join(", ."))
}

/// The library that trained a model and wrote its file. Its name in lower case stands for the file's format in cards.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Library {
    /// LightGBM.
    LightGbm,
    /// XGBoost.
    XgBoost,
    /// The `gbdt` crate.
    Gbdt,
    /// CatBoost.
    CatBoost,
    /// Whatever wrote ONNX: scikit-learn through skl2onnx.
    Onnx,
}

impl Library {
    /// Returns the name as the library's authors write it.
    pub const fn name(self) -> &'static str {
        match self {
            Library::LightGbm => "LightGBM",
            Library::XgBoost => "XGBoost",
            Library::Gbdt => "gbdt",
            Library::CatBoost => "CatBoost",
            Library::Onnx => "ONNX",
        }
    }

    /// Returns the name of the file's format in cards.
    pub const fn format(self) -> &'static str {
        match self {
            Library::LightGbm => "lightgbm",
            Library::XgBoost => "xgboost",
            Library::Gbdt => "gbdt",
            Library::CatBoost => "catboost",
            Library::Onnx => "onnx",
        }
    }
}

/// A model as its file describes it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Imported {
    /// The library that wrote it.
    pub library: Library,
    /// The version of the library or of its format that the file names: `v4` of LightGBM, `3.2.0` of XGBoost; for ONNX
    /// who wrote it.
    pub version: Option<String>,
    /// The objective as the file names it.
    pub objective: String,
    /// Names of the features; empty when the file has none.
    pub feature_names: Vec<String>,
    /// One forest an output.
    pub forests: Forests,
    /// Function from margins to the prediction.
    pub transform: Transform,
    /// Divisor of a margin before the transform: LightGBM's random forests answer the mean of their trees.
    pub divisor: f64,
    /// The boosting round of each tree of each output, from 1. A tree beyond them is a constant, which every round
    /// has. Empty if the file does not say what a round is.
    pub tree_rounds: Vec<Vec<u32>>,
    /// Warnings for whoever imports the file.
    pub warnings: Vec<String>,
}

/// Forests in their library's precision, one an output.
#[derive(Clone, Debug, PartialEq)]
pub enum Forests {
    /// XGBoost, `gbdt` and most of ONNX.
    F32(Vec<OwnedForest<f32>>),
    /// LightGBM, CatBoost and ONNX with thresholds in f64.
    F64(Vec<OwnedForest<f64>>),
}

impl Forests {
    /// Returns the number of outputs.
    pub fn len(&self) -> usize {
        match self {
            Forests::F32(forests) => forests.len(),
            Forests::F64(forests) => forests.len(),
        }
    }

    /// Returns the number of trees over all outputs.
    pub fn trees(&self) -> usize {
        match self {
            Forests::F32(forests) => forests.iter().map(|forest| forest.forest().parts().roots.len()).sum(),
            Forests::F64(forests) => forests.iter().map(|forest| forest.forest().parts().roots.len()).sum(),
        }
    }

    /// Returns the number of nodes over all outputs.
    pub fn nodes(&self) -> usize {
        match self {
            Forests::F32(forests) => forests.iter().map(|forest| forest.forest().parts().nodes.len()).sum(),
            Forests::F64(forests) => forests.iter().map(|forest| forest.forest().parts().nodes.len()).sum(),
        }
    }

    /// Returns the bytes that all outputs take in a Wasm module.
    pub fn bytes(&self) -> usize {
        match self {
            Forests::F32(forests) => forests.iter().map(OwnedForest::bytes).sum(),
            Forests::F64(forests) => forests.iter().map(OwnedForest::bytes).sum(),
        }
    }

    /// Tells if there is no output, which no importer returns.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of features that a row must have.
    pub fn features(&self) -> usize {
        match self {
            Forests::F32(forests) => forests.first().map_or(0, |forest| forest.forest().parts().features),
            Forests::F64(forests) => forests.first().map_or(0, |forest| forest.forest().parts().features),
        }
    }

    /// Returns the margins of one row, widened to `f64` where the library computes in `f32`. `None` if the row does not
    /// fit.
    pub fn margins(&self, row: &[f64]) -> Option<Vec<f64>> {
        match self {
            Forests::F32(forests) => {
                let row: Vec<f32> = row.iter().map(|x| *x as f32).collect();
                forests.iter().map(|forest| forest.forest().margin(&row).map(f64::from)).collect()
            }
            Forests::F64(forests) => forests.iter().map(|forest| forest.forest().margin(row)).collect(),
        }
    }

    /// Returns the margins of one row after each tree, an output after the other, widened to `f64`. `None` if the row
    /// does not fit.
    fn margins_after_trees(&self, row: &[f64]) -> Option<Vec<Vec<f64>>> {
        match self {
            Forests::F32(forests) => forests.iter().map(|forest| after_trees(forest, row)).collect(),
            Forests::F64(forests) => forests.iter().map(|forest| after_trees(forest, row)).collect(),
        }
    }

    /// Returns the margins of one row without any tree.
    fn base_margins(&self) -> Vec<f64> {
        match self {
            Forests::F32(forests) => forests.iter().map(|forest| forest.forest().parts().base_margin.into()).collect(),
            Forests::F64(forests) => forests.iter().map(|forest| forest.forest().parts().base_margin).collect(),
        }
    }

    /// Returns the reason why there are no contributions. `None` if there are.
    pub fn cannot_explain(&self) -> Option<&'static str> {
        match self {
            Forests::F32(forests) => forests.iter().find_map(cannot_explain),
            Forests::F64(forests) => forests.iter().find_map(cannot_explain),
        }
    }

    /// Returns for one output by how much each feature moved the margin, and last the mean margin it moved it from.
    /// `None` if the row does not fit, there is no such output, or [`Forests::cannot_explain`] has a reason.
    pub fn contributions(&self, output: usize, row: &[f64]) -> Option<Vec<f64>> {
        let mut contributions = vec![0.0; row.len()];
        let mean = match self {
            Forests::F32(forests) => {
                let row: Vec<f32> = row.iter().map(|x| *x as f32).collect();
                explain(forests.get(output)?, &row, &mut contributions)?
            }
            Forests::F64(forests) => explain(forests.get(output)?, row, &mut contributions)?,
        };
        contributions.push(mean);
        Some(contributions)
    }
}

fn explain<T: Number>(forest: &OwnedForest<T>, row: &[T], contributions: &mut [f64]) -> Option<f64> {
    forest.forest().explain(row, contributions)?;
    forest.forest().mean_margin()
}

fn after_trees<T: Number>(forest: &OwnedForest<T>, row: &[f64]) -> Option<Vec<f64>> {
    let row: Vec<T> = row.iter().map(|x| T::from_f64(*x)).collect();
    Some(forest.forest().staged_margins(&row)?.into_iter().map(Into::into).collect())
}

fn cannot_explain<T: Number>(forest: &OwnedForest<T>) -> Option<&'static str> {
    let forest = forest.forest();
    if forest.can_explain() {
        return None;
    }
    Some(if !forest.parts().linear.leaves.is_empty() {
        "the leaves are linear functions, which LightGBM does not explain either"
    } else if forest.parts().covers.is_empty() {
        "the file has no covers"
    } else {
        "a path has more than 256 splits"
    })
}

impl Imported {
    /// Returns the library and the version that the file names: `LightGBM v4`, `XGBoost 3.2.0`, `gbdt`.
    pub fn library_and_version(&self) -> String {
        match &self.version {
            Some(version) => format!("{} {version}", self.library.name()),
            None => self.library.name().to_owned(),
        }
    }

    /// Returns the prediction for one row. `None` if the row does not fit.
    pub fn predict(&self, row: &[f64]) -> Option<Vec<f64>> {
        Some(self.transformed(self.transform, self.forests.margins(row)?))
    }

    /// Returns the margins of one row after each boosting round: what the first so many rounds alone would give. `None`
    /// if the row does not fit, or the file does not say what a round is.
    pub fn margins_after_rounds(&self, row: &[f64]) -> Option<Vec<Vec<f64>>> {
        let rounds = *self.tree_rounds.iter().flatten().max()?;
        let after_trees = self.forests.margins_after_trees(row)?;
        let bases = self.forests.base_margins();
        let outputs: Vec<_> = bases.iter().zip(&after_trees).zip(&self.tree_rounds).collect();
        let after = |round: u32| {
            let margin = |((base, after_trees), rounds): &((&f64, &Vec<f64>), &Vec<u32>)| {
                let after = |trees: usize| match trees {
                    0 => Some(**base),
                    trees => after_trees.get(trees - 1).copied(),
                };
                let constants = after_trees.last().map_or(Some(0.0), |last| Some(last - after(rounds.len())?))?;
                Some(after(rounds.partition_point(|own| *own <= round))? + constants)
            };
            outputs.iter().map(margin).collect()
        };
        (1..=rounds).map(after).collect()
    }

    /// Returns what these margins become by a transform.
    pub fn transformed(&self, transform: Transform, mut margins: Vec<f64>) -> Vec<f64> {
        if self.divisor != 1.0 {
            margins.iter_mut().for_each(|margin| *margin /= self.divisor);
        }
        transform.apply(&mut margins);
        margins
    }

    /// Returns the function from margins to probabilities that a prediction type can be served by: that of the file, or
    /// if it has none, the one that is named. Errors with the reason why there is none.
    pub fn probabilities(&self, named: Option<NamedTransform>) -> Result<Transform, String> {
        if let Some(named) = named {
            return self.named(named);
        }
        let Some(transform) = self.transform.to_probabilities() else {
            let advice = match self.transform {
                Transform::Identity => {
                    "; if it is one of your own, name what makes its margins probabilities: transform = \
                                        \"sigmoid\", \"softmax\" or \"identity\" in the card, --transform of the tools"
                }
                _ => "",
            };
            return Err(format!(
                "the objective {:?} gives no probability, which a prediction needs{advice}",
                self.objective
            ));
        };
        // LightGBM's and CatBoost's one-against-all have a sigmoid a class too, and their classes exclude each other.
        let exclude_each_other = matches!(self.library, Library::LightGbm | Library::CatBoost);
        let is_sigmoid = matches!(transform, Transform::SigmoidF32 | Transform::Sigmoid { .. });
        if self.forests.len() > 1 && is_sigmoid && !exclude_each_other {
            return Err(format!(
                "the model has {} labels, of which several can be true at once, and classes exclude each other: train a \
                 model for each label",
                self.forests.len()
            ));
        }
        Ok(transform)
    }

    fn named(&self, named: NamedTransform) -> Result<Transform, String> {
        if self.transform != Transform::Identity {
            return Err(format!("the objective {:?} has a function of its own, and none can be named", self.objective));
        }
        let is_wide = matches!(self.forests, Forests::F64(_));
        match (named, self.forests.len(), is_wide) {
            (NamedTransform::Sigmoid, 1, true) => Ok(Transform::Sigmoid { scale: 1.0 }),
            (NamedTransform::Sigmoid, 1, false) => Ok(Transform::SigmoidF32),
            (NamedTransform::Sigmoid, outputs, _) => {
                Err(format!("a sigmoid is of one output, and the model has {outputs}"))
            }
            (NamedTransform::Softmax, 1, _) => Err("a softmax is of several outputs, and the model has one".to_owned()),
            (NamedTransform::Softmax, _, true) => Ok(Transform::Softmax),
            (NamedTransform::Softmax, _, false) => Ok(Transform::SoftmaxF32),
            (NamedTransform::Identity, ..) => Ok(Transform::Clamp),
        }
    }
}

/// A function from margins to probabilities, for a file that names none: of an objective of one's own.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NamedTransform {
    /// `1 / (1 + exp(-x))`, of one output.
    Sigmoid,
    /// `exp(x)`, divided by the sum over the outputs.
    Softmax,
    /// The margins are probabilities. What is beyond 0 or 1 is kept there.
    Identity,
}

impl std::str::FromStr for NamedTransform {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<NamedTransform, &'static str> {
        match name {
            "sigmoid" => Ok(NamedTransform::Sigmoid),
            "softmax" => Ok(NamedTransform::Softmax),
            "identity" => Ok(NamedTransform::Identity),
            _ => Err("is neither sigmoid, softmax nor identity"),
        }
    }
}

/// Facts that a file does not say.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Number of boosting rounds to keep, the first ones, as scikit-learn's wrapper of XGBoost does after stopping
    /// early.
    pub rounds: Option<usize>,
    /// Number of training rows that reached each node, tree after tree in the file's own order, for a `gbdt` file,
    /// which does not say it.
    pub covers: Option<Vec<f32>>,
}

/// Reads a model file of whatever library wrote it: LightGBM text, XGBoost JSON or UBJSON, CatBoost JSON, ONNX, `gbdt`
/// JSON.
pub fn read(bytes: &[u8], options: &Options) -> Result<Imported, ImportError> {
    let imported = read_any(bytes, options)?;
    if options.covers.is_some() && imported.library != Library::Gbdt {
        let reason = format!("a file of {} has covers of its own", imported.library_and_version());
        return Err(ImportError::new("covers", reason));
    }
    Ok(imported)
}

fn read_any(bytes: &[u8], options: &Options) -> Result<Imported, ImportError> {
    let rounds = options.rounds;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let start = bytes.trim_ascii_start();
    if start.starts_with(b"tree\n") || start.starts_with(b"tree\r\n") {
        return read_lightgbm(bytes, rounds);
    }
    // A key that only XGBoost's files have, in JSON and in UBJSON alike, and that stands near their beginning.
    let head = &start[..start.len().min(64)];
    if head.starts_with(b"{") && head.windows(7).any(|window| window == b"learner") {
        return read_xgboost(start, rounds).map_err(|error| match foreign::recognize_object(start) {
            Some(foreign::Object::Foreign(reason)) => ImportError::new("file", reason),
            _ => error,
        });
    }
    if head.starts_with(b"{") {
        return match foreign::recognize_object(start) {
            Some(foreign::Object::Learner) => read_xgboost(start, rounds),
            Some(foreign::Object::CatBoost) => read_catboost(start, rounds),
            Some(foreign::Object::Foreign(reason)) => Err(ImportError::new("file", reason)),
            None if rounds.is_some() => {
                Err(ImportError::new("rounds", "a gbdt model is used whole; train it with fewer iterations"))
            }
            None => read_gbdt(start, options.covers.as_deref()),
        };
    }
    // A protocol buffer's first field is the version of ONNX, a number.
    if let [0x08, 1..=0x7f, ..] = bytes {
        return match rounds {
            Some(_) => Err(ImportError::new("rounds", "an ONNX file does not say which trees are of one round")),
            None => read_onnx(bytes),
        };
    }
    let unknown = "this is no model file that is known: LightGBM text begins with `tree`, the JSON of XGBoost, CatBoost and \
                   gbdt and XGBoost's UBJSON with `{`, ONNX with its version (XGBoost's old binary format is not read: load it in Python and save it as .json \
                   or .ubj)";
    Err(ImportError::new("byte 0", foreign::recognize(bytes).unwrap_or(unknown)))
}

/// Reason why a file was refused, and where in it.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportError {
    place: String,
    reason: String,
}

impl ImportError {
    pub(crate) fn new(place: impl Into<String>, reason: impl Into<String>) -> ImportError {
        ImportError { place: place.into(), reason: reason.into() }
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.place, self.reason)
    }
}

impl std::error::Error for ImportError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_has_the_same_name_in_cards_and_in_messages() {
        for library in [Library::LightGbm, Library::XgBoost, Library::Gbdt, Library::CatBoost, Library::Onnx] {
            assert_eq!(serde_json::to_value(library).ok(), Some(library.format().into()));
            assert_eq!(library.format(), library.name().to_lowercase());
        }
    }

    #[test]
    fn endings_are_listed_as_a_sentence_lists_them() {
        assert_eq!(listed_endings(), ".json, .onnx, .txt or .ubj");
    }
}
