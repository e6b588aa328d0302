//! `GET /data/prediction_of_day/{user_id}`: the person's mood state in a few fields.

use super::fhir::FhirQuestion;
use super::predictions::{fhir_response, find_or_predict};
use crate::context::EndpointRequest;
use crate::http::Response;
use crate::http::headers::prefers_fhir;
use crate::platform::Platform;
use crate::predict::{Display, Explain};
use crate::problem::Problem;
use crate::request::PredictionRequest;
use crate::routes::PathParameters;
use bipolar_edge_models::Model;
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
    let language = request.context.language;
    if prefers_fhir(request.headers)
        && let Some(model) = Model::find(DAY_TYPE)
    {
        let asked =
            FhirQuestion { person: asked.user_id, types: &[model], limit_checkins: 0, explain: Explain::Sentence };
        return Ok(fhir_response(request.context, &asked, &entry, cache_status));
    }
    let (model, prediction) = entry
        .latest
        .of_type(DAY_TYPE)
        .ok_or_else(|| Problem::not_configured(format!("This deployment has no model for {DAY_TYPE}.")))?;
    let body = Body {
        prediction_type: DAY_TYPE,
        label: prediction.label(model),
        probability: prediction.probability(model),
        display: prediction.display(model, language),
        as_of: entry.latest.as_of().map(|as_of| as_of.to_string()),
    };
    Ok(Response::json(200, &body).with_cache_status(cache_status).in_language(language))
}
