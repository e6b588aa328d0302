//! `cargo xtask bench`: what is faster than what, measured in one run on this machine.

mod curves;
mod forest;
mod inference;
mod limit;
mod log;
mod serve;

use crate::drive::{Figures, Server};
use crate::step::{self, output};
use crate::toolchain::Toolchain;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

pub(crate) fn run(what: &[String]) -> Result<()> {
    match what.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["curves"] => curves::run(),
        ["forest"] => forest::run(),
        ["inference"] => inference::run(),
        ["limit"] => limit::run(),
        ["log"] => log::run(),
        ["serve"] => serve::run(),
        ["start"] => serve::start(),
        _ => bail!(
            "`cargo xtask bench` takes curves, forest, inference, limit, log, serve or start; it was given {what:?}"
        ),
    }
}

/// A path that is answered from the cache from the second time on.
const CACHED: &str = "/data/predictions/33333333-3333-4333-8333-333333333333";

/// How often each side is measured, and for how long.
const ROUNDS: usize = 4;
const TIME: Duration = Duration::from_secs(2);

/// Drives two servers by turns, and gives the cells of a table: p50 and requests a second of one, the other's, and the ratio. The
/// better of several rounds counts: what else the machine does hits both alike.
fn by_turns(sides: [&dyn Fn() -> Result<Server>; 2], path: &str, callers: usize, connections: usize) -> Result<String> {
    let mut best = [Figures::default(); 2];
    for _ in 0..ROUNDS {
        for (best, start) in best.iter_mut().zip(sides) {
            let server = start()?;
            server.drive(path, callers, 1, Duration::from_millis(300))?;
            best.keep_better(server.drive(path, callers, connections, TIME)?);
        }
    }
    let [one, other] = best;
    Ok(format!(
        "{:.0} ({:.0}) | {:.2} | {:.0} ({:.0}) | {:.2}",
        one.p50.as_secs_f64() * 1e6,
        other.p50.as_secs_f64() * 1e6,
        one.p50.as_secs_f64() / other.p50.as_secs_f64(),
        one.per_second,
        other.per_second,
        one.per_second / other.per_second,
    ))
}

/// Builds a component with other models than the shipped ones: each with its name, its file, and how many rounds of it are used. Gives
/// its manifest.
fn component_with(toolchain: &Toolchain, folder: &Path, models: &[(&str, PathBuf, Option<usize>)]) -> Result<PathBuf> {
    let (registry, own_target) = (folder.join("registry"), folder.join("inference"));
    let _ = std::fs::remove_dir_all(&registry);
    std::fs::create_dir_all(&registry)?;
    let xtask = std::env::current_exe()?;
    let checkins = ["model", "features", "--checkins", "src/checkins/demo.csv"];
    let features = output(&xtask, &checkins).context("`cargo xtask model features` failed")?;
    let features: Vec<&str> = features.lines().next().unwrap_or("").split(',').skip(2).collect();
    for (name, file, rounds) in models {
        let mut add = Command::new(&xtask);
        add.args(["model", "add"]).arg(file).args(["--name", name, "--features", &features.join(",")]);
        if let Some(rounds) = rounds {
            add.args(["--rounds", &rounds.to_string()]);
        }
        step::run("adding a model", add.env("BIPOLAR_EDGE_REGISTRY", &registry).stdout(Stdio::null()))?;
    }
    let mut build = toolchain.cargo_build()?;
    build.args(["--package", "bipolar-edge-component"]).env("BIPOLAR_EDGE_REGISTRY", &registry);
    step::run("building the Wasm module with them", build.env("CARGO_TARGET_DIR", &own_target))?;
    let module = own_target.join("wasm32-wasip2/release/bipolar_edge.wasm");
    let manifest = std::fs::read_to_string("spin.toml")?;
    let manifest = manifest.replace("target/wasm32-wasip2/release/bipolar_edge.wasm", &module.display().to_string());
    let file = folder.join("inference.toml");
    std::fs::write(&file, manifest)?;
    Ok(file)
}

/// What the figures were measured on.
fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |(_, model)| model);
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let rustc = output("rustc", &["--version"]).unwrap_or_default();
    format!("{count} cores of {model}; {rustc}")
}
