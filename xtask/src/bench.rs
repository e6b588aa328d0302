//! `cargo xtask bench`: what is faster than what, measured in one run on this machine.

use crate::build::{target, wasm};
use crate::load;
use crate::python;
use crate::step::{self, cargo, output};
use crate::toolchain::{Toolchain, check_rust};
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What the libraries' side is made with. llvmlite 0.43 is the last that lleaves 1.3 works with.
const PYTHON_PACKAGES: [&str; 6] =
    ["lightgbm==4.7.0", "xgboost==3.2.0", "numpy==2.4.6", "scipy==1.17.1", "lleaves==1.3.0", "llvmlite==0.43.0"];

pub(crate) fn run(what: &[String]) -> Result<()> {
    match what {
        [what] if what == "forest" => forest(),
        [what] if what == "limit" => limit(),
        _ => bail!("`cargo xtask bench forest` and `cargo xtask bench limit` are what there is; it was given {what:?}"),
    }
}

/// The forest beside LightGBM, XGBoost, `gbdt` and lleaves.
fn forest() -> Result<()> {
    check_rust()?;
    let toolchain = Toolchain::set_up()?;
    let folder = std::path::absolute(target().join("bench"))?;
    std::fs::create_dir_all(&folder)?;
    let python = python::environment("bench/venv", &PYTHON_PACKAGES)?;
    let mut make = Command::new(&python);
    make.arg("models/bench/make.py").arg(&folder).arg("models/relapse_risk/model.json");
    step::run("making the models (the first time takes minutes)", &mut make)?;
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

/// What counting a request costs a cached answer: a host that counts beside one that does not, by turns.
fn limit() -> Result<()> {
    check_rust()?;
    crate::build::module(&Toolchain::set_up()?, &[])?;
    let program = crate::build::host()?;
    println!("==> measuring: leave the machine alone for a minute");
    let path = "/data/predictions/33333333-3333-4333-8333-333333333333";
    println!("{}\n", machine());
    println!("| store | callers | connections | p50 us (not counted) | ratio | requests/s (not counted) | ratio |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let known = (1, "one");
    let new = (1000, "1,000, each new to an instance");
    for (store, (callers, name)) in [("SQLite", known), ("SQLite", new), ("in memory", new)] {
        let config = std::env::temp_dir().join("bipolar-edge-bench.toml");
        std::fs::write(&config, if store == "SQLite" { "" } else { "[key_value_store.default]\ntype = \"memory\"\n" })?;
        for connections in [1, 8, 32] {
            let mut best = [load::Figures::default(); 2];
            // By turns, and the better of several: what else the machine does hits both alike.
            for _ in 0..ROUNDS {
                for (best, limit) in best.iter_mut().zip(["100000000/minute", "off"]) {
                    let limit = format!("rate_limit_predictions={limit}");
                    let server = load::Server::start(&program, &config, &[&limit, "client_ip_header=x-forwarded-for"])?;
                    server.drive(path, callers, 1, Duration::from_millis(300))?;
                    best.keep_better(server.drive(path, callers, connections, Duration::from_secs(2))?);
                }
            }
            let [counted, free] = best;
            println!(
                "| {store} | {name} | {connections} | {:.0} ({:.0}) | {:.2} | {:.0} ({:.0}) | {:.2} |",
                counted.p50.as_secs_f64() * 1e6,
                free.p50.as_secs_f64() * 1e6,
                counted.p50.as_secs_f64() / free.p50.as_secs_f64(),
                counted.per_second,
                free.per_second,
                counted.per_second / free.per_second,
            );
        }
        std::fs::remove_file(&config)?;
    }
    Ok(())
}

/// How often each side is measured.
const ROUNDS: usize = 3;

/// What the figures were measured on.
fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |(_, model)| model);
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let rustc = output("rustc", &["--version"]).unwrap_or_default();
    format!("{count} cores of {model}; {rustc}")
}
