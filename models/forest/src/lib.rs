//! Forests of boosted trees, laid out flat.
//!
//! A [`Forest`] borrows its nodes, so that the same walk serves forests built on the heap by the importers and
//! forests that are static data of a Wasm module. It computes in the precision of the library that trained it: `f32`
//! for XGBoost and `gbdt`, `f64` for LightGBM. A row is one number a feature, in the model's own order, and NaN says
//! that the feature is missing.
//!
//! ```
//! use forest::{Forest, Linear, Node, Parts};
//! // One stump over one feature: x0 < 0.5 gives -1, otherwise, missing too, +1. Thresholds are keys: see `layout`.
//! let nodes = [
//!     Node::new(0.5f32.to_bits() as i32, 2, 1),
//!     Node::new((-1.0f32).to_bits() as i32, 0, 0),
//!     Node::new(1.0f32.to_bits() as i32, 0, 0),
//! ];
//! let parts = Parts { base_margin: 0.25, features: 1, depth: 1, roots: &[0], nodes: &nodes, numbers: &[],
//!     zero_is_missing: &[], covers: &[10.0, 4.0, 6.0], path_features: &[1], set_starts: &[], set_words: &[],
//!     linear: Linear::NONE };
//! let forest = Forest::new(parts)?;
//! assert_eq!(forest.margin(&[0.0]), Some(-0.75));
//! assert_eq!(forest.margin(&[f32::NAN]), Some(1.25));
//! assert_eq!(forest.margin(&[]), None);
//! # Ok::<(), &str>(())
//! ```

#![deny(missing_docs)]

#[cfg(feature = "import")]
pub mod import;
pub mod json;
mod layout;
mod number;
mod shap;
mod transform;
mod walk;

pub use layout::{Forest, Linear, Link, MAX_FEATURES, Node, Parts, Reading};
pub use number::Number;
pub use transform::Transform;

/// The README's sample, which is run with the others.
#[cfg(all(doctest, feature = "import"))]
#[doc = include_str!("../README.md")]
struct Readme;
