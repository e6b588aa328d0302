//! `GET /data/predictions/{user_id}`: every prediction about one person.

use crate::cache::{self, CheckInEntry, Entry, Lookup};
use crate::checkins;
use crate::instance::Instance;
use crate::platform::Platform;
use crate::predict::{self, Source};
use crate::problem::Problem;
use crate::request::PredictionRequest;
use crate::response::{Response, Timing};
use crate::settings::Settings;
use bipolar_edge_models::{MODELS, Model};
use features::CheckIn;
use serde::Serialize;
use serde_json::value::RawValue;
use std::time::Duration;

#[derive(Serialize)]
struct Body<'a> {
    user_id: String,
    window_days: u8,
    generated_at: &'a str,
    predictions: Vec<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_checkin: Option<Vec<PerCheckIn<'a>>>,
}

#[derive(Serialize)]
struct PerCheckIn<'a> {
    checkin_id: &'a str,
    checkin_date: &'a str,
    predictions: Vec<&'a RawValue>,
}

pub(super) async fn answer<P: Platform>(
    instance: &Instance<P>,
    user_id: &str,
    query: &str,
    timing: &mut Timing,
) -> Result<Response, Problem> {
    let request = PredictionRequest::parse(user_id, query)?;
    let (entry, cache_state) = find_or_predict(instance, &request, timing).await?;
    let latest = entry.per_checkin.iter().take(usize::from(request.limit_checkins));
    let per_checkin = latest.map(|checkin| PerCheckIn {
        checkin_id: &checkin.checkin_id,
        checkin_date: &checkin.checkin_date,
        predictions: only(&checkin.predictions, &request.types),
    });
    let body = Body {
        user_id: request.user_id.to_string(),
        window_days: request.window.get(),
        generated_at: &entry.generated_at,
        predictions: only(&entry.predictions, &request.types),
        per_checkin: (request.limit_checkins > 0).then(|| per_checkin.collect()),
    };
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
    timing: &mut Timing,
) -> Result<(Entry, &'static str), Problem> {
    let settings = instance.settings().await?;
    let key = cache::key(request, &settings);
    let looked_up = cache::look_up(instance, &settings, &key, request).await;
    timing.lap("cache");
    let cache_state = match looked_up {
        Lookup::Hit(entry) => return Ok((entry, "HIT")),
        Lookup::Miss => "MISS",
        Lookup::Bypass => "BYPASS",
    };
    let checkins = checkins::of(request.user_id);
    timing.lap("source");
    let ttl = settings.cache_ttl.unwrap_or(Duration::ZERO);
    let predictions = predict_at(&checkins, request, &settings, Source::AggregatedLastCheckIn, timing);
    let mut per_checkin = Vec::new();
    for (index, checkin) in checkins.iter().enumerate().take(usize::from(request.limit_checkins)) {
        instance.platform.yield_now().await;
        per_checkin.push(CheckInEntry {
            checkin_id: checkin.id.clone(),
            checkin_date: checkin.date.to_string(),
            predictions: predict_at(&checkins[index..], request, &settings, Source::CheckIn, timing),
        });
    }
    let entry = Entry::new(key, ttl, request, predictions, per_checkin);
    // A person without check-ins costs nothing to answer again, and is spared the wait for expiry after the first.
    if matches!(looked_up, Lookup::Miss) && !checkins.is_empty() {
        cache::write_later(instance, &entry);
    }
    Ok((entry, cache_state))
}

/// Every model's prediction as JSON, at the latest of `checkins`, which stand latest first.
fn predict_at(
    checkins: &[CheckIn],
    request: &PredictionRequest,
    settings: &Settings,
    source: Source,
    timing: &mut Timing,
) -> Vec<Box<RawValue>> {
    let row = features::row(checkins, request.window.get());
    timing.lap("features");
    let predictions = predict::all(row.as_ref(), source, request.explain, settings);
    let predictions = predictions.iter().filter_map(|prediction| serde_json::value::to_raw_value(prediction).ok());
    let predictions = predictions.collect();
    timing.lap("inference");
    predictions
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
