//! `GET /data/jobs/{id}`: the state and the outcome of a background prediction.

use super::answer::render_kept;
use crate::context::EndpointRequest;
use crate::http::Response;
use crate::jobs::{Job, JobStatus, JobView};
use crate::platform::Platform;
use crate::problem::Problem;
use crate::request::reject_other_parameters;
use features::Language;
use http::HeaderName;
use http::header::{LOCATION, RETRY_AFTER};

/// Seconds after which to look again.
const POLL_SECONDS: &str = "1";

pub(super) async fn get<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    reject_other_parameters(request.query)?;
    let context = request.context;
    let (caller, id) = (context.caller.identity(), request.path.get("id"));
    let job = context.instance.jobs.find(&context.settings, caller, id).await?;
    let mut view = job.view(context.language);
    if let Some(kept) = job.result() {
        view = match render_kept(context, kept) {
            Some(result) => JobView { result: Some(result), ..view },
            None => job.lost(context.language),
        };
    }
    let response = Response::json(200, &view).private().in_language(context.language);
    Ok(match view.status {
        JobStatus::Running => response.with_header(RETRY_AFTER, POLL_SECONDS),
        JobStatus::Done | JobStatus::Failed => response,
    })
}

/// Points a caller to the job that works on their question (RFC 7240, section 4.1).
pub(super) fn accepted(job: &Job, language: Language) -> Response {
    let view = job.view(language);
    Response::json(202, &view)
        .private()
        .with_header(LOCATION, format!("/data/jobs/{}", view.id))
        .with_header(HeaderName::from_static("preference-applied"), "respond-async")
        .with_header(RETRY_AFTER, POLL_SECONDS)
}
