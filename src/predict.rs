//! From a feature row to predictions: probability, label, risk level, and why.
//!
//! A prediction is numbers: they are what the cache keeps, and an answer is rendered from them as it is asked for, in
//! its language and with as much of an explanation as it wants, without a model being asked again.

mod explanation;
mod numbers;
mod rendering;

pub(crate) use numbers::{Basis, Explain, Outcome, PredictionsAt, UNKNOWN_LEVEL};
pub(crate) use rendering::{Body, PredictionSequence, Rendering};

use crate::deadline::Deadline;
use crate::ids::DecisionIds;
use crate::time::age_days;
use bipolar_edge_models::{MODELS, Model};
use explanation::NAMED_CONTRIBUTIONS;
use features::{Coverage, Row, feature_index};
use jiff::civil::Date;
use numbers::{Bits, Contribution, Prediction, judge};
use std::time::Instant;

/// Predicts with every model, in the registry's order. `row` is `None` without check-ins; `max_age` gives the days
/// after which check-ins are too old for a model. A model whose turn comes after the deadline is out of time.
pub(crate) fn predict_all(
    row: Option<(&Row, Coverage)>,
    (today, max_age): (Date, impl Fn(&Model) -> Option<u32>),
    explain: Explain,
    deadline: Deadline,
    decisions: &DecisionIds,
) -> PredictionsAt {
    let coverage = row.map(|(_, coverage)| coverage);
    let age_days = coverage.map(|coverage| age_days(coverage.as_of, today));
    // One prediction begins when the last one ends: the time is a call to the host.
    let mut start = Instant::now();
    let predict = |model: &'static Model| {
        let inputs = row.map_or_else(Vec::new, |(row, _)| model.inputs(row));
        let too_old = max_age(model).filter(|max_days| age_days > Some(i64::from(*max_days)));
        let outcome = match (deadline.has_passed_at(start), too_old) {
            (true, _) => Outcome::OutOfTime,
            (false, Some(max_days)) => Outcome::Stale { max_days },
            (false, None) => predict(model, row, &inputs, explain),
        };
        // Rounded down, so that none seems to be as large as a bound which it does not reach.
        let answered = (100.0 * known_share(&inputs) + 1e-9) as u8;
        let end = Instant::now();
        let duration = end - std::mem::replace(&mut start, end);
        Prediction { outcome, answered, duration }
    };
    let decision = decisions.take(MODELS.len());
    PredictionsAt { decision, coverage, predictions: MODELS.iter().map(predict).collect() }
}

/// Returns the share of a model's inputs that are known.
fn known_share(inputs: &[f64]) -> f64 {
    let known = inputs.iter().filter(|input| !input.is_nan()).count();
    known as f64 / inputs.len().max(1) as f64
}

fn predict(model: &'static Model, row: Option<(&Row, Coverage)>, inputs: &[f64], explain: Explain) -> Outcome {
    let nothing = Outcome::Insufficient { missing: Vec::new() };
    let Some((row, coverage)) = row else { return nothing };
    if coverage.checkins < model.min_days {
        return Outcome::TooFewDays;
    }
    let missing = model.missing_critical(row);
    if !missing.is_empty() {
        return Outcome::Insufficient { missing: missing.into_iter().filter_map(feature_index).collect() };
    }
    if known_share(inputs) < model.min_answered {
        let missing = model.places().iter().zip(inputs).filter(|(_, input)| input.is_nan());
        return Outcome::TooFewAnswers { missing: missing.map(|(place, _)| *place).collect() };
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
    let checkins = [CheckIn { id: "1".to_owned(), date: Date::constant(2026, 1, 31), values }];
    let covered = row(&checkins, 3).zip(coverage(&checkins, 3));
    let far = Deadline::new(Instant::now(), std::time::Duration::from_secs(3600));
    let today = Date::constant(2026, 2, 2);
    let covered = covered.as_ref().map(|(row, coverage)| (row, *coverage));
    predict_all(covered, (today, |_: &Model| None), explain, far, &DecisionIds::default())
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
            assert_eq!((read.as_of(), read.decision), (made.as_of(), made.decision));
            for ((model, made), (_, read)) in made.iter().zip(read.iter()) {
                let bits = |prediction: &Prediction| prediction.probability(model).map(f64::to_bits);
                assert_eq!(bits(made), bits(read), "{}", model.name);
            }
        }
        let nothing = PredictionsAt::default();
        assert!(!nothing.is_whole() && nothing.as_of().is_none());
    }
}
