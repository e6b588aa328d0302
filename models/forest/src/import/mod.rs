//! Model files, read into forests on the heap.
//!
//! An importer either represents a file exactly or refuses it with the place and the reason. It never panics and
//! never allocates beyond a small multiple of the file's size.

mod gbdt;

pub use self::gbdt::read as read_gbdt;

use crate::layout::{Forest, Node};
use std::fmt;

/// A forest as a file describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// What the margin starts from.
    pub base_margin: f32,
    /// How many features a row must have.
    pub features: usize,
    /// Where each tree begins in `nodes`.
    pub roots: Vec<u32>,
    /// All trees' nodes.
    pub nodes: Vec<Node>,
    /// Training rows that reached each node; empty when unknown.
    pub covers: Vec<u32>,
    /// From margin to prediction.
    pub transform: Transform,
}

impl Imported {
    /// The forest over these nodes.
    pub fn forest(&self) -> Forest<'_> {
        Forest {
            base_margin: self.base_margin,
            features: self.features,
            roots: &self.roots,
            nodes: &self.nodes,
            covers: &self.covers,
        }
    }

    /// Counts how many of `rows` reach each node, and keeps that as the covers.
    /// Errors if a row does not have the model's number of features.
    pub fn replay<'r>(&mut self, rows: impl IntoIterator<Item = &'r [f32]>) -> Result<(), ImportError> {
        let mut covers = vec![0u32; self.nodes.len()];
        for row in rows {
            if row.len() != self.features {
                return Err(ImportError::new(
                    "rows",
                    format!("a row has {} features, the model {}", row.len(), self.features),
                ));
            }
            let forest = self.forest();
            for (tree, &root) in self.roots.iter().enumerate() {
                forest.visit_path(tree, row, |node| covers[root as usize + node] += 1);
            }
        }
        self.covers = covers;
        Ok(())
    }
}

/// How a margin becomes a prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transform {
    /// The margin itself.
    Identity,
    /// `1 / (1 + exp(-2 * margin))` in f32: `gbdt`'s LogLikelyhood loss, whose labels are -1 and +1.
    DoubledSigmoid,
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
