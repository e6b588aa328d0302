//! `cargo xtask soak` and `cargo xtask contract`: tests that are short in `cargo xtask test`, for as long as is wanted.

use crate::build;
use crate::python;
use crate::step::{self, cargo};
use crate::test::PYTHON_CLIENTS;
use crate::toolchain::{Toolchain, check_rust};
use anyhow::{Error, Result};
use platforms::Platform;

/// The people who ask in the test of a store that stays small; a test run has a tenth.
const SOAK_PEOPLE: &str = "100000";

/// Runs the soak test of the project's own host for so many seconds, as strict as a platform if one is named, and that
/// of its store for many people.
pub(crate) fn soak(seconds: u32, platform: Option<&str>) -> Result<()> {
    if let Some(platform) = platform {
        Platform::named(platform).map_err(Error::msg)?;
    }
    let seconds = seconds.to_string();
    let variables = [("SOAK_SECONDS", seconds.as_str()), ("BIPOLAR_EDGE_PLATFORM", platform.unwrap_or_default())];
    run("own_host", "soak::", &variables)?;
    run("own_host", "retention::the_store_stays_small", &[("SOAK_PEOPLE", SOAK_PEOPLE)])
}

/// Runs schemathesis against the service, with so many examples of each operation.
pub(crate) fn contract(examples: u32) -> Result<()> {
    python::environment("python", &PYTHON_CLIENTS)?;
    run("it", "needs_python::schemathesis", &[("SCHEMATHESIS_EXAMPLES", &examples.to_string())])
}

/// Runs the tests of a test binary that have `path` in theirs, with variables set.
fn run(binary: &str, path: &str, variables: &[(&str, &str)]) -> Result<()> {
    check_rust()?;
    build::module(&Toolchain::set_up()?, build::PORTABLE)?;
    build::native(build::HOST)?;
    let mut test = cargo();
    test.args(["test", "--locked", "--profile", "native"]).args(build::native_packages());
    test.args(["--test", binary, "--", "--nocapture", path]);
    let named: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    step::run(&format!("{path} with {}", named.join(", ")), test.envs(variables.iter().copied()))
}
