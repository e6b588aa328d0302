//! `cargo xtask bench`: what is faster than what, measured in one run on this machine.

mod forest;
mod inference;
mod limit;
mod log;
mod serve;

use crate::drive::{Figures, Server};
use crate::step::output;
use anyhow::{Result, bail};
use std::time::Duration;

pub(crate) fn run(what: &[String]) -> Result<()> {
    match what.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["forest"] => forest::run(),
        ["inference"] => inference::run(),
        ["limit"] => limit::run(),
        ["log"] => log::run(),
        ["serve"] => serve::run(),
        _ => bail!("`cargo xtask bench` takes forest, inference, limit, log or serve; it was given {what:?}"),
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

/// What the figures were measured on.
fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |(_, model)| model);
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let rustc = output("rustc", &["--version"]).unwrap_or_default();
    format!("{count} cores of {model}; {rustc}")
}
