//! The model registry: every model as static data.
//!
//! `models/<name>/card.toml` and the model file beside it are read, checked and laid out by this crate's build
//! script. At run time a model is a few references into the module's data: loading costs nothing, and there is
//! nothing left to parse that could fail.
//!
//! ```
//! use bipolar_edge_models::Model;
//!
//! let model = Model::find("relapse_risk").expect("a shipped model");
//! // A number a feature, in the model's own order; NaN is a missing one.
//! let inputs = vec![f64::NAN; model.features.len()];
//! let probability = model.probabilities(&inputs).expect("the row fits")[0];
//! assert!((0.0..=1.0).contains(&probability));
//! println!("{}: {probability:.3}, {}", model.title, model.risk_level(probability).as_str());
//! ```

#[cfg(feature = "card")]
pub mod attributes;
#[cfg(feature = "card")]
pub mod card;
mod label;

pub use label::{INSUFFICIENT_DATA_LABEL, RESERVED_LABELS, TIMEOUT_LABEL};

use features::{FEATURES, Language, Row};
#[allow(unused_imports, reason = "a registry without models has no nodes")]
use forest::{Forest, Linear, Node, Parts, Transform};

// The build writes numbers with their lowest byte first.
const _: () = assert!(cfg!(target_endian = "little"));
include!(concat!(env!("OUT_DIR"), "/registry.rs"));

/// One model.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// The prediction type, which is the folder's name.
    pub name: &'static str,
    /// The version that predictions carry.
    pub version: &'static str,
    /// One line for people.
    pub title: &'static str,
    /// Warnings that everyone who uses the model must know.
    pub warnings: &'static [&'static str],
    /// The card is a draft: the model is being tried out.
    pub draft: bool,
    /// Names of the inputs, in the model's own order.
    pub features: &'static [&'static str],
    /// Places of the inputs in the feature row.
    places: &'static [usize],
    /// Places in the feature row of the inputs without which there is no prediction.
    critical: &'static [usize],
    /// Days of the window with a check-in below which there is no prediction.
    pub min_days: usize,
    /// Share of the inputs that must be known for a prediction, 0 to 1.
    pub min_answered: f64,
    /// Days after which the latest check-in is too old for this model, if its card says so.
    pub max_checkin_age_days: Option<u32>,
    /// The meaning of the margins.
    pub output: Output,
    medium: f64,
    high: f64,
    critical_risk: f64,
    /// Answers carry a disclaimer and crisis lines.
    pub sensitive: bool,
    forests: Forests,
    transform: Transform,
    divisor: f64,
    /// Each class has a model of its own, against the rest, so that probabilities do not add up to 1 by themselves.
    one_versus_rest: bool,
    /// By tenth of the predicted probability: the share of rows in which the label was the true one, and their number.
    calibration: [(f64, u32); 10],
    /// Words for people, by [`Language`].
    display: [Display; Language::ALL.len()],
    /// Number of trees of all its forests.
    pub trees: usize,
    /// Size of its forests in bytes.
    pub bytes: usize,
    /// JSON for `GET /models`.
    pub summary: &'static str,
    /// JSON for `GET /models/{name}`, compressed by gzip: it is seldom asked for.
    pub inventory: &'static [u8],
}

/// Words for people in one language.
#[derive(Clone, Copy, Debug)]
struct Display {
    name: &'static str,
    /// Every label, and its words.
    labels: &'static [(&'static str, &'static str)],
}

/// One forest an output, in the precision of the library that trained them.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "a registry may have models of one precision only")]
enum Forests {
    F32(&'static [Forest<'static, f32>]),
    F64(&'static [Forest<'static, f64>]),
}

/// The meaning of a model's margins.
#[derive(Clone, Copy, Debug)]
pub enum Output {
    /// One of several classes, one forest each.
    Classes {
        /// The classes, in the order of the forests.
        classes: &'static [&'static str],
        /// Index of the class that is no risk.
        reference: usize,
    },
    /// The probability of an event within the horizon.
    Risk {
        /// The label at and above the decision threshold.
        event: &'static str,
        /// The label below it.
        no_event: &'static str,
        /// Probability at which the label changes.
        decision_threshold: f64,
        /// Days ahead.
        horizon_days: u32,
    },
}

/// Risk level of a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RiskLevel {
    /// Scores below the card's `medium`.
    Low,
    /// Scores from `medium`.
    Medium,
    /// Scores from `high`.
    High,
    /// Scores from `critical`.
    Critical,
}

impl RiskLevel {
    /// Returns the name in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            RiskLevel::Low => "low",
            RiskLevel::Medium => "medium",
            RiskLevel::High => "high",
            RiskLevel::Critical => "critical",
        }
    }
}

