//! The demo cohort: synthetic people, compiled in. `cargo xtask train` writes `demo.csv`; the build script lays
//! it out as static data.

use features::{CheckIn, FIELDS};
use jiff::Span;
use jiff::civil::Date;

type DemoCheckIn = (&'static str, &'static str, Date, [f32; FIELDS.len()]);

include!(concat!(env!("OUT_DIR"), "/demo.rs"));

/// The people of the cohort and the state each was in on the last day; the last one has never checked in.
pub(crate) const PEOPLE: [(&str, &str); 5] = [
    ("11111111-1111-4111-8111-111111111111", "euthymia"),
    ("22222222-2222-4222-8222-222222222222", "mania"),
    ("33333333-3333-4333-8333-333333333333", "depression"),
    ("44444444-4444-4444-8444-444444444444", "mixed"),
    ("55555555-5555-4555-8555-555555555555", "no check-ins"),
];

/// The check-ins of a person of the cohort; none for anyone else. Their dates move with the calendar, so that the
/// cohort's last check-in is of today.
pub(super) fn checkins(user_id: &str, today: Date) -> Vec<CheckIn> {
    let shift = DEMO.iter().map(|(.., date, _)| *date).max().map_or(Span::new(), |last| today - last);
    let moved = |date: Date| date.checked_add(shift).unwrap_or(date);
    DEMO.iter()
        .filter(|(user, ..)| *user == user_id)
        .map(|(_, id, date, values)| CheckIn { id: (*id).to_owned(), date: moved(*date), values: *values })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_are_long_enough_for_the_longest_window_and_every_answer_is_in_range() {
        let today = Date::constant(2028, 3, 1);
        for (user_id, state) in PEOPLE {
            let checkins = checkins(user_id, today);
            assert_eq!(checkins.is_empty(), state == "no check-ins");
            if let (Some(first), Some(last)) = (checkins.first(), checkins.last()) {
                assert!(last.date.duration_since(first.date).as_hours() >= 24 * 30, "{state}");
                assert_eq!(last.date, today, "{state}");
            }
            for checkin in checkins {
                for (field, value) in FIELDS.iter().zip(checkin.values) {
                    assert!(value.is_nan() || field.range.contains(value.into()), "{} {value}", field.name);
                }
            }
        }
    }
}
