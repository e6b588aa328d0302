//! Predictions as numbers, and what they mean to their models: this is what the cache keeps.

use crate::ids::{DecisionIds, as_text};
use bipolar_edge_models::{INSUFFICIENT_DATA_LABEL, MODELS, Model, Output, RiskLevel, TIMEOUT_LABEL};
use features::{Coverage, FEATURES};
use jiff::Span;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::Duration;
use uuid::Uuid;

/// The predictions of every model at one check-in.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct PredictionsAt {
    /// The id of the first by which the record of decisions has it; those of the others follow it.
    #[serde(serialize_with = "as_text", deserialize_with = "read_id")]
    pub(super) decision: Uuid,
    /// The days that they rest on; `None` without check-ins.
    #[serde(serialize_with = "write_coverage", deserialize_with = "read_coverage")]
    pub(super) coverage: Option<Coverage>,
    /// One a model, in the registry's order.
    pub(super) predictions: Vec<Prediction>,
}

/// One model's prediction about one person.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Prediction {
    pub(crate) outcome: Outcome,
    /// The share of the model's inputs that are known, in percent.
    pub(super) answered: u8,
    /// The time that it took.
    #[serde(skip)]
    pub(crate) duration: Duration,
}

/// The result of asking a model. Features are told by their places in [`FEATURES`].
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Outcome {
    Predicted {
        /// Of each class, or of the event alone.
        probabilities: Vec<Bits>,
        /// Strongest first: all of them, or as many as the explanation in words needs.
        contributions: Vec<Contribution>,
    },
    /// The answers that the model cannot do without are missing; empty if there are no check-ins at all.
    Insufficient { missing: Vec<usize> },
    /// The latest check-in is more than so many days old.
    Stale { max_days: u32 },
    /// The window has check-ins on fewer days than the model asks for.
    TooFewDays,
    /// A smaller share of the model's inputs is known than it asks for.
    TooFewAnswers { missing: Vec<usize> },
    /// The model's turn came after the deadline.
    OutOfTime,
}

/// A number that is kept as its bits: exact, and read faster than its digits.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(from = "u64", into = "u64")]
pub(crate) struct Bits(pub(super) f64);

impl From<u64> for Bits {
    fn from(bits: u64) -> Bits {
        Bits(f64::from_bits(bits))
    }
}

impl From<Bits> for u64 {
    fn from(number: Bits) -> u64 {
        number.0.to_bits()
    }
}

/// How much one feature moved the margin of the predicted label from the mean over the training rows.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(from = "(usize, u32, u32)", into = "(usize, u32, u32)")]
pub(crate) struct Contribution {
    /// The feature's place in [`FEATURES`].
    pub(super) place: usize,
    /// The feature's value, NaN where it is missing.
    pub(super) value: f32,
    pub(super) impact: f32,
}

impl From<(usize, u32, u32)> for Contribution {
    fn from((place, value, impact): (usize, u32, u32)) -> Contribution {
        Contribution { place, value: f32::from_bits(value), impact: f32::from_bits(impact) }
    }
}

impl From<Contribution> for (usize, u32, u32) {
    fn from(Contribution { place, value, impact }: Contribution) -> (usize, u32, u32) {
        (place, value.to_bits(), impact.to_bits())
    }
}

/// Keeps the days as a text and two numbers.
fn write_coverage<S: Serializer>(coverage: &Option<Coverage>, serializer: S) -> Result<S::Ok, S::Error> {
    coverage.map(|of| (of.as_of.to_string(), of.checkins, of.days)).serialize(serializer)
}

fn read_coverage<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Coverage>, D::Error> {
    let kept: Option<(&str, usize, usize)> = Deserialize::deserialize(deserializer)?;
    let read = |(as_of, checkins, days): (&str, usize, usize)| {
        let as_of = as_of.parse().map_err(serde::de::Error::custom)?;
        Ok(Coverage { as_of, checkins, days })
    };
    kept.map(read).transpose()
}

fn read_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    let kept: &str = Deserialize::deserialize(deserializer)?;
    kept.parse().map_err(serde::de::Error::custom)
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

impl PredictionsAt {
    /// The day of the latest check-in that they rest on.
    pub(crate) fn as_of(&self) -> Option<Date> {
        self.coverage.map(|coverage| coverage.as_of)
    }

