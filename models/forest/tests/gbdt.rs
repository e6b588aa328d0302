//! A model that `gbdt` trained and saved predicts here what it predicts there, and a file that is not such a
//! model is refused.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

use forest::Transform;
use forest::import::{Forests, Imported, OwnedForest, read_gbdt};
use forest::{Link, Reading};
use gbdt::config::Config;
use gbdt::decision_tree::{Data, VALUE_TYPE_UNKNOWN};
use gbdt::gradient_boost::GBDT;
use proptest::prelude::*;
use std::sync::OnceLock;

/// A model trained on 400 rows of 5 features with missing values, its bytes as saved, and the rows.
struct Trained {
    model: GBDT,
    bytes: Vec<u8>,
    rows: Vec<Vec<f32>>,
}

fn trained() -> &'static Trained {
    static TRAINED: OnceLock<Trained> = OnceLock::new();
    TRAINED.get_or_init(|| {
        // A linear congruential generator is random enough for a fixture, and needs no crate.
        let mut state = 7u64;
        let mut next = move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1u64 << 24) as f32
        };
        let rows: Vec<Vec<f32>> = (0..400)
            .map(|_| (0..5).map(|_| if next() < 0.1 { f32::NAN } else { next() * 10.0 - 5.0 }).collect())
            .collect();
        let mut config = Config::new();
        config.set_feature_size(5);
        config.set_max_depth(4);
        config.set_iterations(30);
        config.set_shrinkage(0.3);
        config.set_loss("LogLikelyhood");
        let mut training = rows
            .iter()
            .map(|row| {
                let label = if row[0].max(row[1]) + row[2] > 1.0 { 1.0 } else { -1.0 };
                Data::new_training_data(gbdt_row(row), 1.0, label, None)
            })
            .collect();
        let mut model = GBDT::new(&config);
        model.fit(&mut training);
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        model.save_model(file.path().to_str().expect("a UTF-8 path")).expect("the model is saved");
        let bytes = std::fs::read(file.path()).expect("the model is there");
        Trained { model, bytes, rows }
    })
}

fn gbdt_row(row: &[f32]) -> Vec<f32> {
    row.iter().map(|&x| if x.is_nan() { VALUE_TYPE_UNKNOWN } else { x }).collect()
}

fn only(imported: &Imported) -> &OwnedForest<f32> {
    match &imported.forests {
        Forests::F32(forests) => &forests[0],
        Forests::F64(_) => panic!("gbdt computes in f32"),
    }
}

fn sigmoid(margin: f32) -> f32 {
    1.0 / (1.0 + (-2.0 * margin).exp())
}

#[test]
fn predictions_are_bit_equal_missing_values_and_thresholds_included() {
    let Trained { model, bytes, rows } = trained();
    let imported = read_gbdt(bytes, None).expect("gbdt's own file is read");
    assert_eq!(imported.transform, Transform::GbdtSigmoid);
    let forest = only(&imported).forest();
    assert_eq!(forest.parts().roots.len(), 30);
    let mut rows = rows.clone();
    let thresholds: Vec<(usize, f32)> = (0..forest.parts().nodes.len())
        .filter_map(|at| match forest.link(at) {
            Some(Link::Split { feature, threshold, reading: Reading::MissingExit, .. }) => Some((feature, threshold)),
            _ => None,
        })
        .collect();
    assert!(thresholds.len() > 100, "the trees split");
    for (feature, threshold) in thresholds {
        for value in [threshold.next_down(), threshold, threshold.next_up(), f32::INFINITY, f32::NEG_INFINITY, -0.0] {
            let mut row = vec![0.5; 5];
            row[feature] = value;
            rows.push(row);
        }
    }
    let data = rows.iter().map(|row| Data::new_test_data(gbdt_row(row), None)).collect();
    for (row, theirs) in rows.iter().zip(model.predict(&data)) {
        let ours = sigmoid(forest.margin(row).expect("the row fits"));
        assert_eq!(ours.to_bits(), theirs.to_bits(), "{row:?}: {ours} is not {theirs}");
    }
}

