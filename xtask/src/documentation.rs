//! The documentation of the workspace's libraries, made from what the tests were linked with.
//!
//! `cargo doc` checks every dependency first, Wasmtime too, which is minutes for libraries that are compiled already.
//! `cargo test --doc` hands rustdoc those, and runs the program that `RUSTDOC` names: this one, which leaves out what
//! makes a test of it. A library's documentation is a second or two so.

use crate::build::{native_packages, target};
use crate::step::{self, cargo, linting};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::process::{Command, ExitCode};

/// Names the folder that documentation is written to, for this program in rustdoc's place.
const FOLDER: &str = "BIPOLAR_EDGE_RUSTDOC_FOLDER";

/// Builds the documentation of every library that runs on this machine. Errors if rustdoc has a warning.
pub(crate) fn build() -> Result<()> {
    let itself = std::env::current_exe().context("this program cannot be found")?;
    let mut command = linting(cargo());
    command.env("RUSTDOC", itself).env(FOLDER, std::path::absolute(target().join("doc"))?);
    command.args(["test", "--locked", "--profile", "native", "--doc", "--no-fail-fast"]).args(native_packages());
    step::run("documentation of the libraries, without a warning", &mut command)
}

/// Returns how rustdoc ended if cargo runs this program in its place, and `None` if a person runs it.
pub(crate) fn in_place_of_rustdoc() -> Option<Result<ExitCode>> {
    let folder = std::env::var_os(FOLDER)?;
    let mut rustdoc = Command::new("rustdoc");
    rustdoc.args(without_tests(std::env::args_os().skip(1))).args(["-Dwarnings", "--out-dir"]).arg(folder);
    let status = rustdoc.status().context("cannot run rustdoc");
    Some(status.map(|status| if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}

/// Leaves out of rustdoc's arguments what has it run examples.
fn without_tests(mut args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut kept = Vec::new();
    while let Some(arg) = args.next() {
        if arg == "--test-run-directory" || arg == "--test-args" {
            args.next();
        } else if !arg.as_encoded_bytes().starts_with(b"--test") {
            kept.push(arg);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::without_tests;
    use std::ffi::{OsStr, OsString};

    #[test]
    fn what_makes_a_test_of_documentation_is_left_out() {
        let said = "--crate-name forest --test src/lib.rs --test-run-directory /here --test-args=--skip --test-args x \
                    --extern serde=libserde.rlib";
        let kept = without_tests(said.split(' ').map(OsString::from));
        assert_eq!(kept.join(OsStr::new(" ")), "--crate-name forest src/lib.rs --extern serde=libserde.rlib");
    }
}
