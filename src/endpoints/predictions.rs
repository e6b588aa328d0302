//! `GET /data/predictions/{user_id}`: every prediction about one person.

use super::answer::{Body, KeptAnswer, stale_seconds, stale_warning};
use super::fhir::{self, FhirQuestion};
use crate::cache::{CacheSlot, CheckInEntry, Entry, Lookup, PredictionSet};
use crate::checkins::{self, CheckInQuery};
use crate::context::{EndpointRequest, RequestContext};
use crate::deadline::Deadline;
use crate::http::Response;
use crate::http::headers::{prefers_async, prefers_fhir};
use crate::http::response::CacheStatus;
use crate::ids::{UserId, WindowDays};
use crate::jobs::{Job, JobOutcome, ShownRows, Started};
use crate::platform::Platform;
use crate::predict::{self, Basis, Outcome, PredictionsAt};
use crate::problem::Problem;
use crate::request::{PredictionOptions, PredictionRequest};
use crate::retention;
use crate::routes::PathParameters;
use crate::store::Failure;
use crate::telemetry::decision_log::{self, Question};
use crate::telemetry::request_log::{FinishedJob, finish_job};
use crate::telemetry::timing::{CheckInSource, Timing};
use crate::telemetry::{log, metrics};
use crate::time::{DAY_MS, age_days, start_of, today};
use bipolar_edge_models::Model;
use features::{CheckIn, Language, Row};
use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName};
use jiff::civil::Date;
use std::rc::Rc;
use std::time::Duration;

/// Seconds after which to look at a job again.
pub(super) const POLL_SECONDS: &str = "1";

/// The question of a path and query.
pub(super) fn question(path: &PathParameters<'_>, query: &str) -> Result<PredictionRequest, Problem> {
    PredictionRequest::parse(path.get("user_id"), query)
}

pub(super) async fn get<P: Platform>(
    request: EndpointRequest<'_, P>,
    asked: PredictionRequest,
) -> Result<Response, Problem> {
    let context = request.context;
    context.timing.set_person(Some(asked.user_id));
    let slot = match find(context, &asked).await? {
        Found::Entry(entry) => return Ok(entry_response(context, request.headers, &asked, &entry, CacheStatus::Hit)),
        Found::Nothing(slot) => slot,
    };
    // The outcome of a job is no FHIR: whoever wants that waits.
    let is_async = context.settings.use_background_inference || prefers_async(request.headers);
    if is_async && !prefers_fhir(request.headers) {
        let cause = match start_job(context, &asked, slot.as_ref()).await {
            Ok(Some(Started::Before(running))) => return Ok(accepted(&running, context.language)),
            Ok(Some(Started::Now(started, deadline))) => {
                let accepted = accepted(&started, context.language);
                predict_later(context, asked, slot, started, deadline);
                return Ok(accepted);
            }
            Ok(None) => "other jobs have every place of it",
            Err(failure) => failure.cause(),
        };
        // The caller would rather not wait, and would rather wait than have nothing.
        log::warning("job_not_begun", "a background prediction could not be begun and is made at once", cause);
    }
    let (entry, cache_status) = predict(context, &asked, slot).await?;
    Ok(entry_response(context, request.headers, &asked, &entry, cache_status))
}

fn entry_response<P: Platform>(
    context: &RequestContext<P>,
    headers: &HeaderMap,
    PredictionRequest { user_id, options }: &PredictionRequest,
    entry: &Entry,
    cache_status: CacheStatus,
) -> Response {
    if prefers_fhir(headers) {
        let PredictionOptions { types, limit_checkins, explain, .. } = options;
        let asked = FhirQuestion { person: *user_id, types, limit_checkins: *limit_checkins, explain: *explain };
        return fhir_response(context, &asked, entry, cache_status);
    }
    let mut body = Body::of_entry(context.rendering(options.explain), options, entry, stale_seconds(cache_status));
    body.user_id = Some(user_id.to_string());
    Response::json(200, &body).with_cache_status(cache_status).in_language(context.language)
}

/// The answer as FHIR with an entry's predictions.
pub(super) fn fhir_response<P: Platform>(
    context: &RequestContext<P>,
    asked: &FhirQuestion<'_>,
    entry: &Entry,
    cache_status: CacheStatus,
) -> Response {
    let warning = stale_seconds(cache_status).map(|_| stale_warning(context.language));
    let response = fhir::response(context.rendering(asked.explain), asked, entry, warning);
    response.with_cache_status(cache_status).in_language(context.language)
}

