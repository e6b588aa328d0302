//! The synthetic cohort and the models trained on it.
//!
//! `cargo xtask train` runs this. Nothing here is in the service: what it serves is the model files.
//!
//! ```
//! use train::task::{Task, examples};
//!
//! // People are the same ones however many others are made.
//! let (both, second) = (examples(0..2), examples(1..2));
//! let labels = |of: &[train::task::Example]| of.last().map(|example| example.labels);
//! assert_eq!(labels(&both), labels(&second));
//! println!("{}: {:?}", Task::RelapseRisk.name(), labels(&both).map(|labels| labels[Task::RelapseRisk.index()]));
//! ```

pub mod attributes;
pub mod cohort;
pub mod demo;
pub mod evaluate;
pub mod fit;
pub mod groups;
pub mod heuristics;
pub mod task;
