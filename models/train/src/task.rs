//! The five things to predict: what the right answer is, and which people they are learned and judged on.

use crate::cohort::{DAYS, Day, History, State, person};
use features::{CheckIn, FEATURES, Row, row};

/// The seed of everything.
pub const SEED: u64 = 20_260_131;

/// People to learn from. A person is in one split only, so no model is judged on someone it knows.
pub const TRAINING: std::ops::Range<u64> = 0..4000;
/// People on whom the number of trees is chosen.
pub const VALIDATION: std::ops::Range<u64> = 4000..5000;
/// People on whom quality is measured, looked at once.
pub const HELD_OUT: std::ops::Range<u64> = 5000..7000;

/// Days of a history at which examples are taken, far enough apart to differ.
const OBSERVATION_DAYS: [usize; 5] = [32, 48, 64, 80, 96];
/// The windows that training mixes, one an example, so that every `window_days` a caller may choose is known.
const WINDOWS: [u8; 5] = [3, 7, 1, 14, 30];

/// One prediction type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// The state on the day of the latest check-in.
    MoodState,
    /// A new episode, or another pole, begins within 14 days.
    RelapseRisk,
    /// Suicidal ideation within 7 days.
    SuicidalityRisk,
    /// Two or more missed doses within 7 days.
    MedicationAdherenceRisk,
    /// Two or more disturbed nights within 3 days: under 5.5 or over 10 hours, or quality 3 or worse.
    SleepDisturbanceRisk,
}

impl Task {
    /// Every task, in the order of answers.
    pub const ALL: [Task; 5] = [
        Task::MoodState,
        Task::RelapseRisk,
        Task::SuicidalityRisk,
        Task::MedicationAdherenceRisk,
        Task::SleepDisturbanceRisk,
    ];

    /// Returns the place of the task in [`Task::ALL`], and of its label in [`Example::labels`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Returns the folder's name.
    pub fn name(self) -> &'static str {
        match self {
            Task::MoodState => "mood_state",
            Task::RelapseRisk => "relapse_risk",
            Task::SuicidalityRisk => "suicidality_risk",
            Task::MedicationAdherenceRisk => "medication_adherence_risk",
            Task::SleepDisturbanceRisk => "sleep_disturbance_risk",
        }
    }

    /// Returns the number of labels: 4 states, or no and yes.
    pub fn labels(self) -> usize {
        if self == Task::MoodState { 4 } else { 2 }
    }

    /// Returns the right answer at `today`, as an index of the labels.
    fn truth(self, days: &[Day], today: usize) -> usize {
        let next = |count: usize| &days[today + 1..=today + count];
        let happens = match self {
            Task::MoodState => return days[today].state as usize,
            Task::RelapseRisk => {
                next(14).iter().any(|day| day.state != State::Euthymia && day.state != days[today].state)
            }
            Task::SuicidalityRisk => next(7).iter().any(|day| day.ideation),
            Task::MedicationAdherenceRisk => {
                next(7).iter().filter(|day| day.truth("medicationAdherence") == 0.0).count() >= 2
            }
            Task::SleepDisturbanceRisk => next(3).iter().filter(|day| disturbed(day)).count() >= 2,
        };
        usize::from(happens)
    }
}

fn disturbed(day: &Day) -> bool {
    let hours = day.truth("hoursSlept");
    !(5.5..=10.0).contains(&hours) || day.truth("sleepQuality") <= 3.0
}

/// One day of one person: the features known then, and the right answer to each task.
pub struct Example {
    /// Every feature of the service.
    pub row: Row,
    /// One label a task, in the order of [`Task::ALL`].
    pub labels: [usize; 5],
    /// The mood state on that day.
    pub state: State,
    /// The person sleeps badly between episodes too.
    pub insomnia: bool,
}

impl Example {
    /// Returns the row of a model that reads these features, by their places in [`FEATURES`].
    pub fn inputs(&self, features: &[usize]) -> Vec<f32> {
        features.iter().map(|&place| self.row[place]).collect()
    }
}

/// Returns the places in [`FEATURES`] of those that some example has. The others are made of fields that are not
/// simulated: a model learns nothing from them, and reading them it would change with every field that is added.
pub fn known_features(examples: &[Example]) -> Vec<usize> {
    let is_known = |place: &usize| examples.iter().any(|example| !example.row[*place].is_nan());
    (0..FEATURES.len()).filter(is_known).collect()
}

/// Returns the examples of these people.
pub fn examples(people: std::ops::Range<u64>) -> Vec<Example> {
    people.flat_map(|index| person_examples(index, &person(SEED, index))).collect()
}

fn person_examples(index: u64, history: &History) -> Vec<Example> {
    let recorded = |day: &Day| day.checkin.clone();
    OBSERVATION_DAYS
        .iter()
        .enumerate()
        .filter_map(|(number, &around)| {
            // The latest check-in may be some days old by then: look on the day it was made.
            let today = (0..=around).rev().find(|&day| history.days[day].checkin.is_some())?;
            assert!(today + 14 < DAYS, "the future that labels speak of is simulated");
            let checkins: Vec<CheckIn> =
                history.days[today.saturating_sub(30)..=today].iter().filter_map(recorded).collect();
            let window = WINDOWS[(index as usize + number) % WINDOWS.len()];
            let labels = Task::ALL.map(|task| task.truth(&history.days, today));
            let (state, insomnia) = (history.days[today].state, history.insomnia);
            Some(Example { row: row(&checkins, window)?, labels, state, insomnia })
        })
        .collect()
}
