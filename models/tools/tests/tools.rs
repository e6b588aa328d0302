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
fn verify_passes_what_each_library_said() {
    let registry = registry();
    for (name, model) in [("catboost_multiclass", "model.json"), ("onnx_random_forest", "model.onnx")] {
        let (model, data, expected) = (fixture(name, model), fixture(name, "rows.csv"), fixture(name, "predicted.csv"));
        let output = run(registry.path(), &["verify", &model, "--data", &data, "--expected", &expected]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
}

#[test]
fn objective_of_one_s_own_is_served_by_the_function_that_is_named() {
    let registry = registry();
    let (model, data) = (fixture("lightgbm_regression", "model.txt"), fixture("lightgbm_regression", "rows.csv"));
    let features = "energyLevel,hoursSlept,sleepQuality,elevation,activation,libido";
    let add = ["add", &model, "--name", "own", "--features", features];
    let refused = run(registry.path(), &add);
    assert!(said(&refused).contains("--transform of the tools"), "{}", said(&refused));
    let added = run(registry.path(), &[&add[..], &["--transform", "sigmoid"]].concat());
    assert_eq!(added.status.code(), Some(0), "{}", said(&added));
    let card = std::fs::read_to_string(registry.path().join("own/card.toml")).expect("a card");
    assert!(card.contains("transform = \"sigmoid\""), "{card}");
    let raw = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(fixture("lightgbm_regression", "raw.csv"));
    let margins = std::fs::read_to_string(raw).expect("margins");
    let probability = |margin: &str| 1.0 / (1.0 + (-margin.parse::<f64>().expect("a number")).exp());
    let probabilities: Vec<String> = margins.lines().map(|margin| probability(margin).to_string()).collect();
    let expected = registry.path().join("expected.csv");
    std::fs::write(&expected, probabilities.join("\n")).expect("written");
    let expected = expected.display().to_string();
    // The card of the registry's names it; of a file alone the caller does.
    for model in [&["own"][..], &[model.as_str(), "--transform", "sigmoid"]] {
        let verify = [&["verify"], model, &["--data", &data, "--expected", &expected]].concat();
        let output = run(registry.path(), &verify);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
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
    for line in [
        "version = \"low_energy_v1\"",
        "format = \"lightgbm\"",
        "\"hoursSlept_mean\"",
        "kind = \"risk\"",
        "intended_use = \"? What is it to be used for?\"",
    ] {
        assert!(card.contains(line), "{line} is not in {card}");
    }
    assert!(registry.path().join("low_energy/model.txt").is_file());
    assert!(!card.contains("draft"), "{card}");
    let again = run(registry.path(), &["add", OWN]);
    assert!(said(&again).contains("is there already"), "{}", said(&again));
    let inspected = run(registry.path(), &["inspect", "low_energy", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&inspected.stdout).expect("JSON");
    assert_eq!((&report["library"], &report["trees"]), (&"LightGBM v4".into(), &30.into()));
    assert_eq!(run(registry.path(), &["remove", "low_energy"]).status.code(), Some(0));
    assert!(!registry.path().join("low_energy").exists());
    assert_eq!(run(registry.path(), &["add", OWN, "--draft"]).status.code(), Some(0));
    let card = std::fs::read_to_string(registry.path().join("low_energy/card.toml")).expect("a card");
    assert!(card.contains("draft = true"), "{card}");
    assert_eq!(run(registry.path(), &["remove", "low_energy"]).status.code(), Some(0));
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
    std::fs::write(&named, &text).expect("written");
    let put = |name: &str, bytes: &[u8]| {
        std::fs::write(elsewhere.path().join(name), bytes).expect("written");
        elsewhere.path().join(name).display().to_string()
    };
    let renamed = put("model.bin", text.as_bytes());
    let (pickle, compressed) = (put("model.pkl", b"\x80\x04\x95"), put("model.txt.gz", b"\x1f\x8b\x08"));
    for (args, error) in [
        (vec!["add", "models/forest/tests/fixtures/lightgbm_binary/model.txt"], "name the prediction type"),
        (vec!["add", OWN, "--name", "../escape"], "cannot be a model's name"),
        (vec!["add", OWN, "--name", "train"], "is taken by the registry itself"),
        (vec!["add", "README.md", "--name", "x"], "this is no model file that is known"),
        (vec!["add", &renamed, "--name", "x"], "must end in .json, .onnx, .txt or .ubj"),
        (vec!["add", &pickle, "--name", "x"], "a Python pickle (joblib writes them too)"),
        (vec!["add", &pickle, "--name", "x"], "to_onnx"),
        (vec!["add", &compressed, "--name", "x"], "compressed: unpack it first"),
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

/// The text of a fixture's file.
fn text(name: &str, file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(fixture(name, file));
    std::fs::read_to_string(path).expect("a fixture")
}

/// Verifies a model of the fixtures with tables as somebody has written them; returns the exit code and what was said.
fn verify(model: &str, data: &str, expected: &str, flags: &[&str]) -> (Option<i32>, String) {
    let registry = registry();
    let [data_file, expected_file] = [("data.csv", data), ("expected.csv", expected)].map(|(name, text)| {
        let file = registry.path().join(name);
        std::fs::write(&file, text).expect("written");
        file.display().to_string()
    });
    let args = [&["verify", model, "--data", &data_file, "--expected", &expected_file], flags].concat();
    let output = run(registry.path(), &args);
    (output.status.code(), said(&output))
}

#[test]
fn verify_reads_tables_as_pandas_and_numpy_write_them() {
    let model = fixture("lightgbm_binary", "model.txt");
    let (rows, predicted) = (text("lightgbm_binary", "rows.csv"), text("lightgbm_binary", "predicted.csv"));
    let numbered = |from: usize, text: &str| -> String {
        text.lines().enumerate().map(|(index, line)| format!("{},{line}\n", index + from)).collect()
    };
    let mark = format!("\u{feff}a,b,c,d,e,f\n{rows}");
    for (name, data, expected) in [
        ("no header", rows.clone(), predicted.clone()),
        ("a header of numbers over what is expected", rows.clone(), format!("0\n{predicted}")),
        ("headers of numbers over both", format!("0,1,2,3,4,5\n{rows}"), format!("0\n{predicted}")),
        ("one over the data alone", format!("0,1,2,3,4,5\n{rows}"), predicted.clone()),
        (
            "the index of a frame",
            format!(",a,b,c,d,e,f\n{}", numbered(0, &rows)),
            format!(",0\n{}", numbered(0, &predicted)),
        ),
        ("a byte order mark", mark, predicted.clone()),
        ("semicolons", rows.replace(',', ";"), predicted.clone()),
        ("missing values by name", rows.replace(",,", ",NA,").replace(",,", ",<NA>,"), predicted.clone()),
    ] {
        let (code, said) = verify(&model, &data, &expected, &[]);
        assert_eq!(code, Some(0), "{name}: {said}");
        assert!(said.starts_with("300 rows compared, "), "{name}: {said}");
    }
    // A first row that only looks like a header is a row.
    let (code, said) = verify(&model, &format!("0,1,2,3,4,5\n{rows}"), &format!("0.5\n{predicted}"), &[]);
    assert!(code == Some(1) && said.starts_with("301 rows compared"), "{said}");
    let booleans = "1,0.5,0,1,0,2\n1,0.5,0,0,0,2\n";
    let said_of = |data: &str| verify(&model, data, "0.5\n0.5\n", &[]).1;
    assert_eq!(said_of(booleans), said_of("True,0.5,False,true,0,2\n1,0.5,0,FALSE,0,2\n"));
}

#[test]
fn verify_takes_columns_by_the_names_that_a_library_makes_of_them() {
    let model = text("lightgbm_binary", "model.txt");
    let names = model.lines().find(|line| line.starts_with("feature_names=")).expect("the names");
    let file = registry();
    let renamed = file.path().join("renamed.txt");
    std::fs::write(&renamed, model.replace(names, "feature_names=a b c_d e f g")).expect("written");
    let (rows, predicted) = (text("lightgbm_binary", "rows.csv"), text("lightgbm_binary", "predicted.csv"));
    let model = renamed.display().to_string();
    let (code, said) = verify(&model, &format!("a, b,c d,e,f,g\n{rows}"), &predicted, &[]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = verify(&model, &format!("b,a,c d,e,f,g\n{rows}"), &predicted, &[]);
    assert!(code == Some(2) && said.contains("column 1 is \"b\", the model expects \"a\""), "{said}");
}

#[test]
fn verify_takes_what_predict_proba_gives() {
    let rows = text("xgboost_softprob", "rows.csv");
    let softmax = fixture("xgboost_softmax", "model.json");
    let (code, said) = verify(&softmax, &rows, &text("xgboost_softprob", "predicted.csv"), &[]);
    assert_eq!(code, Some(0), "{said}");
    let (rows, risks) = (text("lightgbm_binary", "rows.csv"), text("lightgbm_binary", "predicted.csv"));
    let both = |line: &str| format!("{},{line}\n", 1.0 - line.parse::<f64>().expect("a number"));
    let model = fixture("lightgbm_binary", "model.txt");
    let (code, said) = verify(&model, &rows, &risks.lines().map(both).collect::<String>(), &[]);
    assert_eq!(code, Some(0), "{said}");
    let label = |line: &str| if line.parse::<f64>().expect("a number") > 0.5 { "1\n" } else { "0\n" };
    let (code, said) = verify(&model, &rows, &risks.lines().map(label).collect::<String>(), &[]);
    assert!(code == Some(1) && said.contains("are they labels, in place of `predict_proba`?"), "{said}");
}

#[test]
fn verify_offers_the_rounds_that_agree_and_says_no_more_than_a_page() {
    let model = fixture("lightgbm_unbalanced", "model.txt");
    let rows = text("lightgbm_unbalanced", "rows.csv");
    let options = forest::import::Options { rounds: Some(7), covers: None };
    let part = forest::import::read(text("lightgbm_unbalanced", "model.txt").as_bytes(), &options).expect("a model");
    let margin = |line: &str| {
        let row: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap_or(f64::NAN)).collect();
        format!("{:?}\n", part.predict(&row).expect("the row fits")[0])
    };
    let expected: String = rows.lines().map(margin).collect();
    let (code, said) = verify(&model, &rows, &expected, &[]);
    assert!(code == Some(1) && said.contains("the first 7 rounds agree: --rounds 7"), "{said}");
    assert!(said.lines().count() < 60, "{}", said.lines().count());
    assert_eq!(verify(&model, &rows, &expected, &["--rounds", "7"]).0, Some(0));
    let (_, report) = verify(&model, &rows, &expected, &["--json"]);
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["rounds_that_agree"], 7);
}

/// This project's predictions for a fixture's rows by the first rounds, as CSV.
fn predicted_by(name: &str, file: &str, rounds: usize) -> String {
    let bytes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(fixture(name, file));
    let options = forest::import::Options { rounds: Some(rounds), covers: None };
    let part = forest::import::read(&std::fs::read(bytes).expect("a model"), &options).expect("a model");
    let line = |line: &str| {
        let row: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap_or(f64::NAN)).collect();
        let cells = part.predict(&row).expect("the row fits").into_iter().map(|x| format!("{x:?}"));
        cells.collect::<Vec<_>>().join(",") + "\n"
    };
    text(name, "rows.csv").lines().map(line).collect()
}

#[test]
fn verify_counts_rounds_as_the_library_does() {
    // Three trees an output a round; a bias behind the trees; and what scikit-learn's wrapper said after an early stop.
    for (name, file, rounds) in [
        ("xgboost_parallel", "model.json", 3),
        ("catboost_scaled", "model.json", 7),
        ("catboost_multiclass", "model.json", 5),
    ] {
        let expected = predicted_by(name, file, rounds);
        let (code, said) = verify(&fixture(name, file), &text(name, "rows.csv"), &expected, &[]);
        assert!(code == Some(1) && said.contains(&format!("the first {rounds} rounds agree")), "{name}: {said}");
    }
    let name = "xgboost_stopped_early";
    let (model, rows, best) = (fixture(name, "model.json"), text(name, "rows.csv"), text(name, "best.csv"));
    let (code, said) = verify(&model, &rows, &best, &[]);
    assert!(said.starts_with("warning: training stopped early and best was round 27: all rounds"), "{said}");
    assert!(code == Some(1) && said.contains("the first 27 rounds agree: --rounds 27"), "{said}");
    assert_eq!(verify(&model, &rows, &best, &["--rounds", "27"]).0, Some(0));
    let name = "xgboost_1_7_6_best_is_last";
    let model = fixture(name, "model.json");
    let (code, said) = verify(&model, &text(name, "rows.csv"), &text(name, "predicted.csv"), &[]);
    assert!(code == Some(0) && !said.contains("warning"), "{said}");
}

#[test]
fn mismatch_prints_no_more_than_a_page_of_whatever_trees() {
    let rows = text("lightgbm_default", "rows.csv");
    let model = text("lightgbm_default", "model.txt");
    let names = model.lines().find(|line| line.starts_with("feature_names=")).expect("the names");
    let long = (0..6).map(|column| format!("{column}_{}", "long".repeat(100))).collect::<Vec<_>>().join(" ");
    let elsewhere = registry();
    let file = elsewhere.path().join("long.txt");
    std::fs::write(&file, model.replace(names, &format!("feature_names={long}"))).expect("written");
    let wrong = "1e300\n".repeat(rows.lines().count());
    let huge: String = rows.lines().map(|_| "1e300,-1e300,1e300,-1e300,1e300,-1e300\n").collect();
    for data in [&rows, &huge] {
        let (code, said) = verify(&file.display().to_string(), data, &wrong, &["--raw"]);
        assert!(code == Some(1) && said.contains(" more trees\n") && said.len() < 8_000, "{}: {said}", said.len());
    }
    // A chain of 300 splits.
    let (chain, splits) = (chain(300), 300);
    std::fs::write(&file, chain).expect("written");
    let (code, said) = verify(&file.display().to_string(), "1e9\n", "7\n", &["--raw"]);
    assert!(code == Some(1) && said.len() < 2_000, "{said}");
    assert!(said.contains(&format!(", and {} more splits, leaf 1.5\n", splits - 10)), "{said}");
}

/// LightGBM's file of one tree whose splits each have a leaf to the left.
fn chain(splits: i64) -> String {
    let list =
        |number: &dyn Fn(i64) -> i64| (0..splits).map(|split| number(split).to_string()).collect::<Vec<_>>().join(" ");
    let right = list(&|split| if split + 1 == splits { -split - 2 } else { split + 1 });
    format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=0\nobjective=regression\n\
         feature_names=a\nfeature_infos=[0:1]\n\nTree=0\nnum_leaves={}\nnum_cat=0\nsplit_feature={zeros}\n\
         threshold={thresholds}\ndecision_type={zeros}\nleft_child={left}\nright_child={right}\nleaf_value={}\n\n\
         end of trees\n",
        splits + 1,
        vec!["1.5"; splits as usize + 1].join(" "),
        zeros = list(&|_| 0),
        thresholds = list(&|split| split),
        left = list(&|split| -split - 1),
    )
}

#[test]
fn verify_reads_the_header_of_a_single_feature() {
    let elsewhere = registry();
    let file = elsewhere.path().join("one.txt");
    std::fs::write(&file, chain(3)).expect("written");
    let model = file.display().to_string();
    for (data, expected) in [("0\n0.5\n2\n", "0\n1.5\n1.5\n"), ("0\n0.5\n2\n", "1.5\n1.5\n")] {
        let (code, said) = verify(&model, data, expected, &[]);
        assert!(code == Some(0) && said.starts_with("2 rows compared"), "{said}");
    }
    let (code, said) = verify(&model, "0\n0.5\n", "1.5\n1.5\n", &[]);
    assert!(code == Some(0) && said.starts_with("2 rows compared"), "{said}");
}

#[test]
fn labels_in_place_of_probabilities_are_named_whatever_they_look_like() {
    let rows = text("lightgbm_multiclass", "rows.csv");
    let model = fixture("lightgbm_multiclass", "model.txt");
    for label in ["2\n", "calm\n"] {
        let (code, said) = verify(&model, &rows, &label.repeat(rows.lines().count()), &[]);
        assert!(code == Some(2) && said.contains(": are they labels, in place of `predict_proba`?"), "{said}");
    }
    // Where no probability is to be had none is asked for.
    let (code, said) = verify(&fixture("lightgbm_regression", "model.txt"), &rows, "low\nhigh\nlow\n", &[]);
    assert!(code == Some(2) && said.contains("\"high\" is no number\n"), "{said}");
}

#[test]
fn linear_trees_are_said_to_be_the_reason_why_there_are_no_contributions() {
    const REASON: &str = "the leaves are linear functions, which LightGBM does not explain either";
    let model = fixture("lightgbm_linear", "model.txt");
    let rows = text("lightgbm_linear", "rows.csv");
    let (code, text) = verify(&model, &rows, &"1\n".repeat(rows.lines().count()), &["--contrib"]);
    assert!(code == Some(2) && text.contains(&format!("{REASON}, so there are no contributions")), "{text}");
    let registry = registry();
    let inspected = run(registry.path(), &["inspect", &model]);
    assert!(said(&inspected).contains(&format!("explains    no: {REASON}")), "{}", said(&inspected));
}

#[test]
fn a_default_model_of_lightgbm_fits_and_its_size_is_said() {
    let registry = registry();
    let model = fixture("lightgbm_default", "model.txt");
    let inspected = run(registry.path(), &["inspect", &model, "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&inspected.stdout).expect("JSON");
    assert_eq!((&report["trees"], &report["leaves"]), (&100.into(), &3_100.into()));
    let bytes = report["module_bytes"].as_u64().expect("a number");
    // A node has 20 bytes, a tree 6.
    assert_eq!(bytes, 6_100 * 20 + 100 * 6);
    let features = "energyLevel,hoursSlept,sleepQuality,elevation,activation,libido";
    let added = run(registry.path(), &["add", &model, "--name", "own", "--features", features]);
    assert!(said(&added).contains(&format!("it adds {bytes} bytes to the module\n")), "{}", said(&added));
}

#[test]
fn add_refuses_labels_that_do_not_exclude_each_other() {
    let registry = registry();
    let several = text("xgboost_quantileerror_several", "model.json");
    let file = registry.path().join("several.json");
    let score = several.split("\"base_score\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a score");
    let several = several.replace("\"reg:quantileerror\"", "\"binary:logistic\"").replace(score, "5E-1");
    std::fs::write(&file, several).expect("written");
    let output = run(registry.path(), &["add", &file.display().to_string()]);
    let said = said(&output);
    assert!(
        output.status.code() == Some(2) && said.contains("the model has 3 labels, of which several can be true"),
        "{said}"
    );
}

#[test]
fn check_says_of_each_file_of_a_folder_what_would_become_of_it() {
    let folder = registry();
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("written");
    put("a.txt", text("lightgbm_binary", "model.txt").as_bytes());
    put("b.json", text("xgboost_squarederror", "model.json").as_bytes());
    put("c.pkl", b"\x80\x04\x95");
    std::fs::create_dir(folder.path().join("inner")).expect("a folder");
    put("inner/d.txt", text("lightgbm_3_3_5_one_leaf", "model.txt").as_bytes());
    put(".hidden", b"");
    let output = run(folder.path(), &["check", &folder.path().display().to_string()]);
    let said_lines = said(&output);
    let lines: Vec<&str> = said_lines.lines().collect();
    assert_eq!((output.status.code(), lines.len()), (Some(1), 4), "{said_lines}");
    assert!(
        lines[0].starts_with("a.txt: LightGBM v4, binary sigmoid:1, 20 trees, ") && lines[0].ends_with(" us a row")
    );
    assert!(lines[1].contains("us a row; not served: the objective \"reg:squarederror\" gives no probability"));
    assert!(lines[2].starts_with("c.pkl: refused: byte 0: this is a Python pickle"), "{}", lines[2]);
    assert!(lines[3].starts_with("inner/d.txt: LightGBM v3, multiclass num_class:4, "), "{}", lines[3]);
    let output = run(folder.path(), &["check", &folder.path().join("inner").display().to_string(), "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report[0]["file"], &report[0]["trees"]), (&"d.txt".into(), &12.into()));
}
