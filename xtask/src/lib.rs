//! Building, installing and running: the parts of `cargo xtask` that the benchmarks use too.
//!
//! ```
//! use xtask::platforms::{Fit, Interfaces, fit};
//!
//! let all = platforms::all().expect("docs/platforms.toml");
//! let exports = vec!["wasi:http/handler@0.3.0".to_owned()];
//! let module = Interfaces { imports: vec!["wasi:keyvalue/store@0.2.0-draft2".to_owned()], exports };
//! let on: Vec<&str> =
//!     all.iter().filter(|one| fit(&module, one, &all) == Fit::Runs).map(|one| one.name.as_str()).collect();
//! assert_eq!(on, ["spin-4.1"]);
//! ```

pub mod benchmark;
pub mod build;
pub mod model_tools;
pub mod platforms;
pub mod programs;
pub mod progress;
pub mod python;
pub mod spin;
pub mod step;
pub mod toolchain;

use anyhow::{Context, Result};
use std::process::ExitCode;

/// Changes to the root of the repository: cargo runs a program wherever the developer stands.
pub fn enter_repository() -> Result<()> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    std::env::set_current_dir(root).with_context(|| format!("cannot change to {root}"))
}

/// Returns a command's exit code, and prints its error if it has one.
pub fn exit_code(result: Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
