//! The hand-written rules that the models replace, to be beaten on the same people. A rule reads the latest
//! check-in (for relapse also how far it moved from the days before), as rules of thumb do, and takes the middle of
//! the scale for what is missing.

use crate::task::Task;
use features::{Row, feature_index};

/// Returns the rule's probability of each label: four states, or no and yes.
pub fn predict(task: Task, row: &Row) -> Vec<f32> {
    let value = |name: &str, otherwise: f32| {
        let value = feature_index(name).map_or(f32::NAN, |index| row[index]);
        if value.is_nan() { otherwise } else { value }
    };
    let depression = value("depressedMood", 5.0) / 10.0;
    let mania = (value("elevation", 5.0) + value("activation", 5.0) + value("energyLevel", 5.0)) / 30.0;
    let anxiety = value("anxietyStress", 5.0) / 10.0;
    let hours = value("hoursSlept", 7.0);
    let sleeps_badly = if !(5.5..=10.0).contains(&hours) { 1.0 } else { 1.0 - value("sleepQuality", 5.0) / 10.0 };
    let dose_missed = 1.0 - value("medicationAdherence", 1.0);
    let yes = match task {
        Task::MoodState => {
            let depressed = (depression - 0.45).max(0.0) * 4.0;
            let elated = (mania - 0.55).max(0.0) * 5.0 + if hours < 6.0 { 0.3 } else { 0.0 };
            let mixed = depressed.min(elated) * 1.5;
            let scores = [0.6, elated, depressed, mixed];
            let total: f32 = scores.iter().sum();
            return scores.iter().map(|score| score / total).collect();
        }
        Task::RelapseRisk => {
            let moved = |name| value(name, 0.0).abs();
            let drift = moved("depressedMood_change") + moved("elevation_change") + moved("hoursSlept_change");
            0.04 + 0.02 * drift + 0.1 * dose_missed + 0.05 * value("contextualStressors", 0.0)
        }
        Task::SuicidalityRisk => 0.02 + 0.25 * depression * depression + 0.1 * anxiety + 0.05 * sleeps_badly,
        Task::MedicationAdherenceRisk => 0.25 + 0.4 * dose_missed + 0.1 * mania,
        Task::SleepDisturbanceRisk => 0.1 + 0.6 * sleeps_badly + 0.1 * anxiety,
    };
    vec![1.0 - yes, yes]
}
