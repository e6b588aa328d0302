//! The k6 scripts of `tests/load` pass, briefly. `cargo xtask test` installs k6 where it is not.

use harness::{Host, built};
use std::process::Command;

fn passes(script: &str, host: &Host) {
    let on_path = Command::new("k6").arg("version").output().is_ok();
    let output = Command::new(if on_path { "k6".into() } else { built("k6/bin/k6") })
        .args(["run", "--quiet", "--no-usage-report", script])
        .env("BASE_URL", format!("http://{}", host.address))
        .env("VUS", "3")
        .env("DURATION", "3s")
        .env("ANY_TIME", "1")
        .output()
        .expect("k6 runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}: {}", host.log());
}

#[test]
fn predictions_script_passes() {
    passes("tests/load/predictions.js", &Host::demo());
}

#[test]
fn old_service_script_passes() {
    // With the limits that there are by default.
    let host = Host::with_flags(&["--variable", "rate_limit_predictions=", "--variable", "rate_limit_default="]);
    passes("tests/load/old_service.js", &host);
}
