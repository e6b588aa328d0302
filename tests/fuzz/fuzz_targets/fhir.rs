//! Check-ins that become a FHIR bundle: whatever they are, it is about the person, with probabilities and days that
//! there can be.

#![no_main]

use bipolar_edge::checkins::parse_rows;
use bipolar_edge::ids::UserId;
use features::{FIELDS, Range};
use http::Request;
use request_fuzz::{Choices, Deployment, PERSON, bundle};
use serde_json::{Map, Value, json};
use std::rc::Rc;

const DAY: i64 = 86_400;
/// Days on which calendars end, and what is none.
const DAYS: [&str; 8] =
    ["0001-01-01", "9999-12-31", "-009999-01-01", "2024-02-29", "2026-02-30", "2026-01-31T23:59:60Z", "1970-01-01", ""];
const MAX_ROWS: u8 = 40;

/// A row of the database, as the input has it.
fn row(choices: &Choices, today: i64) -> Value {
    let mut row = Map::new();
    row.insert("user_id".to_owned(), json!(PERSON));
    let day = choices.byte();
    let date = match day {
        0..240 => {
            let day = jiff::Timestamp::from_second(today - i64::from(day / 4) * DAY).expect("a time that there is");
            day.to_string()
        }
        _ => DAYS[usize::from(day) % DAYS.len()].to_owned(),
    };
    row.insert("checkin_date".to_owned(), json!(date));
    // As many answers as the input has for this row, from one of the fields on.
    let first = usize::from(choices.byte());
    for index in 0..usize::from(choices.byte()) % (FIELDS.len() + 1) {
        let field = &FIELDS[(first + index) % FIELDS.len()];
        let byte = choices.byte();
        let within = match field.range {
            Range::YesNo => json!(byte & 1 == 1),
            Range::UpTo(most) => json!(f64::from(byte) / 255.0 * f64::from(most)),
            Range::Count => json!(f32::from_bits(u32::from(byte) << 23)),
        };
        let answer = match byte {
            0..248 => within,
            248 => json!(byte.to_string()),
            249 => json!(-1),
            250 => json!(1e308),
            251 => json!(f64::MIN_POSITIVE),
            252 => json!([]),
            _ => Value::Null,
        };
        row.insert(field.name.to_owned(), answer);
    }
    Value::Object(row)
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let choices = Rc::new(Choices::new(input));
    let (kind, window, limit) = (choices.byte(), 1 + choices.byte() % 30, choices.byte() % 11);
    let explain = choices.one_of(&["true", "false", "none"]);
    let language = choices.one_of(&["en", "pt-BR"]);
    let max_age = choices.one_of(&["0", "7", "3650"]);
    let rows = match kind & 1 {
        0 => {
            let today = jiff::Timestamp::now().as_second();
            let mut rows = Vec::new();
            while !choices.is_used_up() && rows.len() < usize::from(MAX_ROWS) {
                rows.push(row(&choices, today));
            }
            Value::from(rows).to_string().into_bytes()
        }
        _ => choices.rest().to_vec(),
    };
    // The target `rows` looks at what is refused.
    if parse_rows(&rows, UserId::parse(PERSON).expect("a UUID")).is_none() {
        return;
    }
    let variables = [
        ("auth_mode", "off"),
        ("supabase_url", "https://project.supabase.co"),
        ("supabase_anon_key", "the-anon-key-of-the-project"),
        ("supabase_service_key", "the-service-key-of-the-project"),
        ("cache_ttl_seconds", "0"),
        ("rate_limit_predictions", "off"),
        ("rate_limit_default", "off"),
        ("max_checkin_age_days", max_age),
        ("log_level", "error"),
        ("decision_log", "false"),
    ];
    let path = match kind & 2 {
        0 => format!(
            "/data/predictions/{PERSON}?window_days={window}&limit_checkins={limit}&explain={explain}&lang={language}"
        ),
        _ => format!("/data/prediction_of_day/{PERSON}?lang={language}"),
    };
    let request = Request::builder().uri(&path).header("accept", "application/fhir+json").body("").expect("valid");
    // The database's rows are all that the input decides from here on.
    let mut deployment = Deployment::new(&variables, Rc::new(Choices::new(&[])), rows, "");
    let response = deployment.send(0, request);
    assert_eq!(response.status(), 200, "{}", String::from_utf8_lossy(response.body()));
    for probabilities in bundle::assessments(response.body()) {
        // Of classes one is there for certain.
        let sum: f64 = probabilities.iter().sum();
        assert!(probabilities.len() < 2 || (sum - 100.0).abs() < 0.001, "{probabilities:?}");
    }
});
