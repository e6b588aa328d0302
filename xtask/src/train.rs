//! `cargo xtask train`: the shipped models, anew.

use crate::step;
use anyhow::Result;

pub(crate) fn run() -> Result<()> {
    step::run(
        "training",
        step::cargo().args(["run", "--locked", "--quiet", "--profile", "native", "--package", "train", "--", "."]),
    )
}
