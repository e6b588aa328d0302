//! Check-ins from a Supabase project, through PostgREST. What a caller's own token shows is for the database's row-level security
//! to decide.

use super::checkin;
use crate::access::Credential;
use crate::deadline::Deadline;
use crate::instance::Instance;
use crate::platform::{Fetch, FetchError, Platform, within};
use crate::problem::SourceFailure;
use crate::request::{PredictionRequest, UserId};
use crate::settings::Supabase;
use crate::telemetry::log;
use crate::telemetry::metrics::{self, UPSTREAM};
use crate::telemetry::trace::Trace;
use features::CheckIn;
use serde_json::Value;
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// The most bytes of an answer: hundreds of check-ins with every column.
const ANSWER_LIMIT: usize = 1 << 20;
/// How often a request that waits for another's answer looks whether it is there.
const LOOK: Duration = Duration::from_millis(3);

/// The questions to the database that an instance is waiting for.
pub(crate) type Flights = RefCell<Vec<Weak<Flight>>>;

/// One of them. Whoever asks the same waits for its answer; when the request that asked goes away without one, this does too.
pub(crate) struct Flight {
    user_id: UserId,
    /// The person's generation in the cache before the question: who knows of a later invalidation must ask anew.
    generation: String,
    rows: usize,
    authorization: String,
    landed: RefCell<Option<Result<Rc<[CheckIn]>, SourceFailure>>>,
}

/// The person's check-ins, latest first, one a day, as far back as the question needs. Requests of one instance that need the
/// same at the same time share one question to the database, unless there is no `generation` by which to tell whether the
/// check-ins have changed meanwhile.
pub(super) async fn checkins<P: Platform>(
    instance: &Instance<P>,
    supabase: &Supabase,
    request: &PredictionRequest,
    credential: Credential<'_>,
    generation: Option<&str>,
    deadline: Deadline,
    trace: Option<&Trace>,
) -> Result<Rc<[CheckIn]>, SourceFailure> {
    // Twice the days, because some days have more than one.
    let rows = 2 * (usize::from(request.wanted.window.get()) + 1 + usize::from(request.wanted.limit_checkins));
    let (key, authorization) = match credential {
        Credential::Token(token) => (supabase.anon_key.as_str(), format!("Bearer {}", token.as_str())),
        // The gateway wants a secret key of the new kind in both places.
        Credential::ServiceKey(key) => (key, format!("Bearer {key}")),
    };
    let landed = RefCell::new(None);
    let (user_id, generation) = (request.user_id, generation.map(str::to_owned));
    let shared = generation.is_some();
    let flight = Flight { user_id, generation: generation.unwrap_or_default(), rows, authorization, landed };
    if !shared {
        return ask(&instance.platform, supabase, &flight, key, deadline, trace).await;
    }
    while let Some(under_way) = under_way(&instance.flights, &flight) {
        while let Some(under_way) = under_way.upgrade() {
            if let Some(landed) = &*under_way.landed.borrow() {
                return landed.clone();
            }
            drop(under_way);
            if deadline.has_passed() {
                return Err(SourceFailure::Slow);
            }
            instance.platform.sleep(LOOK.min(deadline.left())).await;
        }
    }
    let flight = Rc::new(flight);
    instance.flights.borrow_mut().push(Rc::downgrade(&flight));
    let answer = ask(&instance.platform, supabase, &flight, key, deadline, trace).await;
    *flight.landed.borrow_mut() = Some(answer.clone());
    // Nobody joins any more. Those who wait look again soon; until then the answer must not go away.
    instance.flights.borrow_mut().retain(|other| other.as_ptr() != Rc::as_ptr(&flight));
    let platform = instance.platform.clone();
    instance.platform.spawn(async move {
        platform.sleep(4 * LOOK).await;
        drop(flight);
    });
    answer
}

/// A question that is under way and whose answer will do.
fn under_way(flights: &Flights, wanted: &Flight) -> Option<Weak<Flight>> {
    let mut flights = flights.borrow_mut();
    flights.retain(|flight| flight.strong_count() > 0);
    let will_do = |flight: &Flight| {
        flight.user_id == wanted.user_id
            && flight.generation == wanted.generation
            && flight.rows >= wanted.rows
            && flight.authorization == wanted.authorization
    };
    flights.iter().find(|flight| flight.upgrade().is_some_and(|flight| will_do(&flight))).cloned()
}

