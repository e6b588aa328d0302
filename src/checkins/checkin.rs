//! A check-in in JSON: fields flat or in the groups of the database's nested columns.

use crate::problem::{FieldError, Text};
use features::{CheckIn, FIELDS, Field, Language, Range, field_index};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use serde_json::{Map, Value};

/// A longer id is refused.
const MAX_ID_BYTES: usize = 128;
/// The errors that one check-in may add: a caller mends the first few and asks again.
const MAX_ERRORS: usize = 8;

/// A check-in, with the facts that tell it from others.
#[derive(Debug)]
pub(crate) struct ParsedCheckIn {
    pub(crate) checkin: CheckIn,
    /// The person that it is of, if it says so.
    pub(crate) user_id: Option<String>,
    /// The time at which it was made, if it says more than the day.
    pub(crate) moment: Option<Timestamp>,
}

/// Parses one check-in. `at` names it in errors, as in `checkins[3]`. Errors with everything that is wrong, up to a
/// bound; fields that are not of a check-in are left alone, as a database has more columns than this service reads.
pub(crate) fn parse(value: &Value, at: &str) -> Result<ParsedCheckIn, Vec<FieldError>> {
    let mut errors = Vec::new();
    let Value::Object(object) = value else {
        return Err(vec![error(at, not_an_object())]);
    };
    let date = date(object);
    if date.is_none() {
        let message = Text::new(
            "must be a date (2026-01-31) or a time (2026-01-31T08:00:00Z)",
            "deve ser uma data (2026-01-31) ou um horário (2026-01-31T08:00:00Z)",
        );
        errors.push(error(&format!("{at}.checkin_date"), message));
    }
    let mut text = |name: &str| match object.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.len() <= MAX_ID_BYTES => Some(text.clone()),
        Some(Value::Number(number)) if number.is_u64() || number.is_i64() => Some(number.to_string()),
        Some(_) => {
            let english = format!("must be a text of at most {MAX_ID_BYTES} bytes, or a whole number");
            let portuguese = format!("deve ser um texto de até {MAX_ID_BYTES} bytes, ou um número inteiro");
            errors.push(error(&format!("{at}.{name}"), Text::new(english, portuguese)));
            None
        }
    };
    let (id, user_id) = (text("id"), text("user_id"));
    let answers = Answers::of(object);
    let mut values = [f32::NAN; FIELDS.len()];
    for (index, value) in values.iter_mut().enumerate() {
        match answers.parse(index) {
            Ok(found) => *value = found,
            Err((place, message)) => {
                let field = format!("{at}.{place}");
                // A group that is no object is wrong once, not once a field.
                if errors.len() < MAX_ERRORS && errors.last().is_none_or(|last| last.field != field) {
                    errors.push(FieldError { field, message });
                }
            }
        }
    }
    match date {
        Some((date, moment)) if errors.is_empty() => {
            let checkin = CheckIn { id: id.unwrap_or_else(|| date.to_string()), date, values };
            Ok(ParsedCheckIn { checkin, user_id, moment })
        }
        _ => Err(errors),
    }
}

/// Parses a database's row as far as it can be, and returns the number of faults: an answer that is invalid is missing,
/// and a row without a date is no check-in.
pub(crate) fn parse_row(row: &Value) -> (Option<ParsedCheckIn>, usize) {
    let Value::Object(object) = row else { return (None, 1) };
    let Some((date, moment)) = date(object) else { return (None, 1) };
    let answers = Answers::of(object);
    let mut faults = 0;
    let values = std::array::from_fn(|index| {
        answers.parse(index).unwrap_or_else(|_| {
            faults += 1;
            f32::NAN
        })
    });
    let id = match object.get("id") {
        Some(Value::String(id)) if id.len() <= MAX_ID_BYTES => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ => date.to_string(),
    };
    (Some(ParsedCheckIn { checkin: CheckIn { id, date, values }, user_id: None, moment }), faults)
}

/// Keeps one check-in a day, latest first: of several the one that was made last, else the one that stands last.
/// Returns a warning for each that is dropped.
pub(crate) fn one_a_day(mut parsed: Vec<(usize, ParsedCheckIn)>) -> (Vec<CheckIn>, Vec<Warning>) {
    parsed.sort_by_key(|(index, parsed)| std::cmp::Reverse((parsed.checkin.date, parsed.moment, *index)));
    let mut warnings = Vec::new();
    let mut kept: Vec<(usize, CheckIn)> = Vec::new();
    for (index, ParsedCheckIn { checkin, .. }) in parsed {
        match kept.last() {
            Some((other, latest)) if latest.date == checkin.date => {
                warnings.push(Warning::SameDay { dropped: index, kept: *other, day: checkin.date });
            }
            _ => kept.push((index, checkin)),
        }
    }
    (kept.into_iter().map(|(_, checkin)| checkin).collect(), warnings)
}

