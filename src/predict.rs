//! From a feature row to predictions: probability, label, risk level, and why.

use crate::deadline::Deadline;
use crate::settings::Settings;
use bipolar_edge_models::{MODELS, Model, Output};
use features::Row;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::time::{Duration, Instant};

/// How many contributions the explanation in words names.
const NAMED_CONTRIBUTIONS: usize = 3;

const DISCLAIMER: &str = "This is a statistical estimate from a model trained on a synthetic cohort, not a diagnosis. \
                          If you or someone else may be in danger, contact one of these services now.";

/// One prediction, as answers give it.
#[derive(Debug, Serialize)]
pub(crate) struct Prediction<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) label: &'static str,
    probability: Option<f64>,
    pub(crate) risk_level: &'static str,
    details: Details,
    model_version: &'static str,
    explanation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    contributions: Option<Vec<Contribution>>,
    source: &'static str,
    /// How long it took.
    #[serde(skip)]
    pub(crate) took: Duration,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    sensitive: Option<Sensitive<'a>>,
}

/// What must stand beside a prediction that could do harm.
#[derive(Debug, Serialize)]
struct Sensitive<'a> {
    sensitive: bool,
    disclaimer: &'static str,
    resources: &'a [String],
}

/// What a type of prediction adds.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Details {
    Classes { class_probs: ClassProbabilities },
    Risk { decision_threshold: f64, horizon_days: u32 },
    Insufficient { missing: Vec<&'static str> },
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

/// What a prediction was made from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// The latest check-in and the history before it.
    AggregatedLastCheckIn,
    /// One of the latest check-ins and the history before it.
    CheckIn,
}

/// The predictions of every model, in the registry's order. `row` is `None` without check-ins. A model whose turn comes after
/// the deadline answers `timeout`.
pub(crate) fn all<'a>(
    row: Option<&Row>,
    source: Source,
    explain: bool,
    settings: &'a Settings,
    deadline: Deadline,
) -> Vec<Prediction<'a>> {
    let one = |model| {
        let start = Instant::now();
        match deadline.is_before(start) {
            true => timeout(model, settings),
            false => {
                let prediction = one(model, row, source, explain, settings);
                Prediction { took: start.elapsed(), ..prediction }
            }
        }
    };
    MODELS.iter().map(one).collect()
}

impl Prediction<'_> {
    pub(crate) fn ran_out_of_time(&self) -> bool {
        self.label == TIMEOUT
    }
}

/// The label of a prediction for which no time was left.
const TIMEOUT: &str = "timeout";

/// What is said of a model whose turn came too late.
fn timeout<'a>(model: &'static Model, settings: &'a Settings) -> Prediction<'a> {
    let explanation = "There was no time left for this prediction: ask again";
    Prediction { label: TIMEOUT, explanation: explanation.to_owned(), ..nothing(model, "error", settings) }
}

/// A prediction that says nothing yet.
fn nothing<'a>(model: &'static Model, source: &'static str, settings: &'a Settings) -> Prediction<'a> {
    Prediction {
        kind: model.name,
        label: "insufficient_data",
        probability: None,
        risk_level: "unknown",
        details: Details::Insufficient { missing: Vec::new() },
        model_version: model.version,
        explanation: "There are no check-ins to predict from".to_owned(),
        contributions: None,
        source,
        took: Duration::ZERO,
        sensitive: model.sensitive.then_some(Sensitive {
            sensitive: true,
            disclaimer: DISCLAIMER,
            resources: &settings.crisis_resources,
        }),
    }
}

fn one<'a>(
    model: &'static Model,
    row: Option<&Row>,
    source: Source,
    explain: bool,
    settings: &'a Settings,
) -> Prediction<'a> {
    let source = match source {
        Source::AggregatedLastCheckIn => "aggregated_last_checkin",
        Source::CheckIn => "checkin",
    };
    let mut prediction = nothing(model, source, settings);
    let Some(row) = row else { return prediction };
    let missing = model.missing_critical(row);
    if !missing.is_empty() {
        prediction.explanation = format!("Not enough answers: {} missing", missing.join(", "));
        prediction.details = Details::Insufficient { missing };
        return prediction;
    }
    let inputs = model.inputs(row);
    // `inputs` is as long as the model asks for, so there always is a probability.
    let Some(probabilities) = model.probabilities(&inputs) else { return prediction };
    let judged = judge(model, &probabilities);
    prediction.label = judged.label;
    prediction.probability = Some(judged.probability);
    prediction.risk_level = model.risk_level(judged.risk).as_str();
    prediction.details = judged.details;
    let contributions = contributions(model, judged.forest, &inputs);
    prediction.explanation = in_words(&contributions);
    prediction.contributions = explain.then_some(contributions);
    prediction
}

/// What a model's probabilities amount to.
struct Judged {
    label: &'static str,
    probability: f64,
    /// What the risk level is read from.
    risk: f64,
    details: Details,
    /// The forest whose margin is explained.
    forest: usize,
}

fn judge(model: &Model, probabilities: &[f64]) -> Judged {
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
            Judged {
                label,
                probability,
                risk,
                details: Details::Classes { class_probs: ClassProbabilities(probabilities) },
                forest: best,
            }
        }
        Output::Risk { event, no_event, decision_threshold, horizon_days } => {
            let probability = probabilities.first().copied().unwrap_or(f64::NAN);
            let label = if probability >= decision_threshold { event } else { no_event };
            let details = Details::Risk { decision_threshold, horizon_days };
            Judged { label, probability, risk: probability, details, forest: 0 }
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

fn in_words(contributions: &[Contribution]) -> String {
    if contributions.is_empty() {
        return "This model's file does not say what its trees were trained on, so there is no explanation".to_owned();
    }
    let named: Vec<String> = contributions
        .iter()
        .take(NAMED_CONTRIBUTIONS)
        .map(|contribution| match contribution.value {
            Some(value) => format!("{}={}", contribution.feature, (value * 100.0).round() / 100.0),
            None => format!("{} missing", contribution.feature),
        })
        .collect();
    format!("Mostly: {}", named.join(", "))
}
