//! A model card, `models/<name>/card.toml`: what a model is, how its numbers are to be read, and how good it is.

use crate::attributes::SourceAttributes;
use crate::label::RESERVED_LABELS;
use features::Language;
use forest::import::{Library, NamedTransform};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The longest window that a caller may ask for.
const MAX_WINDOW_DAYS: u32 = 30;
/// The most days that a check-in's age may be bounded to.
const MAX_CHECKIN_AGE_DAYS: u32 = 3650;

/// A model card. Unknown keys are refused, so that a misspelt one cannot go unnoticed.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The version that predictions carry, such as `mood_state_v1`.
    pub version: String,
    /// One line for people.
    pub title: String,
    /// The model is being tried out: its source attributes may be unanswered, and its warnings say so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub draft: bool,
    /// Position of the type in answers, smallest first.
    pub position: u32,
    /// The library whose file stands beside the card: `catboost`, `gbdt`, `lightgbm`, `onnx` or
    /// `xgboost`.
    pub format: Library,
    /// Number of boosting rounds to use, the first ones of the file; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<usize>,
    /// The function that makes margins probabilities, for a model of an objective of its own: `sigmoid`, `softmax`, or
    /// `identity` where they are probabilities. Refused where the file has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<NamedTransform>,
    /// Licence of the model and of the data it was trained on.
    pub licence: String,
    /// Warnings that everyone who uses the model must know.
    pub warnings: Vec<String>,
    /// The person could be harmed by a careless display: answers carry a disclaimer and crisis lines.
    #[serde(default)]
    pub sensitive: bool,
    /// Names of the model's inputs, in the model's own order.
    pub features: Vec<String>,
    /// Inputs without any one of which the answer is `insufficient_data`.
    pub critical: Vec<String>,
    /// Days of the window with a check-in below which the answer is `insufficient_data`; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_days: Option<u32>,
    /// Share of the inputs that must be known, 0 to 1, else the answer is `insufficient_data`; 0 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_answered: Option<f64>,
    /// Days after which the latest check-in is too old for this model, in place of the default of the service's
    /// variable of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_checkin_age_days: Option<u32>,
    /// The meaning of the margins.
    pub output: Output,
    /// Scores at and above which a risk is no longer low: the event's probability, or for classes the probability
    /// of all classes but the reference class.
    pub risk_levels: RiskLevels,
    /// Words for people by language, `en` and `pt-BR`. What has none is shown by its own name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub display: BTreeMap<String, Display>,
    /// The answers that whoever uses the predictions must be able to read.
    #[serde(default)]
    pub source_attributes: SourceAttributes,
    /// Data that the model was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<Training>,
    /// Quality on people it never saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
}

impl Card {
    /// Checks what can be told from the card alone, without the model file.
    pub fn check(&self) -> Result<(), CardError> {
        let levels = &self.risk_levels;
        let thresholds = [0.0, levels.medium, levels.high, levels.critical];
        if !thresholds.is_sorted_by(|lower, upper| lower < upper) || levels.critical > 1.0 {
            let reason = format!(
                "medium {} < high {} < critical {} must rise between 0 and 1",
                levels.medium, levels.high, levels.critical
            );
            return Err(CardError::new("risk_levels", reason));
        }
        self.check_demands()?;
        self.output.check()?;
        self.check_display()?;
        match self.critical.iter().find(|name| !self.features.contains(name)) {
            Some(name) => Err(CardError::new("critical", format!("{name:?} is none of the model's features"))),
            None => Ok(()),
        }
    }

    fn check_display(&self) -> Result<(), CardError> {
        let (tags, labels) = (Language::ALL.map(Language::tag), self.output.labels());
        for (tag, display) in &self.display {
            if !tags.contains(&tag.as_str()) {
                return Err(CardError::new(&format!("display.{tag}"), format!("is none of {}", tags.join(", "))));
            }
            if let Some(label) = display.labels.keys().find(|label| !labels.contains(&label.as_str())) {
                let reason = format!("{label:?} is none of {}", labels.join(", "));
                return Err(CardError::new(&format!("display.{tag}.labels"), reason));
            }
        }
        Ok(())
    }

    fn check_demands(&self) -> Result<(), CardError> {
        if let Some(days) = self.min_days.filter(|days| !(1..=MAX_WINDOW_DAYS + 1).contains(days)) {
            let reason = format!("{days}: a window has 1 to {} days", MAX_WINDOW_DAYS + 1);
            return Err(CardError::new("min_days", reason));
        }
        if let Some(share) = self.min_answered.filter(|share| !(0.0..=1.0).contains(share)) {
            return Err(CardError::new("min_answered", format!("{share} is no share: 0 to 1")));
        }
        if let Some(days) = self.max_checkin_age_days.filter(|days| !(1..=MAX_CHECKIN_AGE_DAYS).contains(days)) {
            let reason = format!("{days} is no number of days from 1 to {MAX_CHECKIN_AGE_DAYS}");
            return Err(CardError::new("max_checkin_age_days", reason));
        }
        Ok(())
    }

