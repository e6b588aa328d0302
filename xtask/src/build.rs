//! `cargo xtask build`: the Wasm module; and the programs that run on this machine.

use crate::step;
use crate::toolchain::{TARGET, Toolchain, check_rust};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

/// The package that becomes the Wasm module.
pub const COMPONENT_PACKAGE: &str = "bipolar-edge-component";
/// The file of the Wasm module, named by that package's library.
pub const MODULE: &str = "bipolar_edge.wasm";
/// The maximum size of the module. Every edge location fetches it before it can serve.
const MAX_MODULE_BYTES: u64 = 2 * 1024 * 1024;

/// Builds the module, and also the one that exports telemetry if asked to.
pub fn run(otel: bool) -> Result<()> {
    check_rust()?;
    let toolchain = Toolchain::set_up()?;
    let exporting = otel.then(|| module_with_otel(&toolchain)).transpose()?;
    module(&toolchain, &[])?;
    if let Some(file) = exporting {
        println!("    {}: name it as the source in spin.toml where Spin offers wasi:otel", file.display());
    }
    Ok(())
}

/// Builds the module that hands spans and counts to the host; returns the file, which later builds leave alone.
pub fn module_with_otel(toolchain: &Toolchain) -> Result<PathBuf> {
    let mut build = toolchain.cargo_build()?;
    build.args(["--package", COMPONENT_PACKAGE, "--features", "otel"]);
    step::run("building the Wasm module that exports telemetry", &mut build)?;
    let folder = target().join("otel");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join(MODULE);
    std::fs::copy(wasm_folder(&target()).join(MODULE), &file)?;
    check_size(&file)?;
    Ok(file)
}

/// Builds the module together with other Wasm packages, and prints its size and its models' sizes.
pub fn module(toolchain: &Toolchain, others: &[&str]) -> Result<()> {
    let mut build = toolchain.cargo_build()?;
    let sizes = std::path::absolute(target().join("model-sizes.txt"))?;
    build.args(["--package", COMPONENT_PACKAGE]).env("BIPOLAR_EDGE_SIZES", &sizes);
    for package in others {
        build.args(["--package", package]);
    }
    step::run("building the Wasm module", &mut build)?;
    // Written when the models are compiled, and still right when they were not.
    for line in std::fs::read_to_string(&sizes).unwrap_or_default().lines() {
        println!("    model {line} bytes");
    }
    check_size(&wasm_folder(&target()).join(MODULE))
}

/// Prints the size of a module. Errors if it is too large.
fn check_size(file: &Path) -> Result<()> {
    let size = std::fs::metadata(file).with_context(|| format!("{} was not built", file.display()))?.len();
    println!(
        "    {}: {size} bytes, {:.0} % of the 2 MiB that it may have",
        file.display(),
        size as f64 * 100.0 / MAX_MODULE_BYTES as f64
    );
    ensure!(size <= MAX_MODULE_BYTES, "the module has {size} bytes; it may have {MAX_MODULE_BYTES}");
    Ok(())
}

/// Builds the project's own host; returns its path.
pub fn host() -> Result<PathBuf> {
    native("edge-host", "building the host (the first time takes minutes: it contains Wasmtime)")
}

/// Builds a program that runs on this machine; returns its path. The whole workspace takes part, so that libraries have
/// the features that tests build them with and are built once for both.
pub fn native(package: &str, what: &str) -> Result<PathBuf> {
    let one = ["build", "--locked", "--profile", "native", "--workspace", "--bin", package];
    step::run(what, step::cargo().args(one))?;
    Ok(target().join("native").join(package))
}

/// Returns the path of a Wasm program that was built.
pub fn wasm(name: &str) -> PathBuf {
    wasm_folder(&target()).join(name).with_extension("wasm")
}

/// Returns the folder under a target folder that optimised Wasm files are built into.
pub fn wasm_folder(target: &Path) -> PathBuf {
    target.join(TARGET).join("release")
}

/// Returns cargo's target folder.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}
