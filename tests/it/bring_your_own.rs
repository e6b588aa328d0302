//! A stranger's models: added with the model tools, built into a module of their own, and served with the numbers that
//! Python gave. `fixtures/bring_your_own/make.py` made the files.

use harness::{DEPRESSED, EUTHYMIC, Host, MANIC, MIXED, built, state};
use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Output};

const FIXTURES: &str = "tests/fixtures/bring_your_own";

/// Runs `cargo xtask` for another registry, and with a target folder of its own, so that the shipped module stays.
fn xtask(registry: &Path, args: &[&str]) -> Output {
    let xtask = built("debug/xtask");
    let mut command = Command::new(xtask);
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).env("BIPOLAR_EDGE_REGISTRY", registry);
    if args[0] == "build" {
        command.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bring-your-own"));
    }
    let output = command.output().expect("xtask runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn models_trained_in_python_are_served_with_python_s_numbers() {
    let registry = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| format!("{FIXTURES}/{name}");
    xtask(registry.path(), &["model", "add", &file("low_energy.txt")]);
    xtask(registry.path(), &["model", "add", &file("sleep_third.ubj"), "--classes", "short,middle,long"]);
    let card = registry.path().join("low_energy/card.toml");
    let text = std::fs::read_to_string(&card).expect("a card");
    std::fs::write(&card, text.replace("event = \"event\"", "event = \"low\"")).expect("written");
    xtask(registry.path(), &["build"]);

    let state = state();
    let manifest = std::fs::read_to_string("spin.toml").expect("the manifest");
    let module = std::path::absolute("target/bring-your-own/wasm32-wasip2/release/bipolar_edge.wasm").expect("a path");
    let manifest = manifest.replace("target/wasm32-wasip2/release/bipolar_edge.wasm", &module.display().to_string());
    let own_manifest = state.path().join("spin.toml");
    std::fs::write(&own_manifest, manifest).expect("written");
    let host = Host::start_manifest(&own_manifest, &state, &[]);

    let inventory = host.get("/models").json();
    assert_eq!(inventory["models"][0]["library"], "LightGBM v4");
    assert_eq!(inventory["models"][1]["library"], "XGBoost 3.2.0");

    let expected = expected();
    let mut compared = 0;
    for user_id in [EUTHYMIC, MANIC, DEPRESSED, MIXED] {
        let body = host.predictions(user_id, "?limit_checkins=10&explain=true").json();
        for checkin in body["per_checkin"].as_array().expect("asked for") {
            let date = checkin["checkin_date"].as_str().expect("a date");
            let expected = &expected[&(user_id.to_owned(), date.to_owned())];
            let low_energy = &checkin["predictions"][0];
            let probability = low_energy["probability"].as_f64().expect("a probability");
            assert!((probability - expected[0]).abs() <= 1e-12, "{probability} is not {}", expected[0]);
            assert_eq!(low_energy["label"] == "low", expected[0] >= 0.5);
            assert!(low_energy["contributions"].as_array().is_some_and(|all| !all.is_empty()));
            let classes = &checkin["predictions"][1]["details"]["class_probs"];
            for (class, expected) in ["short", "middle", "long"].iter().zip(&expected[1..]) {
                let probability = classes[class].as_f64().expect("a probability");
                assert!((probability - expected).abs() <= 1.5e-7, "{class}: {probability} is not {expected}");
                compared += 1;
            }
        }
        assert_eq!(body["predictions"].as_array().map(Vec::len), Some(2));
    }
    assert_eq!(compared, 4 * 10 * 3);
    assert_eq!(host.get(&format!("/data/prediction_of_day/{MANIC}")).status, 503, "there is no mood_state");
    rows_of_their_own_features_get_the_numbers_that_python_got(&host);
}

/// Through the Open Inference Protocol, as a client that knows nothing but it would ask.
fn rows_of_their_own_features_get_the_numbers_that_python_got(host: &Host) {
    let text = std::fs::read_to_string(format!("{FIXTURES}/features.csv")).expect("the rows");
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    let lines: Vec<_> = lines.collect();
    let expected = expected();
    for (model, columns, tolerance) in [("low_energy", 0..1, 1e-12), ("sleep_third", 1..4, 1.5e-7)] {
        let metadata = host.get(&format!("/v2/models/{model}")).json();
        let names = metadata["inputs"][0]["parameters"]["names"].as_str().expect("names").to_owned();
        let places: Vec<usize> =
            names.split(',').map(|name| header.iter().position(|column| *column == name).expect("a column")).collect();
        let number = |cell: &str| cell.parse::<f64>().ok().filter(|number| !number.is_nan());
        let rows: Vec<Vec<Option<f64>>> =
            lines.iter().map(|line| places.iter().map(|place| number(line[*place])).collect()).collect();
        let input = serde_json::json!({
            "name": "input", "shape": [rows.len(), places.len()], "datatype": "FP64", "data": rows
        });
        let answer = host.post(&format!("/v2/models/{model}/infer"), &serde_json::json!({ "inputs": [input] }));
        assert_eq!(answer.status, 200, "{}", answer.body);
        let output = &answer.json()["outputs"][0];
        assert_eq!(output["shape"], serde_json::json!([lines.len(), columns.len()]));
        let data = output["data"].as_array().expect("numbers");
        for (line, probabilities) in lines.iter().zip(data.chunks(columns.len())) {
            let expected = &expected[&(line[0].to_owned(), line[1].to_owned())][columns.clone()];
            for (probability, expected) in probabilities.iter().zip(expected) {
                let probability = probability.as_f64().expect("a number");
                assert!((probability - expected).abs() <= tolerance, "{model}: {probability} is not {expected}");
            }
        }
    }
}

