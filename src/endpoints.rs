//! One file an endpoint: what is asked, the work, the answer.

mod batch;
mod health;
mod home;
mod invalidation;
mod models;
mod posted_predictions;
mod prediction_of_day;
mod predictions;

use crate::instance::Instance;
use crate::platform::{Platform, RequestBody};
use crate::problem::Problem;
use crate::response::{Response, Timing};
use crate::route::Route;

/// Hands a request to its endpoint.
pub(crate) async fn answer<P: Platform>(
    instance: &Instance<P>,
    route: Route<'_>,
    request: &http::request::Parts,
    body: impl RequestBody,
    timing: &mut Timing,
) -> Result<Response, Problem> {
    let query = request.uri.query().unwrap_or("");
    match route {
        Route::Home => Ok(home::answer(instance).await),
        Route::Live => Ok(health::live()),
        Route::Ready => health::ready(instance).await,
        Route::Models => Ok(models::all()),
        Route::Model { name } => models::one(name),
        Route::Predictions { user_id } => predictions::answer(instance, user_id, query, &request.headers, timing).await,
        Route::Invalidation { user_id } => invalidation::of_person(instance, user_id, query).await,
        Route::CheckInsHook => invalidation::of_change(instance, &request.headers, body, timing).await,
        Route::PostedPredictions => posted_predictions::answer(instance, &request.headers, body, timing).await,
        Route::Batch => batch::answer(instance, &request.headers, body, timing).await,
        Route::PredictionOfDay { user_id } => {
            prediction_of_day::answer(instance, user_id, query, &request.headers, timing).await
        }
    }
}
