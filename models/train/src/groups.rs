//! A model's quality in groups of the held-out people: those that the cohort has. It has no sex, age or ethnicity.

use crate::evaluate;
use crate::task::{Example, Task};
use bipolar_edge_models::card::GroupQuality;
use features::feature_index;

/// Ranges of the number of check-ins in the window.
const CHECKIN_COUNTS: [(&str, std::ops::RangeInclusive<f32>); 4] =
    [("1 to 2", 1.0..=2.0), ("3 to 5", 3.0..=5.0), ("6 to 10", 6.0..=10.0), ("11 or more", 11.0..=f32::INFINITY)];

/// A property by which rows are told apart: its name, and a row's value.
type Property = (&'static str, fn(&Example) -> &'static str);

const PROPERTIES: [Property; 3] = [
    ("mood state", |example| example.state.name()),
    ("chronic insomnia", |example| if example.insomnia { "yes" } else { "no" }),
    ("check-ins in the window", checkin_count),
];

/// Measures a model in every group. Mood states are no groups of the model that tells them apart: its confusion matrix
/// has them.
pub fn measured(task: Task, examples: &[Example], probabilities: &[Vec<f32>]) -> Vec<GroupQuality> {
    let properties = PROPERTIES.iter().filter(|(name, _)| task != Task::MoodState || *name != "mood state");
    properties
        .flat_map(|(name, value)| {
            let mut values: Vec<&str> = Vec::new();
            for example in examples {
                if !values.contains(&value(example)) {
                    values.push(value(example));
                }
            }
            values.sort_unstable();
            values
                .into_iter()
                .map(|of| group(task, (name, of), examples, probabilities, |example| value(example) == of))
        })
        .collect()
}

fn group(
    task: Task,
    (name, value): (&str, &str),
    examples: &[Example],
    probabilities: &[Vec<f32>],
    is_in: impl Fn(&Example) -> bool,
) -> GroupQuality {
    let (rows, labels): (Vec<Vec<f32>>, Vec<usize>) = examples
        .iter()
        .zip(probabilities)
        .filter(|(example, _)| is_in(example))
        .map(|(example, probabilities)| (probabilities.clone(), example.labels[task.index()]))
        .unzip();
    let measures = evaluate::measures(&rows, &labels, task.labels());
    let mean = |sum: f64| (task.labels() == 2).then(|| (sum / rows.len() as f64 * 1e4).round() / 1e4);
    GroupQuality {
        group: name.to_owned(),
        value: value.to_owned(),
        rows: rows.len() as u32,
        observed: mean(labels.iter().map(|label| *label as f64).sum()),
        predicted: mean(rows.iter().map(|row| f64::from(row[1])).sum()),
        auroc: Some(measures.auroc).filter(|auroc| !auroc.is_nan()),
        brier: measures.brier,
        calibration_error: measures.calibration_error,
    }
}

fn checkin_count(example: &Example) -> &'static str {
    let count = feature_index("checkinCount").map_or(f32::NAN, |place| example.row[place]);
    CHECKIN_COUNTS.iter().find(|(_, range)| range.contains(&count)).map_or("none", |(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{HELD_OUT, examples};

    #[test]
    fn every_row_is_in_one_group_of_each_property() {
        let examples = examples(HELD_OUT.start..HELD_OUT.start + 40);
        let certain = vec![vec![0.25, 0.75]; examples.len()];
        let groups = measured(Task::RelapseRisk, &examples, &certain);
        for (name, _) in PROPERTIES {
            let of: Vec<&GroupQuality> = groups.iter().filter(|group| group.group == name).collect();
            assert!(of.len() > 1, "{name}");
            assert_eq!(of.iter().map(|group| group.rows as usize).sum::<usize>(), examples.len(), "{name}");
            assert!(of.iter().all(|group| group.predicted == Some(0.75) && group.value != "none"), "{name}");
        }
        let classes = vec![vec![0.25; 4]; examples.len()];
        let groups = measured(Task::MoodState, &examples, &classes);
        assert!(groups.iter().all(|group| group.group != "mood state" && group.observed.is_none()));
    }
}