#[test]
fn a_replay_counts_every_row_once_in_every_tree() {
    let Trained { bytes, rows, .. } = trained();
    let read = |covers: Option<&[f32]>| read_gbdt(bytes, covers).expect("gbdt's own file is read");
    let covers = only(&read(None)).replay(rows.iter().map(Vec::as_slice)).expect("the rows fit");
    let covers: Vec<f32> = covers.iter().map(|cover| *cover as f32).collect();
    let imported = read(Some(&covers));
    let forest = only(&imported).forest();
    for at in 0..forest.parts().nodes.len() {
        if let Some(Link::Split { first, count, .. }) = forest.link(at) {
            let below: f32 = forest.parts().covers[first..first + count].iter().sum();
            assert_eq!(forest.parts().covers[at], below, "node {at}");
        }
    }
    for &root in forest.parts().roots {
        assert_eq!(forest.parts().covers[root as usize], 400.0);
    }
    let mut contributions = vec![0.0; 5];
    forest.explain(&rows[0], &mut contributions).expect("there are covers");
    let mean = forest.mean_margin().expect("there are covers");
    let margin = forest.margin(&rows[0]).expect("the row fits");
    assert!((mean + contributions.iter().sum::<f64>() - f64::from(margin)).abs() < 1e-5);
    assert_eq!(
        only(&imported).replay([[0.0].as_slice()]).expect_err("one value is too few").to_string(),
        "rows: a row has 1 features, the model 5"
    );
}

/// The saved model with one piece of its text replaced, which must be there.
fn with(from: &str, to: &str) -> Result<Imported, String> {
    let text = std::str::from_utf8(&trained().bytes).expect("JSON");
    assert!(text.contains(from), "{from} is in the file");
    read_gbdt(text.replacen(from, to, 1).as_bytes(), None).map_err(|error| error.to_string())
}

#[test]
fn what_cannot_be_represented_is_refused_with_the_place_and_the_reason() {
    let refused = |from: &str, to: &str| with(from, to).expect_err("refused");
    assert_eq!(
        refused("LogLikelyhood", "MultiSoftprob"),
        "conf.loss: \"MultiSoftprob\" cannot be represented exactly; LogLikelyhood, SquaredError and LAD can \
         (import a model that came from XGBoost from XGBoost's own file)"
    );
    assert_eq!(refused("\"iterations\":30", "\"iterations\":31"), "conf.iterations: says 31 trees, the file has 30");
    assert_eq!(refused("\"feature_size\":5", "\"feature_size\":0"), "conf.feature_size: 0 is not between 1 and 13106");
    assert_eq!(
        refused("\"initial_guess_enabled\":false", "\"initial_guess_enabled\":true"),
        "conf.initial_guess_enabled: a model that needs an initial guess a row cannot be served"
    );
    assert_eq!(refused("\"missing\":0", "\"missing\":2"), "trees[0].tree[0]: missing is 2; -1, 0 and 1 are known");
    assert!(refused("\"left\":1", "\"left\":0").starts_with("trees[0].tree[0]: an inner node lacks a child"));
    assert_eq!(refused("\"left\":1", "\"left\":9999"), "trees[0].tree[9999]: there is no such node");
    assert!(refused("\"bias\":", "\"bias\":1e600,\"b\":").starts_with("gbdt model: number out of range"));
    let text = &trained().bytes;
    assert!(read_gbdt(&text[..text.len() / 2], None).expect_err("cut off").to_string().contains("EOF"));
    assert!(read_gbdt(b"", None).is_err());
}

#[test]
fn a_cycle_is_refused() {
    let tree = r#"{"conf":{"feature_size":1,"iterations":1,"shrinkage":1.0,"loss":"SquaredError","initial_guess_enabled":false},
        "trees":[{"tree":{"tree":[
            {"value":{"feature_index":0,"feature_value":0.5,"pred":0.0,"missing":1,"is_leaf":false},"left":1,"right":2},
            {"value":{"feature_index":0,"feature_value":0.5,"pred":0.0,"missing":1,"is_leaf":false},"left":2,"right":1},
            {"value":{"feature_index":0,"feature_value":0.5,"pred":0.0,"missing":1,"is_leaf":true},"left":0,"right":0}
        ]}}],"bias":0.0}"#;
    let error = read_gbdt(tree.as_bytes(), None).expect_err("node 1 is its own child");
    assert_eq!(error.to_string(), "trees[0].tree[1]: two parents lead here, so this is not a tree");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn hostile_bytes_are_refused_or_read_and_never_panic(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        end in any::<prop::sample::Index>(),
        truncate in any::<bool>(),
    ) {
        let mut bytes = trained().bytes.clone();
        for (at, byte) in cuts {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if truncate {
            bytes.truncate(end.index(bytes.len()));
        }
        if let Ok(imported) = read_gbdt(&bytes, None) {
            let _ = imported.predict(&vec![0.0; imported.forests.features()]);
        }
    }
}
