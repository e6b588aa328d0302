//! A stranger's models: added with the model tools, built into a module of their own, and served with the numbers that
//! Python gave. `fixtures/bring_your_own/make.py` made the files.

use harness::{DEPRESSED, EUTHYMIC, Host, MANIC, MIXED, built, moved, state};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const FIXTURES: &str = "tests/fixtures/bring_your_own";

/// Runs `cargo xtask` for another registry, and with a target folder of its own, so that the shipped module stays.
fn xtask(registry: &Path, args: &[&str]) -> Output {
    let output = try_xtask(registry, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn try_xtask(registry: &Path, args: &[&str]) -> Output {
    let xtask = built("debug/xtask");
    let mut command = Command::new(xtask);
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).env("BIPOLAR_EDGE_REGISTRY", registry);
    if args[0] == "build" {
        command.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bring-your-own"));
    }
    command.output().expect("xtask runs")
}

/// Builds a registry, and starts a host with its module.
fn build_and_start(registry: &Path, state: &TempDir) -> Host {
    // The module has one place, so one is built and read after the other.
    let built = File::create("target/bring-your-own.lock").expect("a file");
    built.lock().expect("the others end");
    xtask(registry, &["build", "--from", "spin.toml"]);
    let module = state.path().join("bipolar_edge.wasm");
    std::fs::copy("target/bring-your-own/wasm32-wasip2/release/bipolar_edge.wasm", &module).expect("a module");
    let manifest = std::fs::read_to_string("spin.toml").expect("the manifest");
    let manifest = manifest.replace("target/wasm32-wasip2/release/bipolar_edge.wasm", &module.display().to_string());
    let own_manifest = state.path().join("spin.toml");
    std::fs::write(&own_manifest, manifest).expect("written");
    Host::start_manifest(&own_manifest, state, &[])
}

#[test]
fn models_trained_in_python_are_served_with_python_s_numbers() {
    let registry = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| format!("{FIXTURES}/{name}");
    xtask(registry.path(), &["model", "add", &file("low_energy.txt")]);
    xtask(registry.path(), &["model", "add", &file("sleep_third.ubj"), "--classes", "short,middle,long", "--draft"]);
    let card = registry.path().join("low_energy/card.toml");
    let text = std::fs::read_to_string(&card).expect("a card");
    let text = answered(&text.replace("event = \"event\"", "event = \"low\""));
    std::fs::write(&card, text).expect("written");
    xtask(registry.path(), &["model", "add", "--draft", "--name", "thorough", &file("low_energy.txt")]);
    let card = registry.path().join("thorough/card.toml");
    let text = std::fs::read_to_string(&card).expect("a card");
    let demands = "min_days = 3\nmin_answered = 0.9\nmax_checkin_age_days = 2\ncritical = []";
    std::fs::write(&card, text.replace("critical = []", demands)).expect("written");
    let state = state();
    let host = build_and_start(registry.path(), &state);

    let inventory = host.get("/models").json();
    assert_eq!(inventory["models"][0]["library"], "LightGBM v4");
    assert_eq!(inventory["models"][1]["library"], "XGBoost 3.2.0");
    assert_eq!((&inventory["models"][0]["draft"], &inventory["models"][0]["warnings"]), (&json!(false), &json!([])));
    let warning = "This model is being tried out: 21 questions of its card are not answered.";
    assert_eq!(
        (&inventory["models"][1]["draft"], &inventory["models"][1]["warnings"]),
        (&json!(true), &json!([warning]))
    );
    let draft = host.get("/models/sleep_third").json();
    assert_eq!(draft["source_attributes"]["intended_use"], Value::Null);

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
        assert_eq!(body["predictions"].as_array().map(Vec::len), Some(3));
    }
    assert_eq!(compared, 4 * 10 * 3);
    assert_eq!(host.get(&format!("/data/prediction_of_day/{MANIC}")).status, 503, "there is no mood_state");
    rows_of_their_own_features_get_the_numbers_that_python_got(&host);
    a_model_abstains_below_what_its_card_asks_for(&host);
}

