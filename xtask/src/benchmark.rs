//! The names of the benchmarks, and their options.
//!
//! They stand here and not beside the benchmarks, so that `cargo xtask bench --help` lists them without compiling any.

use clap::{Args, Subcommand, ValueEnum};
use std::time::Duration;

/// A benchmark of the package `bench`.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Benchmark {
    /// Times forests beside LightGBM, XGBoost, gbdt and lleaves (needs Python 3).
    Forest,
    /// Times answers beside hello-worlds, a native server and the old stack (needs Python 3 and Redis).
    Serve(Options),
    /// Times first answers of a server and of an instance, and counts answers that stall, beside the same servers.
    Start(Options),
    /// Plots how the time of an answer grows with trees, rows, check-ins, connections and entries, and that the store
    /// does not grow with people (needs Python 3).
    Curves,
    /// Times the Open Inference Protocol beside MLServer (needs Python 3).
    Inference,
    /// Times a cached answer with and without counting its caller.
    Limit(Options),
    /// Times a cached answer with and without its line in the log.
    Log(Options),
}

/// A host that components are measured on.
#[derive(Clone, Copy, Debug, Default, PartialEq, ValueEnum)]
pub enum On {
    /// The project's own, no faster than Spin.
    #[default]
    Own,
    /// Spin, from the path.
    Spin,
}

/// Options of benchmarks that serve components.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Options {
    /// The host that components are measured on.
    #[arg(long, value_enum, default_value_t)]
    pub on: On,
    /// Asks for a moment only, and leaves the old stack out: shows that the benchmark works, and measures nothing.
    #[arg(long)]
    pub short: bool,
}

impl Options {
    /// Returns the time of a measurement that otherwise takes so long.
    pub fn time(self, full: Duration) -> Duration {
        if self.short { Duration::from_millis(20) } else { full }
    }

    /// Returns the number of rounds, of so many.
    pub fn rounds(self, full: usize) -> usize {
        if self.short { 1 } else { full }
    }

    /// Returns the numbers of connections, of these.
    pub fn connections(self, full: &[usize]) -> &[usize] {
        if self.short { full.get(..1).unwrap_or(full) } else { full }
    }
}
