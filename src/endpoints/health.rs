//! `GET /health/live` and `GET /health/ready`.

use crate::context::EndpointRequest;
use crate::http::Response;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::store::Condition;
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
    store: Condition,
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
    /// By each instance for itself, as the store does not count.
    Instance,
    /// Not at all: the store does not count, and instances do not live for long enough.
    Off,
}

/// Says that the process answers, whatever its configuration.
pub(super) fn live() -> Response {
    Response::json(200, &Live { status: "live" })
}

/// Says if predictions can be answered: the configuration is usable, or nobody would get here, and there are models. A
/// store that is away, or takes nothing, is no reason to be taken out of service.
pub(super) async fn ready<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    if MODELS.is_empty() {
        return Err(Problem::not_configured("No model is compiled into this deployment."));
    }
    let instance = &request.context.instance;
    let store = instance.store.condition().await;
    let is_redis = instance.store.is_redis();
    let counting = match store {
        Condition::Ok if is_redis && instance.rate_limiter.can_count().await => Counting::Exact,
        Condition::Ok if !is_redis => Counting::Sampled,
        _ if P::REUSES_INSTANCES => Counting::Instance,
        _ => Counting::Off,
    };
    Ok(Response::json(200, &Ready { status: "ready", models: MODELS.len(), store, counting }))
}
