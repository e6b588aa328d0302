//! The features: what each one means, and how it is computed.
//!
//! A row describes a person at their latest check-in: what it says, and what the check-ins of the `window_days`
//! calendar days before it add. A value that cannot be computed is missing (NaN) and goes down the trees' own
//! branch for missing values; nothing is ever filled in.

use crate::checkin::{CheckIn, FIELDS, field_index, same};
use jiff::civil::Date;

/// One feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Feature {
    /// Its name in model cards and in contributions.
    pub name: &'static str,
    /// One sentence on the value, its unit, and when it is missing.
    pub meaning: &'static str,
    /// The statistic that it is.
    pub kind: FeatureKind,
}

/// The statistic that a feature is; of a field, by its place in [`FIELDS`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FeatureKind {
    /// The latest answer.
    Latest(usize),
    /// The mean over the window.
    Mean(usize),
    /// The latest answer minus the mean of the earlier ones.
    Change(usize),
    /// The slope over the window, a day.
    Trend(usize),
    /// The share of planned tasks that were completed.
    TaskCompletion,
    /// Short nights in a row.
    ShortSleepStreak,
    /// Missed doses in a row.
    MissedDoseStreak,
    /// Days since the check-in before.
    DaysSincePrevious,
    /// Check-ins in the window.
    CheckinCount,
    /// Days of history.
    WindowDays,
}

/// The fields whose history counts, with the names of their three history features:
///
/// - `_mean`: mean of the answers in the window, the latest included; missing if there is none.
/// - `_change`: latest answer minus the mean of the earlier answers in the window; missing if either is.
/// - `_trend`: least-squares slope over the answers in the window, in units a day; missing below two days.
const HISTORY: [(&str, [&str; 3]); 11] = [
    ("hoursSlept", ["hoursSlept_mean", "hoursSlept_change", "hoursSlept_trend"]),
    ("sleepQuality", ["sleepQuality_mean", "sleepQuality_change", "sleepQuality_trend"]),
    ("energyLevel", ["energyLevel_mean", "energyLevel_change", "energyLevel_trend"]),
    ("depressedMood", ["depressedMood_mean", "depressedMood_change", "depressedMood_trend"]),
    ("anxietyStress", ["anxietyStress_mean", "anxietyStress_change", "anxietyStress_trend"]),
    ("elevation", ["elevation_mean", "elevation_change", "elevation_trend"]),
    ("activation", ["activation_mean", "activation_change", "activation_trend"]),
    ("motivationToStart", ["motivationToStart_mean", "motivationToStart_change", "motivationToStart_trend"]),
    ("thoughtSpeed", ["thoughtSpeed_mean", "thoughtSpeed_change", "thoughtSpeed_trend"]),
    ("ruminationAxis", ["ruminationAxis_mean", "ruminationAxis_change", "ruminationAxis_trend"]),
    ("medicationAdherence", ["medicationAdherence_mean", "medicationAdherence_change", "medicationAdherence_trend"]),
];

const OTHERS: [Feature; 6] = [
    Feature {
        name: "taskCompletion",
        meaning: "latest tasksCompleted / tasksPlanned; missing if either is, or nothing was planned",
        kind: FeatureKind::TaskCompletion,
    },
    Feature {
        name: "shortSleepStreak",
        meaning: "check-ins in a row, back from the latest, with under 6 hours slept; missing if the latest does not say",
        kind: FeatureKind::ShortSleepStreak,
    },
    Feature {
        name: "missedDoseStreak",
        meaning: "check-ins in a row, back from the latest, without medication; missing if the latest does not say",
        kind: FeatureKind::MissedDoseStreak,
    },
    Feature {
        name: "daysSincePrevious",
        meaning: "days from the previous check-in in the window to the latest; missing if there is none",
        kind: FeatureKind::DaysSincePrevious,
    },
    Feature {
        name: "checkinCount",
        meaning: "check-ins in the window, the latest included",
        kind: FeatureKind::CheckinCount,
    },
    Feature {
        name: "windowDays",
        meaning: "days of history before the latest check-in that count, 1 to 30",
        kind: FeatureKind::WindowDays,
    },
];

const FIRST_OTHER: usize = FIELDS.len() + 3 * HISTORY.len();
const FEATURE_COUNT: usize = FIRST_OTHER + OTHERS.len();

/// One value a feature, in the order of [`FEATURES`]; NaN is missing.
pub type Row = [f32; FEATURE_COUNT];

