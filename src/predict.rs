//! From a feature row to predictions: probability, label, risk level, and why.

use crate::deadline::Deadline;
use bipolar_edge_models::{INSUFFICIENT_DATA_LABEL, MODELS, Model, Output, RiskLevel, TIMEOUT_LABEL};
use features::{Coverage, Row};
use jiff::Span;
use jiff::civil::Date;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use std::time::{Duration, Instant};

/// How many contributions the explanation in words names.
const NAMED_CONTRIBUTIONS: usize = 3;

const DISCLAIMER: &str = "This is a statistical estimate from a model trained on a synthetic cohort, not a diagnosis. \
                          If you or someone else may be in danger, contact one of these services now.";

/// One model's prediction about one person.
#[derive(Debug)]
pub(crate) struct Prediction<'a> {
    pub(crate) model: &'static Model,
    pub(crate) outcome: Outcome,
    basis: Basis,
    /// The days that it rests on; `None` without check-ins.
    coverage: Option<Coverage>,
    /// The share of the model's inputs that are known.
    answered: f64,
    /// The time that it took.
    pub(crate) duration: Duration,
    crisis_resources: &'a [String],
}

/// The result of asking a model.
#[derive(Debug)]
pub(crate) enum Outcome {
    Predicted(Predicted),
    /// The answers that the model cannot do without are missing; empty if there are no check-ins at all.
    Insufficient {
        missing: Vec<&'static str>,
    },
    /// The latest check-in is more than so many days old.
    Stale {
        max_days: u32,
    },
    /// The model's turn came after the deadline.
    OutOfTime,
}

/// A model's own words.
#[derive(Debug)]
pub(crate) struct Predicted {
    label: &'static str,
    probability: f64,
    risk_level: RiskLevel,
    details: Details,
    explanation: Option<String>,
    /// Strongest first; `None` unless they were asked for.
    contributions: Option<Vec<Contribution>>,
}

/// The part of a prediction that depends on its model's kind.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Details {
    Classes { class_probs: ClassProbabilities },
    Risk { decision_threshold: f64, horizon_days: u32 },
}

#[derive(Debug)]
struct ClassProbabilities(Vec<(&'static str, f64)>);

impl Serialize for ClassProbabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (class, probability) in &self.0 {
            map.serialize_entry(class, probability)?;
        }
        map.end()
    }
}

/// How much one feature moved the margin of the predicted label from the mean over the training rows.
#[derive(Debug, Serialize)]
struct Contribution {
    feature: &'static str,
    /// The feature's value, `null` where it is missing.
    value: Option<f32>,
    impact: f32,
}

/// The explanation that predictions are asked to have. An entry with more serves a question for less.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, PartialOrd, Serialize)]
pub(crate) enum Explain {
    /// None, which takes less time.
    None,
    /// A sentence that names the features which moved the prediction most.
    #[default]
    Sentence,
    /// The sentence, and what every feature contributed.
    Contributions,
}

/// The check-ins that a prediction was made from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Basis {
    /// The latest check-in and the history before it.
    LatestCheckIn,
    /// One of the latest check-ins and the history before it.
    CheckIn,
}

/// Predicts with every model, in the registry's order. `row` is `None` without check-ins; `too_old` has the days after
/// which check-ins are too old, if these are. A model whose turn comes
/// after the deadline is out of time.
pub(crate) fn predict_all<'a>(
    row: Option<(&Row, Coverage)>,
    too_old: Option<u32>,
    basis: Basis,
    explain: Explain,
    crisis_resources: &'a [String],
    deadline: Deadline,
) -> Vec<Prediction<'a>> {
    let predict = |model: &'static Model| {
        let start = Instant::now();
        let inputs = row.map_or_else(Vec::new, |(row, _)| model.inputs(row));
        let outcome = match (deadline.has_passed_at(start), too_old) {
            (true, _) => Outcome::OutOfTime,
            (false, Some(max_days)) => Outcome::Stale { max_days },
            (false, None) => predict(model, row.map(|(row, _)| row), &inputs, explain),
        };
        let answered = answered(&inputs);
        let coverage = row.map(|(_, coverage)| coverage);
        Prediction { model, outcome, basis, coverage, answered, duration: start.elapsed(), crisis_resources }
    };
    MODELS.iter().map(predict).collect()
}

/// Returns the share of a model's inputs that are known, to two digits.
fn answered(inputs: &[f64]) -> f64 {
    let known = inputs.iter().filter(|input| !input.is_nan()).count();
    (100.0 * known as f64 / inputs.len().max(1) as f64).round() / 100.0
}

fn predict(model: &'static Model, row: Option<&Row>, inputs: &[f64], explain: Explain) -> Outcome {
    let nothing = Outcome::Insufficient { missing: Vec::new() };
    let Some(row) = row else { return nothing };
    let missing = model.missing_critical(row);
    if !missing.is_empty() {
        return Outcome::Insufficient { missing };
    }
    // `inputs` is as long as the model asks for, so there always is a probability.
    let Some(probabilities) = model.probabilities(inputs) else { return nothing };
    let judged = judge(model, &probabilities);
    let contributions = (explain > Explain::None).then(|| contributions(model, judged.forest, inputs));
    Outcome::Predicted(Predicted {
        label: judged.label,
        probability: judged.probability,
        risk_level: model.risk_level(judged.risk),
        details: judged.details,
        explanation: contributions.as_deref().map(explain_in_words),
        contributions: contributions.filter(|_| explain == Explain::Contributions),
    })
}

