//! Questions that come with their check-ins: the body of `POST /data/predictions`, or an item of a batch.

use super::errors::Errors;
use super::options::{PredictionOptions, parse_explain, parse_limit_checkins, parse_types, parse_window};
use crate::checkins::checkin::{self, ParsedCheckIn, Warning};
use crate::ids::{UserId, WindowDays};
use crate::json;
use crate::problem::{Problem, Text};
use crate::time::last_day_today;
use bipolar_edge_models::Model;
use features::CheckIn;
use jiff::civil::Date;
use serde_json::Value;

/// The most check-ins that a question may carry: a month of history before a month.
const MAX_CHECKINS: usize = 60;

/// A question that comes with its check-ins.
#[derive(Debug)]
pub struct PostedRequest {
    /// Latest first, one a day.
    pub(crate) checkins: Vec<CheckIn>,
    pub(crate) options: PredictionOptions,
    /// Echoed in the answer.
    pub(crate) user_id: Option<UserId>,
    /// The day that the question is asked as of, if it is not today.
    pub(crate) as_of: Option<Date>,
    /// The check-ins that were dropped.
    pub(crate) warnings: Vec<Warning>,
}

impl PostedRequest {
    /// Parses a body, or one item of a batch. Errors with everything that is wrong, each with its index.
    pub fn parse(body: &[u8]) -> Result<PostedRequest, Problem> {
        let mut errors = Errors::default();
        let body = json::parse(body).map_err(|error| json_problem(&error))?;
        let Value::Object(body) = body else {
            return Err(Problem::invalid("body", not_an_object()));
        };
        let (mut options, mut user_id, mut parsed) = (PredictionOptions::default(), None, Vec::new());
        let mut as_of = None;
        for (name, value) in &body {
            match name.as_str() {
                "checkins" => parsed = parse_checkins(value, &mut errors),
                "types" => options.types = errors.keep(name, types(value)).unwrap_or_default(),
                "window_days" => {
                    let window = errors.keep(name, parse_window(&whole_number(value)));
                    options.window = window.unwrap_or(WindowDays::DEFAULT);
                }
                "limit_checkins" => {
                    options.limit_checkins =
                        errors.keep(name, parse_limit_checkins(&whole_number(value))).unwrap_or_default();
                }
                "explain" => {
                    let text = match value {
                        Value::Bool(flag) => flag.to_string(),
                        // In JSON the flags are no texts.
                        Value::String(text) if text == "none" => text.clone(),
                        _ => String::new(),
                    };
                    options.explain = errors.keep(name, parse_explain(&text)).unwrap_or_default();
                }
                "user_id" => {
                    let parsed = value
                        .as_str()
                        .and_then(UserId::parse)
                        .ok_or_else(|| Text::new("is not a UUID", "não é um UUID"));
                    user_id = errors.keep(name, parsed);
                }
                "as_of" => {
                    let day = value.as_str().and_then(|day| day.parse().ok());
                    as_of = errors.keep(name, day.ok_or_else(not_a_date));
                }
                other => errors.add(other, unknown_field()),
            }
        }
        if !body.contains_key("checkins") {
            let english = format!("is missing: an array of up to {MAX_CHECKINS} check-ins");
            errors.add("checkins", Text::new(english, format!("falta: uma lista de até {MAX_CHECKINS} check-ins")));
        }
        check_one_person(user_id, &parsed, &mut errors);
        let (mut checkins, mut warnings) = checkin::one_a_day(parsed);
        let last_day = as_of.unwrap_or_else(last_day_today);
        let all = checkins.len();
        checkins.retain(|checkin| checkin.date <= last_day);
        match all - checkins.len() {
            0 => {}
            later => warnings.push(Warning::TooLate { later, last_day }),
        }
        errors.none_or(PostedRequest { checkins, options, user_id, as_of, warnings })
    }
}

/// The problem with a body that is not JSON, or has a key twice. serde's own words quote nothing of the body, only
/// where it ends to make sense.
pub(crate) fn json_problem(error: &serde_json::Error) -> Problem {
    let message = match error.classify() {
        _ if json::is_key_twice(error) => {
            let (line, column) = (error.line(), error.column());
            let english = format!("has a key twice in one object: line {line}, column {column}");
            Text::new(english, format!("tem uma chave repetida no mesmo objeto: linha {line}, coluna {column}"))
        }
        serde_json::error::Category::Eof => Text::new("ends too early to be JSON", "termina cedo demais para ser JSON"),
        _ => {
            let (line, column) = (error.line(), error.column());
            let english = format!("is not JSON: line {line}, column {column}");
            Text::new(english, format!("não é JSON: linha {line}, coluna {column}"))
        }
    };
    Problem::invalid("body", message)
}

fn not_an_object() -> Text {
    Text::new("must be an object with checkins", "deve ser um objeto com checkins")
}

fn not_a_date() -> Text {
    Text::new("is not a date, as in 2026-01-31", "não é uma data, como 2026-01-31")
}

fn unknown_field() -> Text {
    const FIRST: &str = "checkins, types, window_days, limit_checkins, explain, user_id";
    Text::new(format!("is not a field; {FIRST} and as_of are"), format!("não é um campo; {FIRST} e as_of são"))
}

/// A whole number as text; empty if it is none. JSON does not tell 7 from 7.0.
fn whole_number(value: &Value) -> String {
    let number = value.as_f64().filter(|number| number.fract() == 0.0);
    number.map_or_else(String::new, |number| number.to_string())
}

/// Parses the check-ins; those that are valid are returned, each with its index.
fn parse_checkins(value: &Value, errors: &mut Errors) -> Vec<(usize, ParsedCheckIn)> {
    let Value::Array(all) = value else {
        errors.add("checkins", Text::new("must be an array", "deve ser uma lista"));
        return Vec::new();
    };
    if all.len() > MAX_CHECKINS {
        let english = format!("has {} check-ins; {MAX_CHECKINS} may be sent", all.len());
        let portuguese = format!("tem {} check-ins; podem ser enviados {MAX_CHECKINS}", all.len());
        errors.add("checkins", Text::new(english, portuguese));
        return Vec::new();
    }
    let mut parsed = Vec::new();
    for (index, value) in all.iter().enumerate() {
        match checkin::parse(value, &format!("checkins[{index}]")) {
            Ok(checkin) => parsed.push((index, checkin)),
            Err(wrong) => errors.append(wrong),
        }
    }
    parsed
}

/// Check-ins of two people together would be a prediction about neither.
fn check_one_person(user_id: Option<UserId>, parsed: &[(usize, ParsedCheckIn)], errors: &mut Errors) {
    let mut first = user_id.map(|id| id.to_string());
    for (index, checkin) in parsed {
        let Some(own) = checkin.user_id.as_ref().map(|id| id.to_ascii_lowercase()) else { continue };
        if *first.get_or_insert_with(|| own.clone()) != own {
            let message = Text::new("is of another person than the others", "é de uma pessoa diferente da dos demais");
            errors.add(&format!("checkins[{index}].user_id"), message);
        }
    }
}

/// Parses types as an array, or as a query has them.
fn types(value: &Value) -> Result<Vec<&'static Model>, Text> {
    match value {
        Value::String(text) => parse_types(text),
        Value::Array(all) => {
            // A name that is no text is no type either.
            let names: Vec<&str> = all.iter().map(|name| name.as_str().unwrap_or("?")).collect();
            parse_types(&names.join(","))
        }
        _ => parse_types("?"),
    }
}
