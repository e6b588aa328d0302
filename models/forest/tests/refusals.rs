//! Files that cannot be represented exactly, or are no models at all, are refused with the place and the reason, and no
//! bytes make an importer panic.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

use forest::import::{Options, read};
use proptest::prelude::*;
use std::path::Path;
use std::sync::OnceLock;

fn bytes(fixture: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture);
    let files = ["model.txt", "model.json", "model.ubj", "model.onnx"].map(|name| folder.join(name));
    std::fs::read(files.iter().find(|file| file.is_file()).expect("a model file")).expect("the model")
}

/// Why a fixture is refused once a piece of its text, which must be there, is replaced.
fn refused(fixture: &str, from: &str, to: &str) -> String {
    let text = String::from_utf8(bytes(fixture)).expect("text");
    assert!(text.contains(from), "{from:?} is in {fixture}");
    match read(text.replacen(from, to, 1).as_bytes(), &Options::default()) {
        Ok(_) => panic!("{fixture} with {to:?} for {from:?} was read"),
        Err(error) => error.to_string(),
    }
}

/// The whole line that begins so.
fn line(fixture: &str, key: &str) -> String {
    let text = String::from_utf8(bytes(fixture)).expect("text");
    text.lines().find(|line| line.starts_with(key)).expect("the line").to_owned()
}