impl Prediction<'_> {
    /// The label, as answers give it.
    pub(crate) fn label(&self) -> &'static str {
        match &self.outcome {
            Outcome::Predicted(predicted) => predicted.label,
            Outcome::Insufficient { .. } | Outcome::Stale { .. } => INSUFFICIENT_DATA_LABEL,
            Outcome::OutOfTime => TIMEOUT_LABEL,
        }
    }

    /// The probability of the label, if there is one.
    pub(crate) fn probability(&self) -> Option<f64> {
        if let Outcome::Predicted(predicted) = &self.outcome { Some(predicted.probability) } else { None }
    }

    /// The risk level, as answers give it.
    pub(crate) fn risk_level(&self) -> &'static str {
        if let Outcome::Predicted(predicted) = &self.outcome { predicted.risk_level.as_str() } else { "unknown" }
    }

    /// The day of the latest check-in that it rests on.
    pub(crate) fn as_of(&self) -> Option<Date> {
        self.coverage.map(|coverage| coverage.as_of)
    }

    /// The last day that it speaks of: of a risk the end of the horizon, of classes the day of the latest check-in.
    fn valid_until(&self) -> Option<Date> {
        let days = if let Output::Risk { horizon_days, .. } = self.model.output { horizon_days } else { 0 };
        self.as_of()?.checked_add(Span::new().try_days(days).ok()?).ok()
    }

    /// The reason why there is no prediction, if there is none.
    fn reason(&self) -> Option<Reason<'_>> {
        let (code, detail, missing) = match &self.outcome {
            Outcome::Predicted(_) => return None,
            Outcome::Insufficient { missing } if missing.is_empty() => {
                ("no_checkins", "There are no check-ins to predict from".to_owned(), &missing[..])
            }
            Outcome::Insufficient { missing } => {
                ("missing_answers", format!("Not enough answers: {} missing", missing.join(", ")), &missing[..])
            }
            Outcome::Stale { max_days } => {
                let as_of = self.as_of().map_or_else(String::new, |as_of| as_of.to_string());
                ("stale", format!("The latest check-in is of {as_of}, more than {max_days} days ago"), &[][..])
            }
            Outcome::OutOfTime => {
                ("out_of_time", "There was no time left for this prediction: ask again".to_owned(), &[][..])
            }
        };
        Some(Reason { code, detail, missing })
    }

    pub(crate) fn is_out_of_time(&self) -> bool {
        matches!(self.outcome, Outcome::OutOfTime)
    }
}

/// A prediction as JSON.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    prediction_type: &'static str,
    label: &'static str,
    probability: Option<f64>,
    risk_level: &'static str,
    details: DetailsBody<'a>,
    model_version: &'static str,
    as_of: Option<String>,
    valid_until: Option<String>,
    data: Data,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contributions: Option<&'a [Contribution]>,
    source: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    sensitive: Option<Sensitive<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum DetailsBody<'a> {
    Predicted(&'a Details),
    None {},
}

/// How much a prediction rests on.
#[derive(Serialize)]
struct Data {
    checkins: usize,
    days_covered: usize,
    answered: f64,
}

/// The reason why there is no prediction. The codes are a closed set, which the OpenAPI description lists.
#[derive(Serialize)]
struct Reason<'a> {
    code: &'static str,
    detail: String,
    missing: &'a [&'static str],
}

/// The words that must stand beside a prediction that could do harm.
#[derive(Serialize)]
struct Sensitive<'a> {
    sensitive: bool,
    disclaimer: &'static str,
    resources: &'a [String],
}

impl Serialize for Prediction<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let predicted = if let Outcome::Predicted(predicted) = &self.outcome { Some(predicted) } else { None };
        let day = |date: Option<Date>| date.map(|date| date.to_string());
        let source = match self.basis {
            _ if self.is_out_of_time() => "error",
            Basis::LatestCheckIn => "aggregated_last_checkin",
            Basis::CheckIn => "checkin",
        };
        let body = Body {
            prediction_type: self.model.name,
            label: self.label(),
            probability: self.probability(),
            risk_level: self.risk_level(),
            details: predicted.map_or(DetailsBody::None {}, |predicted| DetailsBody::Predicted(&predicted.details)),
            model_version: self.model.version,
            as_of: day(self.as_of()),
            valid_until: day(self.valid_until()),
            data: Data {
                checkins: self.coverage.map_or(0, |coverage| coverage.checkins),
                days_covered: self.coverage.map_or(0, |coverage| coverage.days),
                answered: self.answered,
            },
            reason: self.reason(),
            explanation: predicted.and_then(|predicted| predicted.explanation.as_deref()),
            contributions: predicted.and_then(|predicted| predicted.contributions.as_deref()),
            source,
            sensitive: self.model.sensitive.then_some(Sensitive {
                sensitive: true,
                disclaimer: DISCLAIMER,
                resources: self.crisis_resources,
            }),
        };
        body.serialize(serializer)
    }
}

