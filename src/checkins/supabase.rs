//! Check-ins from a Supabase project, through PostgREST. The rows that a caller's own token shows are for the
//! database's row-level security to decide.

use super::checkin;
use super::coalescer::{Answer, Coalescer, SharedQuery};
use super::query::CheckInQuery;
use crate::ids::UserId;
use crate::limits::MAX_UPSTREAM_BYTES;
use crate::platform::{Fetch, FetchError, Platform, fetch_with_retry, with_timeout};
use crate::problem::SourceFailure;
use crate::supabase::{Credential, Project};
use crate::telemetry::log;
use crate::telemetry::metrics::{self, UPSTREAM};
use crate::telemetry::trace::Trace;
use crate::time::last_day_today;
use features::CheckIn;
use serde_json::Value;
use std::rc::Rc;
use std::time::Instant;

/// Fetches the person's check-ins, latest first, one a day, as far back as the question needs. Requests share an answer
/// where they know the person's generation, by which to tell if the check-ins have changed meanwhile.
pub(super) async fn fetch<P: Platform>(
    platform: &P,
    coalescer: &Coalescer,
    project: &Project,
    query: &CheckInQuery<'_>,
    credential: Credential<'_>,
) -> Answer {
    // Twice the days, because some days have more than one.
    let rows = 2 * (usize::from(query.window.get()) + 1 + usize::from(query.limit_checkins));
    let (api_key, authorization) = match credential {
        Credential::Token(token) => (project.anon_key.as_str(), format!("Bearer {}", token.as_str())),
        // The gateway wants a secret key of the new kind in both places.
        Credential::ServiceKey(key) => (key, format!("Bearer {key}")),
    };
    let generation = query.generation.unwrap_or_default().to_owned();
    let shared = SharedQuery { user_id: query.user_id, generation, rows, authorization };
    let fetch = request(project, &shared, api_key, query.trace);
    let ask = ask(platform, &fetch, query);
    match query.generation {
        Some(_) => coalescer.share(platform, shared, query.deadline, ask).await,
        None => ask.await,
    }
}

/// The request for a person's rows.
fn request(project: &Project, query: &SharedQuery, api_key: &str, trace: Option<&Trace>) -> Fetch {
    let SharedQuery { user_id, rows, authorization, .. } = query;
    let origin = &project.origin;
    let last_day = last_day_today();
    // A day to come would stay the latest, and never be too old.
    let url = format!(
        "{origin}/rest/v1/check_ins?select=*&user_id=eq.{user_id}&checkin_date=lte.{last_day}&order=checkin_date.desc\
         &limit={rows}"
    );
    let mut headers = vec![
        ("accept", "application/json".to_owned()),
        ("apikey", api_key.to_owned()),
        ("authorization", authorization.clone()),
    ];
    headers.extend(trace.into_iter().flat_map(Trace::headers));
    Fetch { url, headers }
}

/// Asks the database.
async fn ask(platform: &impl Platform, fetch: &Fetch, query: &CheckInQuery<'_>) -> Answer {
    let start = Instant::now();
    let fetched = fetch_with_retry(platform, fetch, MAX_UPSTREAM_BYTES);
    let answer = match with_timeout(platform, query.deadline.remaining(), fetched).await {
        None => Err(SourceFailure::Slow),
        Some(Err(error)) => Err(SourceFailure::from(error)),
        Some(Ok(answer)) => match answer.status {
            200 | 206 => parse_rows(&answer.body, query.user_id).ok_or(SourceFailure::Malformed),
            401 | 403 => Err(SourceFailure::Refused),
            404 => Err(SourceFailure::NoTable),
            // A database that is asked too often is away for a moment, as one that is out of order.
            429 | 500.. => Err(SourceFailure::Failing),
            _ => Err(SourceFailure::Malformed),
        },
    };
    let outcome = answer.as_ref().map_or_else(|failure| failure.kind().name(), |_| "ok");
    metrics::observe(&UPSTREAM, &["check_ins", outcome], start.elapsed());
    if let Err(failure) = &answer {
        let cause = failure.kind().name();
        log::warning("check_ins_not_read", "check-ins could not be had from the database", cause);
    }
    answer.map(Rc::from)
}

