//! Where a person's check-ins come from.

pub(crate) mod checkin;
mod demo;
mod supabase;

use crate::deadline::Deadline;
use crate::instance::Instance;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::request::{PredictionRequest, Token};
use crate::settings::Settings;
use features::CheckIn;

/// A person's check-ins, latest first, at least as many as the question needs. Empty for a person nobody knows: an answer that
/// differs would tell a stranger who is known.
pub(crate) async fn of<P: Platform>(
    instance: &Instance<P>,
    settings: &Settings,
    request: &PredictionRequest,
    token: Option<&Token>,
    deadline: Deadline,
) -> Result<Vec<CheckIn>, Problem> {
    let Some(supabase) = &settings.supabase else {
        let mut checkins = demo::checkins(&request.user_id.to_string());
        checkins.sort_by_key(|checkin| std::cmp::Reverse(checkin.date));
        return Ok(checkins);
    };
    let token = token.ok_or(Problem::NoToken)?;
    supabase::checkins(&instance.platform, supabase, request, token, deadline).await
}

/// The demo cohort's ids, for the page that greets a newcomer.
pub(crate) use demo::PEOPLE;
