//! `GET /data/jobs/{id}`: the state and the outcome of a background prediction.

use super::answer::render_kept;
use super::predictions::{self, POLL_SECONDS};
use crate::context::EndpointRequest;
use crate::http::Response;
use crate::jobs::{JobStatus, JobView};
use crate::platform::Platform;
use crate::problem::Problem;
use crate::request::reject_other_parameters;
use http::header::RETRY_AFTER;

pub(super) async fn get<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    reject_other_parameters(request.query)?;
    let context = request.context;
    let (caller, id) = (context.caller.identity(), request.path.get("id"));
    let (job, person) = context.instance.jobs.find(&context.settings, caller, id).await?;
    context.timing.set_person(Some(person));
    let is_outdated = job.has_result() && predictions::is_outdated(context, &job, person).await?;
    let job = if is_outdated { job.outdated() } else { job };
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
