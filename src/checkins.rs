//! Where a person's check-ins come from.

pub(crate) mod checkin;
mod demo;
mod supabase;

use crate::access::Credential;
use crate::deadline::Deadline;
use crate::instance::Instance;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::request::PredictionRequest;
use crate::settings::Settings;
use crate::telemetry::trace::Trace;
use features::CheckIn;
use std::rc::Rc;

pub(crate) use supabase::Flights;

/// A person's check-ins, latest first, at least as many as the question needs. Empty for a person nobody knows: an answer that
/// differs would tell a stranger who is known.
pub(crate) async fn of<P: Platform>(
    instance: &Instance<P>,
    settings: &Settings,
    request: &PredictionRequest,
    credential: Option<Credential<'_>>,
    generation: Option<&str>,
    deadline: Deadline,
    trace: Option<&Trace>,
) -> Result<Rc<[CheckIn]>, Problem> {
    let Some(supabase) = &settings.supabase else {
        let mut checkins = demo::checkins(&request.user_id.to_string());
        checkins.sort_by_key(|checkin| std::cmp::Reverse(checkin.date));
        return Ok(checkins.into());
    };
    let credential = credential.ok_or(Problem::NoToken)?;
    supabase::checkins(instance, supabase, request, credential, generation, deadline, trace)
        .await
        .map_err(Problem::Source)
}

/// The demo cohort's ids, for the page that greets a newcomer.
pub(crate) use demo::PEOPLE;

/// What the fuzzer calls.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(bytes: &[u8]) {
    supabase::fuzz(bytes);
}