impl Model {
    /// Returns the model of a prediction type.
    pub fn find(name: &str) -> Option<&'static Model> {
        MODELS.iter().find(|model| model.name == name)
    }

    /// Returns the type's name for people.
    pub fn display_name(&self, language: Language) -> &'static str {
        self.display[language as usize].name
    }

    /// Returns the words for one of the model's labels; the label itself if it is none.
    pub fn display_label<'a>(&self, label: &'a str, language: Language) -> &'a str {
        let labels = self.display[language as usize].labels;
        labels.iter().find(|(other, _)| *other == label).map_or(label, |(_, words)| words)
    }

    /// Returns how often it was so where a probability of the same tenth was predicted, and of how many rows: people
    /// whom the model never saw, by its card. A row of classes counts once a class, each against the rest. `None` if
    /// the card has no row there.
    pub fn observed(&self, probability: f64) -> Option<(f64, u32)> {
        let tenth = (0.0..=1.0).contains(&probability).then_some((probability * 10.0) as usize)?;
        self.calibration.get(tenth.min(9)).copied().filter(|(_, rows)| *rows > 0)
    }

    /// Returns the inputs that the row lacks and without any one of which this model would only guess.
    pub fn missing_critical(&self, row: &Row) -> Vec<&'static str> {
        self.critical.iter().filter(|&&place| row[place].is_nan()).map(|&place| FEATURES[place].name).collect()
    }

    /// Returns the places of its inputs in the feature row, in its own order.
    pub fn places(&self) -> &'static [usize] {
        self.places
    }

    /// Returns the row in the model's own order.
    pub fn inputs(&self, row: &Row) -> Vec<f64> {
        self.places.iter().map(|&place| f64::from(row[place])).collect()
    }

    /// Returns the number of outputs: of the classes, or 1.
    pub fn output_count(&self) -> usize {
        match self.forests {
            Forests::F32(forests) => forests.len(),
            Forests::F64(forests) => forests.len(),
        }
    }

    /// Returns the margin of each output: the sum of its trees, before the transform. `None` if `inputs` does not have
    /// the model's length.
    pub fn margins(&self, inputs: &[f64]) -> Option<Vec<f64>> {
        let margins: Option<Vec<f64>> = match self.forests {
            Forests::F32(forests) => {
                let inputs = narrowed(inputs);
                forests.iter().map(|forest| forest.margin(&inputs).map(f64::from)).collect()
            }
            Forests::F64(forests) => forests.iter().map(|forest| forest.margin(inputs)).collect(),
        };
        let mut margins = margins?;
        if self.divisor != 1.0 {
            margins.iter_mut().for_each(|margin| *margin /= self.divisor);
        }
        Some(margins)
    }

    /// Returns the prediction of the library that trained the model, one number an output: a probability each. `None`
    /// if `inputs` does not have the model's length.
    pub fn outputs(&self, inputs: &[f64]) -> Option<Vec<f64>> {
        let mut outputs = self.margins(inputs)?;
        self.transform.apply(&mut outputs);
        Some(outputs)
    }

    /// Returns the probability of each class, or of the event alone: [`Model::outputs`], divided by their sum where
    /// each class has a model of its own. `None` if `inputs` does not have the model's length.
    pub fn probabilities(&self, inputs: &[f64]) -> Option<Vec<f64>> {
        let mut probabilities = self.outputs(inputs)?;
        if self.one_versus_rest {
            let total: f64 = probabilities.iter().sum();
            probabilities.iter_mut().for_each(|probability| *probability /= total);
        }
        Some(probabilities)
    }

    /// Adds to `contributions` by how much each input moved the margin of one output from its mean over the training
    /// rows. `None` without covers, or if `inputs` does not have the model's length.
    pub fn explain(&self, output: usize, inputs: &[f64], contributions: &mut [f64]) -> Option<()> {
        match self.forests {
            Forests::F32(forests) => forests.get(output)?.explain(&narrowed(inputs), contributions),
            Forests::F64(forests) => forests.get(output)?.explain(inputs, contributions),
        }
    }

    /// Returns the mean margin of one output over the training rows. `None` without covers.
    pub fn mean_margin(&self, output: usize) -> Option<f64> {
        match self.forests {
            Forests::F32(forests) => forests.get(output)?.mean_margin(),
            Forests::F64(forests) => forests.get(output)?.mean_margin(),
        }
    }

    /// Returns the level of a score.
    pub fn risk_level(&self, score: f64) -> RiskLevel {
        if score >= self.critical_risk {
            RiskLevel::Critical
        } else if score >= self.high {
            RiskLevel::High
        } else if score >= self.medium {
            RiskLevel::Medium
        } else {
            RiskLevel::Low
        }
    }
}

/// Rounds inputs to f32, in which XGBoost and `gbdt` read them.
fn narrowed(inputs: &[f64]) -> Vec<f32> {
    inputs.iter().map(|x| *x as f32).collect()
}
