//! Building, installing and running: the parts of `cargo xtask` that the benchmarks use too.

pub mod benchmark;
pub mod build;
pub mod model_tools;
pub mod platforms;
pub mod programs;
pub mod progress;
pub mod python;
pub mod spin;
pub mod step;
pub mod toolchain;

use anyhow::{Context, Result};
use std::process::ExitCode;

/// Changes to the root of the repository: cargo runs a program wherever the developer stands.
pub fn enter_repository() -> Result<()> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    std::env::set_current_dir(root).with_context(|| format!("cannot change to {root}"))
}

/// Returns a command's exit code, and prints its error if it has one.
pub fn exit_code(result: Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
