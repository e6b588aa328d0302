//! One file an endpoint: what is asked, the work, the answer.

mod batch;
mod check_ins;
mod health;
mod home;
mod inference_protocol;
mod invalidation;
mod job;
mod metrics;
mod models;
mod openapi;
mod page;
mod posted_predictions;
mod prediction_of_day;
mod predictions;

use crate::access::Caller;
use crate::deadline::Deadline;
use crate::instance::Instance;
use crate::platform::{Platform, RequestBody};
use crate::problem::Problem;
use crate::response::Response;
use crate::route::Route;
use crate::settings::Settings;
use crate::telemetry::Record;
use std::rc::Rc;

pub(crate) use health::live;

/// Hands a request to its endpoint.
#[allow(clippy::too_many_arguments, reason = "what was found out about the request, each once")]
pub(crate) async fn answer<P: Platform>(
    instance: &Rc<Instance<P>>,
    settings: &Rc<Settings>,
    route: Route<'_>,
    request: &http::request::Parts,
    body: impl RequestBody,
    caller: &Rc<Caller>,
    deadline: Deadline,
    record: &mut Record,
) -> Result<Response, Problem> {
    let asked = Asked { instance, settings, headers: &request.headers, caller, deadline };
    let query = request.uri.query().unwrap_or("");
    match route {
        Route::Home if page::is_wanted(asked.headers) => Ok(page::answer(asked.headers).varying("accept")),
        Route::Home => Ok(home::answer(settings).varying("accept")),
        Route::Docs => Ok(page::docs(asked.headers)),
        Route::Live => Ok(health::live()),
        Route::Ready => health::ready(instance).await,
        Route::Metrics => metrics::answer(&asked).await,
        Route::OpenApi => Ok(openapi::answer(asked.headers)),
        Route::Models => Ok(models::all().of_models(asked.headers)),
        Route::Model { name } => models::one(name).map(|found| found.of_models(asked.headers)),
        Route::CheckIns { user_id } => check_ins::answer(&asked, user_id, query, record).await,
        Route::Predictions { user_id } => predictions::answer(&asked, user_id, query, record).await,
        Route::Invalidation { user_id } => invalidation::of_person(&asked, user_id, query).await,
        Route::CheckInsHook => invalidation::of_change(&asked, body).await,
        Route::Job { id } => job::answer(&asked, id, query).await,
        Route::PostedPredictions => posted_predictions::answer(&asked, body, record).await,
        Route::Batch => batch::answer(&asked, body, record).await,
        Route::InferenceServer => Ok(inference_protocol::server().of_models(asked.headers)),
        Route::InferenceLive => Ok(inference_protocol::live()),
        Route::InferenceReady => Ok(inference_protocol::ready()),
        Route::InferenceModel { name, version } => {
            inference_protocol::model(name, version).map(|found| found.of_models(asked.headers))
        }
        Route::InferenceModelReady { name, version } => inference_protocol::model_ready(name, version),
        Route::Infer { name, version } => inference_protocol::infer(&asked, name, version, body, record).await,
        Route::PredictionOfDay { user_id } => prediction_of_day::answer(&asked, user_id, query, record).await,
    }
}

/// What an endpoint is given beside path, query and body.
struct Asked<'a, P> {
    instance: &'a Rc<Instance<P>>,
    settings: &'a Rc<Settings>,
    headers: &'a http::HeaderMap,
    caller: &'a Rc<Caller>,
    deadline: Deadline,
}

/// What the fuzzer calls.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_batch(bytes: &[u8]) {
    batch::fuzz(bytes);
}

/// The same for an inference request.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_inference(bytes: &[u8]) {
    inference_protocol::fuzz(bytes);
}
