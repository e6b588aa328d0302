//! Models that are compiled in predict the bits that `gbdt` itself predicts with the model files, on every held-out
//! row.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

use bipolar_edge_models::{MODELS, Output};
use train::fit::gbdt_predictions;
use train::task::{HELD_OUT, examples};

#[test]
fn every_model_equals_gbdt_bit_for_bit_over_the_whole_held_out_set() {
    let held_out = examples(HELD_OUT);
    assert_eq!(MODELS.len(), 5);
    for model in &MODELS {
        let suffixes = match model.output {
            Output::Classes { classes, .. } => classes.iter().map(|class| format!(".{class}")).collect(),
            Output::Risk { .. } => vec![String::new()],
        };
        let inputs: Vec<Vec<f64>> = held_out.iter().map(|example| model.inputs(&example.row)).collect();
        let ours: Vec<Vec<f64>> = inputs.iter().map(|inputs| model.outputs(inputs).expect("the inputs fit")).collect();
        for (forest, suffix) in suffixes.iter().enumerate() {
            let file = format!("{}/../{}/model{suffix}.json", env!("CARGO_MANIFEST_DIR"), model.name);
            let narrowed: Vec<Vec<f32>> = inputs.iter().map(|row| row.iter().map(|x| *x as f32).collect()).collect();
            let theirs = gbdt_predictions(&file, &narrowed).expect("gbdt reads its own file");
            assert_eq!(theirs.len(), held_out.len());
            for (row, theirs) in theirs.iter().enumerate() {
                let ours = ours[row][forest];
                assert_eq!(
                    ours.to_bits(),
                    f64::from(*theirs).to_bits(),
                    "{}{suffix}, row {row}: {ours} is not {theirs}",
                    model.name
                );
            }
        }
    }
}

#[test]
fn contributions_and_the_mean_add_up_to_the_margin() {
    for example in examples(HELD_OUT.start..HELD_OUT.start + 20) {
        for model in &MODELS {
            let inputs = model.inputs(&example.row);
            let mut contributions = vec![0.0; inputs.len()];
            model.explain(0, &inputs, &mut contributions).expect("the trainer wrote covers");
            let mean = model.mean_margin(0).expect("the trainer wrote covers");
            let probability = model.outputs(&inputs).expect("the inputs fit")[0];
            let margin = mean + contributions.iter().sum::<f64>();
            let explained = 1.0 / (1.0 + (-2.0 * margin).exp());
            assert!((explained - probability).abs() < 1e-5, "{}: {explained} is not {probability}", model.name);
        }
    }
}
