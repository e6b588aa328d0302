//! `POST /data/predictions`: predictions from the check-ins in the body. Nothing is kept of them.

use super::Asked;
use super::predictions::{Predicted, Served, body, predict_all, private};
use crate::platform::{Platform, RequestBody};
use crate::problem::Problem;
use crate::request::{self, ITEM_LIMIT, PostedRequest};
use crate::response::{Response, in_seconds};
use crate::telemetry::Record;
use jiff::Timestamp;

pub(super) async fn answer<P: Platform>(
    asked: &Asked<'_, P>,
    body_of: impl RequestBody,
    record: &mut Record,
) -> Result<Response, Problem> {
    let bytes =
        request::read_json(&asked.instance.platform, asked.headers, body_of, ITEM_LIMIT, asked.deadline).await?;
    let request = PostedRequest::parse(&bytes)?;
    record.lap("request");
    (record.person, record.source) = (request.user_id, Some("request"));
    let predicted = predict_all(asked, &request.checkins, &request.wanted, record).await;
    Ok(private(Response::json(200, &answer_to(&request, &predicted, &in_seconds(Timestamp::now()))), Served::Bypass))
}

/// The answer to one question of this kind.
pub(super) fn answer_to<'a>(
    request: &'a PostedRequest,
    predicted: &'a Predicted,
    generated_at: &'a str,
) -> impl serde::Serialize + 'a {
    let mut body = body(&request.wanted, generated_at, &predicted.predictions, &predicted.per_checkin);
    body.user_id = request.user_id.map(|id| id.to_string());
    body.warnings = &request.warnings;
    body
}
