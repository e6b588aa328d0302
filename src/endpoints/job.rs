//! `GET /data/jobs/{id}`: the state and the outcome of a background prediction.

use crate::context::EndpointRequest;
use crate::http::Response;
use crate::jobs::{Job, JobStatus};
use crate::platform::Platform;
use crate::problem::Problem;
use crate::request::reject_parameters;
use http::HeaderName;
use http::header::{LOCATION, RETRY_AFTER};

/// Seconds after which to look again.
const POLL_SECONDS: &str = "1";

pub(super) async fn get<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    reject_parameters(request.query)?;
    let context = request.context;
    let (caller, id) = (context.caller.identity(), request.path.get("id"));
    let job = context.instance.jobs.find(&context.settings, caller, id).await?;
    let view = job.view();
    let response = Response::json(200, &view).private();
    Ok(match view.status {
        JobStatus::Running => response.with_header(RETRY_AFTER, POLL_SECONDS),
        JobStatus::Done | JobStatus::Failed => response,
    })
}

/// Points a caller to the job that works on their question (RFC 7240, section 4.1).
pub(super) fn accepted(job: &Job) -> Response {
    let view = job.view();
    Response::json(202, &view)
        .private()
        .with_header(LOCATION, format!("/data/jobs/{}", view.id))
        .with_header(HeaderName::from_static("preference-applied"), "respond-async")
        .with_header(RETRY_AFTER, POLL_SECONDS)
}
