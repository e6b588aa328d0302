//! A check-in: the answers that a person recorded on one day.

use jiff::civil::Date;

/// One question of a check-in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field {
    /// The name in requests and in the database.
    pub name: &'static str,
    /// The nested column that holds it in the database.
    pub group: &'static str,
    /// The answers it takes.
    pub range: Range,
}

/// The answers a field takes. Anything else is not an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// No (0) or yes (1).
    YesNo,
    /// From 0 up to and including this.
    UpTo(f32),
    /// 0 or more, as much as an f32 can be: minutes, doses, units, tasks.
    Count,
}

impl Range {
    /// Tells if a number is an answer. NaN and infinities never are.
    pub fn contains(self, value: f64) -> bool {
        match self {
            Range::YesNo => value == 0.0 || value == 1.0,
            Range::UpTo(most) => (0.0..=f64::from(most)).contains(&value),
            Range::Count => (0.0..=f64::from(f32::MAX)).contains(&value),
        }
    }
}

const fn field(group: &'static str, name: &'static str, range: Range) -> Field {
    Field { name, group, range }
}

const SLEEP: &str = "sleep_data";
const MOOD: &str = "mood_data";
const SYMPTOMS: &str = "symptoms_data";
const ROUTINE: &str = "risk_routine_data";
const APPETITE: &str = "appetite_impulse_data";
const MEDICATION: &str = "meds_context_data";
const SCALE: Range = Range::UpTo(10.0);
const HOURS: Range = Range::UpTo(24.0);

/// Every field, in the order of [`CheckIn::values`]. `perceivedSleepNeed` and `hoursSlept` are hours, `...Min`
/// minutes, scales run from 0 (none) to 10 (most).
pub const FIELDS: [Field; 36] = [
    field(SLEEP, "hoursSlept", HOURS),
    field(SLEEP, "sleepQuality", SCALE),
    field(SLEEP, "perceivedSleepNeed", HOURS),
    field(SLEEP, "sleepHygiene", SCALE),
    field(SLEEP, "hasNapped", Range::YesNo),
    field(SLEEP, "nappingDurationMin", Range::Count),
    field(MOOD, "energyLevel", SCALE),
    field(MOOD, "depressedMood", SCALE),
    field(MOOD, "anxietyStress", SCALE),
    field(MOOD, "elevation", SCALE),
    field(MOOD, "activation", SCALE),
    field(MOOD, "motivationToStart", SCALE),
    field(SYMPTOMS, "thoughtSpeed", SCALE),
    field(SYMPTOMS, "distractibility", SCALE),
    field(SYMPTOMS, "memoryConcentration", SCALE),
    field(SYMPTOMS, "ruminationAxis", SCALE),
    field(ROUTINE, "socialConnection", SCALE),
    field(ROUTINE, "socialRhythmEvent", Range::YesNo),
    field(ROUTINE, "exerciseDurationMin", Range::Count),
    field(ROUTINE, "exerciseFeeling", SCALE),
    field(ROUTINE, "sexualRiskBehavior", Range::YesNo),
    field(ROUTINE, "tasksPlanned", Range::Count),
    field(ROUTINE, "tasksCompleted", Range::Count),
    field(APPETITE, "generalAppetite", SCALE),
    field(APPETITE, "dietTracking", Range::YesNo),
    field(APPETITE, "skipMeals", Range::YesNo),
    field(APPETITE, "compulsionEpisode", Range::YesNo),
    field(APPETITE, "compulsionIntensity", SCALE),
    field(APPETITE, "substanceUsage", Range::YesNo),
    field(APPETITE, "substanceUnits", Range::Count),
    field(APPETITE, "caffeineDoses", Range::Count),
    field(APPETITE, "libido", SCALE),
    field(MEDICATION, "medicationAdherence", Range::YesNo),
    field(MEDICATION, "medicationTiming", Range::YesNo),
    field(MEDICATION, "medicationChangeRecent", Range::YesNo),
    field(MEDICATION, "contextualStressors", Range::YesNo),
];

/// Returns the place of a field in [`FIELDS`].
pub const fn field_index(name: &str) -> Option<usize> {
    let mut index = 0;
    while index < FIELDS.len() {
        if same(FIELDS[index].name, name) {
            return Some(index);
        }
        index += 1;
    }
    None
}

/// Compares strings, for which `==` cannot yet be called at compile time.
pub(crate) const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut index = 0;
    while a.len() == b.len() && index < a.len() {
        if a[index] != b[index] {
            return false;
        }
        index += 1;
    }
    a.len() == b.len()
}

/// Answers that a person recorded on one day.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckIn {
    /// Identifies the check-in to its owner; never a feature.
    pub id: String,
    /// The calendar day it is about.
    pub date: Date,
    /// One answer a field, in the order of [`FIELDS`]; NaN is missing.
    pub values: [f32; FIELDS.len()],
}
