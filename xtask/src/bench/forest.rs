//! `cargo xtask bench forest`: the forest beside LightGBM, XGBoost, `gbdt` and lleaves.

use super::machine;
use crate::build::{target, wasm};
use crate::python;
use crate::step::{self, cargo, output};
use crate::toolchain::{Toolchain, check_rust};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the libraries' side is made with. llvmlite 0.43 is the last that lleaves 1.3 works with.
const PYTHON_PACKAGES: [&str; 6] =
    ["lightgbm==4.7.0", "xgboost==3.2.0", "numpy==2.4.6", "scipy==1.17.1", "lleaves==1.3.0", "llvmlite==0.43.0"];

/// Makes the models that are compared, in a folder; gives the Python that has the libraries.
pub(super) fn models(folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let python = python::environment("bench/venv", &PYTHON_PACKAGES)?;
    let mut make = Command::new(&python);
    make.arg("models/bench/make.py").arg(folder).arg("models/relapse_risk/model.json");
    step::run("making the models (the first time takes minutes)", &mut make)?;
    Ok(python)
}

pub(super) fn run() -> Result<()> {
    check_rust()?;
    let toolchain = Toolchain::set_up()?;
    let folder = std::path::absolute(target().join("bench"))?;
    let python = models(&folder)?;
    step::run("building the benchmark for Wasm", toolchain.cargo_build()?.args(["--package", "forest-bench"]))?;
    let release = ["build", "--locked", "--release", "--package", "forest-bench"];
    step::run("building the benchmark natively", cargo().args(release))?;
    let runner = ["build", "--locked", "--profile", "native", "--package", "forest-bench", "--features", "runner"];
    step::run("building what runs it in Wasm", cargo().args(runner).args(["--bin", "run-in-wasm"]))?;

    println!("==> measuring: leave the machine alone for two minutes");
    let library = |module: &str, file: &str| {
        let code =
            format!("import {module}, os; print(os.path.join(os.path.dirname({module}.__file__), 'lib', '{file}'))");
        output(&python, &["-c", &code]).with_context(|| format!("{module} is not in {}", python.display()))
    };
    let native = Command::new(target().join("release/forest-bench"))
        .arg(&folder)
        .args([library("lightgbm", "lib_lightgbm.so")?, library("xgboost", "libxgboost.so")?])
        .env("OMP_NUM_THREADS", "1")
        .stderr(Stdio::inherit())
        .output()?;
    anyhow::ensure!(native.status.success(), "the native half failed ({})", native.status);
    let in_wasm = Command::new(target().join("native/run-in-wasm"))
        .arg(wasm("forest-bench"))
        .arg(&folder)
        .stderr(Stdio::inherit())
        .output()?;
    anyhow::ensure!(in_wasm.status.success(), "the Wasm half failed ({})", in_wasm.status);
    let figures = folder.join("figures.tsv");
    std::fs::write(&figures, [native.stdout, in_wasm.stdout].concat())?;
    println!("{}; {}\n", machine(), PYTHON_PACKAGES.join(", "));
    step::run("table", Command::new(target().join("release/forest-bench")).arg("--table").arg(&figures))
}