/// The meaning of a model's probabilities.
struct Judgement {
    label: &'static str,
    probability: f64,
    /// The number that the risk level is read from.
    risk: f64,
    details: Details,
    /// The forest whose margin is explained.
    forest: usize,
}

fn judge(model: &Model, probabilities: &[f64]) -> Judgement {
    match model.output {
        Output::Classes { classes, reference } => {
            let probabilities: Vec<(&'static str, f64)> =
                classes.iter().copied().zip(probabilities.iter().copied()).collect();
            let mut best = 0;
            for (index, (_, probability)) in probabilities.iter().enumerate() {
                if *probability > probabilities[best].1 {
                    best = index;
                }
            }
            let (label, probability) = probabilities[best];
            let risk = 1.0 - probabilities[reference].1;
            let details = Details::Classes { class_probs: ClassProbabilities(probabilities) };
            Judgement { label, probability, risk, details, forest: best }
        }
        Output::Risk { event, no_event, decision_threshold, horizon_days } => {
            let probability = probabilities.first().copied().unwrap_or(f64::NAN);
            let label = if probability >= decision_threshold { event } else { no_event };
            let details = Details::Risk { decision_threshold, horizon_days };
            Judgement { label, probability, risk: probability, details, forest: 0 }
        }
    }
}

/// Every feature that moved the margin, strongest first. Empty for a model without covers.
fn contributions(model: &'static Model, forest: usize, inputs: &[f64]) -> Vec<Contribution> {
    let mut impacts = vec![0.0; inputs.len()];
    if model.explain(forest, inputs, &mut impacts).is_none() {
        return Vec::new();
    }
    let mut contributions: Vec<Contribution> = model
        .features
        .iter()
        .zip(inputs)
        .zip(&impacts)
        .filter(|(_, impact)| **impact != 0.0)
        .map(|((feature, value), impact)| Contribution {
            feature,
            value: (!value.is_nan()).then_some(*value as f32),
            impact: *impact as f32,
        })
        .collect();
    contributions.sort_by(|a, b| b.impact.abs().total_cmp(&a.impact.abs()));
    contributions
}

fn explain_in_words(contributions: &[Contribution]) -> String {
    if contributions.is_empty() {
        return "This model's file does not say what its trees were trained on, so there is no explanation".to_owned();
    }
    // What was not answered moves a prediction, and is no reason for it.
    let answered = contributions.iter().filter_map(|contribution| Some((contribution.feature, contribution.value?)));
    let named = answered.take(NAMED_CONTRIBUTIONS);
    let named: Vec<String> =
        named.map(|(feature, value)| format!("{feature}={}", (value * 100.0).round() / 100.0)).collect();
    if named.is_empty() {
        return "No answer moved this prediction".to_owned();
    }
    format!("Mostly: {}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prediction_that_was_not_made_says_why() {
        let resources = ["CVV 188".to_owned()];
        let body = |outcome| {
            let prediction = Prediction {
                model: &MODELS[0],
                outcome,
                basis: Basis::LatestCheckIn,
                coverage: None,
                answered: 0.0,
                duration: Duration::ZERO,
                crisis_resources: &resources,
            };
            serde_json::to_value(prediction).expect("JSON")
        };
        let late = body(Outcome::OutOfTime);
        assert_eq!((&late["label"], &late["source"]), (&"timeout".into(), &"error".into()));
        let none = body(Outcome::Insufficient { missing: Vec::new() });
        assert_eq!((&none["label"], &none["risk_level"]), (&"insufficient_data".into(), &"unknown".into()));
        assert_eq!(late["reason"]["code"], "out_of_time");
        let no_checkins = serde_json::json!({
            "code": "no_checkins", "detail": "There are no check-ins to predict from", "missing": []
        });
        assert_eq!(none["reason"], no_checkins);
        let some = body(Outcome::Insufficient { missing: vec!["a", "b"] });
        let missing = serde_json::json!({
            "code": "missing_answers", "detail": "Not enough answers: a, b missing", "missing": ["a", "b"]
        });
        assert_eq!(some["reason"], missing);
        assert_eq!((&some["probability"], &some["as_of"]), (&serde_json::Value::Null, &serde_json::Value::Null));
        assert!(some.get("explanation").is_none());
    }

    #[test]
    fn what_was_not_answered_is_no_reason() {
        let of = |feature, value| Contribution { feature, value, impact: 1.0 };
        let some = [of("a", None), of("b", Some(6.333)), of("c", None), of("d", Some(1.0))];
        assert_eq!(explain_in_words(&some), "Mostly: b=6.33, d=1");
        assert_eq!(explain_in_words(&some[..1]), "No answer moved this prediction");
    }
}
