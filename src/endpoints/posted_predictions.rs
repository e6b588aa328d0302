//! `POST /data/predictions`: predictions from the check-ins in the body. Nothing is kept of them.

use super::predictions::{Predicted, body, predict_all, private};
use crate::instance::Instance;
use crate::platform::{Platform, RequestBody};
use crate::problem::Problem;
use crate::request::{self, ITEM_LIMIT, PostedRequest};
use crate::response::{Response, Timing, in_seconds};
use http::HeaderMap;
use jiff::Timestamp;

pub(super) async fn answer<P: Platform>(
    instance: &Instance<P>,
    headers: &HeaderMap,
    body_of: impl RequestBody,
    timing: &mut Timing,
) -> Result<Response, Problem> {
    let settings = instance.settings().await?;
    let deadline = timing.deadline(settings.inference_timeout);
    let bytes = request::read_json(&instance.platform, headers, body_of, ITEM_LIMIT, deadline).await?;
    let request = PostedRequest::parse(&bytes)?;
    timing.lap("request");
    let predicted = predict_all(instance, &settings, &request.checkins, &request.wanted, deadline, timing).await;
    Ok(private(Response::json(200, &answer_to(&request, &predicted, &in_seconds(Timestamp::now()))), "BYPASS"))
}

/// The answer to one question of this kind.
pub(super) fn answer_to<'a>(
    request: &'a PostedRequest,
    predicted: &'a Predicted,
    generated_at: &'a str,
) -> impl serde::Serialize + 'a {
    body(
        request.user_id,
        &request.wanted,
        generated_at,
        &predicted.predictions,
        &predicted.per_checkin,
        &request.warnings,
    )
}
