//! Path, query, headers and body into types that cannot be wrong.

use crate::checkins::checkin;
use crate::compression;
use crate::deadline::Deadline;
use crate::platform::{BodyError, Platform, RequestBody, within};
use crate::problem::{FieldError, Problem};
use bipolar_edge_models::{MODELS, Model};
use features::CheckIn;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use std::fmt;
use uuid::Uuid;

/// The most bytes of a path with its query: the longest that is asked has some 150.
const LONGEST_URL: usize = 4 << 10;
/// The most bytes of all headers together, and how many there may be.
const LONGEST_HEADERS: usize = 32 << 10;
const MOST_HEADERS: usize = 100;

/// Errors if a request is larger than any that is meant well, before anything of it is read. The host has limits of its own,
/// which may come first.
pub(crate) fn within_limits(request: &http::request::Parts) -> Result<(), Problem> {
    if request.uri.path_and_query().is_some_and(|url| url.as_str().len() > LONGEST_URL) {
        return Err(Problem::UrlTooLong);
    }
    let bytes: usize = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > LONGEST_HEADERS || request.headers.len() > MOST_HEADERS {
        return Err(Problem::HeadersTooLarge);
    }
    Ok(())
}

/// A person's id: a UUID in the hyphenated form, kept in lower case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct UserId(Uuid);

impl UserId {
    pub(crate) fn parse(text: &str) -> Option<UserId> {
        // The parser also takes the bare, braced and URN forms; one person must have one path.
        (text.len() == 36).then(|| Uuid::try_parse(text).ok().map(UserId)).flatten()
    }
}

/// Prints the id: into answers and store keys, never into a log.
impl fmt::Display for UserId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(out)
    }
}

/// Health data: a derived `Debug` would end up in a log some day.
impl fmt::Debug for UserId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("UserId(..)")
    }
}

/// Days of history before the latest check-in that count: 1 to 30.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WindowDays(u8);

impl WindowDays {
    pub(crate) const DEFAULT: WindowDays = WindowDays(3);
    pub(crate) const LONGEST: WindowDays = WindowDays(30);

    /// Every window that can be asked for.
    pub(crate) fn all() -> impl Iterator<Item = WindowDays> {
        (1..=WindowDays::LONGEST.0).map(WindowDays)
    }

    pub(crate) fn get(self) -> u8 {
        self.0
    }
}

/// What is asked about a person whose check-ins the service has.
#[derive(Debug)]
pub(crate) struct PredictionRequest {
    pub(crate) user_id: UserId,
    pub(crate) wanted: Wanted,
}

/// Which predictions are wanted.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The models whose predictions are wanted, in the registry's order, none twice.
    pub(crate) types: Vec<&'static Model>,
    pub(crate) window: WindowDays,
    /// Also predict for each of this many latest check-ins: 0 to 10.
    pub(crate) limit_checkins: u8,
    /// Give the contributions.
    pub(crate) explain: bool,
}

impl Default for Wanted {
    fn default() -> Wanted {
        Wanted { types: MODELS.iter().collect(), window: WindowDays::DEFAULT, limit_checkins: 0, explain: false }
    }
}

/// Prints the question, the same however it was written: to tell questions apart, never into a log.
impl fmt::Display for PredictionRequest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wanted { types, window, limit_checkins, explain } = &self.wanted;
        write!(out, "{} {} {limit_checkins} {explain}", self.user_id, window.0)?;
        types.iter().try_for_each(|model| write!(out, " {}", model.name))
    }
}

impl PredictionRequest {
    /// Reads path and query. On failure says everything that is wrong, not only the first thing.
    pub(crate) fn parse(user_id: &str, query: &str) -> Result<PredictionRequest, Problem> {
        let names = ["types", "window_days", "limit_checkins", "explain"];
        PredictionRequest::parse_named(user_id, query, &names, WindowDays::DEFAULT)
    }

    /// A person alone, for an endpoint without parameters.
    pub(crate) fn of_day(user_id: &str, query: &str) -> Result<PredictionRequest, Problem> {
        PredictionRequest::parse_named(user_id, query, &[], WindowDays::DEFAULT)
    }

    /// A person and a window, by default the longest, for an endpoint that predicts nothing.
    pub(crate) fn of_check_ins(user_id: &str, query: &str) -> Result<PredictionRequest, Problem> {
        PredictionRequest::parse_named(user_id, query, &["window_days"], WindowDays::LONGEST)
    }

