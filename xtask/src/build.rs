//! `cargo xtask build`: the Wasm modules; and the programs that run on this machine.

use crate::platforms::{module_interfaces, table};
use crate::progress::{self, Build};
use crate::step::cargo;
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
pub(crate) const GUESTS: [&str; 5] = ["guest", "guest02", "hello", "hello-fast", "predictor-guest"];

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
    module(&Toolchain::set_up()?, named)?;
    let built = module_interfaces(&wasm_folder(&target()).join(named.1))?;
    println!("\n{}", table(&[(named.1, built)], &platforms::all()?));
    Ok(())
}

/// Builds the module that hands spans and counts to the host; returns the file, which later builds leave alone. It is
/// for a Spin of one's own, and may be larger than the others.
pub fn module_with_otel(toolchain: &Toolchain) -> Result<PathBuf> {
    let mut command = toolchain.cargo_build()?;
    command.args(["--package", FAST.0, "--features", "otel"]);
    let tree = vec!["--edges", "normal,build", "--target", TARGET, "--package", FAST.0, "--features", "otel"];
    progress::run(vec![Build { what: "building the Wasm module that exports telemetry", command, tree }])?;
    let folder = target().join("otel");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join(FAST.1);
    std::fs::copy(wasm_folder(&target()).join(FAST.1), &file)?;
    // No cloud has the interface, so no edge location fetches it.
    println!("    {}: {} bytes", file.display(), size(&file)?);
    Ok(file)
}

/// Builds a module, and prints its size and its models' sizes.
pub fn module(toolchain: &Toolchain, module: (&str, &str)) -> Result<()> {
    progress::run(vec![packages(toolchain, &[module.0])?])?;
    print_module(module)
}

/// Builds a module and the project's own host, at the same time; returns the host's path.
pub fn module_and_host(toolchain: &Toolchain, module: (&str, &str)) -> Result<PathBuf> {
    progress::run(vec![packages(toolchain, &[module.0])?, program(HOST, NATIVE)])?;
    print_module(module)?;
    Ok(program_path(HOST, NATIVE))
}

fn print_module(module: (&str, &str)) -> Result<()> {
    print_models();
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
    let all = [&MODULES.map(|(package, _)| package)[..], &[PREDICTOR.0], others].concat();
    progress::run(vec![packages(toolchain, &all)?])?;
    print_models();
    for (_, file) in MODULES {
        print_size(&wasm_folder(&target()).join(file))?;
    }
    let predictor = wasm_folder(&target()).join(PREDICTOR.1);
    println!("    {}: {} bytes", predictor.display(), size(&predictor)?);
    Ok(())
}

/// The sizes of the models in the modules: written when they are compiled, and still right when they were not.
fn model_sizes() -> PathBuf {
    target().join("model-sizes.txt")
}

/// Returns the build of Wasm packages, all at once.
fn packages<'a>(toolchain: &Toolchain, packages: &[&'a str]) -> Result<Build<'a>> {
    let packages: Vec<&str> = packages.iter().flat_map(|package| ["--package", package]).collect();
    let mut command = toolchain.cargo_build()?;
    command.env("BIPOLAR_EDGE_SIZES", std::path::absolute(model_sizes())?).args(&packages);
    let tree = [&["--edges", "normal,build", "--target", TARGET], &packages[..]].concat();
    Ok(Build { what: "building Wasm modules", command, tree })
}

fn print_models() {
    for line in std::fs::read_to_string(model_sizes()).unwrap_or_default().lines() {
        println!("    model {line} bytes");
    }
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

/// The project's own host.
pub const HOST: &str = "edge-host";

/// The profile of programs that run on this machine: quickly built.
const NATIVE: &str = "native";
/// The profile of the host where it is measured: well optimised.
const MEASURED: &str = "measured";

/// Builds a program that runs on this machine; returns its path.
pub fn native(package: &str) -> Result<PathBuf> {
    progress::run(vec![program(package, NATIVE)])?;
    Ok(program_path(package, NATIVE))
}

/// Builds a program that runs on this machine, as one that prints what its caller reads; returns its path.
pub fn native_quietly(package: &str) -> Result<PathBuf> {
    progress::run_quietly(program(package, NATIVE))?;
    Ok(program_path(package, NATIVE))
}

/// Builds the project's own host as it is measured; returns its path.
pub fn measured_host() -> Result<PathBuf> {
    progress::run(vec![program(HOST, MEASURED)])?;
    Ok(program_path(HOST, MEASURED))
}

fn program_path(package: &str, profile: &str) -> PathBuf {
    target().join(profile).join(package).with_extension(std::env::consts::EXE_EXTENSION)
}

/// Returns the build of a program that runs on this machine, with a profile. The whole workspace takes part, so that
/// libraries have the features that tests build them with and are built once for both.
fn program<'a>(package: &'a str, profile: &str) -> Build<'a> {
    let mut command = cargo();
    command.args(["build", "--locked", "--profile", profile, "--bin", package]).args(native_packages());
    Build { what: package, command, tree: vec!["--edges", "normal,build", "--package", package] }
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
