//! Questions about a person whose check-ins the service has: path and query.

use super::errors::Errors;
use super::options::{
    PredictionOptions, not_whole, parse_explain, parse_language, parse_limit_checkins, parse_types, parse_window,
};
use crate::ids::{UserId, WindowDays};
use crate::problem::{Problem, Text};
use bipolar_edge_models::Model;
use features::Language;
use std::fmt;
use url::form_urlencoded;

/// The most parameters of a query, which bounds the work that a hostile one can cause; five are known.
const MAX_PARAMETERS: usize = 16;

/// The parameter of every endpoint whose answers have texts for people: the language that they are in.
const LANGUAGE: &str = "lang";

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
        let names = ["types", "window_days", "limit_checkins", "explain", LANGUAGE];
        PredictionRequest::parse_some(user_id, query, &names, WindowDays::DEFAULT)
    }

    /// Parses the path of an endpoint whose only parameter is the language.
    pub(crate) fn parse_person(user_id: &str, query: &str) -> Result<PredictionRequest, Problem> {
        PredictionRequest::parse_some(user_id, query, &[LANGUAGE], WindowDays::DEFAULT)
    }

    /// Parses path and query of an endpoint that predicts nothing: a person and a window, by default the longest.
    pub(crate) fn parse_check_ins(user_id: &str, query: &str) -> Result<PredictionRequest, Problem> {
        PredictionRequest::parse_some(user_id, query, &["window_days", LANGUAGE], WindowDays::MAX)
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
        let user_id =
            errors.keep("user_id", UserId::parse(user_id).ok_or_else(|| Text::new("is not a UUID", "não é um UUID")));
        let mut options = PredictionOptions { window, ..PredictionOptions::default() };
        // A list comes in one parameter or in several: clients that are generated from the description send either.
        let mut types: Option<Vec<&'static Model>> = None;
        let mut seen: Vec<String> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if name != "types" && seen.iter().any(|other| *other == name) {
                errors.add(&name, given_twice());
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
                // What the answer is rendered in is known by now: see `language`.
                Some(LANGUAGE) => drop(errors.keep(LANGUAGE, parse_language(&value))),
                _ => errors.add(&name, unknown_parameter(names)),
            }
            seen.push(name.into_owned());
            if seen.len() > MAX_PARAMETERS {
                let english = format!("has more than {MAX_PARAMETERS} parameters");
                errors.add("query", Text::new(english, format!("tem mais de {MAX_PARAMETERS} parâmetros")));
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
fn unknown_parameter(names: &[&str]) -> Text {
    match names {
        [first @ .., last] if !first.is_empty() => {
            let first = first.join(", ");
            let english = format!("is not a parameter; {first} and {last} are");
            Text::new(english, format!("não é um parâmetro; {first} e {last} são"))
        }
        one => {
            let one = one.concat();
            Text::new(format!("is not a parameter; {one} is"), format!("não é um parâmetro; {one} é"))
        }
    }
}

/// The language that a query asks for, if it asks for one: for problems too, so that one that is wrong is none.
pub(crate) fn language(query: &str) -> Option<Language> {
    let mut parameters = form_urlencoded::parse(query.as_bytes()).take(MAX_PARAMETERS);
    parameters.find(|(name, _)| name == LANGUAGE).and_then(|(_, value)| parse_language(&value).ok())
}

/// Errors if there are parameters besides the language.
pub(crate) fn reject_other_parameters(query: &str) -> Result<(), Problem> {
    let mut errors = Errors::default();
    let mut is_given = false;
    for (name, value) in form_urlencoded::parse(query.as_bytes()).take(MAX_PARAMETERS) {
        match &*name {
            LANGUAGE if std::mem::replace(&mut is_given, true) => errors.add(LANGUAGE, given_twice()),
            LANGUAGE => drop(errors.keep(LANGUAGE, parse_language(&value))),
            _ => errors.add(&name, unknown_parameter(&[LANGUAGE])),
        }
    }
    errors.none_or(())
}

fn given_twice() -> Text {
    Text::new("is given more than once", "foi dado mais de uma vez")
}

/// Parses the number of slots that a sweep is to look at: the parameter `slots`.
pub(crate) fn parse_slots(query: &str) -> Result<u64, Problem> {
    let (mut errors, mut slots) = (Errors::default(), None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()).take(MAX_PARAMETERS) {
        match &*name {
            "slots" if slots.is_some() => errors.add("slots", given_twice()),
            "slots" => {
                let number =
                    value.parse().ok().filter(|number| SWEPT_SLOTS.contains(number) && !value.starts_with('+'));
                let (min, max) = (SWEPT_SLOTS.start(), SWEPT_SLOTS.end());
                slots = errors.keep("slots", number.ok_or_else(|| not_whole(*min, *max)));
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
            Err(Problem::Invalid(errors)) => {
                errors.into_iter().map(|error| (error.field, error.message.of(Language::English).to_owned())).collect()
            }
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