    /// The same for an endpoint that has some of the parameters, which are named in the order in which errors name them.
    fn parse_named(
        user_id: &str,
        query: &str,
        names: &[&str],
        window: WindowDays,
    ) -> Result<PredictionRequest, Problem> {
        let mut errors = Errors::default();
        let user_id = errors.keep("user_id", UserId::parse(user_id).ok_or_else(|| "is not a UUID".to_owned()));
        let wanted = Wanted { window, ..Wanted::default() };
        let mut request = PredictionRequest { user_id: user_id.unwrap_or(UserId(Uuid::nil())), wanted };
        let wanted = &mut request.wanted;
        let mut seen: Vec<String> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if seen.iter().any(|other| *other == name) {
                errors.add(&name, "is given more than once".to_owned());
                continue;
            }
            match names.iter().find(|known| **known == name).copied() {
                Some("types") => wanted.types = errors.keep("types", types(&value)).unwrap_or_default(),
                Some("window_days") => {
                    let days = errors.keep("window_days", whole_number(&value, 1, 30));
                    wanted.window = days.map_or(window, WindowDays);
                }
                Some("limit_checkins") => {
                    wanted.limit_checkins = errors.keep("limit_checkins", whole_number(&value, 0, 10)).unwrap_or(0);
                }
                Some("explain") => wanted.explain = errors.keep("explain", truth(&value)).unwrap_or(false),
                _ => errors.add(&name, no_parameter(names)),
            }
            seen.push(name.into_owned());
            if seen.len() > MOST_PARAMETERS {
                errors.add("query", format!("has more than {MOST_PARAMETERS} parameters"));
                break;
            }
        }
        errors.none_or(request)
    }
}

/// What is wrong with a parameter that is not among these.
fn no_parameter(names: &[&str]) -> String {
    match names {
        [] => "is not a parameter; this endpoint has none".to_owned(),
        [one] => format!("is not a parameter; {one} is"),
        [first @ .., last] => format!("is not a parameter; {} and {last} are", first.join(", ")),
    }
}

/// Errors if there are parameters, for an endpoint that has none.
pub(crate) fn no_parameters(query: &str) -> Result<(), Problem> {
    let mut errors = Errors::default();
    if let Some((name, _)) = form_urlencoded::parse(query.as_bytes()).next() {
        errors.add(&name, no_parameter(&[]));
    }
    errors.none_or(())
}

/// Whether the caller would rather be told where to look later (`Prefer: respond-async`, RFC 7240).
pub(crate) fn prefers_async(headers: &HeaderMap) -> bool {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut names = preferences.flat_map(|list| list.split(',')).map(|one| one.split([';', '=']).next().unwrap_or(""));
    names.any(|name| name.trim().eq_ignore_ascii_case("respond-async"))
}

/// A person alone, for an endpoint that asks nothing else.
pub(crate) fn person_alone(user_id: &str, query: &str) -> Result<UserId, Problem> {
    PredictionRequest::of_day(user_id, query).map(|request| request.user_id)
}

/// Bounds the work that a hostile query can cause; four are known.
const MOST_PARAMETERS: usize = 16;

/// What is asked about check-ins that come with the question.
#[derive(Debug)]
pub(crate) struct PostedRequest {
    /// Latest first, one a day.
    pub(crate) checkins: Vec<CheckIn>,
    pub(crate) wanted: Wanted,
    /// Echoed in the answer.
    pub(crate) user_id: Option<UserId>,
    /// What was done with the check-ins that the caller may not expect.
    pub(crate) warnings: Vec<String>,
}

/// The most bytes of a body, a webhook's too, and of an item of a batch.
pub(crate) const ITEM_LIMIT: usize = 256 << 10;
/// The most check-ins that a question may carry: a month of history before a month.
const MOST_CHECKINS: usize = 60;
/// The most errors that are told of one body.
const MOST_ERRORS: usize = 100;

