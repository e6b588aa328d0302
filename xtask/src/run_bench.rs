//! `cargo xtask bench` and `cargo xtask simulate`: a program of its own, so that serving does not compile it.

use crate::step;
use anyhow::{Context, Result, ensure};

/// Builds and runs the package `bench` with a benchmark's name.
pub(crate) fn run(name: &str) -> Result<()> {
    let mut command = step::cargo();
    command.args(["run", "--locked", "--quiet", "--profile", "native", "--package", "bench", "--", name]);
    let status = command.status().context("cannot run cargo")?;
    ensure!(status.success(), "{name} failed ({status})");
    Ok(())
}