/// A card asks for three days with check-ins, nine in ten of the five inputs, and check-ins of the last two days.
fn a_model_abstains_below_what_its_card_asks_for(host: &Host) {
    let card = host.get("/models/thorough").json();
    let demands = ["min_days", "min_answered", "max_checkin_age_days"].map(|name| card[name].clone());
    assert_eq!(demands, [json!(3), json!(0.9), json!(2)]);
    let ask = |dates: &[&str], motivation: Option<u8>, as_of: &str| {
        let checkin = |date: &&str| json!({ "checkin_date": date, "depressedMood": 3, "hoursSlept": 7, "medicationAdherence": 1, "motivationToStart": motivation });
        let checkins: Vec<Value> = dates.iter().map(checkin).collect();
        let answer =
            host.post("/data/predictions", &json!({ "checkins": checkins, "types": ["thorough"], "as_of": as_of }));
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["predictions"][0].clone()
    };
    let (days, today) = (["2026-01-29", "2026-01-30", "2026-01-31"], "2026-02-02");
    assert!(ask(&days, Some(4), today)["probability"].is_number());
    for (prediction, code, detail, missing) in [
        (
            ask(&days[1..], Some(4), today),
            "too_few_days",
            "The window has check-ins on too few days: 2, and 3 are needed.",
            json!([]),
        ),
        (
            ask(&days, None, today),
            "missing_answers",
            "Not enough answers: 80% of the inputs are known, 90% are needed.",
            json!(["motivationToStart_trend"]),
        ),
        (
            ask(&days, Some(4), "2026-02-03"),
            "stale",
            "The latest check-in is of 31 January 2026, more than 2 days ago.",
            json!([]),
        ),
    ] {
        assert_eq!((&prediction["label"], &prediction["probability"]), (&json!("insufficient_data"), &Value::Null));
        assert_eq!(prediction["reason"], json!({ "code": code, "detail": detail, "missing": missing }));
    }
}

/// A card with an answer in place of each question.
fn answered(card: &str) -> String {
    let lines = card.lines().map(|line| match line.split_once(" = \"? ") {
        Some((key, _)) => format!("{key} = \"Said by whoever tests it.\"\n"),
        None => format!("{line}\n"),
    });
    lines.collect()
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
        let answers = infer(host, model, &rows);
        for (line, probabilities) in lines.iter().zip(answers.chunks(columns.len())) {
            let day = moved(line[1].parse().expect("a date")).to_string();
            let expected = &expected[&(line[0].to_owned(), day)][columns.clone()];
            for (probability, expected) in probabilities.iter().zip(expected) {
                assert!((probability - expected).abs() <= tolerance, "{model}: {probability} is not {expected}");
            }
        }
    }
}

/// Asks a model through the Open Inference Protocol; returns its outputs, row after row.
fn infer(host: &Host, model: &str, rows: &[Vec<Option<f64>>]) -> Vec<f64> {
    let input = json!({ "name": "input", "shape": [rows.len(), rows[0].len()], "datatype": "FP64", "data": rows });
    let answer = host.post(&format!("/v2/models/{model}/infer"), &json!({ "inputs": [input] }));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let output = &answer.json()["outputs"][0];
    let data = output["data"].as_array().expect("numbers").iter();
    let data: Vec<f64> = data.map(|number| number.as_f64().expect("a number")).collect();
    assert_eq!(output["shape"], json!([rows.len(), data.len() / rows.len()]));
    data
}

/// Python's predictions, by person and day, as the service has it.
fn expected() -> HashMap<(String, String), Vec<f64>> {
    let text = std::fs::read_to_string(format!("{FIXTURES}/expected.csv")).expect("what Python said");
    let rows = text.lines().skip(1).map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        let numbers = cells[2..].iter().map(|cell| cell.parse().expect("a number")).collect();
        ((cells[0].to_owned(), moved(cells[1].parse().expect("a date")).to_string()), numbers)
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
    let open = "source_attributes: developer, contact, funding, output_value, intended_use, ";
    assert!(error.contains(open) && error.contains("write `draft = true` below the title"), "{error}");
    std::fs::write(&card, answered(&text).replace("\"depressedMood\"", "\"depressdMood\"")).expect("written");
    let error = refused_by_the_build(registry.path());
    assert!(error.contains("features[0] is \"depressdMood\", and the model calls it \"depressedMood\""), "{error}");
}

