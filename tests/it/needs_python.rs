//! Clients that others wrote, in Python, driven as their documentation says. `cargo xtask test` installs them.

use harness::tokens::WEBHOOK_SECRET;
use harness::{Host, built};
use std::process::Command;

/// Runs a script of `tests/clients` against a host.
fn run(script: &str, host: &Host) {
    succeeds(Command::new(built("python/bin/python")).arg(format!("tests/clients/{script}")).arg(&host.address), host);
}

fn succeeds(command: &mut Command, host: &Host) {
    let output = command.output().expect("it runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}: {}", host.log());
}

#[test]
fn triton_client_works_unchanged() {
    run("triton.py", &Host::demo());
}

#[test]
fn clinical_client_reads_predictions_as_fhir() {
    run("clinical.py", &Host::demo());
}

#[test]
fn schemathesis_finds_no_undescribed_response() {
    let examples = std::env::var("SCHEMATHESIS_EXAMPLES").unwrap_or_else(|_| "15".to_owned());
    let host = Host::with_flags(&["--variable", &format!("webhook_secret={WEBHOOK_SECRET}")]);
    let mut schemathesis = Command::new(built("python/bin/schemathesis"));
    schemathesis.args(["--config-file", "tests/clients/schemathesis.toml", "run", "--no-color", "--seed", "20260131"]);
    schemathesis.args(["--max-examples", &examples, &format!("http://{}/openapi.json", host.address)]);
    succeeds(&mut schemathesis, &host);
}
