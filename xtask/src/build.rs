//! `cargo xtask build`: the Wasm module.

use crate::step;
use crate::toolchain::{TARGET, Toolchain, check_rust};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};

/// The size that the module may not exceed. Instances are made from it at the edge, far from us.
const LARGEST_MODULE: u64 = 2 * 1024 * 1024;

pub(crate) fn run(args: &[String]) -> Result<()> {
    check_rust()?;
    let toolchain = Toolchain::set_up()?;
    match args {
        [] => module(&toolchain, &[]),
        [otel] if otel == "--otel" => {
            let file = module_with_otel(&toolchain)?;
            module(&toolchain, &[])?;
            println!("    {}: name it as the source in spin.toml where Spin offers wasi:otel", file.display());
            Ok(())
        }
        _ => bail!("`cargo xtask build` takes --otel, or nothing; it was given {args:?}"),
    }
}

/// Builds the module that hands spans and counts to the host, and puts it aside.
pub(crate) fn module_with_otel(toolchain: &Toolchain) -> Result<PathBuf> {
    let mut build = toolchain.cargo_build()?;
    build.args(["--package", "bipolar-edge-component", "--features", "otel"]);
    step::run("building the Wasm module that exports telemetry", &mut build)?;
    let folder = target().join("otel");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("bipolar_edge.wasm");
    std::fs::copy(wasm("bipolar_edge"), &file)?;
    fits(&file)?;
    Ok(file)
}

/// Builds the module, and with it other Wasm packages, and says how large it is.
pub(crate) fn module(toolchain: &Toolchain, others: &[&str]) -> Result<()> {
    let mut build = toolchain.cargo_build()?;
    let sizes = std::path::absolute(target().join("model-sizes.txt"))?;
    build.args(["--package", "bipolar-edge-component"]).env("BIPOLAR_EDGE_SIZES", &sizes);
    for package in others {
        build.args(["--package", package]);
    }
    step::run("building the Wasm module", &mut build)?;
    // Written when the models are compiled, and still right when they were not.
    for line in std::fs::read_to_string(&sizes).unwrap_or_default().lines() {
        println!("    model {line} bytes");
    }
    fits(&wasm("bipolar_edge"))
}

/// Says how large a module is. Errors if it is too large.
fn fits(file: &Path) -> Result<()> {
    let size = std::fs::metadata(file).with_context(|| format!("{} was not built", file.display()))?.len();
    println!(
        "    {}: {size} bytes, {:.0} % of the 2 MiB that it may have",
        file.display(),
        size as f64 * 100.0 / LARGEST_MODULE as f64
    );
    ensure!(size <= LARGEST_MODULE, "the module has {size} bytes; it may have {LARGEST_MODULE}");
    Ok(())
}

/// The host for machines without Spin.
pub(crate) fn host() -> Result<PathBuf> {
    native("edge-host", "building the host (the first time takes minutes: it contains Wasmtime)")
}

/// A program that runs on this machine. Of the whole workspace, so that its libraries have the features that tests build them with, and
/// are built once for both.
pub(crate) fn native(package: &str, what: &str) -> Result<PathBuf> {
    let one = ["build", "--locked", "--profile", "native", "--workspace", "--bin", package];
    step::run(what, step::cargo().args(one))?;
    Ok(target().join("native").join(package))
}

/// A Wasm file that was built.
pub(crate) fn wasm(name: &str) -> PathBuf {
    target().join(TARGET).join("release").join(name).with_extension("wasm")
}

pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}