#[test]
fn lightgbm() {
    let on = |from: &str, to: &str| refused("lightgbm_binary", from, to);
    assert_eq!(on("version=v4", "version=v9"), "header: version: \"v9\" is not known; v2, v3 and v4 are");
    assert_eq!(
        on("objective=binary sigmoid:1", "objective=magic"),
        "header: objective: \"magic\" is not known; binary, multiclass, multiclassova, cross_entropy, cross_entropy_lambda, \
         the regression and ranking objectives and none are"
    );
    assert_eq!(on("sigmoid:1", "sigmoid:x"), "header: objective: \"sigmoid:x\" has no number");
    assert_eq!(
        on("sigmoid:1", "sqrt"),
        "header: objective: sqrt with \"binary\" is not known; with the regression objectives it is"
    );
    assert_eq!(on("is_linear=0", "is_linear=1"), "Tree=0: num_features: is not there");
    let linear = |from: &str, to: &str| refused("lightgbm_linear", from, to);
    assert!(linear("leaf_const=", "leaf_const=7 ").starts_with("Tree=0: leaf_const: "));
    assert!(linear("leaf_const=", "leaf_const=x ").contains("not a number"));
    assert!(linear("\nnum_features=", "\nnum_features=9").contains("leaf_features: "));
    assert!(linear("\nnum_features=", "\nnum_features=18446744073709551615").contains("num_features: "));
    assert_eq!(
        on("num_tree_per_iteration=1", "num_tree_per_iteration=3"),
        "header: num_tree_per_iteration: 20 trees are no multiple of 3"
    );
    assert_eq!(on("max_feature_idx=5", "max_feature_idx=4"), "header: feature_names: 6 names for 5 features");
    assert_eq!(on("\nend of trees", "\n"), "end of file: there is no `end of trees`: the file is cut off");
    assert_eq!(on("num_leaves=", "num_leaves=1"), "Tree=0: leaf_value: 15 numbers, 115 are needed");
    assert!(on("\nleft_child=", "\nleft=").starts_with("Tree=0: left_child: is not there"));
    let left = line("lightgbm_binary", "left_child=");
    let first = left.trim_start_matches("left_child=").split(' ').next().expect("a child");
    assert_eq!(
        on(&left, &left.replacen(first, "0", 1)),
        "Tree=0: node 0: two parents lead here, so this is not a tree"
    );
    assert_eq!(
        on(&left, &left.replacen(first, "99", 1)),
        "Tree=0: node 99: there is no such node".replace("node 99", "leaf 85")
    );
    let threshold = line("lightgbm_binary", "threshold=");
    let first = threshold.trim_start_matches("threshold=").split(' ').next().expect("a threshold");
    assert_eq!(on(&threshold, &threshold.replacen(first, "nan", 1)), "Tree=0: node 0: the threshold is not a number");
    let feature = line("lightgbm_binary", "split_feature=");
    let first = feature.trim_start_matches("split_feature=").split(' ').next().expect("a feature");
    assert_eq!(
        on(&feature, &feature.replacen(&format!("={first}"), "=6", 1)),
        "Tree=0: node 0: feature 6 is out of range: the model has 6 features"
    );
    let categories = line("lightgbm_pandas_category", "pandas_categorical:");
    let with = |lists: &str| refused("lightgbm_pandas_category", &categories, &format!("pandas_categorical:{lists}"));
    let text = with("[[\"a\", \"b\"]]");
    assert!(text.starts_with("pandas_categorical: a category is the text \"a\": train it on whole numbers"), "{text}");
    assert!(text.contains("`categorical_feature=[...]`"), "{text}");
    assert!(with("[[0.5, 1]]").contains("the category 0.5 cannot be told apart"));
    assert!(with("[[-1, 1]]").contains("the category -1 cannot be told apart"));
    let few = with("[[7, 8]]");
    assert!(few.starts_with("pandas_categorical: 2 values for feature 5, which has a category "), "{few}");
    // A list of the parameters that is not of these columns is not looked at; that of others is needed.
    let file = String::from_utf8(bytes("lightgbm_pandas_category")).expect("text");
    let another = file.replacen("[categorical_feature: 5]", "[categorical_feature: 4]", 1);
    let model = |text: &str| read(text.as_bytes(), &Options::default()).expect("a model");
    assert!(another != file && model(&another) == model(&file));
    let ordered = refused("lightgbm_pandas_categories", "[categorical_feature: 3,4,5]", "[categorical_feature: 3,5]");
    assert!(ordered.contains("3 lists of values for 2 features by category"), "{ordered}");
    assert_eq!(
        with("[[7, 8], [9]]"),
        "pandas_categorical: 2 lists of values for 1 features by category: the file does not say which is whose (an \
         ordered column of categories has a list, and is split by size)"
    );
    assert!(with("[[16777216]]").contains("cannot be told apart"));
    assert!(with("{").contains("is not JSON"));
    let harmless = String::from_utf8(bytes("lightgbm_binary")).expect("text");
    assert!(
        read(harmless.replace("categorical:null", "categorical:[[0, 1, 2]]").as_bytes(), &Options::default()).is_ok()
    );
    let boundaries = line("lightgbm_categorical", "cat_boundaries=");
    assert!(
        refused("lightgbm_categorical", &boundaries, &boundaries.replacen("=0 ", "=7 ", 1)).contains("cat_boundaries")
    );
    let thresholds = line("lightgbm_categorical", "threshold=");
    let high = format!("threshold={}", vec!["1e30"; thresholds.split(' ').count()].join(" "));
    let error = refused("lightgbm_categorical", &thresholds, &high);
    assert!(error.contains("there is no set of categories 1000000000000000000000000000000"), "{error}");
    assert_eq!(
        refused("lightgbm_multiclass", "num_class:4", "num_class:3"),
        "header: objective: \"num_class:3\", and there are 4 trees an iteration"
    );
}

