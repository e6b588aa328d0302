//! Forests of boosted trees, laid out flat.
//!
//! A [`Forest`] borrows its nodes, so that the same walk serves forests built on the heap by the importers and
//! forests that are static data of a Wasm module. A row is one `f32` a feature, in the model's own order, and
//! [`f32::NAN`] says that the feature is missing.
//!
//! ```
//! use forest::{Forest, Node};
//! // One stump: x0 < 0.5 gives -1, otherwise +1, and a missing x0 gives 0.
//! let nodes = [Node::split(0, 0.5, 1, 2, 3), Node::leaf(-1.0), Node::leaf(1.0), Node::leaf(0.0)];
//! let forest = Forest { base_margin: 0.25, features: 1, roots: &[0], nodes: &nodes, covers: &[10, 4, 5, 1] };
//! assert_eq!(forest.margin(&[0.0]), Some(-0.75));
//! assert_eq!(forest.margin(&[f32::NAN]), Some(0.25));
//! assert_eq!(forest.margin(&[]), None);
//! ```

#[cfg(feature = "import")]
pub mod import;
mod layout;
mod shap;
mod walk;

pub use layout::{Forest, Link, Node};