/// Check-ins that were dropped, and why.
#[derive(Debug)]
pub(crate) enum Warning {
    /// Of two of a day the later one counts; each is told by its index.
    SameDay { dropped: usize, kept: usize, day: Date },
    /// So many are later than the last day that counts: `as_of`, or the last that it is anywhere now.
    TooLate { later: usize, last_day: Date },
}

impl Warning {
    pub(crate) fn text(&self, language: Language) -> String {
        match (self, language) {
            (Warning::SameDay { dropped, kept, day }, Language::English) => format!(
                "checkins[{dropped}] and checkins[{kept}] are of the same day, {day}: the later one, checkins[{kept}], counts"
            ),
            (Warning::SameDay { dropped, kept, day }, Language::Portuguese) => format!(
                "checkins[{dropped}] e checkins[{kept}] são do mesmo dia, {day}: vale o mais recente, checkins[{kept}]"
            ),
            (Warning::TooLate { later, last_day }, Language::English) => {
                format!("{later} of the check-ins are later than {last_day}, and were left out")
            }
            (Warning::TooLate { later, last_day }, Language::Portuguese) => {
                format!("{later} dos check-ins são posteriores a {last_day} e foram deixados de fora")
            }
        }
    }
}

fn error(field: &str, message: Text) -> FieldError {
    FieldError { field: field.to_owned(), message }
}

fn not_an_object() -> Text {
    Text::new("must be an object", "deve ser um objeto")
}

/// The day and, if it says more, the moment of a check-in.
fn date(object: &Map<String, Value>) -> Option<(Date, Option<Timestamp>)> {
    object.get("checkin_date").and_then(Value::as_str).and_then(day_and_moment)
}

/// The calendar day of a date or a time: the day as it is written, which is the person's own where the time carries
/// their offset. And the moment, if there is one.
fn day_and_moment(text: &str) -> Option<(Date, Option<Timestamp>)> {
    let (day, rest) = text.split_at_checked(10)?;
    let day: Date = day.parse().ok()?;
    if rest.is_empty() {
        return Some((day, None));
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some((day, Some(moment)));
    }
    // Without an offset, as a database's `timestamp` column gives it: taken for UTC, for the order within the day.
    let local: DateTime = text.parse().ok()?;
    Some((day, local.in_tz("UTC").ok().map(|zoned| zoned.timestamp())))
}

