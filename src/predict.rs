//! From a feature row to predictions: probability, label, risk level, and why.
//!
//! A prediction is numbers: they are what the cache keeps, and an answer is rendered from them as it is asked for, in
//! its language and with as much of an explanation as it wants, without a model being asked again.

mod explanation;
mod numbers;
mod rendering;

pub(crate) use numbers::{Basis, Explain, Outcome, PredictionsAt, UNKNOWN_LEVEL};
pub(crate) use rendering::{Display, PredictionSequence, Rendering};

use crate::deadline::Deadline;
use bipolar_edge_models::{MODELS, Model};
use explanation::NAMED_CONTRIBUTIONS;
use features::{Coverage, Row, feature_index};
use numbers::{Bits, Contribution, Prediction, judge};
use std::time::Instant;

/// Predicts with every model, in the registry's order. `row` is `None` without check-ins; `too_old` has the days after
/// which check-ins are too old, if these are. A model whose turn comes
/// after the deadline is out of time.
pub(crate) fn predict_all(
    row: Option<(&Row, Coverage)>,
    too_old: Option<u32>,
    explain: Explain,
    deadline: Deadline,
) -> PredictionsAt {
    let predict = |model: &'static Model| {
        let start = Instant::now();
        let inputs = row.map_or_else(Vec::new, |(row, _)| model.inputs(row));
        let outcome = match (deadline.has_passed_at(start), too_old) {
            (true, _) => Outcome::OutOfTime,
            (false, Some(max_days)) => Outcome::Stale { max_days },
            (false, None) => predict(model, row.map(|(row, _)| row), &inputs, explain),
        };
        Prediction { outcome, answered: answered(&inputs), duration: start.elapsed() }
    };
    PredictionsAt { coverage: row.map(|(_, coverage)| coverage), predictions: MODELS.iter().map(predict).collect() }
}

/// Returns the share of a model's inputs that are known, in percent.
fn answered(inputs: &[f64]) -> u8 {
    let known = inputs.iter().filter(|input| !input.is_nan()).count();
    (100.0 * known as f64 / inputs.len().max(1) as f64).round() as u8
}

fn predict(model: &'static Model, row: Option<&Row>, inputs: &[f64], explain: Explain) -> Outcome {
    let nothing = Outcome::Insufficient { missing: Vec::new() };
    let Some(row) = row else { return nothing };
    let missing = model.missing_critical(row);
    if !missing.is_empty() {
        return Outcome::Insufficient { missing: missing.into_iter().filter_map(feature_index).collect() };
    }
    // `inputs` is as long as the model asks for, so there always is a probability.
    let Some(probabilities) = model.probabilities(inputs) else { return nothing };
    let probabilities: Vec<Bits> = probabilities.into_iter().map(Bits).collect();
    let mut contributions = match explain {
        Explain::None => Vec::new(),
        _ => contributions(model, judge(model, &probabilities).output, inputs),
    };
    if explain == Explain::Sentence {
        // Those that the sentence names, and what is missing among them.
        let answered = contributions.iter().enumerate().filter(|(_, contribution)| !contribution.value.is_nan());
        let last = answered.take(NAMED_CONTRIBUTIONS).last().map(|(index, _)| index);
        contributions.truncate(last.map_or(usize::MAX, |last| last + 1));
    }
    Outcome::Predicted { probabilities, contributions }
}

/// Every feature that moved the margin, strongest first. Empty for a model without covers.
fn contributions(model: &'static Model, output: usize, inputs: &[f64]) -> Vec<Contribution> {
    let mut impacts = vec![0.0; inputs.len()];
    if model.explain(output, inputs, &mut impacts).is_none() {
        return Vec::new();
    }
    let moved = model.places().iter().zip(inputs).zip(&impacts).filter(|(_, impact)| **impact != 0.0);
    let contribution = |((place, value), impact): ((&usize, &f64), &f64)| Contribution {
        place: *place,
        value: *value as f32,
        impact: *impact as f32,
    };
    let mut contributions: Vec<Contribution> = moved.map(contribution).collect();
    contributions.sort_by(|a, b| b.impact.abs().total_cmp(&a.impact.abs()));
    contributions
}

/// Predictions from one check-in with a little of everything in it.
#[cfg(test)]
fn some_predictions(explain: Explain) -> PredictionsAt {
    use features::{CheckIn, FIELDS, coverage, field_index, row};
    let mut values = [f32::NAN; FIELDS.len()];
    for (name, value) in [
        ("depressedMood", 8.0),
        ("energyLevel", 2.5),
        ("hoursSlept", 4.5),
        ("elevation", 1.0),
        ("sleepQuality", 3.0),
        ("medicationAdherence", 1.0),
    ] {
        values[field_index(name).unwrap_or_default()] = value;
    }
    let checkins = [CheckIn { id: "1".to_owned(), date: jiff::civil::Date::constant(2026, 1, 31), values }];
    let covered = row(&checkins, 3).zip(coverage(&checkins, 3));
    let far = Deadline::new(Instant::now(), std::time::Duration::from_secs(3600));
    predict_all(covered.as_ref().map(|(row, coverage)| (row, *coverage)), None, explain, far)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again_to_the_bit() {
        for explain in [Explain::None, Explain::Sentence, Explain::Contributions] {
            let made = some_predictions(explain);
            let kept = serde_json::to_string(&made).expect("JSON");
            let read: PredictionsAt = serde_json::from_str(&kept).expect("what was written");
            assert!(read.is_whole());
            assert_eq!(serde_json::to_string(&read).expect("JSON"), kept);
            assert_eq!(read.as_of(), made.as_of());
            for ((model, made), (_, read)) in made.iter().zip(read.iter()) {
                let bits = |prediction: &Prediction| prediction.probability(model).map(f64::to_bits);
                assert_eq!(bits(made), bits(read), "{}", model.name);
            }
        }
        let nothing = PredictionsAt::default();
        assert!(!nothing.is_whole() && nothing.as_of().is_none());
    }
}