#[test]
fn xgboost() {
    let on = |from: &str, to: &str| refused("xgboost_logistic", from, to);
    assert_eq!(
        on("\"name\":\"gbtree\"", "\"name\":\"gblinear\""),
        "learner.gradient_booster.name: \"gblinear\" has no trees to be served; gbtree and dart are known"
    );
    assert_eq!(
        on("\"name\":\"binary:logistic\"", "\"name\":\"reg:expectileerror\""),
        "learner.objective.name: \"reg:expectileerror\" is not known; binary:logistic, binary:logitraw, binary:hinge, \
         multi:softprob, multi:softmax, reg:* but expectile, count:poisson, survival:cox, survival:aft and rank:* are"
    );
    assert_eq!(
        on("\"size_leaf_vector\":\"1\"", "\"size_leaf_vector\":\"3\""),
        "learner.gradient_booster.model.trees[0].base_weights: 29 numbers, 87 are needed"
    );
    let vectors = |from: &str, to: &str| refused("xgboost_vector_leaves", from, to);
    let fewer = vectors("\"num_class\":\"4\"", "\"num_class\":\"3\"");
    assert!(
        fewer.ends_with("leaves of 4 numbers for 3 outputs") || fewer.contains("base scores for 3 outputs"),
        "{fewer}"
    );
    assert!(vectors("\"leaf_weights\":[", "\"leaf_weights\":[null,").ends_with("65 numbers, 64 are needed"));
    assert!(vectors("\"right_children\":[", "\"right_children\":[-").contains("child -"));
    assert_eq!(
        vectors("\"num_class\":\"4\"", "\"num_class\":\"1000000000\""),
        "learner.learner_model_param: 1000000000 outputs, and 5 trees (at most 1000 outputs are read)"
    );
    assert_eq!(
        on("\"num_class\":\"0\",\"num_feature\":\"6\"", "\"num_feature\":\"0\""),
        "learner.learner_model_param.num_feature: 0 is not between 1 and 13106"
    );
    assert!(
        on("\"num_class\":\"0\",\"num_feature\":\"6\"", "\"num_feature\":\"1\"")
            .contains("is out of range: the model has 1 features")
    );
    assert_eq!(
        on("\"num_class\":\"0\"", "\"num_class\":\"1000000000\""),
        "learner.learner_model_param: 1000000000 outputs, and 12 trees (at most 1000 outputs are read)"
    );
    assert!(on("\"left_children\":[", "\"left_children\":[7,").contains("numbers, "));
    assert_eq!(
        read(b"{\"learner\":{}}", &Options::default()).expect_err("empty").to_string(),
        "learner: there is no \"learner_model_param\""
    );
    let text = String::from_utf8(bytes("xgboost_logistic")).expect("text");
    assert!(
        read(&text.as_bytes()[..text.len() - 9], &Options::default()).expect_err("cut off").to_string().contains("EOF")
    );
    let binary = bytes("xgboost_softprob");
    assert!(
        read(&binary[..binary.len() - 9], &Options::default())
            .expect_err("cut off")
            .to_string()
            .ends_with("the file is cut off"),
        "UBJSON"
    );
    for (score, margin) in [("2.5E-1", "-1.0986123"), ("[2.5E-1]", "-1.0986123")] {
        let start = text.find("\"base_score\":\"").expect("a base score") + 14;
        let end = start + text[start..].find('"').expect("its end");
        let model =
            read(format!("{}{score}{}", &text[..start], &text[end..]).as_bytes(), &Options::default()).expect("read");
        let forest::import::Forests::F32(forests) = model.forests else { panic!("XGBoost computes in f32") };
        assert_eq!(forests[0].forest().parts().base_margin.to_string(), margin, "{score}");
    }
}

