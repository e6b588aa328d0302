//! `POST /v2/models/{name}/infer`: rows in, tensors out.

use super::lookup::find_model;
use super::outputs::{OutputKind, Parameters, RequestedOutput, SelectedOutput, select_outputs};
use super::tensor::{Input, rows};
use crate::context::EndpointRequest;
use crate::http::Response;
use crate::ids::{DecisionIds, as_text};
use crate::json::{self, is_key_twice};
use crate::limits::MAX_BATCH_BYTES;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::request::json_problem;
use crate::telemetry::decision_log::record_rows;
use crate::telemetry::metrics::{self, INFERENCE_REQUESTS, INFERENCE_ROWS};
use bipolar_edge_models::Model;
use forest::json::quote_bare_numbers;
use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};
use std::time::Instant;
use uuid::Uuid;

/// So many rows are predicted before others get their turn, and the clock is looked at.
const ROWS_PER_YIELD: usize = 256;
/// The most rows of which contributions may be asked for: one takes as long as hundreds of predictions.
const MAX_EXPLAINED_ROWS: usize = 256;
/// The length of the JSON of a request or answer with binary tensors.
const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

#[derive(Deserialize)]
struct Request {
    id: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    inputs: Vec<Input>,
    outputs: Option<Vec<RequestedOutput>>,
}

#[derive(Serialize)]
struct Answer<'a> {
    model_name: &'static str,
    model_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    parameters: AnswerParameters,
    outputs: Vec<AnswerOutput<'a>>,
}

#[derive(Serialize)]
struct AnswerParameters {
    /// The id by which the record of decisions has the request.
    #[serde(serialize_with = "as_text")]
    decision_id: Uuid,
}

#[derive(Serialize)]
struct AnswerOutput<'a> {
    name: &'static str,
    datatype: &'static str,
    shape: &'a [usize],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinarySize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a [f64]>,
}

#[derive(Serialize)]
struct BinarySize {
    binary_data_size: usize,
}

/// A request whose rows are a model's.
struct Inference {
    id: Option<String>,
    /// The rows, one after the other.
    rows: Vec<f64>,
    outputs: Vec<SelectedOutput>,
}

impl Inference {
    /// Parses a body: JSON, and the bytes behind it.
    fn parse(model: &Model, json: &[u8], binary: &[u8]) -> Result<Inference, Problem> {
        let json = quote_bare_numbers(json);
        let request: Request = serde_json::from_slice(&json).map_err(|error| {
            if is_key_twice(&error) {
                return json_problem(&error);
            }
            let (line, column) = (error.line(), error.column());
            Problem::invalid("body", &format!("is no inference request: line {line}, column {column}"))
        })?;
        if json::has_key_twice(&json)
            && let Err(error) = json::parse(&json)
        {
            return Err(json_problem(&error));
        }
        let rows = rows(model, request.inputs, binary)?;
        let outputs = select_outputs(&request.parameters, request.outputs.as_deref())?;
        let inference = Inference { id: request.id, rows, outputs };
        if inference.count(model) > MAX_EXPLAINED_ROWS && inference.is_explained() {
            let message = format!("has contributions, of which {MAX_EXPLAINED_ROWS} rows may be asked for");
            return Err(Problem::invalid("outputs", &message));
        }
        Ok(inference)
    }

    fn count(&self, model: &Model) -> usize {
        self.rows.len() / model.features.len().max(1)
    }

    fn is_explained(&self) -> bool {
        self.outputs.iter().any(|output| output.kind == OutputKind::Contributions)
    }

    /// The rows, each of a model's features.
    fn rows(&self, model: &Model) -> impl Iterator<Item = &[f64]> {
        self.rows.chunks_exact(model.features.len().max(1))
    }
}

