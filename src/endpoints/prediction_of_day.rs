//! `GET /data/prediction_of_day/{user_id}`: the person's mood state alone, without an explanation.

use super::fhir::FhirQuestion;
use super::predictions::{fhir_response, find_or_predict};
use crate::context::EndpointRequest;
use crate::http::Response;
use crate::http::headers::prefers_fhir;
use crate::platform::Platform;
use crate::predict::{Basis, Explain, PredictionSequence};
use crate::problem::Problem;
use crate::request::PredictionRequest;
use crate::routes::PathParameters;
use bipolar_edge_models::Model;

/// The prediction type that is the prediction of the day.
const DAY_TYPE: &str = "mood_state";

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
    let model = Model::find(DAY_TYPE)
        .ok_or_else(|| Problem::not_configured(format!("This deployment has no model for {DAY_TYPE}.")))?;
    let types = [model];
    if prefers_fhir(request.headers) {
        let asked =
            FhirQuestion { person: asked.user_id, types: &types, limit_checkins: 0, explain: Explain::Sentence };
        return Ok(fhir_response(request.context, &asked, &entry, cache_status));
    }
    let rendering = request.context.rendering(Explain::None);
    let sequence = PredictionSequence { at: &entry.latest, types: &types, basis: Basis::LatestCheckIn, rendering };
    let (_, body) = sequence.bodies().next().ok_or(Problem::Internal)?;
    Ok(Response::json(200, &body).with_cache_status(cache_status).in_language(request.context.language))
}
