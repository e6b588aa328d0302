//! Model files, read into forests on the heap.
//!
//! An importer either represents a file exactly or refuses it with the place and the reason. It never panics and
//! never allocates beyond a small multiple of the file's size.

mod document;
mod gbdt;
mod lightgbm;
mod tree;
mod ubjson;
mod xgboost;

pub use self::gbdt::read as read_gbdt;
pub use self::lightgbm::read as read_lightgbm;
pub use self::xgboost::read as read_xgboost;

use crate::layout::{Forest, Node};
use crate::number::Number;
use crate::transform::Transform;
use std::fmt;

/// A model as its file describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The library that wrote it and the version it names: `LightGBM v4`, `XGBoost 3.2.0`, `gbdt`.
    pub library: String,
    /// The objective as the file names it.
    pub objective: String,
    /// Names of the features; empty when the file has none.
    pub feature_names: Vec<String>,
    /// One forest an output.
    pub forests: Forests,
    /// From margins to the prediction.
    pub transform: Transform,
    /// What a margin is divided by before the transform: LightGBM's random forests answer the mean of their trees.
    pub divisor: f64,
    /// What whoever imports this should know.
    pub warnings: Vec<String>,
}

/// Forests in their library's precision, one an output.
#[derive(Clone, Debug, PartialEq)]
pub enum Forests {
    /// XGBoost and `gbdt`.
    F32(Vec<OwnedForest<f32>>),
    /// LightGBM.
    F64(Vec<OwnedForest<f64>>),
}

/// A [`Forest`] that owns its nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedForest<T> {
    /// What the margin starts from.
    pub base_margin: T,
    /// How many features a row must have.
    pub features: usize,
    /// Splits on the longest path from a root to a leaf.
    pub depth: usize,
    /// Features of which zero means missing.
    pub zero_is_missing: Vec<u16>,
    /// Where each tree begins in `nodes`.
    pub roots: Vec<u32>,
    /// All trees' nodes.
    pub nodes: Vec<Node<T>>,
    /// What reached each node in training; empty when unknown.
    pub covers: Vec<f32>,
    /// Sets of categories, as bits.
    pub sets: Vec<Vec<u32>>,
}

impl<T> OwnedForest<T> {
    /// What the forest takes in a Wasm module: nodes, covers, roots and sets.
    pub fn bytes(&self) -> usize {
        let sets: usize = self.sets.iter().map(Vec::len).sum();
        size_of_val(self.nodes.as_slice()) + 4 * (self.covers.len() + self.roots.len() + sets)
    }
}

impl<T: Number> OwnedForest<T> {
    fn new(base_margin: T, features: usize) -> OwnedForest<T> {
        OwnedForest {
            base_margin,
            features,
            depth: 0,
            zero_is_missing: Vec::new(),
            roots: Vec::new(),
            nodes: Vec::new(),
            covers: Vec::new(),
            sets: Vec::new(),
        }
    }

    /// Calls `with` with the forest over these nodes.
    pub fn with<R>(&self, with: impl FnOnce(&Forest<'_, T>) -> R) -> R {
        let sets: Vec<&[u32]> = self.sets.iter().map(Vec::as_slice).collect();
        with(&Forest {
            base_margin: self.base_margin,
            features: self.features,
            depth: self.depth,
            zero_is_missing: &self.zero_is_missing,
            roots: &self.roots,
            nodes: &self.nodes,
            covers: &self.covers,
            sets: &sets,
        })
    }

    /// Counts how many of `rows` reach each node, and keeps that as the covers.
    /// Errors if a row does not have the model's number of features.
    pub fn replay<'r>(&mut self, rows: impl IntoIterator<Item = &'r [T]>) -> Result<(), ImportError> {
        let mut covers = vec![0u32; self.nodes.len()];
        self.with(|forest| {
            for row in rows {
                for (tree, &root) in self.roots.iter().enumerate() {
                    forest.visit_path(tree, row, |node, _| covers[root as usize + node] += 1).ok_or_else(|| {
                        let reason = format!("a row has {} features, the model {}", row.len(), self.features);
                        ImportError::new("rows", reason)
                    })?;
                }
            }
            Ok(())
        })?;
        self.covers = covers.into_iter().map(|cover| cover as f32).collect();
        Ok(())
    }
}

impl Forests {
    /// How many outputs there are.
    pub fn len(&self) -> usize {
        match self {
            Forests::F32(forests) => forests.len(),
            Forests::F64(forests) => forests.len(),
        }
    }

