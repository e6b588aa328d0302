//! Clients that others wrote, in Python, driven as their documentation says. `cargo xtask test` installs them.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

mod harness;

use harness::{Host, built, state};
use std::process::Command;

/// Runs a script of `tests/clients` against a host.
fn run(script: &str, host: &Host) {
    let output = Command::new(built("python/bin/python"))
        .arg(format!("tests/clients/{script}"))
        .arg(&host.address)
        .output()
        .expect("Python runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}: {}", host.log());
}

#[test]
fn python_s_triton_client_works_unchanged() {
    let state = state();
    run("triton.py", &Host::start(&state, &[]));
}