    /// Checks that every source attribute has an answer, which a draft may lack. Errors with all that are missing.
    pub fn check_answers(&self) -> Result<(), CardError> {
        let unanswered = self.source_attributes.unanswered();
        if self.draft || unanswered.is_empty() {
            return Ok(());
        }
        let reason = "not answered; to try the model out first, write `draft = true` below the title";
        Err(CardError::new(&format!("source_attributes: {}", unanswered.join(", ")), reason.to_owned()))
    }

    /// Returns the warnings, and of a draft first that it is one.
    pub fn all_warnings(&self) -> Vec<String> {
        let unanswered = self.source_attributes.unanswered().len();
        let draft = format!("This model is being tried out: {unanswered} questions of its card are not answered.");
        self.draft.then_some(draft).into_iter().chain(self.warnings.iter().cloned()).collect()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Words for people in one language.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Display {
    /// The type, as a heading has it.
    pub name: String,
    /// The labels, as they stand in a sentence.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// The meaning of a model's margins.
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
    /// The probability of an event. One file with one output.
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

impl Output {
    /// Returns every label that it gives.
    pub fn labels(&self) -> Vec<&str> {
        match self {
            Output::Classes { classes, .. } => classes.iter().map(String::as_str).collect(),
            Output::Risk { event, no_event, .. } => vec![event, no_event],
        }
    }

    fn check(&self) -> Result<(), CardError> {
        match self {
            Output::Classes { classes, reference_class } => {
                if classes.len() < 2 {
                    let reason = format!("{} given, at least 2 are needed", classes.len());
                    return Err(CardError::new("output.classes", reason));
                }
                for (index, class) in classes.iter().enumerate() {
                    check_label(&format!("output.classes[{index}]"), class)?;
                }
                if !classes.contains(reference_class) {
                    let reason = format!("{reference_class:?} is none of {classes:?}");
                    return Err(CardError::new("output.reference_class", reason));
                }
            }
            Output::Risk { event, no_event, decision_threshold, .. } => {
                check_label("output.event", event)?;
                check_label("output.no_event", no_event)?;
                if !(0.0..=1.0).contains(decision_threshold) {
                    let reason = format!("{decision_threshold} is no probability");
                    return Err(CardError::new("output.decision_threshold", reason));
                }
            }
        }
        Ok(())
    }
}

fn check_label(field: &str, label: &str) -> Result<(), CardError> {
    if RESERVED_LABELS.contains(&label) {
        let reason = format!(
            "{label:?} is a label that the service itself gives: choose another than {}",
            RESERVED_LABELS.join(", ")
        );
        return Err(CardError::new(field, reason));
    }
    Ok(())
}

/// Reason why a card was refused, and the field in which it is.
#[derive(Clone, Debug, PartialEq)]
pub struct CardError {
    field: String,
    reason: String,
}

impl CardError {
    fn new(field: &str, reason: String) -> CardError {
        CardError { field: field.to_owned(), reason }
    }
}

impl fmt::Display for CardError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.field, self.reason)
    }
}

impl std::error::Error for CardError {}

/// Lower bounds of three of the four risk levels; below `medium` is low.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RiskLevels {
    /// Lower bound of medium.
    pub medium: f64,
    /// Lower bound of high.
    pub high: f64,
    /// Lower bound of critical.
    pub critical: f64,
}

/// Data that a model was trained on, and how.
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
    /// The model's measures.
    pub model: Measures,
    /// The measures of the heuristic that it replaces.
    pub heuristic: Measures,
    /// Labels of the confusion matrix, in the order of its rows and columns.
    pub confusion_labels: Vec<String>,
    /// The model's confusion matrix: true label by row, predicted label by column.
    pub confusion: Vec<Vec<u32>>,
    /// Points of a calibration plot; for classes, of every class against the rest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibration: Vec<CalibrationBin>,
    /// The model's measures in groups of the held-out people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupQuality>,
}

/// A model's measures in one group of the held-out rows.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GroupQuality {
    /// The property that the rows are told apart by.
    pub group: String,
    /// The value that they have in common.
    pub value: String,
    /// Number of rows.
    pub rows: u32,
    /// Of a risk: share of the rows in which the event came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<f64>,
    /// Of a risk: mean predicted probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<f64>,
    /// Area under the receiver operating characteristic; `None` where a label has no rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auroc: Option<f64>,
    /// Mean squared error of the probability, 0 is best.
    pub brier: f64,
    /// Expected calibration error in ten equal-width bins, 0 is best.
    pub calibration_error: f64,
}

