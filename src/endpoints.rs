//! One file an endpoint: what is asked, the work, the answer.

mod health;
mod home;
mod models;
mod prediction_of_day;
mod predictions;

use crate::instance::Instance;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::response::{Response, Timing};
use crate::route::Route;

/// Hands a request to its endpoint.
pub(crate) async fn answer<P: Platform>(
    instance: &Instance<P>,
    route: Route<'_>,
    query: &str,
    timing: &mut Timing,
) -> Result<Response, Problem> {
    match route {
        Route::Home => Ok(home::answer()),
        Route::Live => Ok(health::live()),
        Route::Ready => health::ready(instance).await,
        Route::Models => Ok(models::all()),
        Route::Model { name } => models::one(name),
        Route::Predictions { user_id } => predictions::answer(instance, user_id, query, timing).await,
        Route::PredictionOfDay { user_id } => prediction_of_day::answer(instance, user_id, query, timing).await,
    }
}
