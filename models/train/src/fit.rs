//! One model: boosting with the `gbdt` crate, and the choice of how many trees to keep.

use crate::task::{Example, Task};
use anyhow::{Context, Result};
use forest::import::{Forests, OwnedForest, read_gbdt};
use gbdt::config::Config;
use gbdt::decision_tree::{Data, PredVec, VALUE_TYPE_UNKNOWN};
use gbdt::gradient_boost::GBDT;

/// Maximum number of trees of a forest.
const MAX_TREES: usize = 100;
const DEPTH: u32 = 4;
const SHRINKAGE: f32 = 0.1;
const MIN_LEAF_ROWS: usize = 60;

/// One trained forest: its file's bytes, and the forest read back from them.
pub struct TrainedForest {
    /// The file that `gbdt` saves.
    pub bytes: Vec<u8>,
    /// Number of training rows that reached each node, in the file's own order.
    pub covers: Vec<u32>,
    /// The forest of the file, in the flat layout.
    pub forest: OwnedForest<f32>,
}

/// Returns the row in `gbdt`'s own terms, in which one number stands for missing.
fn gbdt_row(row: &[f32]) -> Vec<f32> {
    row.iter().map(|&x| if x.is_nan() { VALUE_TYPE_UNKNOWN } else { x }).collect()
}

/// Trains a forest over `features` that tells `label` of a task from the others, with as many trees as do best on
/// `validation`.
pub fn fit(
    task: Task,
    label: usize,
    features: &[usize],
    training: &[Example],
    validation: &[Example],
) -> Result<TrainedForest> {
    let at = task.index();
    let mut config = Config::new();
    config.set_feature_size(features.len());
    config.set_max_depth(DEPTH);
    config.set_iterations(MAX_TREES);
    config.set_shrinkage(SHRINKAGE);
    config.set_min_leaf_size(MIN_LEAF_ROWS);
    config.set_loss("LogLikelyhood");
    let mut rows: Vec<Data> = training
        .iter()
        .map(|example| {
            let truth = if example.labels[at] == label { 1.0 } else { -1.0 };
            Data::new_training_data(gbdt_row(&example.inputs(features)), 1.0, truth, None)
        })
        .collect();
    let mut model = GBDT::new(&config);
    model.fit(&mut rows);
    let whole = saved(&model)?;

    let truth: Vec<bool> = validation.iter().map(|example| example.labels[at] == label).collect();
    let trees = best_size(&forest_of(&whole)?, features, validation, &truth).context("a row does not fit the model")?;
    let bytes = truncated(&whole, trees)?;
    let forest = forest_of(&bytes)?;
    let inputs: Vec<Vec<f32>> = training.iter().map(|example| example.inputs(features)).collect();
    let covers = forest.replay(inputs.iter().map(Vec::as_slice))?;
    Ok(TrainedForest { bytes, covers, forest })
}

fn saved(model: &GBDT) -> Result<Vec<u8>> {
    let file = tempfile::NamedTempFile::new()?;
    let path = file.path().to_str().context("the temporary folder's name is not UTF-8")?;
    model.save_model(path).map_err(|error| anyhow::anyhow!("gbdt could not save its model: {error}"))?;
    Ok(std::fs::read(path)?)
}

/// Reads the one forest of a `gbdt` file.
fn forest_of(bytes: &[u8]) -> Result<OwnedForest<f32>> {
    match read_gbdt(bytes, None)?.forests {
        Forests::F32(forests) => forests.into_iter().next().context("a gbdt model has one forest"),
        Forests::F64(_) => anyhow::bail!("gbdt computes in f32"),
    }
}

/// Returns the number of trees with the least log loss.
fn best_size(forest: &OwnedForest<f32>, features: &[usize], rows: &[Example], truth: &[bool]) -> Option<usize> {
    let mut losses = vec![0.0f64; forest.forest().parts().roots.len()];
    for (example, truth) in rows.iter().zip(truth) {
        for (loss, margin) in losses.iter_mut().zip(forest.forest().staged_margins(&example.inputs(features))?) {
            let signed = if *truth { f64::from(margin) } else { -f64::from(margin) };
            *loss += (-2.0 * signed).exp().ln_1p();
        }
    }
    let best = losses.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1))?;
    Some(best.0 + 1)
}

/// Returns a model with the first `trees` trees alone: boosting fits them one after the other, so they are the model
/// that fewer iterations would have given.
fn truncated(bytes: &[u8], trees: usize) -> Result<Vec<u8>> {
    let mut model: serde_json::Value = serde_json::from_slice(bytes)?;
    model["conf"]["iterations"] = trees.into();
    model["trees"].as_array_mut().context("trees")?.truncate(trees);
    Ok(serde_json::to_vec(&model)?)
}

/// Returns `gbdt`'s own predictions with a model file.
pub fn gbdt_predictions(model_file: &str, rows: &[Vec<f32>]) -> Result<PredVec> {
    let model = GBDT::load_model(model_file).map_err(|error| anyhow::anyhow!("{model_file}: {error}"))?;
    Ok(model.predict(&rows.iter().map(|row| Data::new_test_data(gbdt_row(row), None)).collect()))
}
