//! `GET /data/predictions/{user_id}`: every prediction about one person.

use crate::cache::{self, CheckInEntry, Entry, Lookup};
use crate::checkins;
use crate::deadline::Deadline;
use crate::instance::Instance;
use crate::platform::Platform;
use crate::predict::{self, Prediction, Source};
use crate::problem::Problem;
use crate::request::{PredictionRequest, Token, UserId, Wanted};
use crate::response::{Response, Timing};
use crate::settings::Settings;
use bipolar_edge_models::{MODELS, Model};
use features::CheckIn;
use http::HeaderMap;
use serde::Serialize;
use serde_json::value::RawValue;
use std::time::Duration;

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    window_days: u8,
    generated_at: &'a str,
    predictions: Vec<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_checkin: Option<Vec<PerCheckIn<'a>>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

#[derive(Serialize)]
struct PerCheckIn<'a> {
    checkin_id: &'a str,
    checkin_date: &'a str,
    predictions: Vec<&'a RawValue>,
}

/// The body that answers what is `wanted`, of predictions of every type.
pub(super) fn body<'a>(
    user_id: Option<UserId>,
    wanted: &Wanted,
    generated_at: &'a str,
    predictions: &'a [Box<RawValue>],
    per_checkin: &'a [CheckInEntry],
    warnings: &'a [String],
) -> impl Serialize + 'a {
    let latest = per_checkin.iter().take(usize::from(wanted.limit_checkins));
    let per_checkin = latest.map(|checkin| PerCheckIn {
        checkin_id: &checkin.checkin_id,
        checkin_date: &checkin.checkin_date,
        predictions: only(&checkin.predictions, &wanted.types),
    });
    Body {
        user_id: user_id.map(|id| id.to_string()),
        window_days: wanted.window.get(),
        generated_at,
        predictions: only(predictions, &wanted.types),
        per_checkin: (wanted.limit_checkins > 0).then(|| per_checkin.collect()),
        warnings,
    }
}

pub(super) async fn answer<P: Platform>(
    instance: &Instance<P>,
    user_id: &str,
    query: &str,
    headers: &HeaderMap,
    timing: &mut Timing,
) -> Result<Response, Problem> {
    let request = PredictionRequest::parse(user_id, query)?;
    let (entry, cache_state) = find_or_predict(instance, &request, headers, timing).await?;
    let (predictions, per_checkin) = (&entry.predictions, &entry.per_checkin);
    let body = body(Some(request.user_id), &request.wanted, &entry.generated_at, predictions, per_checkin, &[]);
    Ok(private(Response::json(200, &body), cache_state))
}

/// What must be said of every answer about a person.
pub(super) fn private(response: Response, cache_state: &'static str) -> Response {
    response.with_header("cache-control", "private, no-store").with_header("x-cache", cache_state)
}

/// The person's entry from the cache, or a new one, which is written to the cache after the response; and what to
/// say of that in `x-cache`.
pub(super) async fn find_or_predict<P: Platform>(
    instance: &Instance<P>,
    request: &PredictionRequest,
    headers: &HeaderMap,
    timing: &mut Timing,
) -> Result<(Entry, &'static str), Problem> {
    let settings = instance.settings().await?;
    let deadline = timing.deadline(settings.inference_timeout);
    let key = cache::key(request, &settings);
    let looked_up = cache::look_up(instance, &settings, &key, request).await;
    timing.lap("cache");
    let generation = match looked_up {
        Lookup::Hit(entry) => return Ok((entry, "HIT")),
        Lookup::Miss { generation } => Some(generation),
        Lookup::Bypass => None,
    };
    let token = Token::of(headers);
    let checkins = checkins::of(instance, &settings, request, token.as_ref(), deadline).await?;
    timing.lap("source");
    let ttl = settings.cache_ttl.unwrap_or(Duration::ZERO);
    let predicted = predict_all(instance, &settings, &checkins, &request.wanted, deadline, timing).await;
    let worth_writing = generation.is_some();
    let cache_state = if worth_writing { "MISS" } else { "BYPASS" };
    let entry =
        Entry::new(key, generation.unwrap_or_default(), ttl, request, predicted.predictions, predicted.per_checkin);
    // A person without check-ins costs nothing to answer again, and is spared the wait for expiry after the first. What ran
    // out of time may be answered the next time.
    if worth_writing && !checkins.is_empty() && predicted.complete {
        cache::write_later(instance, &entry);
    }
    Ok((entry, cache_state))
}

/// Predictions of every type.
pub(super) struct Predicted {
    /// At the latest check-in; one a model, in the registry's order, as JSON.
    pub(super) predictions: Vec<Box<RawValue>>,
    /// At each of the latest check-ins that were asked for.
    pub(super) per_checkin: Vec<CheckInEntry>,
    /// None of them ran out of time.
    complete: bool,
}

/// Predicts from check-ins that stand latest first. Yields before each of several; what the deadline leaves no time for
/// answers `timeout`.
pub(super) async fn predict_all<P: Platform>(
    instance: &Instance<P>,
    settings: &Settings,
    checkins: &[CheckIn],
    wanted: &Wanted,
    deadline: Deadline,
    timing: &mut Timing,
) -> Predicted {
    let mut complete = true;
    let mut at = |checkins: &[CheckIn], source| {
        let row = features::row(checkins, wanted.window.get());
        timing.lap("features");
        let predictions = predict::all(row.as_ref(), source, wanted.explain, settings, deadline);
        complete &= !predictions.iter().any(Prediction::ran_out_of_time);
        let predictions = predictions.iter().filter_map(|prediction| serde_json::value::to_raw_value(prediction).ok());
        let predictions: Vec<Box<RawValue>> = predictions.collect();
        timing.lap("inference");
        predictions
    };
    let predictions = at(checkins, Source::AggregatedLastCheckIn);
    let mut per_checkin = Vec::new();
    for (index, checkin) in checkins.iter().enumerate().take(usize::from(wanted.limit_checkins)) {
        instance.platform.yield_now().await;
        per_checkin.push(CheckInEntry {
            checkin_id: checkin.id.clone(),
            checkin_date: checkin.date.to_string(),
            predictions: at(&checkins[index..], Source::CheckIn),
        });
    }
    Predicted { predictions, per_checkin, complete }
}

/// The predictions of the wanted types, out of one a model.
fn only<'a>(predictions: &'a [Box<RawValue>], wanted: &[&Model]) -> Vec<&'a RawValue> {
    MODELS
        .iter()
        .zip(predictions)
        .filter(|(model, _)| wanted.iter().any(|other| other.name == model.name))
        .map(|(_, prediction)| prediction.as_ref())
        .collect()
}