pub(in crate::endpoints) async fn post<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    let EndpointRequest { context, headers, path, body, .. } = request;
    let model = find_model(&path)?;
    let platform = &context.instance.platform;
    let body = context.read_bytes(headers, body, MAX_BATCH_BYTES).await?;
    let (json, binary) = body.split_at(json_length(headers, body.len())?);
    let inference = Inference::parse(model, json, binary)?;
    context.timing.lap("request");
    let is_explained = inference.is_explained();
    let start = Instant::now();
    let mut tensors: Vec<Vec<f64>> = inference.outputs.iter().map(|_| Vec::new()).collect();
    for (index, row) in inference.rows(model).enumerate() {
        if index % ROWS_PER_YIELD == 0 && index > 0 || is_explained {
            platform.yield_now().await;
            if context.deadline.has_passed() {
                return Err(Problem::OutOfTime);
            }
        }
        append_row(model, row, &inference.outputs, &mut tensors)?;
    }
    metrics::add(&INFERENCE_ROWS, &[model.name], inference.count(model) as u64);
    metrics::observe(&INFERENCE_REQUESTS, &[model.name], start.elapsed());
    context.timing.lap("inference");
    let decision_id = context.decisions.take(1);
    context.timing.set_decisions(DecisionIds::of_all(decision_id));
    let (instance, asked) = (&context.instance, (inference.count(model), inference.rows.as_slice()));
    let asking = (&*context.caller, context.language);
    record_rows((&context.settings, &instance.store), asking, (model, decision_id), asked);
    Ok(response(model, &inference, &tensors, decision_id))
}

fn append_row(model: &Model, row: &[f64], outputs: &[SelectedOutput], tensors: &mut [Vec<f64>]) -> Result<(), Problem> {
    outputs.iter().zip(tensors).try_for_each(|(output, tensor)| output.kind.append(model, row, tensor))
}

/// Parses a request of a model and predicts its rows, without yielding. For the fuzzer.
pub fn predict(model: &Model, json: &[u8], binary: &[u8]) -> Result<Vec<Vec<f64>>, Problem> {
    let inference = Inference::parse(model, json, binary)?;
    let mut tensors: Vec<Vec<f64>> = inference.outputs.iter().map(|_| Vec::new()).collect();
    inference.rows(model).try_for_each(|row| append_row(model, row, &inference.outputs, &mut tensors))?;
    Ok(tensors)
}

fn response(model: &Model, inference: &Inference, tensors: &[Vec<f64>], decision_id: Uuid) -> Response {
    let rows = inference.count(model);
    let shape = |output: &SelectedOutput| [vec![rows], output.kind.row_shape(model)].concat();
    let shapes: Vec<Vec<usize>> = inference.outputs.iter().map(shape).collect();
    let outputs = inference.outputs.iter().zip(tensors).zip(&shapes).map(|((output, tensor), shape)| AnswerOutput {
        name: output.kind.name(),
        datatype: "FP64",
        shape,
        parameters: output.is_binary.then_some(BinarySize { binary_data_size: tensor.len() * size_of::<f64>() }),
        data: (!output.is_binary).then_some(tensor.as_slice()),
    });
    let outputs = outputs.collect();
    let (id, parameters) = (inference.id.as_deref(), AnswerParameters { decision_id });
    let answer = Answer { model_name: model.name, model_version: model.version, id, parameters, outputs };
    if !inference.outputs.iter().any(|output| output.is_binary) {
        return Response::json(200, &answer);
    }
    // The JSON cannot fail: texts and numbers.
    let mut body = serde_json::to_vec(&answer).unwrap_or_default();
    let json_length = body.len();
    for (_, tensor) in inference.outputs.iter().zip(tensors).filter(|(output, _)| output.is_binary) {
        body.extend(tensor.iter().flat_map(|number| number.to_le_bytes()));
    }
    Response::text(200, "application/octet-stream", body).with_header(JSON_LENGTH, json_length.to_string())
}

/// The length of the JSON of a body.
fn json_length(headers: &HeaderMap, body: usize) -> Result<usize, Problem> {
    let Some(given) = headers.get(JSON_LENGTH) else { return Ok(body) };
    let length = given.to_str().ok().and_then(|text| text.parse().ok()).filter(|length| *length <= body);
    length.ok_or_else(|| Problem::invalid(JSON_LENGTH.as_str(), "must be a number of bytes that the body has"))
}
