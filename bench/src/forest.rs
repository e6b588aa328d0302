//! `cargo xtask bench forest`: the forest beside LightGBM, XGBoost, CatBoost, ONNX Runtime, `gbdt` and lleaves.

use crate::machine;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use xtask::build::{self, target, wasm};
use xtask::python;
use xtask::step::{self, cargo, output};
use xtask::toolchain::{Toolchain, check_rust};

/// The Python libraries that it is compared with. llvmlite 0.43 is the last that lleaves 1.3 works with.
const PYTHON_PACKAGES: [&str; 11] = [
    "lightgbm==4.7.0",
    "xgboost==3.2.0",
    "catboost==1.2.10",
    "scikit-learn==1.9.1",
    "skl2onnx==1.20.0",
    "onnxruntime==1.32.0",
    "protobuf==6.33.0",
    "numpy==2.4.6",
    "scipy==1.17.1",
    "lleaves==1.3.0",
    "llvmlite==0.43.0",
];

/// Makes the folder of models that the benchmarks use; returns it, and the Python that has the libraries.
pub(crate) fn models() -> Result<(PathBuf, PathBuf)> {
    let folder = std::path::absolute(target().join("bench"))?;
    std::fs::create_dir_all(&folder)?;
    let python = python::environment("bench/venv", &PYTHON_PACKAGES)?;
    let mut make = Command::new(&python);
    make.arg("models/bench/make.py").arg(&folder).arg("models/relapse_risk/model.json");
    step::run("making the models (the first time takes minutes)", &mut make)?;
    Ok((folder, python))
}

pub(crate) fn run() -> Result<()> {
    check_rust()?;
    let toolchain = Toolchain::set_up()?;
    let (folder, python) = models()?;
    step::run("building the benchmark for Wasm", toolchain.cargo_build()?.args(["--package", "forest-bench"]))?;
    let release = ["build", "--locked", "--release", "--package", "forest-bench"];
    step::run("building the benchmark natively", cargo().args(release))?;
    let mut runner = cargo();
    runner.args(["build", "--locked", "--profile", "native", "--bin", "run-in-wasm"]);
    runner.args(["--features", "forest-bench/runner"]).args(build::native_packages());
    step::run("building the program that runs it in Wasm", &mut runner)?;

    println!("==> measuring: leave the machine alone for two minutes");
    let native = Command::new(target().join("release/forest-bench"))
        .arg(&folder)
        .args([library(&python, "lightgbm", "lib_lightgbm.so")?, library(&python, "xgboost", "libxgboost.so")?])
        .env("OMP_NUM_THREADS", "1")
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(native.status.success(), "the native half failed ({})", native.status);
    let in_python =
        Command::new(&python).arg("models/bench/libraries.py").arg(&folder).stderr(Stdio::inherit()).output()?;
    ensure!(in_python.status.success(), "the libraries called from Python failed ({})", in_python.status);
    let in_wasm = Command::new(target().join("native/run-in-wasm"))
        .arg(wasm("forest-bench"))
        .arg(&folder)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(in_wasm.status.success(), "the Wasm half failed ({})", in_wasm.status);
    let figures = folder.join("figures.tsv");
    std::fs::write(&figures, [native.stdout, in_python.stdout, in_wasm.stdout].concat())?;
    println!("{}; {}\n", machine(), PYTHON_PACKAGES.join(", "));
    step::run("table", Command::new(target().join("release/forest-bench")).arg("--table").arg(&figures))
}

/// Returns the path of a Python module's shared library.
fn library(python: &Path, module: &str, file: &str) -> Result<String> {
    let code = format!("import {module}, os; print(os.path.join(os.path.dirname({module}.__file__), 'lib', '{file}'))");
    output(python, &["-c", &code]).with_context(|| format!("{module} is not in {}", python.display()))
}
