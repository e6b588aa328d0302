//! `DELETE /data/predictions/{user_id}`: everything that the store holds about a person is gone, and predictions made
//! before are not served again. The answer is a receipt.

use crate::context::EndpointRequest;
use crate::http::Response;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::request::PredictionRequest;
use crate::retention::{Erased, erase};
use crate::telemetry::log::{self, LogLevel};
use crate::time::{now, rfc3339_seconds};
use serde::Serialize;

#[derive(Serialize)]
struct Receipt<'a> {
    /// The values that were there and are gone, by kind.
    erased: &'a Erased,
    /// RFC 3339.
    at: String,
    request_id: &'a str,
}

/// The erasure's line in the log.
#[derive(Serialize)]
struct ErasureLine<'a> {
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    erased: &'a Erased,
}

pub(super) async fn delete<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    let user_id = PredictionRequest::parse_person(request.path.get("user_id"), request.query)?.user_id;
    let context = request.context;
    context.caller.check_may_invalidate(user_id)?;
    context.timing.set_person(Some(user_id));
    let instance = &context.instance;
    let limit_holds = context.caller.is_signed_in();
    let erased = erase(instance, user_id, limit_holds).await;
    let erased = erased.map_err(|failure| {
        failure.warn("not_erased", "what the store holds about a person could not all be deleted");
        Problem::StoreUnavailable
    })?;
    let id = &context.info.id;
    let line = ErasureLine { request_id: id.as_str(), user: instance.store.hash_for_log(user_id), erased: &erased };
    log::line(LogLevel::Info, "erased", line, || {
        let Erased { predictions, jobs, tokens, counters } = &erased;
        format!("erased {predictions} predictions, {jobs} jobs, {tokens} tokens and {counters} counters of a person")
    });
    let at = rfc3339_seconds(now());
    Ok(Response::json(200, &Receipt { erased: &erased, at, request_id: id.as_str() }).private())
}