impl PostedRequest {
    /// Reads a body, or one item of a batch. On failure says everything that is wrong, each with its index.
    pub(crate) fn parse(body: &[u8]) -> Result<PostedRequest, Problem> {
        let mut errors = Errors::default();
        let body: Value = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
        let Value::Object(body) = body else {
            errors.add("body", "must be an object with checkins".to_owned());
            return Err(Problem::Invalid(errors.0));
        };
        let (mut wanted, mut user_id, mut read) = (Wanted::default(), None, Vec::new());
        // JSON does not tell 7 from 7.0.
        let whole = |value: &Value, least, most| {
            let number = value.as_f64().filter(|number| number.fract() == 0.0);
            whole_number(&number.map_or_else(String::new, |number| number.to_string()), least, most)
        };
        for (name, value) in &body {
            match name.as_str() {
                "checkins" => read = checkins(value, &mut errors),
                "types" => wanted.types = errors.keep(name, posted_types(value)).unwrap_or_default(),
                "window_days" => {
                    let days = errors.keep(name, whole(value, 1, 30));
                    wanted.window = days.map_or(WindowDays::DEFAULT, WindowDays);
                }
                "limit_checkins" => wanted.limit_checkins = errors.keep(name, whole(value, 0, 10)).unwrap_or(0),
                "explain" => {
                    let truth = value.as_bool().ok_or_else(|| "must be true or false".to_owned());
                    wanted.explain = errors.keep(name, truth).unwrap_or(false);
                }
                "user_id" => {
                    let parsed = value.as_str().and_then(UserId::parse).ok_or_else(|| "is not a UUID".to_owned());
                    user_id = errors.keep(name, parsed);
                }
                other => errors.add(
                    other,
                    "is not a field; checkins, types, window_days, limit_checkins, explain and user_id are".to_owned(),
                ),
            }
        }
        if !body.contains_key("checkins") {
            errors.add("checkins", "is missing: an array of up to 60 check-ins".to_owned());
        }
        one_person(user_id, &read, &mut errors);
        let (checkins, warnings) = checkin::one_a_day(read);
        errors.none_or(PostedRequest { checkins, wanted, user_id, warnings })
    }
}

/// What serde says of a body that is no JSON has no word of the body in it, only what was expected and where.
pub(crate) fn not_json(error: &serde_json::Error) -> Problem {
    let message = match error.classify() {
        serde_json::error::Category::Eof => "ends too early to be JSON".to_owned(),
        _ => format!("is not JSON: line {}, column {}", error.line(), error.column()),
    };
    Problem::invalid("body", &message)
}

/// The body of a request that says it is JSON, of at most `limit` bytes, if it arrives before the deadline.
pub(crate) async fn read_json(
    platform: &impl Platform,
    headers: &HeaderMap,
    body: impl RequestBody,
    limit: usize,
    deadline: Deadline,
) -> Result<Vec<u8>, Problem> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let media_type = header("content-type").unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if media_type != "application/json" && !(media_type.starts_with("application/") && media_type.ends_with("+json")) {
        return Err(Problem::NotSaidToBeJson);
    }
    read_bytes(platform, headers, body, limit, deadline).await
}

/// The body of a request, of at most `limit` bytes, if it arrives before the deadline.
pub(crate) async fn read_bytes(
    platform: &impl Platform,
    headers: &HeaderMap,
    body: impl RequestBody,
    limit: usize,
    deadline: Deadline,
) -> Result<Vec<u8>, Problem> {
    let said = headers.get("content-length").and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|length| length > limit as u64) {
        return Err(Problem::TooLarge { limit });
    }
    match within(platform, deadline.left(), body.read(limit)).await {
        Some(Ok(bytes)) => compression::decompress(headers, bytes, limit),
        Some(Err(BodyError::TooLong)) => Err(Problem::TooLarge { limit }),
        Some(Err(BodyError::BrokenOff)) => Err(Problem::BrokenOff),
        None => Err(Problem::TooSlow),
    }
}

/// The check-ins that are sound, each with its index.
fn checkins(value: &Value, errors: &mut Errors) -> Vec<(usize, checkin::Read)> {
    let Value::Array(all) = value else {
        errors.add("checkins", "must be an array".to_owned());
        return Vec::new();
    };
    if all.len() > MOST_CHECKINS {
        errors.add("checkins", format!("has {} check-ins; {MOST_CHECKINS} may be sent", all.len()));
        return Vec::new();
    }
    let mut read = Vec::new();
    for (index, value) in all.iter().enumerate() {
        match checkin::read(value, &format!("checkins[{index}]")) {
            Ok(checkin) => read.push((index, checkin)),
            Err(mut wrong) => errors.0.append(&mut wrong),
        }
    }
    read
}

/// Check-ins of two people together would be a prediction about neither.
fn one_person(user_id: Option<UserId>, read: &[(usize, checkin::Read)], errors: &mut Errors) {
    let mut first = user_id.map(|id| id.to_string());
    for (index, checkin) in read {
        let Some(own) = checkin.user_id.as_ref().map(|id| id.to_ascii_lowercase()) else { continue };
        if *first.get_or_insert_with(|| own.clone()) != own {
            errors.add(&format!("checkins[{index}].user_id"), "is of another person than the others".to_owned());
        }
    }
}

