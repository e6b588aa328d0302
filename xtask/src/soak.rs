//! `cargo xtask soak`: the soak test of `tests/own_host_soak.rs`, for longer than among the other tests.

use crate::build;
use crate::step::{self, cargo};
use crate::toolchain::{Toolchain, check_rust};
use anyhow::{Context, Result, bail};

const SECONDS: u32 = 600;

pub(crate) fn run(args: &[String]) -> Result<()> {
    let seconds = match args {
        [] => SECONDS,
        [seconds] => {
            seconds.parse().ok().filter(|seconds| *seconds >= 20).context("SECONDS is a whole number from 20")?
        }
        _ => bail!("`cargo xtask soak` takes a number of seconds; it was given {args:?}"),
    };
    check_rust()?;
    build::module(&Toolchain::set_up()?, &[])?;
    build::host()?;
    let mut test = cargo();
    test.args(["test", "--locked", "--profile", "native", "--test", "own_host_soak", "--", "--nocapture"]);
    step::run(&format!("soaking for {seconds} s"), test.env("SOAK_SECONDS", seconds.to_string()))
}
