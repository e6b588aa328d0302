//! The k6 scripts of `tests/load` pass, briefly. `cargo xtask test` installs k6 where it is not.

use harness::{Host, built};
use std::process::Command;

fn passes(script: &str) {
    let host = Host::demo();
    let on_path = Command::new("k6").arg("version").output().is_ok();
    let output = Command::new(if on_path { "k6".into() } else { built("k6/bin/k6") })
        .args(["run", "--quiet", "--no-usage-report", script])
        .env("BASE_URL", format!("http://{}", host.address))
        .env("VUS", "3")
        .env("DURATION", "3s")
        .output()
        .expect("k6 runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}: {}", host.log());
}

#[test]
fn predictions_script_passes() {
    passes("tests/load/predictions.js");
}

#[test]
fn old_service_script_passes() {
    passes("tests/load/old_service.js");
}