#[test]
fn class_files_of_different_objectives_fail_the_build() {
    let registry = tempfile::tempdir().expect("a temporary folder");
    xtask(registry.path(), &["model", "add", "--draft", &format!("{FIXTURES}/low_energy.txt")]);
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
    let output = try_xtask(registry, &["build", "--from", "spin.toml"]);
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The commands and the Python of docs/MODELS.md, from check-ins to an answer, for every library.
mod needs_python {
    use super::*;

    /// The files that the Python saves, with what it expects and the arguments that the documentation gives besides.
    const LIBRARIES: [(&str, &str, &str); 4] = [
        ("low_energy.txt", "expected.csv", ""),
        ("low_energy_xgboost.json", "expected_xgboost.csv", ""),
        ("low_energy_catboost.json", "expected_catboost.csv", ""),
        (
            "low_energy_sklearn.onnx",
            "expected_sklearn.csv",
            " --features depressedMood,hoursSlept_mean,motivationToStart_trend",
        ),
    ];

    #[test]
    fn documented_way_of_a_model_ends_in_python_s_numbers() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let registry = folder.path().join("models");
        std::fs::create_dir(&registry).expect("a folder");
        let docs = std::fs::read_to_string("docs/MODELS.md").expect("the documentation");
        let checkins = std::fs::canonicalize("src/checkins/demo.csv").expect("check-ins");
        let run = |args: &str| {
            let mut command = Command::new(built("debug/xtask"));
            command.args(
                args.split(' ').map(|arg| if arg == "checkins.csv" { checkins.to_str().expect("UTF-8") } else { arg }),
            );
            command.env("PWD", folder.path()).env("BIPOLAR_EDGE_REGISTRY", &registry);
            let output = command.output().expect("xtask runs");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{args}: {said}{}", String::from_utf8_lossy(&output.stderr));
            said
        };
        let documented = |args: &str| {
            assert!(docs.contains(&format!("cargo xtask {args}")), "{args}");
            run(args)
        };
        let features = documented("model features --checkins checkins.csv --window-days 3");
        std::fs::write(folder.path().join("features.csv"), features).expect("written");

        let blocks = docs.split("```python\n").skip(1).filter_map(|rest| rest.split("```").next());
        let python: String = blocks.take(LIBRARIES.len()).collect();
        let trained = Command::new(built("python/bin/python")).args(["-c", &python]).current_dir(&folder).output();
        let trained = trained.expect("Python runs");
        assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));

        for (file, expected, more) in LIBRARIES {
            let verified = run(&format!("model verify {file} --data rows.csv --expected {expected}"));
            if file == "low_energy.txt" {
                assert!(docs.contains(verified.trim()), "{verified}");
            }
            run(&format!("model add {file}{more} --draft"));
            assert!(docs.contains(&format!("\"{file}\"")), "{file}");
        }
        assert!(docs.contains("cargo xtask model add low_energy.txt\n"));
        assert!(docs.contains("`cargo xtask model add low_energy.txt --draft`"));
        assert!(docs.contains(&format!("cargo xtask model add {}{}", LIBRARIES[3].0, LIBRARIES[3].2)));

        let state = state();
        let host = build_and_start(&registry, &state);
        let table = |file: &str| -> Vec<Vec<Option<f64>>> {
            let text = std::fs::read_to_string(folder.path().join(file)).expect("a table");
            text.lines().skip(1).map(|line| line.split(',').map(|cell| cell.parse().ok()).collect()).collect()
        };
        let rows = table("rows.csv");
        for (file, expected, _) in LIBRARIES {
            let (name, _) = file.split_once('.').expect("an ending");
            let answers = infer(&host, name, &rows);
            for (answer, expected) in answers.iter().zip(table(expected)) {
                let expected = expected.last().copied().flatten().expect("a probability");
                assert!((answer - expected).abs() <= 1e-6, "{name}: {answer} is not {expected}");
            }
        }
    }
}
