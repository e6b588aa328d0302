//! The source attributes of the shipped models: answers that are true of models of synthetic people.

use crate::task::Task;
use bipolar_edge_models::attributes::SourceAttributes;

/// Returns the answers of one model's card.
pub fn attributes(task: Task) -> SourceAttributes {
    let Purpose { output, intended, thresholds } = purpose(task);
    SourceAttributes {
        developer: "The bipolar-edge project.".into(),
        contact: "The project's repository: its issues, or for what must not be public its private security advisories."
            .into(),
        funding: "Nobody but the project itself.".into(),
        output_value: output.into(),
        intended_use: format!("{intended} In development, demonstrations and tests: it has never seen a person."),
        intended_population: "None yet: synthetic people with bipolar disorder who record daily check-ins.".into(),
        intended_users: "Developers of an app, and clinicians and researchers who judge if a model of its kind, trained on \
                         real data, would help."
            .into(),
        decision_role: "None: no decision about a person's care may rest on it. A model that replaces it may inform a \
                        decision, and does not make one."
            .into(),
        out_of_scope: "Diagnosis, triage, crisis detection and any decision about the care of a real person; people \
                       without bipolar disorder, children and adolescents; insurance, employment and policing."
            .into(),
        known_limits: format!(
            "It has learned what the generative model put in: means by mood state, spreads and rates of which many are \
             guesses. {} It expects check-ins on three days of four at least and one question in eight skipped at most: \
             with fewer answers it is further from what it has learned than its figures say.",
            limits(task)
        ),
        training_criteria: "Every synthetic person of the first 4,000, at five days 16 days apart, at the latest check-in \
                            by then; nobody was left out."
            .into(),
        demographic_inputs: "None: no input is race, ethnicity, language, sex, gender, sexual orientation, age or social \
                             circumstances. The synthetic people have none of them."
            .into(),
        representativeness: "Of nobody: the shares, lengths and onsets of mood states follow published figures of people \
                             with bipolar I disorder in care; everything else is a guess."
            .into(),
        relevance: "They have the same fields, gaps and windows as the check-ins that the service is asked with, and \
                    nothing else in common with those of a real service."
            .into(),
        fairness: "Nothing can be said about groups of people that the cohort does not have. People of both kinds of \
                   sleepers, of every mood state and with few or many check-ins are trained on together and judged apart."
            .into(),
        thresholds: thresholds.into(),
        external_validation: "None: it was judged on held-out people of the same generative model alone.".into(),
        group_validation: format!(
            "On held-out synthetic people by chronic insomnia, by the number of check-ins in the window and, of a risk, by \
             mood state: quality.groups has the figures.{} By sex, age, ethnicity or language there are none.",
            differences(task)
        ),
        outcome_evaluation: "Nowhere: no person's care was ever changed by it.".into(),
        monitoring: "Not in use, so not watched. Whoever serves it sees shares of labels and of missing inputs in the \
                     service's metrics."
            .into(),
        maintenance: "Trained anew whenever the cohort, the features or the trainer change, which a test compels; \
                      reviewed with each release; a fault is corrected with the next."
            .into(),
    }
}

/// The part of the answers that differs between the models.
struct Purpose {
    output: &'static str,
    intended: &'static str,
    thresholds: &'static str,
}

fn purpose(task: Task) -> Purpose {
    const EVEN: &str = "Chosen by hand, before the figures were known: the label changes at an even chance, and the risk \
                        levels are round numbers. No clinician has weighed misses against false alarms.";
    match task {
        Task::MoodState => Purpose {
            output: "A classification: the probability of each of four mood states on the day of the latest check-in.",
            intended: "To show how a mood state could be read from check-ins.",
            thresholds: "The label is the most probable state. The risk levels are of all states but euthymia together, \
                         chosen by hand; critical begins at 0.95, because the states are easy to tell apart in the \
                         cohort. No clinician has weighed misses against false alarms.",
        },
        Task::RelapseRisk => Purpose {
            output: "A prediction: the probability that a new episode, or another pole, begins within 14 days.",
            intended: "To show how a coming episode could be noticed early.",
            thresholds: "Chosen by hand: at 0.2, about twice the share of rows in which an episode began, one in ten is \
                         said to be at risk and a quarter of the episodes is found. No clinician has weighed misses \
                         against false alarms.",
        },
        Task::SuicidalityRisk => Purpose {
            output: "A prediction: the probability of suicidal ideation within 7 days.",
            intended: "To show how answers that carry a disclaimer and crisis lines are shown.",
            thresholds: "Chosen by hand and cautious, because a missed crisis costs more than a false alarm: at 0.2 four of \
                         five rows with ideation are found, and two of three that are found have none. No clinician has \
                         weighed the one against the other.",
        },
        Task::MedicationAdherenceRisk => Purpose {
            output: "A prediction: the probability of two or more missed doses within 7 days.",
            intended: "To show how missed doses could be foreseen.",
            thresholds: EVEN,
        },
        Task::SleepDisturbanceRisk => Purpose {
            output: "A prediction: the probability of two or more disturbed nights within 3 days.",
            intended: "To show how disturbed nights could be foreseen.",
            thresholds: EVEN,
        },
    }
}

/// The findings in groups that the figures of all do not show.
fn differences(task: Task) -> &'static str {
    match task {
        Task::RelapseRisk => {
            " Within one mood state it tells episodes apart far less well than over all: the area under the curve is \
             0.60 in euthymia and about 0.5 in mixed states, because much of what it knows is which state a person is in."
        }
        Task::SuicidalityRisk => {
            " In depression it ranks people little better than chance would, at an area under the curve of 0.60, and in \
             mixed states, where ideation is most frequent, its probabilities are too low by a fifth."
        }
        _ => "",
    }
}

fn limits(task: Task) -> &'static str {
    match task {
        Task::MoodState => "The states lie further apart in the cohort than in people.",
        Task::RelapseRisk => "It finds a quarter of the episodes, and four of five that it announces do not come.",
        Task::SuicidalityRisk => {
            "The rates of ideation were chosen so that there is something to learn: they are nobody's risk."
        }
        Task::MedicationAdherenceRisk => "Its probabilities above 0.8 are too low by a twentieth.",
        Task::SleepDisturbanceRisk => "Its probabilities below 0.2 are too high, by a third and more.",
    }
}
