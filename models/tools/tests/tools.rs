//! The model tools, as a data scientist calls them.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

use std::path::Path;
use std::process::{Command, Output};

fn run(registry: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_model-tools"))
        .args(args)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .env("BIPOLAR_EDGE_REGISTRY", registry)
        .output()
        .expect("the tools run")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn fixture(name: &str, file: &str) -> String {
    format!("models/forest/tests/fixtures/{name}/{file}")
}

const OWN: &str = "tests/fixtures/bring_your_own/low_energy.txt";

fn registry() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn verify_passes_what_python_said_in_all_three_forms() {
    let registry = registry();
    for (name, model) in [("lightgbm_multiclass", "model.txt"), ("xgboost_softprob", "model.ubj")] {
        for (expected, flags) in
            [("predicted.csv", &[][..]), ("raw.csv", &["--raw"]), ("contributions.csv", &["--contrib"])]
        {
            let (model, data, expected) = (fixture(name, model), fixture(name, "rows.csv"), fixture(name, expected));
            let args = [&["verify", &model, "--data", &data, "--expected", &expected], flags].concat();
            let output = run(registry.path(), &args);
            assert_eq!(output.status.code(), Some(0), "{}", said(&output));
            assert!(said(&output).starts_with("300 rows compared, worst difference "), "{}", said(&output));
        }
    }
}

#[test]
fn verify_explains_the_first_mismatch_node_by_node_and_exits_with_1() {
    let registry = registry();
    let (model, data) = (fixture("lightgbm_binary", "model.txt"), fixture("lightgbm_binary", "rows.csv"));
    let raw = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(fixture("lightgbm_binary", "raw.csv")),
    );
    let mut lines: Vec<String> = raw.expect("margins").lines().map(str::to_owned).collect();
    lines[6] = "0.25".to_owned();
    let wrong = registry.path().join("wrong.csv");
    std::fs::write(&wrong, format!("margin\n{}\n", lines.join("\n"))).expect("written");
    let wrong = wrong.display().to_string();
    let output = run(registry.path(), &["verify", &model, "--data", &data, "--expected", &wrong, "--raw"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains(", 1 beyond 1e-6") && text.contains("row 7, column 1: ") && text.contains("tree 19: "),
        "{text}"
    );
    let output = run(registry.path(), &["verify", &model, "--data", &data, "--expected", &wrong, "--raw", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["rows"], &report["mismatches"]), (&300.into(), &1.into()));
    assert_eq!((&report["first_mismatch"]["row"], &report["first_mismatch"]["expected"]), (&7.into(), &0.25.into()));
}

#[test]
fn verify_says_what_does_not_fit() {
    let registry = registry();
    let (model, rows) = (fixture("lightgbm_binary", "model.txt"), fixture("lightgbm_binary", "rows.csv"));
    let few = registry.path().join("few.csv");
    for (text, expected, error) in [
        ("1,2\n", &rows, "has 2 columns, the model 6 features"),
        ("1,2,3,4,5,6\n1,2,3\n", &rows, "line 2: 3 cells, the lines before have 6"),
        ("1,2,3,4,5,6\n1,2,3,4,x,6\n", &rows, "line 2, column 5: \"x\" is no number"),
        ("", &rows, "has no rows"),
        (
            "Column_0,Column_1,Column_2,Column_3,Column_5,Column_4\n1,2,3,4,5,6\n",
            &rows,
            "column 5 is \"Column_5\", the model expects \"Column_4\"",
        ),
        ("1,2,3,4,,nan\n", &rows, "few.csv has 1 rows, "),
    ] {
        std::fs::write(&few, text).expect("written");
        let output =
            run(registry.path(), &["verify", &model, "--data", &few.display().to_string(), "--expected", expected]);
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains(error), "{error:?} is not in {}", said(&output));
    }
}

