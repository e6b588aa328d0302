//! Check-ins from a Supabase project, through PostgREST and with the caller's own token, so that the database's row-level
//! security decides what is seen.

use super::checkin;
use crate::deadline::Deadline;
use crate::log;
use crate::platform::{Fetch, FetchError, Platform, within};
use crate::problem::{Problem, SourceFailure};
use crate::request::{PredictionRequest, Token};
use crate::settings::Supabase;
use features::CheckIn;
use serde_json::Value;

/// The most bytes of an answer: hundreds of check-ins with every column.
const ANSWER_LIMIT: usize = 1 << 20;

/// The person's check-ins, latest first, one a day, as far back as the question needs.
pub(super) async fn checkins(
    platform: &impl Platform,
    supabase: &Supabase,
    request: &PredictionRequest,
    token: &Token,
    deadline: Deadline,
) -> Result<Vec<CheckIn>, Problem> {
    // Twice the days, because some days have more than one.
    let days = usize::from(request.wanted.window.get()) + 1 + usize::from(request.wanted.limit_checkins);
    let url = format!(
        "{}/rest/v1/check_ins?select=*&user_id=eq.{}&order=checkin_date.desc&limit={}",
        supabase.origin,
        request.user_id,
        2 * days
    );
    let headers = [
        ("accept", "application/json".to_owned()),
        ("apikey", supabase.anon_key.clone()),
        ("authorization", format!("Bearer {}", token.as_str())),
    ];
    let fetch = Fetch { url, headers };
    let work = async {
        match platform.fetch(&fetch, ANSWER_LIMIT).await {
            // A connection that was kept too long, or a server that was just replaced: once more is worth it.
            Err(FetchError::Unreachable) => platform.fetch(&fetch, ANSWER_LIMIT).await,
            other => other,
        }
    };
    let failure = match within(platform, deadline.left(), work).await {
        None => SourceFailure::Slow,
        Some(Err(FetchError::Unreachable)) => SourceFailure::Unreachable,
        Some(Err(FetchError::Tls)) => SourceFailure::Tls,
        Some(Err(FetchError::Denied)) => SourceFailure::Denied,
        Some(Err(FetchError::TooLong)) => SourceFailure::Oversized,
        Some(Err(FetchError::BrokenOff)) => SourceFailure::Malformed,
        Some(Ok(answer)) => match answer.status {
            200 | 206 => match read(&answer.body, request) {
                Some(checkins) => return Ok(checkins),
                None => SourceFailure::Malformed,
            },
            401 | 403 => SourceFailure::Refused,
            404 => SourceFailure::NoTable,
            500.. => SourceFailure::Failing,
            _ => SourceFailure::Malformed,
        },
    };
    log::warning("check-ins could not be had from the database", failure.name());
    Err(Problem::Source(failure))
}

/// The check-ins of an answer, or `None` if it is no array of this person's rows. An answer out of range, and a row without a
/// date, are missing, and counted in the log.
fn read(body: &[u8], request: &PredictionRequest) -> Option<Vec<CheckIn>> {
    let rows: Vec<Value> = serde_json::from_slice(body).ok()?;
    let person = request.user_id.to_string();
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
            "answers of the database were taken for missing: out of range, ill-typed or without a date",
            wrong,
        );
    }
    Some(checkin::one_a_day(read).0)
}
