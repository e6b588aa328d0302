//! `cargo xtask model` and `cargo xtask new-model`.

use crate::build;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use xtask::model_tools;

/// Runs the model tools with these arguments; returns their exit code. Relative paths are those of the developer's own
/// folder.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    let root = std::env::current_dir()?;
    let from = std::env::var_os("PWD").map_or_else(|| root.clone(), PathBuf::from);
    let registry = std::env::var_os("BIPOLAR_EDGE_REGISTRY").unwrap_or_else(|| root.join("models").into());
    let mut command = model_tools::command()?;
    command.args(args).env("BIPOLAR_EDGE_REGISTRY", registry).current_dir(from);
    let status = command.status().context("cannot run cargo")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Adds a model as `model add --draft` does, and builds the module with it.
pub(crate) fn add_and_build(args: &[OsString]) -> Result<ExitCode> {
    let added = run(&[&["add".into(), "--draft".into()], args].concat())?;
    if added != ExitCode::SUCCESS {
        return Ok(added);
    }
    build::run(false)?;
    println!(
        "    `cargo xtask up` serves it; its card in models/ says what it means, for whom and how well it does: fill that \
         in"
    );
    Ok(ExitCode::SUCCESS)
}
