//! The synthetic cohort and the models trained on it.
//!
//! `cargo xtask train` runs this. Nothing here is in the service: what it serves is the model files.

pub mod attributes;
pub mod cohort;
pub mod demo;
pub mod evaluate;
pub mod fit;
pub mod groups;
pub mod heuristics;
pub mod task;
