//! `cargo xtask train`: the shipped models, anew.

use crate::step;
use anyhow::Result;

/// Trains the shipped models and writes them, their cards and the demo cohort.
pub(crate) fn run() -> Result<()> {
    step::run(
        "training",
        step::cargo().args(["run", "--locked", "--quiet", "--profile", "native", "--package", "train", "--", "."]),
    )
}
