//! Tests that are short among the others, for as long as is wanted: `cargo xtask soak` and `cargo xtask contract`.

use crate::build;
use crate::python;
use crate::step::{self, cargo};
use crate::test::PYTHON_CLIENTS;
use crate::toolchain::{Toolchain, check_rust};
use anyhow::{Context, Result, bail};

/// Runs `tests/own_host/soak.rs` for so many seconds.
pub(crate) fn soak(args: &[String]) -> Result<()> {
    let seconds = number("soak", "SECONDS", args, 20, 600)?;
    run("own_host", "soak::", "SOAK_SECONDS", seconds)
}

/// Runs schemathesis against the service, with so many examples of each operation.
pub(crate) fn contract(args: &[String]) -> Result<()> {
    let examples = number("contract", "EXAMPLES", args, 1, 500)?;
    python::environment("python", &PYTHON_CLIENTS)?;
    run("it", "needs_python::schemathesis", "SCHEMATHESIS_EXAMPLES", examples)
}

fn number(command: &str, name: &str, args: &[String], least: u32, usual: u32) -> Result<u32> {
    match args {
        [] => Ok(usual),
        [given] => {
            let number = given.parse().ok().filter(|number| *number >= least);
            number.with_context(|| format!("{name} is a whole number from {least}; it was {given:?}"))
        }
        _ => bail!("`cargo xtask {command}` takes {name}; it was given {args:?}"),
    }
}

/// Runs the tests of a binary that have something in their path.
fn run(binary: &str, path: &str, variable: &str, value: u32) -> Result<()> {
    check_rust()?;
    build::module(&Toolchain::set_up()?, &[])?;
    build::host()?;
    let mut test = cargo();
    test.args(["test", "--locked", "--profile", "native", "--test", binary, "--", "--nocapture", path]);
    step::run(&format!("{path} with {variable}={value}"), test.env(variable, value.to_string()))
}
