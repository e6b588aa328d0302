//! Forests of boosted trees, laid out flat.
//!
//! A [`Forest`] borrows its nodes, so that the same walk serves forests built on the heap by the importers and
//! forests that are static data of a Wasm module. It computes in the precision of the library that trained it: `f32`
//! for XGBoost and `gbdt`, `f64` for LightGBM. A row is one number a feature, in the model's own order, and NaN says
//! that the feature is missing.
//!
//! ```
//! use forest::{Forest, Node};
//! // One stump: x0 < 0.5 gives -1, otherwise +1, and a missing x0 gives 0.
//! let nodes = [Node::split(0, 0.5f32, 1, 2, 3), Node::leaf(-1.0, 1), Node::leaf(1.0, 2), Node::leaf(0.0, 3)];
//! let forest = Forest { base_margin: 0.25, roots: &[0], nodes: &nodes, covers: &[10.0, 4.0, 5.0, 1.0], ..Forest::empty(1) };
//! assert_eq!(forest.margin(&[0.0]), Some(-0.75));
//! assert_eq!(forest.margin(&[f32::NAN]), Some(0.25));
//! assert_eq!(forest.margin(&[]), None);
//! ```

#[cfg(feature = "import")]
pub mod import;
mod layout;
mod number;
mod shap;
mod transform;
mod walk;

pub use layout::{Forest, Link, Node};
pub use number::Number;
pub use transform::Transform;