/// The answers in one check-in, by the places of their fields. A check-in has few of many fields, so its keys are
/// looked up among the fields, and not each field among its keys.
struct Answers<'a> {
    flat: [Option<&'a Value>; FIELDS.len()],
    nested: [Option<&'a Value>; FIELDS.len()],
    /// The groups that are no objects.
    wrong_groups: Vec<&'a str>,
}

impl<'a> Answers<'a> {
    /// Finds the answers; `null` is none.
    fn of(object: &'a Map<String, Value>) -> Answers<'a> {
        let mut answers =
            Answers { flat: [None; FIELDS.len()], nested: [None; FIELDS.len()], wrong_groups: Vec::new() };
        for (key, value) in object {
            if let Some(index) = field_index(key) {
                answers.flat[index] = Some(value).filter(|value| !value.is_null());
            } else if FIELDS.iter().any(|field| field.group == key) {
                answers.add_group(key, value);
            }
        }
        answers
    }

    fn add_group(&mut self, name: &'a str, group: &'a Value) {
        match group {
            Value::Object(group) => {
                for (key, value) in group {
                    if let Some(index) = field_index(key).filter(|index| FIELDS[*index].group == name) {
                        self.nested[index] = Some(value).filter(|value| !value.is_null());
                    }
                }
            }
            Value::Null => {}
            _ => self.wrong_groups.push(name),
        }
    }

    /// Parses the answer to one field, NaN where there is none. Errors with the place of the wrong one and the rule
    /// that it breaks.
    fn parse(&self, index: usize) -> Result<f32, (String, Text)> {
        let field = &FIELDS[index];
        // Only a wrong answer has to be named: a batch has half a million right ones.
        let nested = || format!("{}.{}", field.group, field.name);
        if self.wrong_groups.contains(&field.group) {
            return Err((field.group.to_owned(), not_an_object()));
        }
        let (is_flat, value) = match (self.flat[index], self.nested[index]) {
            (None, None) => return Ok(f32::NAN),
            (Some(_), Some(_)) => {
                let english = format!("is given twice: here and as {}", field.name);
                return Err((nested(), Text::new(english, format!("foi dado duas vezes: aqui e como {}", field.name))));
            }
            (Some(flat), None) => (true, flat),
            (None, Some(nested)) => (false, nested),
        };
        let number = match value {
            Value::Bool(answer) => Some(f64::from(u8::from(*answer))),
            Value::Number(number) => number.as_f64(),
            // `parse` takes "inf" and "nan" too, which no range contains.
            Value::String(text) => text.trim().parse().ok(),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        // Before it is rounded: what is out of range by a hair must not be let in by the rounding.
        let answer = number.filter(|number| field.range.contains(*number)).map(|number| number as f32);
        answer.ok_or_else(|| (if is_flat { field.name.to_owned() } else { nested() }, wanted(field)))
    }
}

/// The rule that an answer to a field must keep.
fn wanted(field: &Field) -> Text {
    match field.range {
        Range::YesNo => Text::new("must be 0 or 1, false or true", "deve ser 0 ou 1, false ou true"),
        Range::UpTo(most) => {
            Text::new(format!("must be a number from 0 to {most}"), format!("deve ser um número de 0 a {most}"))
        }
        Range::Count => Text::new("must be a number from 0", "deve ser um número a partir de 0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn errors(value: Value) -> Vec<(String, String)> {
        let errors = parse(&value, "checkins[0]").expect_err("wrong");
        errors.into_iter().map(|error| (error.field, error.message.of(Language::English).to_owned())).collect()
    }

    fn value_of(checkin: &CheckIn, name: &str) -> f32 {
        checkin.values[features::field_index(name).expect("a field")]
    }

    #[test]
    fn flat_and_nested_numbers_text_and_truth_are_the_same_answers() {
        let flat = json!({ "checkin_date": "2026-01-31", "hoursSlept": "7.5", "hasNapped": true, "libido": null, "created_at": 3 });
        let nested =
            json!({ "checkin_date": "2026-01-31T23:30:00-03:00", "sleep_data": { "hoursSlept": 7.5, "hasNapped": 1 } });
        let (flat, nested) = (parse(&flat, "").expect("parsed"), parse(&nested, "").expect("parsed"));
        for name in ["hoursSlept", "hasNapped"] {
            assert_eq!(value_of(&flat.checkin, name), value_of(&nested.checkin, name));
        }
        assert!(value_of(&flat.checkin, "libido").is_nan());
        assert_eq!(flat.checkin.date, nested.checkin.date, "the day as it is written");
        assert_eq!(flat.checkin.id, "2026-01-31");
    }

    #[test]
    fn everything_wrong_is_named_with_its_place() {
        let found = errors(json!({
            "checkin_date": "31.1.2026", "energyLevel": 11, "mood_data": { "energyLevel": 3, "depressedMood": "low" },
            "sleep_data": [], "tasksPlanned": -1, "hasNapped": 2
        }));
        let wanted = [
            ("checkins[0].checkin_date", "must be a date (2026-01-31) or a time (2026-01-31T08:00:00Z)"),
            ("checkins[0].sleep_data", "must be an object"),
            ("checkins[0].mood_data.energyLevel", "is given twice: here and as energyLevel"),
            ("checkins[0].mood_data.depressedMood", "must be a number from 0 to 10"),
            ("checkins[0].tasksPlanned", "must be a number from 0"),
        ];
        for (field, message) in wanted {
            assert!(found.contains(&(field.to_owned(), message.to_owned())), "{field}: {found:?}");
        }
        assert_eq!(errors(json!([])), [("checkins[0]".to_owned(), "must be an object".to_owned())]);
    }

    #[test]
    fn the_day_is_read_from_every_form_that_a_database_has() {
        let day = |text: &str| day_and_moment(text).map(|(day, _)| day.to_string());
        let forms = [
            "2024-02-29",
            "2024-02-29T00:00:00Z",
            "2024-02-29 23:59:59.999+00",
            "2024-02-29T12:00:00.5-03:00",
            "2024-02-29T12:00:00",
        ];
        for text in forms {
            assert_eq!(day(text).as_deref(), Some("2024-02-29"), "{text}");
        }
        for text in ["2023-02-29", "2024-02-29T", "2024-02-29T25:00:00Z", "2024-02-29x", "", "yesterday", "２０２４-02"]
        {
            assert_eq!(day(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_value_panics(date in ".{0,40}", answer in "\\PC{0,20}", number in any::<f64>()) {
            let value = json!({ "checkin_date": date, "hoursSlept": answer, "mood_data": { "energyLevel": number } });
            let _ = parse(&value, "checkins[0]");
        }
    }
}
