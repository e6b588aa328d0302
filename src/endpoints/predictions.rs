//! `GET /data/predictions/{user_id}`: every prediction about one person.

use super::{Asked, job};
use crate::cache::{self, CheckInEntry, Entry, Lookup, Place};
use crate::checkins;
use crate::deadline::Deadline;
use crate::jobs::{self, Begun, Job, Outcome};
use crate::platform::Platform;
use crate::predict::{self, Prediction, Source};
use crate::problem::Problem;
use crate::request::{self, PredictionRequest, Wanted};
use crate::response::Response;
use crate::telemetry::{Record, log, totals};
use bipolar_edge_models::{MODELS, Model};
use features::CheckIn;
use http::HeaderMap;
use serde::Serialize;
use serde_json::value::RawValue;
use std::time::Duration;

/// What is answered.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_id: Option<String>,
    window_days: u8,
    generated_at: &'a str,
    /// How old a stale answer is.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<u64>,
    /// Why a stale answer is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'static str>,
    predictions: Vec<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_checkin: Option<Vec<PerCheckIn<'a>>>,
    /// What was done with check-ins that the caller may not expect.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(super) warnings: &'a [String],
}

#[derive(Serialize)]
struct PerCheckIn<'a> {
    checkin_id: &'a str,
    checkin_date: &'a str,
    predictions: Vec<&'a RawValue>,
}

/// The body that answers what is `wanted`, of predictions of every type.
pub(super) fn body<'a>(
    wanted: &Wanted,
    generated_at: &'a str,
    predictions: &'a [Box<RawValue>],
    per_checkin: &'a [CheckInEntry],
) -> Body<'a> {
    let latest = per_checkin.iter().take(usize::from(wanted.limit_checkins));
    let per_checkin = latest.map(|checkin| PerCheckIn {
        checkin_id: &checkin.checkin_id,
        checkin_date: &checkin.checkin_date,
        predictions: only(&checkin.predictions, &wanted.types),
    });
    Body {
        user_id: None,
        window_days: wanted.window.get(),
        generated_at,
        age_seconds: None,
        warning: None,
        predictions: only(predictions, &wanted.types),
        per_checkin: (wanted.limit_checkins > 0).then(|| per_checkin.collect()),
        warnings: &[],
    }
}

pub(super) async fn answer<P: Platform>(
    asked: &Asked<'_, P>,
    user_id: &str,
    query: &str,
    record: &mut Record,
) -> Result<Response, Problem> {
    let request = PredictionRequest::parse(user_id, query)?;
    record.person = Some(request.user_id);
    let place = match find(asked, &request, record).await? {
        Found::Entry(entry) => {
            return Ok(private(Response::json(200, &told(&request, &entry, Served::Hit)), Served::Hit));
        }
        Found::Nothing(place) => place,
    };
    if asked.settings.use_background_inference || request::prefers_async(asked.headers) {
        let generation = place.as_ref().map_or("", |place| place.generation.as_str());
        let caller = asked.caller.identity();
        match jobs::begin(asked.instance, asked.settings, caller, &request.to_string(), generation).await {
            Ok(Begun::Before(running)) => return Ok(job::accepted(&running)),
            Ok(Begun::Now(begun, deadline)) => {
                let accepted = job::accepted(&begun);
                predict_later(asked, request, place, begun, deadline, record.of_job());
                return Ok(accepted);
            }
            // The caller would rather not wait, and would rather wait than have nothing.
            Err(cause) => {
                log::warning("job_not_begun", "a background prediction could not be begun and is made at once", cause)
            }
        }
    }
    let (entry, served) = predict(asked, &request, place, record).await?;
    Ok(private(Response::json(200, &told(&request, &entry, served)), served))
}

/// Makes a prediction after the answer, in this instance.
fn predict_later<P: Platform>(
    asked: &Asked<'_, P>,
    request: PredictionRequest,
    place: Option<Place>,
    job: Job,
    deadline: Deadline,
    mut record: Record,
) {
    let (instance, settings, caller) = (asked.instance.clone(), asked.settings.clone(), asked.caller.clone());
    asked.instance.platform.spawn(async move {
        let headers = HeaderMap::new();
        let asked = Asked { instance: &instance, settings: &settings, headers: &headers, caller: &caller, deadline };
        let made = predict(&asked, &request, place, &mut record).await;
        let outcome = made.map(|(entry, served)| {
            // The store does not keep whom it is about.
            serde_json::value::to_raw_value(&Body { user_id: None, ..told(&request, &entry, served) })
        });
        let outcome = match outcome {
            Ok(Ok(result)) => Outcome::Done(result),
            Ok(Err(_)) => Outcome::Failed(Problem::JobLost.into_json()),
            Err(problem) => {
                record.problem(&problem);
                Outcome::Failed(problem.into_json())
            }
        };
        record.end_of_job(&instance, outcome.name());
        record.export(&instance, None);
        jobs::finish(&instance, &settings, job, outcome).await;
        totals::tell_later(&instance);
    });
}

/// The body that tells an entry to who asked.
fn told<'a>(request: &'a PredictionRequest, entry: &'a Entry, served: Served) -> Body<'a> {
    let body = body(&request.wanted, &entry.generated_at, &entry.predictions, &entry.per_checkin);
    let age_seconds = if let Served::Stale { age } = served { Some(age.as_secs()) } else { None };
    Body { user_id: Some(request.user_id.to_string()), warning: age_seconds.map(|_| STALE), age_seconds, ..body }
}

