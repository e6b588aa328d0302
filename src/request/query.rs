//! Questions about a person whose check-ins the service has: path and query.

use super::errors::Errors;
use super::options::{PredictionOptions, parse_explain, parse_limit_checkins, parse_types, parse_window};
use crate::ids::{UserId, WindowDays};
use crate::problem::Problem;
use bipolar_edge_models::Model;
use std::fmt;
use url::form_urlencoded;

/// The most parameters of a query, which bounds the work that a hostile one can cause; four are known.
const MAX_PARAMETERS: usize = 16;

/// The slots that one sweep can be asked to look at, and those that it looks at if it is not told.
const SWEPT_SLOTS: std::ops::RangeInclusive<u64> = 1..=10_000;
const DEFAULT_SWEPT_SLOTS: u64 = 1_000;

/// A question about a person whose check-ins the service has.
#[derive(Debug)]
pub struct PredictionRequest {
    pub(crate) user_id: UserId,
    pub(crate) options: PredictionOptions,
}

/// Prints the question in one form, however it was written: to tell questions apart, never into a log.
impl fmt::Display for PredictionRequest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PredictionOptions { types, window, limit_checkins, explain } = &self.options;
        write!(out, "{} {} {limit_checkins} {explain:?}", self.user_id, window.get())?;
        types.iter().try_for_each(|model| write!(out, " {}", model.name))
    }
}

impl PredictionRequest {
    /// Parses path and query. Errors with everything that is wrong.
    pub fn parse(user_id: &str, query: &str) -> Result<PredictionRequest, Problem> {
        let names = ["types", "window_days", "limit_checkins", "explain"];
        PredictionRequest::parse_some(user_id, query, &names, WindowDays::DEFAULT)
    }

    /// Parses the path of an endpoint without parameters.
    pub(crate) fn parse_person(user_id: &str, query: &str) -> Result<PredictionRequest, Problem> {
        PredictionRequest::parse_some(user_id, query, &[], WindowDays::DEFAULT)
    }

    /// Parses path and query of an endpoint that predicts nothing: a person and a window, by default the longest.
    pub(crate) fn parse_check_ins(user_id: &str, query: &str) -> Result<PredictionRequest, Problem> {
        PredictionRequest::parse_some(user_id, query, &["window_days"], WindowDays::MAX)
    }

    /// Parses path and query of an endpoint that has some of the parameters, which are named in the order in which
    /// errors name them.
    fn parse_some(
        user_id: &str,
        query: &str,
        names: &[&str],
        window: WindowDays,
    ) -> Result<PredictionRequest, Problem> {
        let mut errors = Errors::default();
        let user_id = errors.keep("user_id", UserId::parse(user_id).ok_or_else(|| "is not a UUID".to_owned()));
        let mut options = PredictionOptions { window, ..PredictionOptions::default() };
        // A list comes in one parameter or in several: clients that are generated from the description send either.
        let mut types: Option<Vec<&'static Model>> = None;
        let mut seen: Vec<String> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if name != "types" && seen.iter().any(|other| *other == name) {
                errors.add(&name, "is given more than once".to_owned());
                continue;
            }
            match names.iter().find(|known| **known == name).copied() {
                Some("types") => {
                    types.get_or_insert_default().extend(errors.keep("types", parse_types(&value)).unwrap_or_default());
                }
                Some("window_days") => {
                    options.window = errors.keep("window_days", parse_window(&value)).unwrap_or(window);
                }
                Some("limit_checkins") => {
                    options.limit_checkins =
                        errors.keep("limit_checkins", parse_limit_checkins(&value)).unwrap_or_default();
                }
                Some("explain") => options.explain = errors.keep("explain", parse_explain(&value)).unwrap_or_default(),
                _ => errors.add(&name, unknown_parameter(names)),
            }
            seen.push(name.into_owned());
            if seen.len() > MAX_PARAMETERS {
                errors.add("query", format!("has more than {MAX_PARAMETERS} parameters"));
                break;
            }
        }
        if let Some(types) = types {
            options.types.retain(|model| types.iter().any(|other| other.name == model.name));
        }
        errors.none_or(PredictionRequest { user_id: user_id.unwrap_or(UserId::NIL), options })
    }
}

