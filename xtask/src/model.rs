//! `cargo xtask model`: the model tools, which are a program of their own so that this one stays small.

use crate::build;
use crate::step;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::ExitCode;

/// Passes everything on, and the exit code back. Files are named from where the developer stands.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let root = std::env::current_dir()?;
    let from = std::env::var_os("PWD").map_or_else(|| root.clone(), Into::into);
    let mut command = step::cargo();
    let registry = std::env::var_os("BIPOLAR_EDGE_REGISTRY").unwrap_or_else(|| root.join("models").into());
    command
        .args(["run", "--locked", "--quiet", "--profile", "native", "--package", "model-tools", "--manifest-path"])
        .arg(root.join("Cargo.toml"))
        .arg("--")
        .args(args)
        .env("BIPOLAR_EDGE_REGISTRY", registry)
        .current_dir(Path::new(&from));
    let status = command.status().context("cannot run cargo")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// `cargo xtask new-model`: adds a model as `model add` does, and builds the module with it.
pub(crate) fn add_and_build(args: &[String]) -> Result<ExitCode> {
    ensure!(!args.is_empty(), "`cargo xtask new-model` takes a model's file, and what `cargo xtask model add` takes");
    let added = run(&[&["add".to_owned()], args].concat())?;
    if added != ExitCode::SUCCESS {
        return Ok(added);
    }
    build::run(&[])?;
    println!(
        "    `cargo xtask up` serves it; its card in models/ says what it means and how well it does: fill that in"
    );
    Ok(ExitCode::SUCCESS)
}
