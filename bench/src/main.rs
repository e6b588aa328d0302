//! `cargo xtask bench` and `cargo xtask simulate`: servers and libraries compared in one run on one machine, and a
//! model of the cache.

mod client;
mod competitors;
mod component;
mod curves;
mod forest;
mod inference;
mod limit;
mod log;
mod plot;
mod project;
mod serve;
mod server;
mod simulate;
mod simulate_limits;
mod simulate_slots;
mod start;
mod turns;

use anyhow::Result;
use clap::Parser;
use std::process::ExitCode;
use xtask::benchmark::Benchmark;
use xtask::step::output;

/// Compares servers and libraries in one run on this machine.
#[derive(Parser)]
#[command(bin_name = "cargo run --profile native -p bench --")]
enum Command {
    #[command(flatten)]
    Benchmark(Benchmark),
    /// Simulates how often the cache answers, with so many slots, and the database is queried, and how near sampled
    /// rate limits come.
    Simulate,
}

/// The folder of the plots that the documentation shows.
const PLOTS: &str = "docs/plots";

/// The path of predictions about a demo person. The cache answers it from the second time on.
const PREDICTIONS: &str = "/data/predictions/33333333-3333-4333-8333-333333333333";

/// Variables that switch the rate limits off.
const NO_RATE_LIMITS: [&str; 2] = ["rate_limit_predictions=off", "rate_limit_default=off"];

fn main() -> ExitCode {
    xtask::exit_code(run())
}

fn run() -> Result<ExitCode> {
    let command = Command::parse();
    xtask::enter_repository()?;
    match command {
        Command::Benchmark(Benchmark::Curves) => curves::run()?,
        Command::Benchmark(Benchmark::Forest) => forest::run()?,
        Command::Benchmark(Benchmark::Inference) => inference::run()?,
        Command::Benchmark(Benchmark::Limit(options)) => limit::run(options)?,
        Command::Benchmark(Benchmark::Log(options)) => log::run(options)?,
        Command::Benchmark(Benchmark::Serve(options)) => serve::run(options)?,
        Command::Benchmark(Benchmark::Start(options)) => start::run(options)?,
        Command::Simulate => {
            simulate::run()?;
            simulate_slots::run()?;
            simulate_limits::run()?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns a GET request for a path.
fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
}

/// Describes the machine that the figures are measured on.
fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |(_, model)| model);
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let rustc = output("rustc", &["--version"]).unwrap_or_default();
    format!("{count} cores of {model}; {rustc}")
}