/// Every feature: first the latest check-in's fields by their own names, then `HISTORY` three by three, then
/// the rest.
pub const FEATURES: [Feature; FEATURE_COUNT] = {
    let mut all = [OTHERS[0]; FEATURE_COUNT];
    let mut at = 0;
    while at < FIELDS.len() {
        all[at] = Feature {
            name: FIELDS[at].name,
            meaning: "the latest check-in's answer; missing if not answered",
            kind: FeatureKind::Latest(at),
        };
        at += 1;
    }
    let mut field = 0;
    while field < HISTORY.len() {
        let names = HISTORY[field].1;
        let place = HISTORY_FIELDS[field];
        all[at] = Feature {
            name: names[0],
            meaning: "mean of the answers in the window; missing if there is none",
            kind: FeatureKind::Mean(place),
        };
        all[at + 1] = Feature {
            name: names[1],
            meaning: "latest answer minus the mean of the earlier ones in the window; missing if either is",
            kind: FeatureKind::Change(place),
        };
        all[at + 2] = Feature {
            name: names[2],
            meaning: "least-squares slope over the window, in units a day; missing below two days",
            kind: FeatureKind::Trend(place),
        };
        at += 3;
        field += 1;
    }
    let mut other = 0;
    while other < OTHERS.len() {
        all[at + other] = OTHERS[other];
        other += 1;
    }
    all
};

/// Returns the place of a feature in [`FEATURES`].
pub const fn feature_index(name: &str) -> Option<usize> {
    let mut index = 0;
    while index < FEATURES.len() {
        if same(FEATURES[index].name, name) {
            return Some(index);
        }
        index += 1;
    }
    None
}

/// Returns the index of a field that this file names: a name that is not a field does not compile.
#[allow(clippy::panic, reason = "evaluated at compile time only")]
const fn field(name: &str) -> usize {
    match field_index(name) {
        Some(index) => index,
        None => panic!("no such field"),
    }
}

/// Places of [`HISTORY`]'s fields, found here rather than at every row.
const HISTORY_FIELDS: [usize; HISTORY.len()] = {
    let mut fields = [0; HISTORY.len()];
    let mut index = 0;
    while index < HISTORY.len() {
        fields[index] = field(HISTORY[index].0);
        index += 1;
    }
    fields
};
const HOURS_SLEPT: usize = field("hoursSlept");
const TASKS_PLANNED: usize = field("tasksPlanned");
const TASKS_COMPLETED: usize = field("tasksCompleted");
const MEDICATION_ADHERENCE: usize = field("medicationAdherence");

/// Nights under this many hours count into `shortSleepStreak`.
const SHORT_SLEEP_HOURS: f32 = 6.0;

/// Returns the row at the latest of `checkins`, which may stand in any order and reach beyond the window. Check-ins
/// older than `window_days` before the latest do not matter. Of two on the same day the later in the slice
/// counts as the later. `None` without check-ins.
pub fn row(checkins: &[CheckIn], window_days: u8) -> Option<Row> {
    let mut window: Vec<(i32, &CheckIn)> = in_window(checkins, window_days)?.collect();
    window.sort_by_key(|(day, _)| *day);
    let (latest_day, latest) = *window.last()?;

    let mut row = [f32::NAN; FEATURE_COUNT];
    row[..FIELDS.len()].copy_from_slice(&latest.values);
    for (index, &field) in HISTORY_FIELDS.iter().enumerate() {
        let at = FIELDS.len() + 3 * index;
        row[at..at + 3].copy_from_slice(&history(&window, field));
    }
    let previous = window.len().checked_sub(2).and_then(|index| window.get(index));
    let (planned, completed) = (latest.values[TASKS_PLANNED], latest.values[TASKS_COMPLETED]);
    row[FIRST_OTHER..].copy_from_slice(&[
        if planned > 0.0 { completed / planned } else { f32::NAN },
        streak(&window, HOURS_SLEPT, |hours| hours < SHORT_SLEEP_HOURS),
        streak(&window, MEDICATION_ADHERENCE, |taken| taken == 0.0),
        previous.map_or(f32::NAN, |(day, _)| (latest_day - day) as f32),
        window.len() as f32,
        f32::from(window_days),
    ]);
    Some(row)
}

/// The days that a row is made from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coverage {
    /// The day of the latest check-in.
    pub as_of: Date,
    /// Check-ins in the window, the latest included.
    pub checkins: usize,
    /// Days from the first of them to the latest, both included.
    pub days: usize,
}