/// Points a caller to the job that works on their question (RFC 7240, section 4.1).
fn accepted(job: &Job, language: Language) -> Response {
    let view = job.view(language);
    Response::json(202, &view)
        .private()
        .with_header(LOCATION, format!("/data/jobs/{}", view.id))
        .with_header(HeaderName::from_static("preference-applied"), "respond-async")
        .with_header(RETRY_AFTER, POLL_SECONDS)
}

/// Starts a job for a question, unless one runs that began after the last invalidation.
async fn start_job<P: Platform>(
    context: &RequestContext<P>,
    asked: &PredictionRequest,
    slot: Option<&CacheSlot>,
) -> Result<Option<Started>, Failure> {
    let RequestContext { instance, settings, caller, .. } = context;
    let generation = match slot {
        Some(slot) => slot.generation.clone(),
        None => instance.cache.generation(asked.user_id).await?,
    };
    let question = (asked.user_id, &*asked.to_string());
    instance.jobs.start(settings, caller.identity(), question, &generation).await
}

/// Makes a prediction after the answer, in this instance.
fn predict_later<P: Platform>(
    context: &RequestContext<P>,
    request: PredictionRequest,
    slot: Option<CacheSlot>,
    job: Job,
    deadline: Deadline,
) {
    let context = context.for_background(deadline);
    let instance = context.instance.clone();
    instance.platform.spawn(async move {
        let (predicted, shown) = match predict_for_job(&context, &request, slot).await {
            Ok((entry, cache_status, shown)) => (Ok((entry, cache_status)), shown),
            Err(problem) => (Err(problem), None),
        };
        let predicted = predicted.and_then(|(entry, cache_status)| {
            let kept = KeptAnswer::new(&request.options, entry, cache_status);
            let usable_until = kept.usable_until();
            let result = serde_json::value::to_raw_value(&kept).map_err(|_| Problem::Internal)?;
            Ok((result, usable_until))
        });
        let (outcome, problem) = match predicted {
            Ok((result, usable_until)) => (JobOutcome::Done { result, usable_until }, None),
            Err(problem) => (JobOutcome::failed(&problem), Some(problem)),
        };
        let RequestContext { instance, trace, timing, info, .. } = &context;
        let (trace, problem, status) = (trace.as_ref(), problem.as_ref(), outcome.status());
        finish_job(&instance.platform, &instance.store, &FinishedJob { info, trace, timing, problem, status });
        instance.jobs.finish(&context.settings, job.made_from(shown), outcome).await;
        instance.totals.schedule_flush(Some(context.settings.clone()));
    });
}

/// Makes the prediction of a job. Of rows that are for its caller alone it also says which they are.
async fn predict_for_job<P: Platform>(
    context: &RequestContext<P>,
    request: &PredictionRequest,
    slot: Option<CacheSlot>,
) -> Result<(Entry, CacheStatus, Option<ShownRows>), Problem> {
    let RequestContext { instance, settings, caller, .. } = context;
    if caller.visibility(settings, request.user_id)?.is_whole {
        return predict(context, request, slot).await.map(|(entry, cache_status)| (entry, cache_status, None));
    }
    let PredictionOptions { window, limit_checkins, .. } = request.options;
    let checkins = fetch_checkins(context, request.user_id, (window, limit_checkins), None).await?;
    let shown = ShownRows::new(&instance.store, window, limit_checkins, &checkins);
    let entry = entry_of(context, request, None, &checkins).await;
    retention::sweep_later(instance);
    Ok((entry, CacheStatus::Bypass, Some(shown)))
}

/// Finds out if the outcome of a job may still be read by its caller: the person was not invalidated since it began,
/// and the rows that it was made from are what the caller may see now.
pub(super) async fn is_outdated<P: Platform>(
    context: &RequestContext<P>,
    job: &Job,
    person: UserId,
) -> Result<bool, Problem> {
    let instance = &context.instance;
    let generation = instance.cache.generation(person).await.map_err(|failure| {
        failure.warn("job_not_read", "it is not known if a background prediction may be read");
        Problem::StoreUnavailable
    })?;
    let is_whole = context.caller.visibility(&context.settings, person)?.is_whole;
    Ok(match job.shown.as_ref().map(|shown| (shown, shown.window())) {
        _ if generation != job.generation => true,
        None => !is_whole,
        Some((shown, Some(window))) => {
            let rows = fetch_checkins(context, person, (window, shown.limit_checkins), None).await?;
            *shown != ShownRows::new(&instance.store, window, shown.limit_checkins, &rows)
        }
        Some((_, None)) => true,
    })
}