/// Python's predictions, by person and day.
fn expected() -> HashMap<(String, String), Vec<f64>> {
    let text = std::fs::read_to_string(format!("{FIXTURES}/expected.csv")).expect("what Python said");
    let rows = text.lines().skip(1).map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        let numbers = cells[2..].iter().map(|cell| cell.parse().expect("a number")).collect();
        ((cells[0].to_owned(), cells[1].to_owned()), numbers)
    });
    rows.collect()
}

#[test]
fn exported_features_equal_the_training_fixture() {
    let registry = tempfile::tempdir().expect("a temporary folder");
    let output = xtask(registry.path(), &["model", "features", "--checkins", "src/checkins/demo.csv"]);
    let fixture = std::fs::read_to_string(format!("{FIXTURES}/features.csv")).expect("the fixture");
    let exported = String::from_utf8(output.stdout).expect("UTF-8");
    // A feature that was added since has no column in the fixture, and needs none.
    let header: Vec<&str> = exported.lines().next().expect("a header").split(',').collect();
    let columns = fixture.lines().next().expect("a header").split(',');
    let places: Vec<usize> = columns
        .map(|name| header.iter().position(|other| *other == name).unwrap_or_else(|| panic!("{name}")))
        .collect();
    let rows = exported.lines().map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        places.iter().map(|place| cells[*place]).collect::<Vec<_>>().join(",") + "\n"
    });
    assert!(rows.collect::<String>() == fixture, "make features.csv and the models anew: see make.py");
}

#[test]
fn card_that_does_not_fit_its_model_fails_the_build() {
    let registry = tempfile::tempdir().expect("a temporary folder");
    xtask(registry.path(), &["model", "add", &format!("{FIXTURES}/low_energy.txt")]);
    let card = registry.path().join("low_energy/card.toml");
    let text = std::fs::read_to_string(&card).expect("a card");
    std::fs::write(&card, text.replace("\"depressedMood\"", "\"depressdMood\"")).expect("written");
    let error = refused_by_the_build(registry.path());
    assert!(error.contains("features[0] is \"depressdMood\", and the model calls it \"depressedMood\""), "{error}");
}

#[test]
fn class_files_of_different_objectives_fail_the_build() {
    let registry = tempfile::tempdir().expect("a temporary folder");
    xtask(registry.path(), &["model", "add", &format!("{FIXTURES}/low_energy.txt")]);
    let folder = registry.path().join("low_energy");
    let card = std::fs::read_to_string(folder.join("card.toml")).expect("a card");
    let (before, rest) = card.split_once("[output]").expect("an output");
    let (_, after) = rest.split_once("[risk_levels]").expect("risk levels");
    let output = "[output]\nkind = \"classes\"\nclasses = [\"low\", \"other\"]\nreference_class = \"other\"\n\n";
    std::fs::write(folder.join("card.toml"), format!("{before}{output}[risk_levels]{after}")).expect("written");
    let model = std::fs::read_to_string(folder.join("model.txt")).expect("the model");
    std::fs::rename(folder.join("model.txt"), folder.join("model.low.txt")).expect("renamed");
    let other = model.replace("objective=binary sigmoid:1", "objective=binary sigmoid:2");
    std::fs::write(folder.join("model.other.txt"), other).expect("written");
    let error = refused_by_the_build(registry.path());
    assert!(error.contains("the files of the classes are of different libraries or objectives"), "{error}");
}

/// Builds a registry that must not build, and returns the error.
fn refused_by_the_build(registry: &Path) -> String {
    let output = Command::new(env!("CARGO"))
        .args([
            "check",
            "--locked",
            "--profile",
            "native",
            "--package",
            "bipolar-edge-models",
            "--target-dir",
            "target/bring-your-own",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("BIPOLAR_EDGE_REGISTRY", registry)
        // Tests may be compiled by clippy; what they build is not.
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .output()
        .expect("cargo runs");
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}