impl From<FetchError> for SourceFailure {
    fn from(error: FetchError) -> SourceFailure {
        match error {
            FetchError::Unreachable => SourceFailure::Unreachable,
            FetchError::Tls => SourceFailure::Tls,
            FetchError::Denied => SourceFailure::Denied,
            FetchError::TooLong => SourceFailure::Oversized,
            FetchError::Incomplete => SourceFailure::Malformed,
        }
    }
}

/// Parses the check-ins of an answer, or returns `None` if it is no array of this person's rows. An answer out of
/// range, and a row without a date or of a day to come, are missing, and counted in the log.
pub fn parse_rows(body: &[u8], user_id: UserId) -> Option<Vec<CheckIn>> {
    let rows: Vec<Value> = serde_json::from_slice(body).ok()?;
    let (person, last_day) = (user_id.to_string(), last_day_today());
    let (mut parsed, mut faults) = (Vec::new(), 0);
    for (index, row) in rows.iter().enumerate() {
        let owner = row.as_object()?.get("user_id")?.as_str()?;
        // A view or a proxy that ignores the filter must not have one person answered with another's days.
        if !owner.eq_ignore_ascii_case(&person) {
            return None;
        }
        let (checkin, row_faults) = checkin::parse_row(row);
        let is_to_come = checkin.as_ref().is_some_and(|checkin| checkin.checkin.date > last_day);
        faults += row_faults + usize::from(is_to_come);
        let checkin = checkin.filter(|_| !is_to_come);
        parsed.extend(checkin.map(|checkin| (index, checkin)));
    }
    if faults > 0 {
        log::repeated_warning(
            "check_ins_wrong",
            "answers of the database were taken for missing: out of range, ill-typed, without a date or of a day to come",
            faults,
        );
    }
    Some(checkin::one_a_day(parsed).0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadline::Deadline;
    use crate::fake_platform::Fake;
    use crate::ids::WindowDays;
    use crate::supabase::Token;
    use futures::executor::block_on;
    use futures::future::join_all;
    use std::time::Duration;

    const PERSON: &str = "11111111-1111-4111-8111-111111111111";

    #[test]
    fn requests_of_one_instance_share_a_request_where_nothing_parts_them() {
        let project =
            Project { origin: "https://project.invalid".to_owned(), anon_key: "anon".to_owned(), service_key: None };
        let row = format!(r#"[{{"user_id":"{PERSON}","id":"1","checkin_date":"2026-01-01","hoursSlept":7}}]"#);
        let token = |text: &str| Token::parse(&format!("Bearer {text}")).expect("a token");
        let (one, other) = (token("one"), token("other"));
        let fetches = |questions: &[(u8, Option<&str>, &Token)]| {
            let (fake, coalescer) = (Fake { upstream: row.clone(), ..Fake::default() }, Coalescer::default());
            let deadline = Deadline::new(std::time::Instant::now(), Duration::from_secs(60));
            let ask = async |(days, generation, token): (u8, Option<&str>, &Token)| {
                let credential = Credential::Token(token);
                let (user_id, window) = (UserId::parse(PERSON).expect("a UUID"), WindowDays::new(days).expect("days"));
                let query = CheckInQuery {
                    user_id,
                    window,
                    limit_checkins: 0,
                    credential: Some(credential),
                    generation,
                    deadline,
                    trace: None,
                };
                fetch(&fake, &coalescer, &project, &query, credential).await
            };
            let answers = block_on(join_all(questions.iter().map(|question| ask(*question))));
            assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|checkins| checkins.len() == 1)));
            assert!(coalescer.is_empty());
            fake.fetches.get()
        };
        let known = Some("generation");
        assert_eq!(fetches(&[(3, known, &one); 12]), 1);
        assert_eq!(fetches(&[(7, known, &one), (3, known, &one)]), 1, "it has what the other needs");
        assert_eq!(fetches(&[(3, known, &one), (7, known, &one)]), 2, "it has less");
        assert_eq!(fetches(&[(3, known, &one), (3, Some("a later one"), &one)]), 2, "there was an invalidation");
        assert_eq!(fetches(&[(3, known, &one), (3, known, &other)]), 2, "another may see something else");
        assert_eq!(fetches(&[(3, None, &one); 3]), 3, "nobody knows whether there was an invalidation");
    }
}
