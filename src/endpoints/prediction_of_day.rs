//! `GET /data/prediction_of_day/{user_id}`: the person's mood state in four fields.

use super::predictions::{DAY_TYPE, find_or_predict};
use crate::context::EndpointRequest;
use crate::http::Response;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::request::PredictionRequest;
use crate::routes::PathParameters;
use serde::Serialize;

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    prediction_type: &'static str,
    label: &'a str,
    probability: Option<f64>,
    as_of: Option<&'a str>,
}

/// The question of a path and query.
pub(super) fn question(path: &PathParameters<'_>, query: &str) -> Result<PredictionRequest, Problem> {
    PredictionRequest::parse_person(path.get("user_id"), query)
}

pub(super) async fn get<P: Platform>(
    request: EndpointRequest<'_, P>,
    asked: PredictionRequest,
) -> Result<Response, Problem> {
    request.context.timing.set_person(Some(asked.user_id));
    let (entry, cache_status) = find_or_predict(request.context, &asked).await?;
    let day = entry
        .day
        .as_ref()
        .ok_or_else(|| Problem::not_configured(format!("This deployment has no model for {DAY_TYPE}.")))?;
    let as_of = day.as_of.as_deref();
    let body = Body { prediction_type: DAY_TYPE, label: &day.label, probability: day.probability, as_of };
    Ok(Response::json(200, &body).with_cache_status(cache_status))
}
