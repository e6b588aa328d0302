//! The k6 scripts of `tests/load` pass, briefly. `cargo xtask test` installs k6 where it is not.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

mod harness;

use harness::{Host, built, state};
use std::process::Command;

fn passes(script: &str) {
    let state = state();
    let host = Host::start(&state, &[]);
    let on_path = Command::new("k6").arg("version").output().is_ok();
    let output = Command::new(if on_path { "k6".into() } else { built("k6/bin/k6") })
        .args(["run", "--quiet", "--no-usage-report", script])
        .env("BASE_URL", format!("http://{}", host.address))
        .env("VUS", "3")
        .env("DURATION", "3s")
        .output()
        .expect("k6 runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}: {}", host.log());
}

#[test]
fn k6_finds_nothing_wrong_with_predictions() {
    passes("tests/load/predictions.js");
}

#[test]
fn k6_finds_what_the_old_service_s_load_test_wants() {
    passes("tests/load/old_service.js");
}