/// Returns the days that [`row`] makes its row from. `None` without check-ins.
pub fn coverage(checkins: &[CheckIn], window_days: u8) -> Option<Coverage> {
    let as_of = checkins.iter().map(|checkin| checkin.date).max()?;
    let days: Vec<i32> = in_window(checkins, window_days)?.map(|(day, _)| day).collect();
    let (first, latest) = (days.iter().min()?, days.iter().max()?);
    Some(Coverage { as_of, checkins: days.len(), days: usize::try_from(latest - first).ok()? + 1 })
}

/// Returns the check-ins of the window that ends with the latest, each with its day.
fn in_window(checkins: &[CheckIn], window_days: u8) -> Option<impl Iterator<Item = (i32, &CheckIn)>> {
    let latest = checkins.iter().map(day).max()?;
    let days = checkins.iter().map(|checkin| (day(checkin), checkin));
    Some(days.filter(move |(day, _)| latest - day <= i32::from(window_days)))
}

/// Returns the number of days since 1970-01-01.
fn day(checkin: &CheckIn) -> i32 {
    const EPOCH: Date = Date::constant(1970, 1, 1);
    (checkin.date.duration_since(EPOCH).as_hours() / 24) as i32
}

/// Returns `[mean, change, trend]` of one field over the window, which is sorted by day.
fn history(window: &[(i32, &CheckIn)], field: usize) -> [f32; 3] {
    let answers = || {
        window
            .iter()
            .map(|(day, checkin)| (f64::from(*day), f64::from(checkin.values[field])))
            .filter(|(_, x)| !x.is_nan())
    };
    let count = answers().count() as f64;
    if count == 0.0 {
        return [f32::NAN; 3];
    }
    let mean = answers().map(|(_, x)| x).sum::<f64>() / count;
    let mean_day = answers().map(|(day, _)| day).sum::<f64>() / count;
    let spread = answers().map(|(day, _)| (day - mean_day) * (day - mean_day)).sum::<f64>();
    let slope = answers().map(|(day, x)| (day - mean_day) * (x - mean)).sum::<f64>() / spread;
    let latest = window.last().map_or(f64::NAN, |(_, checkin)| f64::from(checkin.values[field]));
    // Without a latest answer `change` is NaN by itself; with only one answer it is 0 / 0.
    let earlier_mean = (mean * count - latest) / (count - 1.0);
    let change = if count > 1.0 { latest - earlier_mean } else { f64::NAN };
    let trend = if spread > 0.0 { slope } else { f64::NAN };
    [mean as f32, change as f32, trend as f32]
}

