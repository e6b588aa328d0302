//! `cargo xtask bench` and `cargo xtask simulate`: a program of its own, so that serving does not compile it.

use crate::{build, step};
use anyhow::{Context, Result, ensure};
use std::ffi::OsString;
use std::process::Command;

/// Builds and runs the package `bench` with a benchmark's name and options.
pub(crate) fn run(args: &[OsString]) -> Result<()> {
    let mut command = Command::new(build::native("bench")?);
    let status = command.args(args).status().context("cannot run the benchmarks")?;
    ensure!(status.success(), "{} failed ({status})", step::command_line(&command));
    Ok(())
}
