//! Clients that others wrote, in Python, driven as their documentation says. `cargo xtask test` installs them.

use harness::tokens::WEBHOOK_SECRET;
use harness::{Host, built, state};
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
fn schemathesis_finds_no_undescribed_response() {
    let examples = std::env::var("SCHEMATHESIS_EXAMPLES").unwrap_or_else(|_| "15".to_owned());
    let host = Host::with_flags(&["--variable", &format!("webhook_secret={WEBHOOK_SECRET}")]);
    let mut schemathesis = Command::new(built("python/bin/schemathesis"));
    schemathesis.args(["--config-file", "tests/clients/schemathesis.toml", "run", "--no-color", "--seed", "20260131"]);
    schemathesis.args(["--max-examples", &examples, &format!("http://{}/openapi.json", host.address)]);
    succeeds(&mut schemathesis, &host);
}

/// Commands and Python of docs/MODELS.md, from check-ins to a model in a registry.
#[test]
fn documented_way_of_a_model_works_with_current_pandas() {
    let folder = state();
    let docs = std::fs::read_to_string("docs/MODELS.md").expect("the documentation");
    let checkins = std::fs::canonicalize("src/checkins/demo.csv").expect("check-ins");
    let xtask = |args: &str| {
        assert!(docs.contains(&format!("cargo xtask {args}")), "{args}");
        let mut command = Command::new(built("debug/xtask"));
        command.args(
            args.split(' ').map(|arg| if arg == "checkins.csv" { checkins.to_str().expect("UTF-8") } else { arg }),
        );
        command.env("PWD", folder.path()).env("BIPOLAR_EDGE_REGISTRY", folder.path().join("models"));
        let output = command.output().expect("xtask runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{args}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said
    };
    let features = xtask("model features --checkins checkins.csv --window-days 3");
    std::fs::write(folder.path().join("features.csv"), features).expect("written");

    let python = docs.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the Python");
    // Labels are the reader's own.
    let (table, rest) = python.split_once("inputs = ").expect("its inputs");
    let python = format!("{table}labels = (table[\"energyLevel\"].fillna(5) < 4).astype(int)\ninputs = {rest}");
    let trained = Command::new(built("python/bin/python")).args(["-c", &python]).current_dir(folder.path()).output();
    let trained = trained.expect("Python runs");
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));

    let verified = xtask("model verify low_energy.txt --data rows.csv --expected expected.csv");
    assert!(docs.contains(verified.trim()), "{verified}");
    let added = xtask("model add low_energy.txt");
    assert!(added.contains("models/low_energy/card.toml"), "{added}");
}
