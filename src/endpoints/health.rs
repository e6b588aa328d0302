//! `GET /health/live` and `GET /health/ready`.

use crate::instance::Instance;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::response::Response;
use crate::store;
use bipolar_edge_models::MODELS;
use serde::Serialize;

#[derive(Serialize)]
struct Live {
    status: &'static str,
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    models: usize,
    /// `ok`, or `unavailable`: predictions are answered all the same, without the cache.
    store: &'static str,
}

/// The process answers.
pub(crate) fn live() -> Response {
    Response::json(200, &Live { status: "live" })
}

/// Predictions can be answered: the configuration is usable, or nobody would get here, and there are models. A store that is away is said, and
/// is no reason to be taken out of service.
pub(super) async fn ready<P: Platform>(instance: &Instance<P>) -> Result<Response, Problem> {
    if MODELS.is_empty() {
        return Err(Problem::NotConfigured { detail: "No model is compiled into this deployment." });
    }
    let store = if store::answers(instance).await { "ok" } else { "unavailable" };
    Ok(Response::json(200, &Ready { status: "ready", models: MODELS.len(), store }))
}