/// Finds the person's entry in the cache, or makes a new one, which is written to the cache after the response.
pub(super) async fn find_or_predict<P: Platform>(
    context: &RequestContext<P>,
    request: &PredictionRequest,
) -> Result<(Entry, CacheStatus), Problem> {
    match find(context, request).await? {
        Found::Entry(entry) => Ok((entry, CacheStatus::Hit)),
        Found::Nothing(slot) => predict(context, request, slot).await,
    }
}

/// The state of the cache before anything is predicted.
enum Found {
    Entry(Entry),
    /// Nothing, and the slot for a new entry, if it may be kept.
    Nothing(Option<CacheSlot>),
}

/// Looks for the person's entry in the cache.
async fn find<P: Platform>(context: &RequestContext<P>, request: &PredictionRequest) -> Result<Found, Problem> {
    let RequestContext { instance, settings, caller, timing, .. } = context;
    let visibility = caller.visibility(settings, request.user_id)?;
    // The rows that a token shows are for that caller alone, and an entry in the cache may be of more than it shows.
    let looked_up = match visibility.is_whole {
        true => instance.cache.look_up(settings, request, context.read_along.take()).await,
        false => Lookup::Bypass,
    };
    timing.lap("cache");
    Ok(match looked_up {
        Lookup::Hit(entry) => Found::Entry(kept(timing, entry)),
        Lookup::Miss(slot) => Found::Nothing(Some(slot)),
        Lookup::Bypass => Found::Nothing(None),
    })
}

/// An entry that was made before, as it is answered now.
fn kept(timing: &Timing, entry: Entry) -> Entry {
    timing.set_decisions(entry.latest.decisions());
    entry
}

/// Makes a new entry, which is written to the cache later if there is a slot for it. Sweeps the store once in a while.
async fn predict<P: Platform>(
    context: &RequestContext<P>,
    request: &PredictionRequest,
    slot: Option<CacheSlot>,
) -> Result<(Entry, CacheStatus), Problem> {
    let predicted = make_entry(context, request, slot).await;
    retention::sweep_later(&context.instance);
    predicted
}

async fn make_entry<P: Platform>(
    context: &RequestContext<P>,
    request: &PredictionRequest,
    slot: Option<CacheSlot>,
) -> Result<(Entry, CacheStatus), Problem> {
    let RequestContext { instance, settings, timing, .. } = context;
    if let Some(slot) = slot.as_ref().filter(|_| settings.supabase.is_some())
        && let Some(entry) = instance.cache.share(settings, request, slot, context.deadline).await
    {
        return Ok((kept(timing, entry), CacheStatus::Hit));
    }
    let PredictionOptions { window, limit_checkins, .. } = request.options;
    let generation = slot.as_ref().map(|slot| slot.generation.as_str());
    let fetched = fetch_checkins(context, request.user_id, (window, limit_checkins), generation).await;
    let checkins = match (fetched, &slot) {
        (Ok(checkins), _) => checkins,
        (Err(Problem::Source(failure)), Some(slot)) if failure.is_outage() => {
            instance.cache.release_later(slot);
            let stale = instance.cache.stale(slot).await.ok_or(Problem::Source(failure))?;
            let age = stale.age();
            return Ok((kept(timing, stale), CacheStatus::Stale { age }));
        }
        (Err(problem), slot) => {
            slot.iter().for_each(|slot| instance.cache.release_later(slot));
            return Err(problem);
        }
    };
    let entry = entry_of(context, request, slot.as_ref(), &checkins).await;
    Ok((entry, if slot.is_some() { CacheStatus::Miss } else { CacheStatus::Bypass }))
}

/// Makes an entry from check-ins, which is written to the cache later if there is a slot for it.
async fn entry_of<P: Platform>(
    context: &RequestContext<P>,
    request: &PredictionRequest,
    slot: Option<&CacheSlot>,
    checkins: &[CheckIn],
) -> Entry {
    let RequestContext { instance, settings, .. } = context;
    let predictions = predict_all(context, checkins, &request.options, today()).await;
    // A person without check-ins costs nothing to answer again, and is spared the wait for expiry after the first. A
    // type that ran out of time may be answered the next time.
    let is_kept = slot.is_some() && !checkins.is_empty() && !predictions.is_cut_short;
    let ttl = settings.cache_ttl.unwrap_or(Duration::ZERO);
    let entry = Entry::new(slot, ttl, &request.options, predictions);
    match slot {
        Some(slot) if is_kept => instance.cache.write_later(settings, slot, &entry),
        Some(slot) => instance.cache.release_later(slot),
        None => {}
    }
    entry
}