/// Rows whose predicted probability was in one tenth of the range.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationBin {
    /// Mean predicted probability.
    pub predicted: f64,
    /// Share of the rows in which the label was the true one.
    pub observed: f64,
    /// Number of rows.
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

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSES: &str = r#"kind = "classes", classes = ["low", "high"], reference_class = "low""#;
    const RISK: &str = r#"kind = "risk", event = "ill", no_event = "well", decision_threshold = 0.5, horizon_days = 7"#;

    /// A card with this output, whose text is edited.
    fn card(output: &str, from: &str, to: &str) -> Card {
        let text = format!(
            r#"
            version = "v1"
            title = "A title"
            position = 1
            format = "gbdt"
            licence = "Apache-2.0"
            warnings = []
            features = ["hoursSlept", "energyLevel"]
            critical = ["hoursSlept"]
            output = {{ {output} }}
            risk_levels = {{ medium = 0.3, high = 0.6, critical = 0.85 }}
            "#
        );
        assert!(text.contains(from), "{from}");
        toml::from_str(&text.replace(from, to)).expect("a card")
    }

    #[test]
    fn a_card_that_is_in_order_passes() {
        for output in [CLASSES, RISK] {
            assert_eq!(card(output, "", "").check(), Ok(()));
        }
    }

    #[test]
    fn an_unanswered_question_is_refused_by_name_unless_the_card_is_a_draft() {
        let mut card = card(RISK, "", "");
        let error = card.check_answers().expect_err("nothing is answered").to_string();
        let begin = "source_attributes: developer, contact, funding, ";
        assert!(error.starts_with(begin) && error.contains(": not answered; to try"), "{error}");
        card.draft = true;
        assert_eq!(card.check_answers(), Ok(()));
        let all = SourceAttributes::QUESTIONS.len();
        assert!(card.all_warnings()[0].contains(&format!("{all} questions of its card are not answered")));
        card.draft = false;
        let answered: toml::Table =
            SourceAttributes::QUESTIONS.iter().map(|(name, _)| ((*name).to_owned(), "Said.".into())).collect();
        card.source_attributes = answered.clone().try_into().expect("answers");
        assert_eq!((card.check_answers(), card.all_warnings()), (Ok(()), Vec::new()));
        for (name, question) in SourceAttributes::QUESTIONS {
            let mut answers = answered.clone();
            answers.insert((*name).to_owned(), format!("? {question}").into());
            card.source_attributes = answers.try_into().expect("answers");
            let error = card.check_answers().expect_err("one is missing").to_string();
            assert!(error.starts_with(&format!("source_attributes: {name}: not answered")), "{error}");
        }
    }

    #[test]
    fn a_label_of_the_service_itself_is_refused() {
        let choose = "choose another than timeout, insufficient_data, unknown, error";
        for label in RESERVED_LABELS {
            for (output, from, field) in [
                (CLASSES, "\"high\"", "output.classes[1]"),
                (CLASSES, "\"low\"", "output.classes[0]"),
                (RISK, "\"ill\"", "output.event"),
                (RISK, "\"well\"", "output.no_event"),
            ] {
                let error = card(output, from, &format!("{label:?}")).check().expect_err("a reserved label");
                let expected = format!("{field}: {label:?} is a label that the service itself gives: {choose}");
                assert_eq!(error.to_string(), expected);
            }
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_the_field() {
        let rise = "must rise between 0 and 1";
        for (output, from, to, error) in [
            (RISK, "medium = 0.3", "medium = 0.0", format!("risk_levels: medium 0 < high 0.6 < critical 0.85 {rise}")),
            (RISK, "high = 0.6", "high = 0.3", format!("risk_levels: medium 0.3 < high 0.3 < critical 0.85 {rise}")),
            (RISK, "high = 0.6", "high = nan", format!("risk_levels: medium 0.3 < high NaN < critical 0.85 {rise}")),
            (RISK, "0.85", "1.5", format!("risk_levels: medium 0.3 < high 0.6 < critical 1.5 {rise}")),
            (RISK, "= 0.5", "= 1.5", "output.decision_threshold: 1.5 is no probability".to_owned()),
            (RISK, "critical = [", "min_days = 0\ncritical = [", "min_days: 0: a window has 1 to 31 days".to_owned()),
            (RISK, "critical = [", "min_days = 32\ncritical = [", "min_days: 32: a window has 1 to 31 days".to_owned()),
            (
                RISK,
                "critical = [",
                "min_answered = 1.5\ncritical = [",
                "min_answered: 1.5 is no share: 0 to 1".to_owned(),
            ),
            (
                RISK,
                "critical = [",
                "max_checkin_age_days = 3651\ncritical = [",
                "max_checkin_age_days: 3651 is no number of days from 1 to 3650".to_owned(),
            ),
            (CLASSES, r#", "high""#, "", "output.classes: 1 given, at least 2 are needed".to_owned()),
            (
                CLASSES,
                r#"class = "low""#,
                r#"class = "middle""#,
                r#"output.reference_class: "middle" is none of ["low", "high"]"#.to_owned(),
            ),
            (
                CLASSES,
                r#"["hoursSlept"]"#,
                r#"["libido"]"#,
                r#"critical: "libido" is none of the model's features"#.to_owned(),
            ),
            (
                RISK,
                "warnings = []",
                "warnings = []\ndisplay.de = { name = \"Risiko\" }",
                "display.de: is none of en, pt-BR".to_owned(),
            ),
            (
                RISK,
                "warnings = []",
                "warnings = []\ndisplay.en = { name = \"Risk\", labels = { sick = \"ill\" } }",
                r#"display.en.labels: "sick" is none of ill, well"#.to_owned(),
            ),
        ] {
            let refused = card(output, from, to).check().expect_err("a contradiction");
            assert_eq!(refused.to_string(), error);
        }
    }
}
