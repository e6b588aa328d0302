//! `GET /health/live` and `GET /health/ready`.

use crate::context::EndpointRequest;
use crate::http::Response;
use crate::platform::Platform;
use crate::problem::Problem;
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
    store: StoreStatus,
    counting: Counting,
}

/// The way in which requests are counted, for limits and metrics.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Counting {
    /// In Redis.
    Exact,
    /// In the key-value store, which has no counters.
    Sampled,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum StoreStatus {
    Ok,
    /// Predictions are answered all the same, without the cache.
    Unavailable,
}

/// Says that the process answers, whatever its configuration.
pub(super) fn live() -> Response {
    Response::json(200, &Live { status: "live" })
}

/// Says if predictions can be answered: the configuration is usable, or nobody would get here, and there are models. A
/// store that is away is no reason to be taken out of service.
pub(super) async fn ready<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    if MODELS.is_empty() {
        return Err(Problem::not_configured("No model is compiled into this deployment."));
    }
    let instance = &request.context.instance;
    let store = match instance.store.is_ready().await {
        true => StoreStatus::Ok,
        false => StoreStatus::Unavailable,
    };
    let counting = if instance.store.is_redis() { Counting::Exact } else { Counting::Sampled };
    Ok(Response::json(200, &Ready { status: "ready", models: MODELS.len(), store, counting }))
}