/// Returns how many check-ins in a row, back from the latest, answer `field` with what `counts`.
fn streak(window: &[(i32, &CheckIn)], field: usize, counts: impl Fn(f32) -> bool) -> f32 {
    match window.last() {
        Some((_, latest)) if !latest.values[field].is_nan() => {
            window.iter().rev().take_while(|(_, checkin)| counts(checkin.values[field])).count() as f32
        }
        _ => f32::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn on(date: &str, answers: &[(&str, f32)]) -> CheckIn {
        let mut values = [f32::NAN; FIELDS.len()];
        for (name, value) in answers {
            values[field_index(name).expect("a field")] = *value;
        }
        CheckIn { id: date.into(), date: date.parse().expect("a date"), values }
    }

    fn value(row: &Row, name: &str) -> f32 {
        row[feature_index(name).expect("a feature")]
    }

    #[test]
    fn history_is_read_from_the_window_and_from_nowhere_else() {
        let checkins = [
            on("2026-01-01", &[("hoursSlept", 1.0)]),
            on("2026-01-28", &[("hoursSlept", 8.0)]),
            on("2026-01-29", &[("hoursSlept", 7.0)]),
            on("2026-01-31", &[("hoursSlept", 5.0), ("tasksPlanned", 4.0), ("tasksCompleted", 1.0)]),
        ];
        let row = row(&checkins, 3).expect("there are check-ins");
        let as_of = Date::constant(2026, 1, 31);
        assert_eq!(coverage(&checkins, 3), Some(Coverage { as_of, checkins: 3, days: 4 }));
        assert_eq!(coverage(&[], 3), None);
        assert_eq!(value(&row, "hoursSlept"), 5.0);
        assert_eq!(value(&row, "hoursSlept_mean"), 20.0 / 3.0);
        assert_eq!(value(&row, "hoursSlept_change"), -2.5);
        assert_eq!(value(&row, "hoursSlept_trend"), -1.0);
        assert_eq!(value(&row, "shortSleepStreak"), 1.0);
        assert_eq!(value(&row, "daysSincePrevious"), 2.0);
        assert_eq!(value(&row, "checkinCount"), 3.0);
        assert_eq!(value(&row, "taskCompletion"), 0.25);
        assert!(value(&row, "depressedMood").is_nan());
        assert!(value(&row, "depressedMood_mean").is_nan());
    }

    #[test]
    fn one_check_in_has_no_change_no_trend_and_no_previous() {
        let row = row(&[on("2024-02-29", &[("energyLevel", 3.0)])], 30).expect("there is a check-in");
        assert_eq!(value(&row, "energyLevel_mean"), 3.0);
        assert!(value(&row, "energyLevel_change").is_nan());
        assert!(value(&row, "energyLevel_trend").is_nan());
        assert!(value(&row, "daysSincePrevious").is_nan());
    }

    #[test]
    fn a_streak_ends_at_the_first_day_that_does_not_count_and_is_missing_without_a_latest_answer() {
        let mut checkins = vec![
            on("2026-01-01", &[("medicationAdherence", 0.0)]),
            on("2026-01-02", &[("medicationAdherence", 1.0)]),
            on("2026-01-03", &[("medicationAdherence", 0.0)]),
            on("2026-01-04", &[("medicationAdherence", 0.0)]),
        ];
        assert_eq!(value(&row(&checkins, 7).expect("a row"), "missedDoseStreak"), 2.0);
        checkins.push(on("2026-01-05", &[]));
        assert!(value(&row(&checkins, 7).expect("a row"), "missedDoseStreak").is_nan());
    }

    #[test]
    fn ten_thousand_check_ins_up_to_a_day_to_come_are_as_good_as_those_of_the_window() {
        let first = Date::constant(2026, 1, 1);
        let day = |day: i64| first.checked_add(jiff::Span::new().days(day)).expect("in range").to_string();
        let all: Vec<CheckIn> =
            (0..10_000).map(|at| on(&day(at), &[("hoursSlept", (at % 9) as f32), ("energyLevel", 5.0)])).collect();
        let bits = |checkins: &[CheckIn]| row(checkins, 7).expect("a row").map(f32::to_bits);
        assert_eq!(bits(&all), bits(&all[10_000 - 8..]));
    }

    #[test]
    fn feature_names_are_unique_and_there_is_no_row_without_check_ins() {
        for (index, feature) in FEATURES.iter().enumerate() {
            assert_eq!(feature_index(feature.name), Some(index), "{}", feature.name);
        }
        assert!(row(&[], 3).is_none());
    }

    #[test]
    fn the_documentation_names_every_feature() {
        let text = include_str!("../../../docs/MODELS.md");
        for feature in FEATURES {
            assert!(text.contains(&format!("`{}`", feature.name)), "docs/MODELS.md lacks {}", feature.name);
        }
    }

    proptest! {
        #[test]
        fn neither_order_nor_rows_outside_the_window_matter(
            days in proptest::collection::btree_set(0i16..60, 1..20),
            hours in proptest::collection::vec(proptest::option::of(0f32..24.0), 20),
            window in 1u8..=30,
            rotation in 0usize..20,
        ) {
            let first = Date::constant(2024, 2, 1);
            let mut checkins: Vec<CheckIn> = days.iter().zip(&hours).map(|(day, hours)| {
                let date = first.checked_add(jiff::Span::new().days(i64::from(*day))).expect("in range");
                on(&date.to_string(), &[("hoursSlept", hours.unwrap_or(f32::NAN))])
            }).collect();
            let bits = |row: Option<Row>| row.expect("there are check-ins").map(f32::to_bits);
            let whole = bits(row(&checkins, window));
            let latest = *days.last().expect("not empty");
            let rotation = rotation % checkins.len();
            checkins.rotate_left(rotation);
            prop_assert_eq!(whole, bits(row(&checkins, window)));
            let start = first.checked_add(jiff::Span::new().days(i64::from(latest) - i64::from(window))).expect("in range");
            checkins.retain(|checkin| checkin.date >= start);
            prop_assert_eq!(whole, bits(row(&checkins, window)));
        }
    }
}