async fn fetch_checkins<P: Platform>(
    context: &RequestContext<P>,
    user_id: UserId,
    (window, limit_checkins): (WindowDays, u8),
    generation: Option<&str>,
) -> Result<Rc<[CheckIn]>, Problem> {
    let RequestContext { instance, settings, caller, deadline, trace, timing, .. } = context;
    let project = settings.supabase.as_ref();
    let query = CheckInQuery {
        user_id,
        window,
        limit_checkins,
        credential: caller.visibility(settings, user_id)?.credential,
        generation,
        deadline: *deadline,
        trace: trace.as_ref(),
    };
    let checkins = instance.checkins.fetch(project.map(AsRef::as_ref), &query).await;
    timing.lap_source(checkins::source(project));
    checkins
}

/// Predicts from check-ins that stand latest first. Yields before each of several; a model whose turn comes after the
/// deadline is out of time.
pub(super) async fn predict_all<P: Platform>(
    context: &RequestContext<P>,
    checkins: &[CheckIn],
    options: &PredictionOptions,
    today: Date,
) -> PredictionSet {
    let mut set = PredictionSet::default();
    let latest = checkins.first().map(|checkin| checkin.date);
    let mut predict_at = |checkins: &[CheckIn], basis| {
        let window = options.window.get();
        let row = features::row(checkins, window).zip(features::coverage(checkins, window));
        context.timing.lap("features");
        let covered = row.as_ref().map(|(row, coverage)| (row, *coverage));
        // Predictions at earlier check-ins are about their own days, and there are none where there is none now.
        let is_latest = matches!(basis, Basis::LatestCheckIn);
        let is_too_old = |max_days: &u32| latest.is_none_or(|day| age_days(day, today) > i64::from(*max_days));
        let max_age = |model: &Model| {
            let max_days = context.settings.max_checkin_age(model);
            if is_latest { max_days } else { max_days.filter(is_too_old) }
        };
        let RequestContext { deadline, decisions, .. } = context;
        let predictions = predict::predict_all(covered, (today, max_age), options.explain, *deadline, decisions);
        record(context, row.as_ref().map(|(row, _)| row), &predictions);
        if is_latest {
            set.usable_until = usable_until(&predictions, max_age);
        }
        set.is_cut_short |= predictions.is_cut_short();
        metrics::observe_predictions(row.as_ref().map(|(row, _)| row), &predictions);
        for (model, prediction) in predictions.iter() {
            if !matches!(prediction.outcome, Outcome::OutOfTime) {
                context.timing.add_inference(model.name, prediction.duration);
            }
        }
        context.timing.lap("inference");
        predictions
    };
    let latest = predict_at(checkins, Basis::LatestCheckIn);
    let mut per_checkin = Vec::new();
    for (index, checkin) in checkins.iter().enumerate().take(usize::from(options.limit_checkins)) {
        context.instance.platform.yield_now().await;
        per_checkin.push(CheckInEntry {
            checkin_id: checkin.id.clone(),
            checkin_date: checkin.date.to_string(),
            at: predict_at(&checkins[index..], Basis::CheckIn),
        });
    }
    context.timing.set_decisions(latest.decisions());
    PredictionSet { latest, per_checkin, ..set }
}

fn record<P: Platform>(context: &RequestContext<P>, row: Option<&Row>, predictions: &PredictionsAt) {
    let RequestContext { instance, settings, caller, timing, .. } = context;
    let source = timing.source().map(CheckInSource::name);
    let question = Question { caller, person: timing.person(), source, language: context.language };
    decision_log::record((settings, &instance.store), &question, row, predictions);
}

/// The moment at which the check-ins of predictions become too old for a model.
fn usable_until(predictions: &PredictionsAt, max_age: impl Fn(&Model) -> Option<u32>) -> Option<i64> {
    let as_of = predictions.as_of()?;
    let made = predictions.iter().filter(|(_, prediction)| !matches!(prediction.outcome, Outcome::Stale { .. }));
    let max_days = made.filter_map(|(model, _)| max_age(model)).min()?;
    Some(start_of(as_of) + DAY_MS * (i64::from(max_days) + 1))
}