/// Types as an array, or as the query has them.
fn posted_types(value: &Value) -> Result<Vec<&'static Model>, String> {
    match value {
        Value::String(text) => types(text),
        Value::Array(all) => {
            // What is no text is no type either.
            let names: Vec<&str> = all.iter().map(|name| name.as_str().unwrap_or("?")).collect();
            types(&names.join(","))
        }
        _ => types("?"),
    }
}

#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    /// The value if there is one; else remembers what was wrong with it.
    fn keep<T>(&mut self, field: &str, parsed: Result<T, String>) -> Option<T> {
        parsed.map_err(|message| self.add(field, message)).ok()
    }

    fn add(&mut self, field: &str, message: String) {
        // A field's name may be the caller's own text: quote little of it.
        self.0.push(FieldError { field: field.chars().take(64).collect(), message });
    }

    fn none_or<T>(mut self, value: T) -> Result<T, Problem> {
        self.0.truncate(MOST_ERRORS);
        if self.0.is_empty() { Ok(value) } else { Err(Problem::Invalid(self.0)) }
    }
}

fn types(text: &str) -> Result<Vec<&'static Model>, String> {
    let known = || MODELS.iter().map(|model| model.name).collect::<Vec<_>>().join(", ");
    let wanted: Vec<&str> = text.split(',').map(str::trim).collect();
    if wanted.iter().any(|name| Model::find(name).is_none()) {
        return Err(format!("must be a comma-separated list of {}", known()));
    }
    Ok(MODELS.iter().filter(|model| wanted.contains(&model.name)).collect())
}

fn whole_number(text: &str, least: u8, most: u8) -> Result<u8, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    // `parse` takes a leading plus, which in a query is a space that somebody forgot to escape.
    number.filter(|_| !text.starts_with('+')).ok_or_else(|| format!("must be a whole number from {least} to {most}"))
}

fn truth(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// A caller's token. It has neither `Debug` nor `Display`: it goes into one header and nowhere else.
pub(crate) struct Token(String);

impl Token {
    /// The bearer token of a request (RFC 6750). Of several credentials none can be told to be the caller's.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Token> {
        let value = only(headers, "authorization")?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        let sane = |token: &&str| {
            (1..=LONGEST_TOKEN).contains(&token.len())
                && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b))
        };
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(sane).map(|token| Token(token.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The one header of a name.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a HeaderValue> {
    let mut all = headers.get_all(name).iter();
    all.next().filter(|_| all.next().is_none())
}

/// Supabase's are about 1 kB.
const LONGEST_TOKEN: usize = 8 << 10;

/// The caller's own id for a request if it is sane, else a new one.
#[derive(Clone)]
pub(crate) struct RequestId {
    text: String,
    /// The caller's, in which there can be anything.
    given: bool,
}

impl RequestId {
    /// Sane: 1 to 128 letters, digits, dots, dashes, underscores and colons, so that it can neither break a log
    /// line nor a header.
    pub(crate) fn of(headers: &HeaderMap) -> RequestId {
        let sane = |id: &&str| {
            (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
        };
        match headers.get("x-request-id").and_then(|id| id.to_str().ok()).filter(sane) {
            Some(id) => RequestId { text: id.to_owned(), given: true },
            None => RequestId { text: Uuid::new_v4().to_string(), given: false },
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The same for a log, which must not have a person or a token in it.
    pub(crate) fn without(&self, person: Option<UserId>) -> &str {
        let has = |part: &str| self.text.to_ascii_lowercase().contains(part);
        let tells = || self.text.contains("eyJ") || person.is_some_and(|person| has(&person.to_string()));
        if self.given && tells() { "withheld" } else { &self.text }
    }
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
        let names: Vec<&str> = request.wanted.types.iter().map(|model| model.name).collect();
        assert_eq!(names, ["mood_state", "relapse_risk"]);
        assert_eq!(request.user_id.to_string(), SOMEONE.to_lowercase());
    }

    #[test]
    fn a_user_id_never_shows_in_debug_output() {
        assert_eq!(format!("{:?}", UserId::parse(SOMEONE).expect("a UUID")), "UserId(..)");
    }

    proptest! {
        #[test]
        fn no_query_panics_or_yields_more_than_a_bounded_answer(user_id in ".*", query in ".{0,4000}") {
            if let Err(Problem::Invalid(errors)) = PredictionRequest::parse(&user_id, &query) {
                prop_assert!(errors.len() <= 2 * MOST_PARAMETERS + 3);
            }
        }
    }
}