    /// Each model with its prediction.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static Model, &Prediction)> {
        MODELS.iter().zip(&self.predictions)
    }

    /// The id of each prediction.
    pub(crate) fn decision_ids(&self) -> impl Iterator<Item = Uuid> {
        (0..).map(|index| Uuid::from_u128(self.decision.as_u128().wrapping_add(index)))
    }

    /// The id of all predictions that were made with these.
    pub(crate) fn decisions(&self) -> Uuid {
        DecisionIds::of_all(self.decision)
    }

    pub(crate) fn is_cut_short(&self) -> bool {
        self.predictions.iter().any(|prediction| matches!(prediction.outcome, Outcome::OutOfTime))
    }

    /// There is a prediction for each model, with numbers and places that it can have: not so where a store has changed
    /// them.
    pub(crate) fn is_whole(&self) -> bool {
        let fits = |(model, prediction): (&Model, &Prediction)| match &prediction.outcome {
            Outcome::Predicted { probabilities, contributions } => {
                probabilities.len() == model.output_count()
                    && probabilities.iter().all(|probability| (0.0..=1.0).contains(&probability.0))
                    && contributions.iter().all(|contribution| contribution.place < FEATURES.len())
            }
            Outcome::Insufficient { missing } | Outcome::TooFewAnswers { missing } => {
                missing.iter().all(|place| *place < FEATURES.len())
            }
            Outcome::Stale { .. } | Outcome::TooFewDays | Outcome::OutOfTime => true,
        };
        self.predictions.len() == MODELS.len() && self.iter().all(fits)
    }

    /// The last day that a prediction speaks of: of a risk the end of the horizon, of classes the day of the latest
    /// check-in.
    pub(super) fn valid_until(&self, model: &Model) -> Option<Date> {
        let days = if let Output::Risk { horizon_days, .. } = model.output { horizon_days } else { 0 };
        self.as_of()?.checked_add(Span::new().try_days(days).ok()?).ok()
    }
}

impl Prediction {
    /// The label, as answers give it.
    pub(crate) fn label(&self, model: &Model) -> &'static str {
        match &self.outcome {
            Outcome::Predicted { probabilities, .. } => judge(model, probabilities).label,
            Outcome::Insufficient { .. }
            | Outcome::Stale { .. }
            | Outcome::TooFewDays
            | Outcome::TooFewAnswers { .. } => INSUFFICIENT_DATA_LABEL,
            Outcome::OutOfTime => TIMEOUT_LABEL,
        }
    }

    /// The probability of the label, if there is one.
    pub(crate) fn probability(&self, model: &Model) -> Option<f64> {
        self.judgement(model).map(|judged| judged.probability)
    }

    /// The code of the reason why there is no prediction, if there is none. They are a closed set, which the OpenAPI
    /// description lists.
    pub(crate) fn reason_code(&self) -> Option<&'static str> {
        Some(match &self.outcome {
            Outcome::Predicted { .. } => return None,
            Outcome::Insufficient { missing } if missing.is_empty() => "no_checkins",
            Outcome::Insufficient { .. } | Outcome::TooFewAnswers { .. } => "missing_answers",
            Outcome::Stale { .. } => "stale",
            Outcome::TooFewDays => "too_few_days",
            Outcome::OutOfTime => "out_of_time",
        })
    }

    /// The risk level, if there is a prediction.
    pub(crate) fn risk_level(&self, model: &Model) -> Option<RiskLevel> {
        self.judgement(model).map(|judged| judged.risk_level)
    }

    pub(super) fn judgement(&self, model: &Model) -> Option<Judgement> {
        match &self.outcome {
            Outcome::Predicted { probabilities, .. } => Some(judge(model, probabilities)),
            _ => None,
        }
    }
}

/// The risk level where there is no prediction.
pub(crate) const UNKNOWN_LEVEL: &str = "unknown";

/// The meaning of a model's probabilities.
pub(super) struct Judgement {
    pub(super) label: &'static str,
    pub(super) probability: f64,
    pub(super) risk_level: RiskLevel,
    /// The output whose margin is explained.
    pub(super) output: usize,
}

pub(super) fn judge(model: &Model, probabilities: &[Bits]) -> Judgement {
    match model.output {
        Output::Classes { classes, reference } => {
            let of = |index: usize| probabilities.get(index).map_or(f64::NAN, |probability| probability.0);
            let best = (0..classes.len()).fold(0, |best, index| if of(index) > of(best) { index } else { best });
            let risk_level = model.risk_level(1.0 - of(reference));
            Judgement { label: classes[best], probability: of(best), risk_level, output: best }
        }
        Output::Risk { event, no_event, decision_threshold, .. } => {
            let probability = probabilities.first().map_or(f64::NAN, |probability| probability.0);
            let label = if probability >= decision_threshold { event } else { no_event };
            Judgement { label, probability, risk_level: model.risk_level(probability), output: 0 }
        }
    }
}

#[cfg(test)]
impl PredictionsAt {
    /// A prediction for each model that says nothing.
    pub(crate) fn of_nothing() -> PredictionsAt {
        let nothing = || Prediction { outcome: Outcome::OutOfTime, answered: 0, duration: Duration::ZERO };
        PredictionsAt { decision: Uuid::nil(), coverage: None, predictions: MODELS.iter().map(|_| nothing()).collect() }
    }
}
