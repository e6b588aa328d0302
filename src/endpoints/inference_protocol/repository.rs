//! `POST /v2/repository/index`, `GET /v2/models/{name}/config` and `/stats`: Triton's extensions of the protocol that
//! its clients look at models with. They change nothing: models are compiled in.

use super::lookup::{INPUT, find_model};
use super::metadata::PLATFORM;
use super::outputs::OutputKind;
use crate::context::{EndpointRequest, RequestContext};
use crate::http::Response;
use crate::limits::MAX_ITEM_BYTES;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::request::json_problem;
use crate::telemetry::metrics::{self, Counts, INFERENCE_REQUESTS, INFERENCE_ROWS};
use bipolar_edge_models::{MODELS, Model};
use serde::{Deserialize, Serialize};

/// The body of a question for the index; without one everything is listed.
#[derive(Deserialize)]
struct IndexRequest {
    /// Only models that are ready, as all are here.
    #[serde(default, rename = "ready")]
    _ready: bool,
}

#[derive(Serialize)]
struct IndexEntry {
    name: &'static str,
    version: &'static str,
    state: &'static str,
    reason: &'static str,
}

/// A model's configuration, as far as one that is compiled in has any.
#[derive(Serialize)]
struct Config {
    name: &'static str,
    platform: &'static str,
    backend: &'static str,
    /// The first dimension of a shape is the batch.
    max_batch_size: u32,
    input: [TensorConfig; 1],
    output: [TensorConfig; 3],
}

#[derive(Serialize)]
struct TensorConfig {
    name: &'static str,
    data_type: &'static str,
    /// -1 for as many as are sent.
    dims: Vec<i64>,
}

#[derive(Serialize)]
struct Statistics {
    model_stats: Vec<ModelStatistics>,
}

/// The counts of one model, of all instances together. Those of failures and of the last request are not kept.
#[derive(Serialize)]
struct ModelStatistics {
    name: &'static str,
    version: &'static str,
    /// Rows.
    inference_count: u64,
    /// Requests.
    execution_count: u64,
    inference_stats: InferenceStatistics,
    batch_stats: [(); 0],
}

#[derive(Serialize)]
struct InferenceStatistics {
    success: Duration,
    compute_infer: Duration,
}

#[derive(Clone, Copy, Serialize)]
struct Duration {
    count: u64,
    /// Nanoseconds.
    ns: u64,
}

pub(in crate::endpoints) async fn index<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    let EndpointRequest { context, headers, body, .. } = request;
    let body = context.read_bytes(headers, body, MAX_ITEM_BYTES).await?;
    if !body.is_empty() {
        let parsed: Result<IndexRequest, _> = serde_json::from_slice(&body);
        parsed.map_err(|error| match error.is_data() {
            true => Problem::invalid("body", "must be nothing, or an object in which ready is true or false"),
            false => json_problem(&error),
        })?;
    }
    let entry = |model: &Model| IndexEntry { name: model.name, version: model.version, state: "READY", reason: "" };
    Ok(Response::json(200, &MODELS.iter().map(entry).collect::<Vec<_>>()))
}

pub(in crate::endpoints) async fn config<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    let model = find_model(&request.path)?;
    let tensor = |name, row_shape: &[usize]| TensorConfig {
        name,
        data_type: "TYPE_FP64",
        dims: std::iter::once(-1).chain(row_shape.iter().map(|length| *length as i64)).collect(),
    };
    let input = [tensor(INPUT, &[model.features.len()])];
    let output = OutputKind::ALL.map(|kind| tensor(kind.name(), &kind.row_shape(model)));
    let config = Config { name: model.name, platform: PLATFORM, backend: "", max_batch_size: 0, input, output };
    Ok(Response::json(200, &config).with_model_etag(request.headers))
}

pub(in crate::endpoints) async fn stats<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    let model = find_model(&request.path)?;
    statistics(request.context, std::slice::from_ref(model)).await
}

pub(in crate::endpoints) async fn all_stats<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    statistics(request.context, &MODELS).await
}

async fn statistics<P: Platform>(context: &RequestContext<P>, models: &[Model]) -> Result<Response, Problem> {
    let (totals, _) = context.instance.totals.read(&context.settings).await.map_err(|failure| {
        failure.warn("metrics_not_read", "counts could not be read from the store");
        Problem::StoreUnavailable
    })?;
    let model_stats = models.iter().map(|model| model_statistics(model, &totals)).collect();
    Ok(Response::json(200, &Statistics { model_stats }))
}

fn model_statistics(model: &Model, totals: &Counts) -> ModelStatistics {
    let (count, microseconds) = metrics::count_and_sum(totals, &INFERENCE_REQUESTS, model.name);
    let took = Duration { count, ns: microseconds.saturating_mul(1000) };
    ModelStatistics {
        name: model.name,
        version: model.version,
        inference_count: metrics::count_and_sum(totals, &INFERENCE_ROWS, model.name).0,
        execution_count: count,
        inference_stats: InferenceStatistics { success: took, compute_infer: took },
        batch_stats: [],
    }
}