/// The error of a parameter that is not among these.
fn unknown_parameter(names: &[&str]) -> String {
    match names {
        [] => "is not a parameter; this endpoint has none".to_owned(),
        [one] => format!("is not a parameter; {one} is"),
        [first @ .., last] => format!("is not a parameter; {} and {last} are", first.join(", ")),
    }
}

/// Errors if there are parameters, for an endpoint that has none.
pub(crate) fn reject_parameters(query: &str) -> Result<(), Problem> {
    let mut errors = Errors::default();
    if let Some((name, _)) = form_urlencoded::parse(query.as_bytes()).next() {
        errors.add(&name, unknown_parameter(&[]));
    }
    errors.none_or(())
}

/// Parses the number of slots that a sweep is to look at: the parameter `slots`.
pub(crate) fn parse_slots(query: &str) -> Result<u64, Problem> {
    let (mut errors, mut slots) = (Errors::default(), None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()).take(MAX_PARAMETERS) {
        match &*name {
            "slots" if slots.is_some() => errors.add("slots", "is given more than once".to_owned()),
            "slots" => {
                let number =
                    value.parse().ok().filter(|number| SWEPT_SLOTS.contains(number) && !value.starts_with('+'));
                let (min, max) = (SWEPT_SLOTS.start(), SWEPT_SLOTS.end());
                slots =
                    errors.keep("slots", number.ok_or_else(|| format!("must be a whole number from {min} to {max}")));
            }
            _ => errors.add(&name, unknown_parameter(&["slots"])),
        }
    }
    errors.none_or(slots.unwrap_or(DEFAULT_SWEPT_SLOTS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SOMEONE: &str = "11111111-1111-4111-8111-11111111111A";

    fn errors(user_id: &str, query: &str) -> Vec<(String, String)> {
        match PredictionRequest::parse(user_id, query) {
            Err(Problem::Invalid(errors)) => errors.into_iter().map(|error| (error.field, error.message)).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let found = errors(
            "me",
            "types=mood,relapse_risk&window_days=0&limit_checkins=11&explain=maybe&windowdays=3&explain=true",
        );
        let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["user_id", "types", "window_days", "limit_checkins", "explain", "windowdays", "explain"]);
        assert_eq!(found[2].1, "must be a whole number from 1 to 30");
        assert_eq!(found[6].1, "is given more than once");
    }

    #[test]
    fn types_keep_the_order_of_the_registry_and_come_once() {
        let request = PredictionRequest::parse(SOMEONE, "types=relapse_risk,mood_state,relapse_risk").expect("valid");
        let names: Vec<&str> = request.options.types.iter().map(|model| model.name).collect();
        assert_eq!(names, ["mood_state", "relapse_risk"]);
        let together = request.to_string();
        for apart in ["types=relapse_risk&types=mood_state", "types=mood_state%2Crelapse_risk&types=mood_state"] {
            let apart = PredictionRequest::parse(SOMEONE, apart).expect("valid");
            assert_eq!(apart.to_string(), together, "the same question");
        }
        assert!(PredictionRequest::parse(SOMEONE, "types=mood_state&types=").is_err());
        assert_eq!(request.user_id.to_string(), SOMEONE.to_lowercase());
    }

    #[test]
    fn a_sweep_has_a_bounded_number_of_slots() {
        assert_eq!((parse_slots(""), parse_slots("slots=10000")), (Ok(1_000), Ok(10_000)));
        for wrong in ["slots=0", "slots=10001", "slots=%2B5", "slots=", "slots=1&slots=2", "slot=1"] {
            assert!(matches!(parse_slots(wrong), Err(Problem::Invalid(_))), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_query_panics_or_yields_more_than_a_bounded_answer(user_id in ".*", query in ".{0,4000}") {
            if let Err(Problem::Invalid(errors)) = PredictionRequest::parse(&user_id, &query) {
                prop_assert!(errors.len() <= 2 * MAX_PARAMETERS + 3);
            }
        }
    }
}