/// Asks the database.
async fn ask(
    platform: &impl Platform,
    supabase: &Supabase,
    flight: &Flight,
    key: &str,
    deadline: Deadline,
    trace: Option<&Trace>,
) -> Result<Rc<[CheckIn]>, SourceFailure> {
    let url = format!(
        "{}/rest/v1/check_ins?select=*&user_id=eq.{}&order=checkin_date.desc&limit={}",
        supabase.origin, flight.user_id, flight.rows
    );
    let mut headers = vec![
        ("accept", "application/json".to_owned()),
        ("apikey", key.to_owned()),
        ("authorization", flight.authorization.clone()),
    ];
    headers.extend(trace.into_iter().flat_map(Trace::headers));
    let fetch = Fetch { url, headers };
    let start = Instant::now();
    let answered = match within(platform, deadline.left(), platform.fetch_twice(&fetch, ANSWER_LIMIT)).await {
        None => Err(SourceFailure::Slow),
        Some(Err(FetchError::Unreachable)) => Err(SourceFailure::Unreachable),
        Some(Err(FetchError::Tls)) => Err(SourceFailure::Tls),
        Some(Err(FetchError::Denied)) => Err(SourceFailure::Denied),
        Some(Err(FetchError::TooLong)) => Err(SourceFailure::Oversized),
        Some(Err(FetchError::BrokenOff)) => Err(SourceFailure::Malformed),
        Some(Ok(answer)) => match answer.status {
            200 | 206 => read(&answer.body, flight.user_id).ok_or(SourceFailure::Malformed),
            401 | 403 => Err(SourceFailure::Refused),
            404 => Err(SourceFailure::NoTable),
            500.. => Err(SourceFailure::Failing),
            _ => Err(SourceFailure::Malformed),
        },
    };
    let outcome = answered.as_ref().map_or_else(|failure| failure.name(), |_| "ok");
    metrics::observe(&UPSTREAM, &["check_ins", outcome], start.elapsed());
    if let Err(failure) = &answered {
        log::warning("check_ins_not_read", "check-ins could not be had from the database", failure.name());
    }
    answered.map(Rc::from)
}

/// The check-ins of an answer, or `None` if it is no array of this person's rows. An answer out of range, and a row without a
/// date, are missing, and counted in the log.
fn read(body: &[u8], user_id: UserId) -> Option<Vec<CheckIn>> {
    let rows: Vec<Value> = serde_json::from_slice(body).ok()?;
    let person = user_id.to_string();
    let (mut read, mut wrong) = (Vec::new(), 0);
    for (index, row) in rows.iter().enumerate() {
        let owner = row.as_object()?.get("user_id")?.as_str()?;
        // A view or a proxy that ignores the filter must not have one person answered with another's days.
        if !owner.eq_ignore_ascii_case(&person) {
            return None;
        }
        let (checkin, faults) = checkin::read_leniently(row);
        wrong += faults;
        read.extend(checkin.map(|checkin| (index, checkin)));
    }
    if wrong > 0 {
        log::counted(
            "check_ins_wrong",
            "answers of the database were taken for missing: out of range, ill-typed or without a date",
            wrong,
        );
    }
    Some(checkin::one_a_day(read).0)
}

/// What the fuzzer calls: the rows of a person whose id the corpus has.
#[cfg(feature = "fuzzing")]
pub(super) fn fuzz(bytes: &[u8]) {
    if let Some(user_id) = UserId::parse("11111111-1111-4111-8111-111111111111") {
        let _ = read(bytes, user_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::fake::Fake;
    use crate::request::Token;
    use futures::executor::block_on;
    use futures::future::join_all;

    const PERSON: &str = "11111111-1111-4111-8111-111111111111";

    #[test]
    fn requests_of_one_instance_share_a_question_where_nothing_parts_them() {
        let supabase =
            Supabase { origin: "https://project.invalid".to_owned(), anon_key: "anon".to_owned(), service_key: None };
        let row = format!(r#"[{{"user_id":"{PERSON}","id":"1","checkin_date":"2031-01-01","hoursSlept":7}}]"#);
        let token = |text: &str| {
            let mut headers = http::HeaderMap::new();
            headers.insert("authorization", format!("Bearer {text}").parse().expect("a header"));
            Token::of(&headers).expect("a token")
        };
        let (one, other) = (token("one"), token("other"));
        let asked = |questions: &[(&str, Option<&str>, &Token)]| {
            let instance = Instance::new(Fake { upstream: row.clone(), ..Fake::default() });
            let deadline = Deadline::new(std::time::Instant::now(), Duration::from_secs(60));
            let ask = async |(query, generation, token): (&str, Option<&str>, &Token)| {
                let request = PredictionRequest::parse(PERSON, query).expect("valid");
                let credential = Credential::Token(token);
                checkins(&instance, &supabase, &request, credential, generation, deadline, None).await
            };
            let answers = block_on(join_all(questions.iter().map(|question| ask(*question))));
            assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|checkins| checkins.len() == 1)));
            assert!(instance.flights.borrow().is_empty());
            instance.platform.asked.get()
        };
        let known = Some("generation");
        assert_eq!(asked(&[("", known, &one); 12]), 1);
        assert_eq!(asked(&[("window_days=7", known, &one), ("", known, &one)]), 1, "it has what the other needs");
        assert_eq!(asked(&[("", known, &one), ("window_days=7", known, &one)]), 2, "it has less");
        assert_eq!(asked(&[("", known, &one), ("", Some("a later one"), &one)]), 2, "there was an invalidation");
        assert_eq!(asked(&[("", known, &one), ("", known, &other)]), 2, "another may see something else");
        assert_eq!(asked(&[("", None, &one); 3]), 3, "nobody knows whether there was an invalidation");
    }
}
