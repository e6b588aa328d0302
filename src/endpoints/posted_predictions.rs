//! `POST /data/predictions`: predictions from the check-ins in the body. Nothing is kept of them.

use super::answer::Body;
use super::predictions::predict_all;
use crate::cache::PredictionSet;
use crate::context::EndpointRequest;
use crate::http::Response;
use crate::http::response::CacheStatus;
use crate::limits::MAX_ITEM_BYTES;
use crate::platform::Platform;
use crate::predict::Rendering;
use crate::problem::Problem;
use crate::request::{PostedRequest, reject_other_parameters};
use crate::telemetry::timing::CheckInSource;
use crate::time::{now, rfc3339_seconds, today};

pub(super) async fn post<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    let EndpointRequest { context, headers, query, body, .. } = request;
    reject_other_parameters(query)?;
    let bytes = context.read_json(headers, body, MAX_ITEM_BYTES).await?;
    let asked = PostedRequest::parse(&bytes)?;
    context.timing.lap("request");
    context.timing.set_person(asked.user_id);
    context.timing.set_source(CheckInSource::Request);
    let predictions = predict_all(context, &asked.checkins, &asked.options, asked.as_of.unwrap_or_else(today)).await;
    let generated_at = rfc3339_seconds(now());
    let body = response_body(context.rendering(asked.options.explain), &asked, &predictions, &generated_at);
    Ok(Response::json(200, &body).with_cache_status(CacheStatus::Bypass).in_language(context.language))
}

/// The body that answers one question of this kind.
pub(super) fn response_body<'a>(
    rendering: Rendering<'a>,
    asked: &'a PostedRequest,
    predictions: &'a PredictionSet,
    generated_at: &'a str,
) -> Body<'a> {
    let PredictionSet { latest, per_checkin, .. } = predictions;
    let rendering = Rendering { today: asked.as_of.unwrap_or(rendering.today), ..rendering };
    let mut body = Body::new(rendering, &asked.options, generated_at, (latest, per_checkin));
    body.user_id = asked.user_id.map(|id| id.to_string());
    body.warnings = asked.warnings.iter().map(|warning| warning.text(rendering.language)).collect();
    body
}
