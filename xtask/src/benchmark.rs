//! The names of the benchmarks.
//!
//! They stand here and not beside the benchmarks, so that `cargo xtask bench --help` lists them without compiling any.

use clap::{Subcommand, ValueEnum};

/// A benchmark of the package `bench`.
#[derive(Clone, Copy, Debug, Subcommand, ValueEnum)]
pub enum Benchmark {
    /// Times forests beside LightGBM, XGBoost, gbdt and lleaves (needs Python 3).
    Forest,
    /// Times answers beside hello-worlds, a native server and the old stack, on Spin too if it is installed (needs
    /// Python 3 and Redis).
    Serve,
    /// Times first answers of a server and of an instance, and counts answers that stall, beside the same servers.
    Start,
    /// Plots how the time of an answer grows with trees, rows, check-ins, connections and entries, and that the store
    /// does not grow with people (needs Python 3).
    Curves,
    /// Times the Open Inference Protocol beside MLServer (needs Python 3).
    Inference,
    /// Times a cached answer with and without counting its caller.
    Limit,
    /// Times a cached answer with and without its line in the log.
    Log,
}

impl Benchmark {
    /// Returns the name as it is typed.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}
