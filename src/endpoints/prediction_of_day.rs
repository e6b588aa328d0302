//! `GET /data/prediction_of_day/{user_id}`: the person's mood state in three fields.

use super::Asked;
use super::predictions::{find_or_predict, private};
use crate::platform::Platform;
use crate::problem::Problem;
use crate::request::PredictionRequest;
use crate::response::Response;
use crate::telemetry::Record;
use bipolar_edge_models::MODELS;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The prediction type that is the prediction of the day.
const OF_DAY: &str = "mood_state";

#[derive(Deserialize, Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    label: &'a str,
    /// Passed on as it was written.
    #[serde(borrow)]
    probability: &'a RawValue,
}

pub(super) async fn answer<P: Platform>(
    asked: &Asked<'_, P>,
    user_id: &str,
    query: &str,
    record: &mut Record,
) -> Result<Response, Problem> {
    let request = PredictionRequest::of_day(user_id, query)?;
    record.person = Some(request.user_id);
    let (entry, cache_state) = find_or_predict(asked, &request, record).await?;
    let prediction = MODELS.iter().zip(&entry.predictions).find(|(model, _)| model.name == OF_DAY);
    let body: Option<Body<'_>> = prediction.and_then(|(_, json)| serde_json::from_str(json.get()).ok());
    let body = body.ok_or(Problem::NotConfigured { detail: "This deployment has no model for mood_state." })?;
    Ok(private(Response::json(200, &body), cache_state))
}