#[test]
fn add_writes_a_card_from_the_file_and_remove_deletes_it() {
    let registry = registry();
    let output = run(registry.path(), &["add", OWN]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let card = std::fs::read_to_string(registry.path().join("low_energy/card.toml")).expect("a card");
    for line in ["version = \"low_energy_v1\"", "format = \"lightgbm\"", "\"hoursSlept_mean\"", "kind = \"risk\""] {
        assert!(card.contains(line), "{line} is not in {card}");
    }
    assert!(registry.path().join("low_energy/model.txt").is_file());
    let again = run(registry.path(), &["add", OWN]);
    assert!(said(&again).contains("is there already"), "{}", said(&again));
    let inspected = run(registry.path(), &["inspect", "low_energy", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&inspected.stdout).expect("JSON");
    assert_eq!((&report["library"], &report["trees"]), (&"LightGBM v4".into(), &30.into()));
    assert_eq!(run(registry.path(), &["remove", "low_energy"]).status.code(), Some(0));
    assert!(!registry.path().join("low_energy").exists());
    assert_eq!(run(registry.path(), &["remove", "low_energy"]).status.code(), Some(2));
}

#[test]
fn verify_refuses_a_card_with_a_label_of_the_service_itself() {
    let registry = registry();
    assert_eq!(run(registry.path(), &["add", OWN]).status.code(), Some(0));
    let card = registry.path().join("low_energy/card.toml");
    let text = std::fs::read_to_string(&card).expect("a card");
    std::fs::write(&card, text.replace("event = \"event\"", "event = \"error\"")).expect("written");
    let output = run(registry.path(), &["verify", "low_energy", "--data", OWN, "--expected", OWN]);
    assert_eq!(output.status.code(), Some(2));
    let error = "card.toml: output.event: \"error\" is a label that the service itself gives";
    assert!(said(&output).contains(error), "{}", said(&output));
}

#[test]
fn add_refuses_what_could_not_be_served() {
    let registry = registry();
    // Trained on columns with names, which are not the service's.
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let named = elsewhere.path().join("named.txt").display().to_string();
    let numbered = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(fixture("lightgbm_binary", "model.txt"));
    let text = std::fs::read_to_string(numbered).expect("a model").replace("Column_", "laboratory_");
    std::fs::write(&named, text).expect("written");
    for (args, error) in [
        (vec!["add", "models/forest/tests/fixtures/lightgbm_binary/model.txt"], "name the prediction type"),
        (vec!["add", OWN, "--name", "../escape"], "cannot be a model's name"),
        (vec!["add", OWN, "--name", "train"], "is taken by the registry itself"),
        (vec!["add", "README.md", "--name", "x"], "must end in .json, .txt or .ubj"),
        (vec!["add", "nothing.txt", "--name", "x"], "cannot read nothing.txt"),
        (vec!["add", &named, "--name", "x"], "are no features of the service"),
        (
            vec!["add", "models/forest/tests/fixtures/lightgbm_binary/model.txt", "--name", "x"],
            "the file has no feature names",
        ),
        (
            vec!["add", "models/forest/tests/fixtures/xgboost_softprob/model.ubj", "--name", "x"],
            "the file has no feature names",
        ),
        (vec!["add", "models/forest/tests/fixtures/lightgbm_poisson/model.txt", "--name", "x"], "gives no probability"),
        (vec!["add", OWN, "--classes", "a,b"], "this one has one"),
        (
            vec!["add", "tests/fixtures/bring_your_own/sleep_third.ubj", "--classes", "short,timeout,long"],
            "output.classes[1]: \"timeout\" is a label that the service itself gives",
        ),
        (vec!["add", OWN, "--rounds", "31"], "rounds: the file has 30 rounds"),
    ] {
        let output = run(registry.path(), &args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(said(&output).contains(error), "{error:?} is not in {}", said(&output));
        assert_eq!(std::fs::read_dir(registry.path()).expect("the registry").count(), 0, "nothing is left behind");
    }
}
