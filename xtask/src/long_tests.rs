//! `cargo xtask soak` and `cargo xtask contract`: tests that are short in `cargo xtask test`, for as long as is wanted.

use crate::args::SoakHost;
use crate::build;
use crate::programs::REDIS;
use crate::python;
use crate::spin;
use crate::step::{self, cargo};
use crate::test::PYTHON_CLIENTS;
use crate::toolchain::{Toolchain, check_rust};
use anyhow::{Error, Result, ensure};
use platforms::Platform;

/// The most people who ask in the test of a store that stays small; a test run has a tenth.
const SOAK_PEOPLE: &str = "100000";
/// The parts of the soak test that need no host that fails on purpose.
const SOAK_ON_SPIN: [&str; 2] = ["soak::faults::", "soak::needs_redis::"];

/// Runs the soak tests for so many seconds each: on the project's own host, as strict as a platform if one is named,
/// with that of its store for many people; or those that Spin can run on Spin.
pub(crate) fn soak(seconds: u32, platform: Option<&str>, on: SoakHost) -> Result<()> {
    if let Some(platform) = platform {
        Platform::named(platform).map_err(Error::msg)?;
    }
    REDIS.set_up()?;
    let seconds = seconds.to_string();
    let lasting = ("SOAK_SECONDS", seconds.as_str());
    if on == SoakHost::Spin {
        ensure!(spin::is_installed(spin::MIN_RELEASE), "`spin` 3.4 or later is not on the path");
        return run("own_host", &SOAK_ON_SPIN, &[lasting, ("BIPOLAR_EDGE_HOST", "spin")]);
    }
    run("own_host", &["soak::"], &[lasting, ("BIPOLAR_EDGE_PLATFORM", platform.unwrap_or_default())])?;
    run("own_host", &["retention::the_store_stays_small"], &[lasting, ("SOAK_PEOPLE", SOAK_PEOPLE)])
}

/// Runs schemathesis against the service, with so many examples of each operation.
pub(crate) fn contract(examples: u32) -> Result<()> {
    python::environment("python", &PYTHON_CLIENTS)?;
    run("it", &["needs_python::schemathesis"], &[("SCHEMATHESIS_EXAMPLES", &examples.to_string())])
}

/// Runs the tests of a test binary that have one of `paths` in theirs, one after the other, with variables set.
fn run(binary: &str, paths: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    check_rust()?;
    let toolchain = Toolchain::set_up()?;
    for module in build::MODULES {
        build::module(&toolchain, module)?;
    }
    build::native(build::HOST)?;
    let mut test = cargo();
    test.args(["test", "--locked", "--profile", "native"]).args(build::native_packages());
    test.args(["--test", binary, "--", "--nocapture", "--test-threads", "1"]).args(paths);
    let named: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let what = format!("{} with {}", paths.join(" and "), named.join(", "));
    step::run(&what, test.envs(variables.iter().copied()))
}
