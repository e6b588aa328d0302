//! Source attributes: what whoever uses a model's predictions must be able to read about it.
//!
//! The list is the one that US certification asks of predictive decision support (ONC HTI-1,
//! 45 CFR 170.315(b)(11)(iv)(B)), whose paragraphs each question names, and how the thresholds were chosen.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Begins an answer that nobody has given yet.
const UNANSWERED: char = '?';

macro_rules! source_attributes {
    ($($(#[doc = $doc:literal])+ $name:ident: $question:literal,)+) => {
        /// Answers to the questions of `[source_attributes]`, each a sentence or a few. A key that is not known is
        /// refused.
        #[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct SourceAttributes {
            $($(#[doc = $doc])+ pub $name: String,)+
        }

        impl SourceAttributes {
            /// Every key and its question, in the order of the list.
            pub const QUESTIONS: &'static [(&'static str, &'static str)] = &[$((stringify!($name), $question),)+];

            /// Returns what a card has that nobody has answered anything in: in each place the question.
            pub fn questions() -> SourceAttributes {
                SourceAttributes { $($name: format!("{UNANSWERED} {}", $question),)+ }
            }

            /// Returns every key with its answer, `None` where there is none.
            pub fn answers(&self) -> BTreeMap<&'static str, Option<&str>> {
                [$((stringify!($name), answer(&self.$name)),)+].into()
            }
        }
    };
}

source_attributes! {
    /// Who made the model: (1)(i).
    developer: "Who made the model?",
    /// Where to write with questions about it, and to report harm: (1)(i).
    contact: "Where do people write who have questions about it, or saw it do harm?",
    /// Who paid for it: (1)(ii).
    funding: "Who paid for its development and for bringing it into use?",
    /// The output, and what it is good for: (1)(iii) and (iv).
    output_value: "What does it put out (a prediction, a classification, a recommendation), and what is that good for?",
    /// The intended use: (2)(i).
    intended_use: "What is it to be used for?",
    /// The people whom predictions are about: (2)(ii).
    intended_population: "About which people may it be asked?",
    /// The people who read the predictions: (2)(iii).
    intended_users: "Who is to read its predictions?",
    /// The part that it plays in a decision: (2)(iv).
    decision_role: "Does it inform, augment or replace a decision about care, and which one?",
    /// Tasks, situations and people that it must not be used for: (3)(i).
    out_of_scope: "For which tasks, situations or people must it not be used?",
    /// Known risks and limits: (3)(ii).
    known_limits: "Which risks and limits are known, and where is it known to be wrong?",
    /// Who is in the data that it learned from, and who is not: (4)(i).
    training_criteria: "By which criteria were people and days taken into the training data, or left out?",
    /// Its inputs that are demographic or about social circumstances: (4)(ii).
    demographic_inputs: "Which inputs are race, ethnicity, language, sex, gender, sexual orientation, age or social circumstances?",
    /// How far the training data are like the people it is for: (4)(iii).
    representativeness: "Whom do the training data represent, by sex, age, ethnicity and care?",
    /// Why the training data fit the place where it is used: (4)(iv).
    relevance: "Why do the training data fit the setting in which it is used?",
    /// The measures for it to be fair: (5)(i) and (ii).
    fairness: "What was done for its output to be fair, and against bias?",
    /// How the decision threshold and the risk levels were chosen.
    thresholds: "How were the decision threshold and the risk levels chosen, and by whom?",
    /// Its validation on data of another source: (6) and (7)(iii) and (iv).
    external_validation: "On which data of another source was it validated, by whom, how, and with what outcome?",
    /// Its quality in groups of people: (7)(i) and (ii).
    group_validation: "In which groups of people was its quality measured, and how do they differ?",
    /// Evidence of what its use does to people's health: (7)(v).
    outcome_evaluation: "Where is it written what its use does to people's outcomes?",
    /// How its validity and fairness are watched in use: (8).
    monitoring: "How, how often and by whom are its validity and fairness watched where it is used?",
    /// When it is reviewed, retrained and corrected: (9).
    maintenance: "How often is it reviewed, when is it retrained, and how soon is it corrected once it is found wrong?",
}

impl SourceAttributes {
    /// Returns the keys that have no answer.
    pub fn unanswered(&self) -> Vec<&'static str> {
        let answers = self.answers();
        Self::QUESTIONS.iter().map(|(name, _)| *name).filter(|name| answers[name].is_none()).collect()
    }
}

/// An answer, unless it is blank or the question itself.
fn answer(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty() && !text.starts_with(UNANSWERED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_every_question() {
        let text = include_str!("../../docs/MODELS.md");
        for (name, question) in SourceAttributes::QUESTIONS {
            assert!(text.contains(&format!("| `{name}` | {question} |")), "{name}");
        }
    }

    #[test]
    fn a_blank_and_a_question_are_no_answers() {
        let mut attributes = SourceAttributes::questions();
        let all: Vec<&str> = SourceAttributes::QUESTIONS.iter().map(|(name, _)| *name).collect();
        assert_eq!(attributes.unanswered(), all);
        assert_eq!(SourceAttributes::default().unanswered(), all);
        attributes.funding = " Nobody. ".into();
        attributes.contact = "  ".into();
        let unanswered = attributes.unanswered();
        assert!(!unanswered.contains(&"funding") && unanswered.contains(&"contact"), "{unanswered:?}");
        assert_eq!((attributes.answers()["funding"], attributes.answers()["contact"]), (Some("Nobody."), None));
    }
}