    /// How many trees there are over all outputs.
    pub fn trees(&self) -> usize {
        match self {
            Forests::F32(forests) => forests.iter().map(|forest| forest.roots.len()).sum(),
            Forests::F64(forests) => forests.iter().map(|forest| forest.roots.len()).sum(),
        }
    }

    /// How many nodes there are over all outputs.
    pub fn nodes(&self) -> usize {
        match self {
            Forests::F32(forests) => forests.iter().map(|forest| forest.nodes.len()).sum(),
            Forests::F64(forests) => forests.iter().map(|forest| forest.nodes.len()).sum(),
        }
    }

    /// What all outputs take in a Wasm module.
    pub fn bytes(&self) -> usize {
        match self {
            Forests::F32(forests) => forests.iter().map(OwnedForest::bytes).sum(),
            Forests::F64(forests) => forests.iter().map(OwnedForest::bytes).sum(),
        }
    }

    /// Whether there is no output, which no importer gives.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many features a row must have.
    pub fn features(&self) -> usize {
        match self {
            Forests::F32(forests) => forests.first().map_or(0, |forest| forest.features),
            Forests::F64(forests) => forests.first().map_or(0, |forest| forest.features),
        }
    }

    /// The margins of one row, widened to `f64` where the library computes in `f32`. `None` if the row does not fit.
    pub fn margins(&self, row: &[f64]) -> Option<Vec<f64>> {
        match self {
            Forests::F32(forests) => {
                let row: Vec<f32> = row.iter().map(|x| *x as f32).collect();
                forests.iter().map(|forest| forest.with(|forest| forest.margin(&row)).map(f64::from)).collect()
            }
            Forests::F64(forests) => forests.iter().map(|forest| forest.with(|forest| forest.margin(row))).collect(),
        }
    }

    /// For one output, how much each feature moved the margin, and last the mean margin it moved it from. `None` if
    /// the row does not fit, there is no such output, or the file has no covers.
    pub fn contributions(&self, output: usize, row: &[f64]) -> Option<Vec<f64>> {
        let mut contributions = vec![0.0; row.len()];
        let mean = match self {
            Forests::F32(forests) => {
                let row: Vec<f32> = row.iter().map(|x| *x as f32).collect();
                forests.get(output)?.with(|forest| {
                    forest.explain(&row, &mut contributions)?;
                    forest.mean_margin()
                })?
            }
            Forests::F64(forests) => forests.get(output)?.with(|forest| {
                forest.explain(row, &mut contributions)?;
                forest.mean_margin()
            })?,
        };
        contributions.push(mean);
        Some(contributions)
    }
}

impl Imported {
    /// The prediction for one row. `None` if the row does not fit.
    pub fn predict(&self, row: &[f64]) -> Option<Vec<f64>> {
        let mut margins = self.forests.margins(row)?;
        if self.divisor != 1.0 {
            margins.iter_mut().for_each(|margin| *margin /= self.divisor);
        }
        self.transform.apply(&mut margins);
        Some(margins)
    }
}

/// Reads a model file of whatever library wrote it: LightGBM text, XGBoost JSON or UBJSON, `gbdt` JSON. `rounds`
/// keeps only the first boosting rounds.
pub fn read(bytes: &[u8], rounds: Option<usize>) -> Result<Imported, ImportError> {
    let start = bytes.trim_ascii_start();
    if start.starts_with(b"tree\n") || start.starts_with(b"tree\r\n") {
        return read_lightgbm(bytes, rounds);
    }
    // A key that only XGBoost's files have, in JSON and in UBJSON alike, and that stands near their beginning.
    let head = &start[..start.len().min(64)];
    if head.starts_with(b"{") && head.windows(7).any(|window| window == b"learner") {
        return read_xgboost(bytes, rounds);
    }
    if head.starts_with(b"{") {
        if rounds.is_some() {
            return Err(ImportError::new("rounds", "a gbdt model is used whole; train it with fewer iterations"));
        }
        return read_gbdt(bytes);
    }
    Err(ImportError::new(
        "byte 0",
        "this is no model file that is known: LightGBM text begins with `tree`, XGBoost's JSON and UBJSON and gbdt's JSON \
         with `{` (XGBoost's old binary format is not read: load it in Python and save it as .json or .ubj)",
    ))
}

/// Why a file was refused: where in it, and the reason.
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