const STALE: &str = "The database cannot be reached: these predictions were made before, from the check-ins of then.";

/// Where an answer came from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Served {
    /// From the cache.
    Hit,
    /// From the cache, though it has expired, because no new one could be made.
    Stale { age: Duration },
    /// Made now, and kept.
    Miss,
    /// Made now, for this caller alone.
    Bypass,
}

/// What must be said of every answer about a person.
pub(super) fn private(response: Response, served: Served) -> Response {
    let response = response.with_header("cache-control", "private, no-store");
    match served {
        Served::Hit => response.with_header("x-cache", "HIT"),
        Served::Stale { age } => response.with_header("x-cache", "STALE").with_header("age", age.as_secs().to_string()),
        Served::Miss => response.with_header("x-cache", "MISS"),
        Served::Bypass => response.with_header("x-cache", "BYPASS"),
    }
}

/// The person's entry from the cache, or a new one, which is written to the cache after the response; and which of them it is.
pub(super) async fn find_or_predict<P: Platform>(
    asked: &Asked<'_, P>,
    request: &PredictionRequest,
    record: &mut Record,
) -> Result<(Entry, Served), Problem> {
    match find(asked, request, record).await? {
        Found::Entry(entry) => Ok((entry, Served::Hit)),
        Found::Nothing(place) => predict(asked, request, place, record).await,
    }
}

/// What there is before anything is predicted.
enum Found {
    Entry(Entry),
    /// Nothing, and where what is predicted now should go.
    Nothing(Option<Place>),
}

/// Looks for the person's entry in the cache.
async fn find<P: Platform>(
    asked: &Asked<'_, P>,
    request: &PredictionRequest,
    record: &mut Record,
) -> Result<Found, Problem> {
    let Asked { instance, settings, .. } = asked;
    let sight = asked.caller.sight(settings, request.user_id)?;
    // What a token shows is that caller's alone, and what is in the cache may be more than it shows.
    let looked_up = if sight.whole { cache::look_up(instance, settings, request).await } else { Lookup::Bypass };
    record.lap("cache");
    Ok(match looked_up {
        Lookup::Hit(entry) => Found::Entry(entry),
        Lookup::Miss(place) => Found::Nothing(Some(place)),
        Lookup::Bypass => Found::Nothing(None),
    })
}

/// A new entry, which is written to the cache later if there is a place for it.
async fn predict<P: Platform>(
    asked: &Asked<'_, P>,
    request: &PredictionRequest,
    place: Option<Place>,
    record: &mut Record,
) -> Result<(Entry, Served), Problem> {
    let Asked { instance, settings, .. } = asked;
    let sight = asked.caller.sight(settings, request.user_id)?;
    let generation = place.as_ref().map(|place| place.generation.as_str());
    let checkins =
        checkins::of(instance, settings, request, sight.credential, generation, asked.deadline, record.trace.as_ref())
            .await;
    record.source = Some(if settings.supabase.is_some() { "supabase" } else { "demo" });
    record.lap("source");
    let checkins = match (checkins, &place) {
        (Ok(checkins), _) => checkins,
        (Err(Problem::Source(failure)), Some(place)) if failure.is_outage() => {
            let stale = cache::stale(instance, place).await.ok_or(Problem::Source(failure))?;
            let age = stale.age();
            return Ok((stale, Served::Stale { age }));
        }
        (Err(problem), _) => return Err(problem),
    };
    let ttl = settings.cache_ttl.unwrap_or(Duration::ZERO);
    let predicted = predict_all(asked, &checkins, &request.wanted, record).await;
    let entry = Entry::new(place.as_ref(), ttl, &request.wanted, predicted.predictions, predicted.per_checkin);
    // A person without check-ins costs nothing to answer again, and is spared the wait for expiry after the first. What ran
    // out of time may be answered the next time.
    if place.is_some() && !checkins.is_empty() && predicted.complete {
        cache::write_later(instance, settings, &entry);
    }
    Ok((entry, if place.is_some() { Served::Miss } else { Served::Bypass }))
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
    asked: &Asked<'_, P>,
    checkins: &[CheckIn],
    wanted: &Wanted,
    record: &mut Record,
) -> Predicted {
    let mut complete = true;
    let mut at = |checkins: &[CheckIn], source| {
        let row = features::row(checkins, wanted.window.get());
        record.lap("features");
        let predictions = predict::all(row.as_ref(), source, wanted.explain, asked.settings, asked.deadline);
        complete &= !predictions.iter().any(Prediction::ran_out_of_time);
        record.predictions(row.as_ref(), &predictions);
        let predictions = predictions.iter().filter_map(|prediction| serde_json::value::to_raw_value(prediction).ok());
        let predictions: Vec<Box<RawValue>> = predictions.collect();
        record.lap("inference");
        predictions
    };
    let predictions = at(checkins, Source::AggregatedLastCheckIn);
    let mut per_checkin = Vec::new();
    for (index, checkin) in checkins.iter().enumerate().take(usize::from(wanted.limit_checkins)) {
        asked.instance.platform.yield_now().await;
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
