//! `GET /data/jobs/{id}`: what became of a prediction that is made in the background.

use super::Asked;
use crate::jobs::{self, Job};
use crate::platform::Platform;
use crate::problem::Problem;
use crate::request;
use crate::response::Response;

/// Seconds after which to look again.
const LOOK_AGAIN: &str = "1";

pub(super) async fn answer<P: Platform>(asked: &Asked<'_, P>, id: &str, query: &str) -> Result<Response, Problem> {
    request::no_parameters(query)?;
    let job = jobs::find(asked.instance, asked.settings, asked.caller.identity(), id).await?;
    let seen = job.seen();
    let response = Response::json(200, &seen).with_header("cache-control", "private, no-store");
    Ok(if seen.status == "running" { response.with_header("retry-after", LOOK_AGAIN) } else { response })
}

/// Points a caller to the job that works on their question (RFC 7240, section 4.1).
pub(super) fn accepted(job: &Job) -> Response {
    let seen = job.seen();
    Response::json(202, &seen)
        .with_header("cache-control", "private, no-store")
        .with_header("location", format!("/data/jobs/{}", seen.id))
        .with_header("preference-applied", "respond-async")
        .with_header("retry-after", LOOK_AGAIN)
}
