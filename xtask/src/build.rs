//! `cargo xtask build`: the Wasm modules; and the programs that run on this machine.

use crate::platforms::{module_interfaces, table};
use crate::step;
use crate::toolchain::{TARGET, Toolchain, check_rust};
use anyhow::{Context, Result};
use platforms::Platform;
use std::path::{Path, PathBuf};

/// The module that runs everywhere, by package and file, which its library names.
pub const PORTABLE: (&str, &str) = ("bipolar-edge-portable", "bipolar_edge.wasm");
/// The module for Spin 4.1 and later, by package and file.
pub const FAST: (&str, &str) = ("bipolar-edge-spin-4-1", "bipolar_edge_spin_4_1.wasm");
/// The Wasm modules that serve, by package and file; the first is the one which `spin.toml` names.
pub const MODULES: [(&str, &str); 2] = [PORTABLE, FAST];
/// The component that has the models alone, by package and file.
pub const PREDICTOR: (&str, &str) = ("bipolar-edge-predictor", "bipolar_edge_predictor.wasm");
/// The other packages that are for Wasm alone: what tests and benchmarks run beside the modules.
pub const GUESTS: [&str; 5] = ["guest", "guest02", "hello", "hello-fast", "predictor-guest"];

/// Builds all modules, and also the one that exports telemetry if asked to; prints on which platforms each runs.
pub fn run(otel: bool) -> Result<()> {
    check_rust()?;
    let toolchain = Toolchain::set_up()?;
    let exporting = otel.then(|| module_with_otel(&toolchain)).transpose()?;
    all(&toolchain, &[])?;
    let mut built = Vec::new();
    for (_, file) in MODULES.into_iter().chain([PREDICTOR]) {
        built.push((file, module_interfaces(&wasm_folder(&target()).join(file))?));
    }
    if let Some(file) = &exporting {
        println!("    {}: name it as the source in spin-4.1.toml", file.display());
        built.push(("with --otel", module_interfaces(file)?));
    }
    println!("\n{}", table(&built, &platforms::all()?));
    Ok(())
}

/// Builds the module that a manifest names; prints on which platforms it runs.
pub fn module_from(manifest: &Path) -> Result<()> {
    check_rust()?;
    let named = module_of(manifest)?;
    module(&Toolchain::set_up()?, named, &[])?;
    let built = module_interfaces(&wasm_folder(&target()).join(named.1))?;
    println!("\n{}", table(&[(named.1, built)], &platforms::all()?));
    Ok(())
}

/// Builds the module that hands spans and counts to the host; returns the file, which later builds leave alone. It is
/// for a Spin of one's own, and may be larger than the others.
pub fn module_with_otel(toolchain: &Toolchain) -> Result<PathBuf> {
    let mut build = toolchain.cargo_build()?;
    build.args(["--package", FAST.0, "--features", "otel"]);
    step::run("building the Wasm module that exports telemetry", &mut build)?;
    let folder = target().join("otel");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join(FAST.1);
    std::fs::copy(wasm_folder(&target()).join(FAST.1), &file)?;
    // No cloud has the interface, so no edge location fetches it.
    println!("    {}: {} bytes", file.display(), size(&file)?);
    Ok(file)
}

/// Builds a module together with other Wasm packages, and prints its size and its models' sizes.
pub fn module(toolchain: &Toolchain, module: (&str, &str), others: &[&str]) -> Result<()> {
    packages(toolchain, &[&[module.0], others].concat())?;
    print_size(&wasm_folder(&target()).join(module.1))
}

/// Returns the module that a manifest names.
pub fn module_of(manifest: &Path) -> Result<(&'static str, &'static str)> {
    let text = std::fs::read_to_string(manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let named = MODULES.into_iter().find(|(_, file)| text.contains(&format!("/{file}\"")));
    named.with_context(|| format!("{} names no module of this project", manifest.display()))
}

/// Builds every module that serves and the predictor, together with other Wasm packages, and prints their sizes.
pub fn all(toolchain: &Toolchain, others: &[&str]) -> Result<()> {
    packages(toolchain, &[&MODULES.map(|(package, _)| package)[..], &[PREDICTOR.0], others].concat())?;
    for (_, file) in MODULES {
        print_size(&wasm_folder(&target()).join(file))?;
    }
    let predictor = wasm_folder(&target()).join(PREDICTOR.1);
    println!("    {}: {} bytes", predictor.display(), size(&predictor)?);
    Ok(())
}

/// Builds Wasm packages, all at once, and prints the sizes of the models in them.
fn packages(toolchain: &Toolchain, packages: &[&str]) -> Result<()> {
    let mut build = toolchain.cargo_build()?;
    let sizes = std::path::absolute(target().join("model-sizes.txt"))?;
    build.env("BIPOLAR_EDGE_SIZES", &sizes).args(packages.iter().flat_map(|package| ["--package", package]));
    step::run("building Wasm modules", &mut build)?;
    // Written when the models are compiled, and still right when they were not.
    for line in std::fs::read_to_string(&sizes).unwrap_or_default().lines() {
        println!("    model {line} bytes");
    }
    Ok(())
}

/// Prints the size of a module that serves, and the platforms that do not take one so large. It has the models that are
/// in the registry, however many: a Spin of one's own takes any.
fn print_size(file: &Path) -> Result<()> {
    let size = size(file)?;
    let too_large = |platform: &Platform| platform.limits.package_bytes.filter(|limit| size > *limit);
    let refused: Vec<String> = platforms::all()?
        .iter()
        .filter_map(|platform| Some(format!("{} ({} bytes at most)", platform.title, too_large(platform)?)))
        .collect();
    let fits = if refused.is_empty() {
        "fits every platform".to_owned()
    } else {
        format!("too large for {}", refused.join(", "))
    };
    println!("    {}: {size} bytes, {fits}", file.display());
    Ok(())
}

/// Returns the size of a file that was built.
fn size(file: &Path) -> Result<u64> {
    Ok(std::fs::metadata(file).with_context(|| format!("{} was not built", file.display()))?.len())
}

/// Builds the project's own host; returns its path.
pub fn host() -> Result<PathBuf> {
    native("edge-host", "building the host (the first time takes minutes: it contains Wasmtime)")
}

/// Builds a program that runs on this machine; returns its path. The whole workspace takes part, so that libraries have
/// the features that tests build them with and are built once for both.
pub fn native(package: &str, what: &str) -> Result<PathBuf> {
    let mut build = step::native_cargo();
    build.args(["build", "--locked", "--profile", "native", "--bin", package]).args(native_packages());
    step::run(what, &mut build)?;
    Ok(target().join("native").join(package))
}

/// Returns arguments that select every package which is not for Wasm alone. All of them, also where one is asked for:
/// the features of libraries depend on it, and with others they are built again.
pub fn native_packages() -> Vec<&'static str> {
    let for_wasm = MODULES.into_iter().chain([PREDICTOR]).map(|(package, _)| package).chain(GUESTS);
    ["--workspace"].into_iter().chain(for_wasm.flat_map(|package| ["--exclude", package])).collect()
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