/// Why a CatBoost fixture is refused once something stands at a place of its JSON, which must be there or is new.
fn catboost_with(fixture: &str, place: &str, value: serde_json::Value) -> String {
    let mut file: serde_json::Value = serde_json::from_slice(&bytes(fixture)).expect("JSON");
    let (parent, key) = place.rsplit_once('/').expect("a place");
    let parent = file.pointer_mut(parent).expect("the place");
    match parent {
        serde_json::Value::Array(parts) => parts[key.parse::<usize>().expect("a number")] = value,
        parent => parent[key] = value,
    }
    match read(file.to_string().as_bytes(), &Options::default()) {
        Ok(_) => panic!("{fixture} with another {place} was read"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn catboost() {
    use serde_json::json;
    let on = |place: &str, value: serde_json::Value| catboost_with("catboost_onehot", place, value);
    let split = |key: &str| format!("/oblivious_trees/0/splits/0/{key}");
    let place = "oblivious_trees[0]";
    assert!(on(&split("split_type"), json!("OnlineCtr")).contains("statistics of a category"));
    assert!(on(&split("split_type"), json!("Other")).contains("\"Other\" is not known"));
    let error = on("/oblivious_trees/0/leaf_values", json!([1, 2, 3]));
    assert_eq!(error, format!("{place}.leaf_values: 3 numbers for 16 leaves"));
    let error = on("/oblivious_trees/0/leaf_weights", json!([1, 2, 3]));
    assert_eq!(error, format!("{place}.leaf_weights: 3 numbers, 16 are needed"));
    let error = on("/oblivious_trees/0/splits", json!(vec![json!({}); 17]));
    assert_eq!(error, format!("{place}: 17 levels of splits, 16 are the most"));
    let float = |key: &str, value: serde_json::Value| {
        let mut split = json!({ "split_type": "FloatFeature", "float_feature_index": 0, "border": 0.5 });
        split[key] = value;
        on("/oblivious_trees/0/splits/0", split)
    };
    assert!(float("border", json!(null)).contains(".border: is no number"));
    assert!(float("float_feature_index", json!(99)).contains("there is no such feature"));
    let one_hot = json!({ "split_type": "OneHotFeature", "cat_feature_index": 0, "value": 12345 });
    let error = on("/oblivious_trees/0/splits/0", one_hot);
    assert!(error.contains("save it with the data that it was trained on"), "{error}");
    let category = |text: &str| {
        let mut file: serde_json::Value = serde_json::from_slice(&bytes("catboost_onehot")).expect("JSON");
        let known = file["features_info"]["cat_features_hash"].as_array_mut().expect("categories");
        known.iter_mut().for_each(|category| category["value"] = json!(text));
        read(file.to_string().as_bytes(), &Options::default()).expect_err("refused").to_string()
    };
    assert!(category("three").contains("a category is the text \"three\": train it on whole numbers"));
    assert!(category("03").contains("a category is the text \"03\""));
    assert!(category("16777216").contains("is not below 2^24"));
    let loss = "/model_info/params/loss_function/type";
    assert!(on(loss, json!("Magic")).contains("\"Magic\" is not known"));
    assert!(on(loss, json!("MultiLogloss")).contains("several labels can be true at once"));
    let error = on("/features_info/float_features/0/flat_feature_index", json!(99_999));
    assert!(error.contains("is not below 13106"), "{error}");
    let error = on("/features_info/float_features/0/nan_value_treatment", json!("Other"));
    assert!(error.contains("\"Other\" is not known"), "{error}");
    assert!(on("/features_info/text_features", json!([{}])).contains("are no numbers"));
    assert!(on("/scale_and_bias", json!([1, [0], 2])).contains("is not a scale and a bias"));
    assert!(on("/scale_and_bias", json!([1, []])).contains("0 biases"));
    assert!(on("/scale_and_bias", json!([1, [0, 0]])).contains("1 values of a leaf for 2 outputs"));
    let nested = |place: &str, value: serde_json::Value| catboost_with("catboost_depthwise", place, value);
    assert!(nested("/trees/0/right", json!({})).contains("there is no \"value\""));
    assert!(nested("/trees/0/right", json!({ "value": [1, 2] })).contains("2 values of a leaf for 1 outputs"));
}

#[test]
fn labels_that_do_not_exclude_each_other_are_no_classes_in_whatever_precision() {
    use forest::{Transform, import::Library};
    let mut model = read(&bytes("onnx_double"), &Options::default()).expect("a model");
    model.transform = Transform::Sigmoid { scale: 1.0 };
    assert_eq!(model.probabilities(None), Ok(model.transform), "of one output");
    for fixture in ["lightgbm_multiclassova", "catboost_one_vs_all"] {
        let mut model = read(&bytes(fixture), &Options::default()).expect("a model");
        assert!(model.probabilities(None).is_ok(), "{fixture}: classes, by their library");
        model.library = Library::Onnx;
        let error = model.probabilities(None).expect_err("labels");
        assert!(error.contains("the model has 4 labels, of which several can be true at once"), "{error}");
    }
}

#[test]
fn linear_leaves_are_the_reason_why_nothing_is_explained() {
    let reason = |fixture: &str| read(&bytes(fixture), &Options::default()).expect("a model").forests.cannot_explain();
    assert_eq!(
        reason("lightgbm_linear"),
        Some("the leaves are linear functions, which LightGBM does not explain either")
    );
    assert_eq!(reason("onnx_random_forest"), Some("the file has no covers"));
    assert_eq!(reason("lightgbm_binary"), None);
}

#[test]
fn margins_after_rounds_are_those_of_so_many_rounds() {
    for fixture in ["xgboost_parallel", "xgboost_vector_leaves", "catboost_scaled", "lightgbm_multiclass"] {
        let row = [0.3, -0.5, 0.0, 1.0, f64::NAN, 0.2];
        let whole = read(&bytes(fixture), &Options::default()).expect("a model");
        let after = whole.margins_after_rounds(&row).expect("the row fits");
        assert!(after.len() > 4, "{fixture}");
        for (index, after) in after.iter().enumerate() {
            let part = read(&bytes(fixture), &Options { rounds: Some(index + 1), covers: None }).expect("a model");
            for (ours, theirs) in after.iter().zip(part.forests.margins(&row).expect("the row fits")) {
                assert!((ours - theirs).abs() < 1e-12, "{fixture}, round {}: {ours} is not {theirs}", index + 1);
            }
        }
    }
    let gbdt = read(&bytes("onnx_rules"), &Options::default()).expect("a model");
    assert_eq!(gbdt.margins_after_rounds(&[0.0; 6]), None, "the file does not say what a round is");
}

#[test]
fn file_of_lightgbm_2_1_that_is_cut_off_is_known_for_that() {
    let error = refused("lightgbm_2_1_2_binary", "\nfeature importances:", "\n");
    assert_eq!(error, "end of file: there is no `end of trees` and no `feature importances:`: the file is cut off");
    let error = refused("lightgbm_2_1_2_binary", "version=v2", "version=v3");
    assert_eq!(error, "end of file: there is no `end of trees`: the file is cut off");
}

#[test]
fn training_that_stopped_early_is_warned_of_where_rounds_are_left_out() {
    let warnings = |fixture: &str| read(&bytes(fixture), &Options::default()).expect("a model").warnings;
    assert!(
        warnings("xgboost_stopped_early")[0].starts_with("training stopped early and best was round 27: all rounds")
    );
    assert_eq!(warnings("xgboost_1_7_6_best_is_last"), Vec::<String>::new());
}

#[test]
fn function_of_the_card_is_for_files_that_have_none() {
    use forest::{Transform, import::NamedTransform};
    let named = |fixture: &str, named: NamedTransform| {
        read(&bytes(fixture), &Options::default()).expect("a model").probabilities(Some(named))
    };
    assert_eq!(named("lightgbm_regression", NamedTransform::Sigmoid), Ok(Transform::Sigmoid { scale: 1.0 }));
    assert_eq!(named("xgboost_squarederror", NamedTransform::Sigmoid), Ok(Transform::SigmoidF32));
    assert_eq!(named("onnx_since_5", NamedTransform::Softmax), Ok(Transform::SoftmaxF32));
    assert_eq!(named("onnx_rules", NamedTransform::Identity), Ok(Transform::Clamp));
    for (fixture, name, reason) in [
        ("lightgbm_binary", NamedTransform::Identity, "has a function of its own"),
        ("lightgbm_regression", NamedTransform::Softmax, "the model has one"),
        ("onnx_since_5", NamedTransform::Sigmoid, "the model has 2"),
    ] {
        let error = named(fixture, name).expect_err("refused");
        assert!(error.contains(reason), "{error}");
    }
    let unnamed = read(&bytes("lightgbm_regression"), &Options::default()).expect("a model").probabilities(None);
    assert!(unnamed.expect_err("no probability").contains("--transform"));
}

#[test]
fn categories_with_values_of_their_own() {
    let text = String::from_utf8(bytes("xgboost_pandas_category")).expect("text");
    let values = text.find("\"values\":[3,").expect("the values of categories");
    let refused = |with: &str| {
        let changed = format!("{}{with}{}", &text[..values], &text[values + "\"values\":[3,".len()..]);
        read(changed.as_bytes(), &Options::default()).expect_err("refused").to_string()
    };
    assert!(refused("\"offsets\":[0],\"values\":[3,").contains("a category is the text"));
    let error = refused("\"values\":[3.5,");
    assert!(error.contains(".enc[5].values: the category 3.5 cannot be told apart"), "{error}");
    assert!(refused("\"values\":[-3,").contains("the category -3 cannot be told apart"));
    let warnings = |fixture: &str| read(&bytes(fixture), &Options::default()).expect("a model").warnings;
    assert_eq!(warnings("xgboost_pandas_category"), Vec::<String>::new());
    assert!(warnings("onnx_random_forest")[0].contains("no branch says where what is missing goes"));
    assert_eq!(warnings("onnx_hist_gradient_boosting"), Vec::<String>::new());
    assert!(warnings("xgboost_2_1_4_categorical")[0].contains("the file has no values of them"));
}

#[test]
fn no_model_at_all() {
    for bytes in [&b"binf"[..], b"\x00\x01\x02", b"tree", b"[1]"] {
        let error = read(bytes, &Options::default()).expect_err("no model").to_string();
        assert!(error.starts_with("byte 0: this is no model file that is known"), "{error}");
    }
}

#[test]
fn rounds_keep_the_first_and_no_more_than_there_are() {
    for (fixture, rounds, outputs) in [
        ("lightgbm_multiclass", 8, 4),
        ("xgboost_parallel", 5, 4),
        ("xgboost_logistic", 12, 1),
        ("catboost_multiclass", 12, 4),
    ] {
        let bytes = bytes(fixture);
        let row = [0.3, -0.5, 0.0, 1.0, f64::NAN, 0.2];
        let margins = |rounds| {
            read(&bytes, &Options { rounds, covers: None }).expect("read").forests.margins(&row).expect("the row fits")
        };
        assert_eq!(margins(None), margins(Some(rounds)), "{fixture}");
        assert_ne!(margins(None), margins(Some(1)), "{fixture}");
        assert_eq!(margins(None).len(), outputs);
        for wrong in [0, rounds + 1, usize::MAX] {
            let error = read(&bytes, &Options { rounds: Some(wrong), covers: None }).expect_err("refused").to_string();
            assert_eq!(error, format!("rounds: the file has {rounds} rounds"), "{fixture}");
        }
    }
}

/// The fixtures that together have every kind of node.
fn seeds() -> &'static [Vec<u8>] {
    static SEEDS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let names = [
            "lightgbm_categorical",
            "lightgbm_multiclass",
            "lightgbm_linear",
            "lightgbm_one_leaf",
            "lightgbm_pandas_category",
            "lightgbm_pandas_categories",
            "lightgbm_2_1_2_categorical",
            "xgboost_onehot",
            "xgboost_categorical",
            "xgboost_dart",
            "xgboost_pandas_category",
            "xgboost_pruned",
            "xgboost_vector_leaves",
            "catboost_onehot",
            "catboost_lossguide",
            "onnx_random_forest_classes",
            "onnx_rules",
            "onnx_since_5",
        ];
        names.map(bytes).into()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn hostile_bytes_are_refused_or_read_and_never_panic(
        seed in 0usize..18,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), proptest::collection::vec(any::<u8>(), 0..6)), 1..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = seeds()[seed].clone();
        for (at, new) in changes {
            let at = at.index(bytes.len() - 8);
            bytes[at..at + new.len()].copy_from_slice(&new);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(model) = read(&bytes, &Options::default()) {
            let row = vec![0.5; model.forests.features()];
            let _ = model.predict(&row);
            let _ = model.forests.contributions(0, &row);
        }
    }
}
