//! `cargo xtask soak` and `cargo xtask contract`: tests that are short in `cargo xtask test`, for as long as is wanted.

use crate::build;
use crate::python;
use crate::step::{self, cargo};
use crate::test::PYTHON_CLIENTS;
use crate::toolchain::{Toolchain, check_rust};
use anyhow::Result;

/// The people who ask in the test of a store that stays small; a test run has a tenth.
const SOAK_PEOPLE: u32 = 100_000;

/// Runs the soak test of the project's own host for so many seconds, and that of its store for many people.
pub(crate) fn soak(seconds: u32) -> Result<()> {
    run("own_host", "soak::", "SOAK_SECONDS", seconds)?;
    run("own_host", "retention::the_store_stays_small", "SOAK_PEOPLE", SOAK_PEOPLE)
}

/// Runs schemathesis against the service, with so many examples of each operation.
pub(crate) fn contract(examples: u32) -> Result<()> {
    python::environment("python", &PYTHON_CLIENTS)?;
    run("it", "needs_python::schemathesis", "SCHEMATHESIS_EXAMPLES", examples)
}

/// Runs the tests of a test binary that have `path` in theirs, with a variable set.
fn run(binary: &str, path: &str, variable: &str, value: u32) -> Result<()> {
    check_rust()?;
    build::module(&Toolchain::set_up()?, build::PORTABLE, &[])?;
    build::host()?;
    let mut test = cargo();
    test.args(["test", "--locked", "--profile", "native"]).args(build::native_packages());
    test.args(["--test", binary, "--", "--nocapture", path]);
    step::run(&format!("{path} with {variable}={value}"), test.env(variable, value.to_string()))
}
