//! `GET /data/prediction_of_day/{user_id}`: the person's mood state in a few fields.

use super::predictions::find_or_predict;
use crate::context::EndpointRequest;
use crate::http::Response;
use crate::platform::Platform;
use crate::predict::Display;
use crate::problem::Problem;
use crate::request::PredictionRequest;
use crate::routes::PathParameters;
use serde::Serialize;

/// The prediction type that is the prediction of the day.
const DAY_TYPE: &str = "mood_state";

#[derive(Serialize)]
struct Body {
    #[serde(rename = "type")]
    prediction_type: &'static str,
    label: &'static str,
    probability: Option<f64>,
    display: Display,
    as_of: Option<String>,
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
    let (model, prediction) = entry
        .latest
        .of_type(DAY_TYPE)
        .ok_or_else(|| Problem::not_configured(format!("This deployment has no model for {DAY_TYPE}.")))?;
    let language = request.context.language;
    let body = Body {
        prediction_type: DAY_TYPE,
        label: prediction.label(model),
        probability: prediction.probability(model),
        display: prediction.display(model, language),
        as_of: entry.latest.as_of().map(|as_of| as_of.to_string()),
    };
    Ok(Response::json(200, &body).with_cache_status(cache_status).in_language(language))
}
