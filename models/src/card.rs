//! A model card, `models/<name>/card.toml`: what a model is, how its numbers are to be read, and how good it is.

use serde::{Deserialize, Serialize};

/// A model card. Unknown keys are refused, so that a misspelt one cannot go unnoticed.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The version that predictions carry, such as `mood_state_v1`.
    pub version: String,
    /// One line for people.
    pub title: String,
    /// Where the type stands in answers, smallest first.
    pub position: u32,
    /// The library whose file stands beside the card: `gbdt`, `lightgbm` or `xgboost`.
    pub format: String,
    /// Use only the first boosting rounds of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<usize>,
    /// Licence of the model and of the data it was trained on.
    pub licence: String,
    /// What everyone who uses the model must know.
    pub warnings: Vec<String>,
    /// The person could be harmed by a careless display: answers carry a disclaimer and crisis lines.
    #[serde(default)]
    pub sensitive: bool,
    /// Names of the model's inputs, in the model's own order.
    pub features: Vec<String>,
    /// Inputs without any one of which the answer is `insufficient_data`.
    pub critical: Vec<String>,
    /// What the margins mean.
    pub output: Output,
    /// Scores at and above which a risk is no longer low: the event's probability, or for classes the probability
    /// of all classes but the reference class.
    pub risk_levels: RiskLevels,
    /// What the model was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<Training>,
    /// How well it does on people it never saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
}

/// What a model's margins mean.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "kind")]
pub enum Output {
    /// One of several classes. One file with an output a class, or one file a class, `model.<class>.*`, each trained
    /// against the rest, whose probabilities are divided by their sum.
    Classes {
        /// The classes.
        classes: Vec<String>,
        /// The class that is no risk.
        reference_class: String,
    },
    /// Whether an event happens. One file with one output.
    Risk {
        /// The label at and above the decision threshold.
        event: String,
        /// The label below it.
        no_event: String,
        /// Probability at which the label changes.
        decision_threshold: f64,
        /// Days ahead that the prediction speaks of.
        horizon_days: u32,
    },
}

/// Lower bounds of three of the four risk levels; below `medium` is low.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RiskLevels {
    /// From here medium.
    pub medium: f64,
    /// From here high.
    pub high: f64,
    /// From here critical.
    pub critical: f64,
}

/// What a model was trained on, and how.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// The data in one sentence.
    pub data: String,
    /// The program, or command, that trained it.
    pub trained_with: String,
    /// People it learned from.
    pub people: u32,
    /// Rows it learned from.
    pub rows: u32,
    /// How the number of trees was chosen, in one sentence.
    pub selection: String,
}

/// Measures on held-out people, and the hand-written heuristic's on the same people.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Quality {
    /// Held-out people.
    pub people: u32,
    /// Held-out rows.
    pub rows: u32,
    /// The model's.
    pub model: Measures,
    /// The heuristic's that it replaces.
    pub heuristic: Measures,
    /// What the rows and columns of the confusion matrices are: true class by row, predicted by column.
    pub confusion_labels: Vec<String>,
    /// Rows by true and predicted label: the model's.
    pub confusion: Vec<Vec<u32>>,
    /// What a calibration plot shows; for classes, of every class against the rest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibration: Vec<CalibrationBin>,
}

/// Rows whose predicted probability was in one tenth.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationBin {
    /// Mean predicted probability.
    pub predicted: f64,
    /// Share of the rows in which it was so.
    pub observed: f64,
    /// How many rows.
    pub rows: u32,
}

/// Figures of merit. For classes, means over the classes taken one against the rest.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Measures {
    /// Area under the receiver operating characteristic, 0.5 to 1 is better than chance.
    pub auroc: f64,
    /// Mean squared error of the probability, 0 is best.
    pub brier: f64,
    /// Expected calibration error in ten equal-width bins, 0 is best.
    pub calibration_error: f64,
}
