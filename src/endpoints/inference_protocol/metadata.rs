//! `GET /v2`, `/v2/health/...` and `/v2/models/{name}`: the server and its models.

use super::lookup::{INPUT, find_model};
use super::outputs::OutputKind;
use crate::context::EndpointRequest;
use crate::http::Response;
use crate::http::compression::gunzip;
use crate::platform::Platform;
use crate::problem::Problem;
use bipolar_edge_models::{MODELS, Output};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name of what runs the models, in place of a framework.
pub(super) const PLATFORM: &str = "bipolar-edge_forest";
/// The extensions of the protocol that are spoken here, by Triton's names.
const EXTENSIONS: [&str; 3] = ["binary_tensor_data", "model_configuration", "statistics"];

#[derive(Serialize)]
struct Server {
    name: &'static str,
    version: &'static str,
    extensions: [&'static str; 3],
}

#[derive(Serialize)]
struct Live {
    live: bool,
}

#[derive(Serialize)]
struct Ready {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    ready: bool,
}

#[derive(Serialize)]
struct Metadata {
    name: &'static str,
    versions: [&'static str; 1],
    platform: &'static str,
    inputs: [TensorMetadata; 1],
    outputs: [TensorMetadata; 3],
    parameters: CardParameters,
}

/// The part of a model's card that whoever uses its numbers must know: its source attributes. The rest is at `card`.
#[derive(Serialize)]
struct CardParameters {
    title: &'static str,
    draft: bool,
    card: String,
    #[serde(flatten)]
    source_attributes: BTreeMap<String, Option<String>>,
}

/// The part of a model's inventory that its metadata have too.
#[derive(Deserialize)]
struct Inventory {
    source_attributes: BTreeMap<String, Option<String>>,
}

#[derive(Serialize)]
struct TensorMetadata {
    name: &'static str,
    datatype: &'static str,
    /// -1 for as many as are sent.
    shape: Vec<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Names>,
}

/// The names of the places of a tensor's last dimension.
#[derive(Serialize)]
struct Names {
    names: String,
}

pub(in crate::endpoints) async fn server<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    let version = env!("CARGO_PKG_VERSION");
    let server = Server { name: "bipolar-edge", version, extensions: EXTENSIONS };
    Ok(Response::json(200, &server).with_model_etag(request.headers))
}

pub(in crate::endpoints) async fn live<P: Platform>(_: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    Ok(Response::json(200, &Live { live: true }))
}

pub(in crate::endpoints) async fn ready<P: Platform>(_: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    Ok(Response::json(200, &Ready { name: None, ready: !MODELS.is_empty() }))
}

pub(in crate::endpoints) async fn model_ready<P: Platform>(
    request: EndpointRequest<'_, P>,
) -> Result<Response, Problem> {
    let model = find_model(&request.path)?;
    Ok(Response::json(200, &Ready { name: Some(model.name), ready: true }))
}

pub(in crate::endpoints) async fn model<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    let model = find_model(&request.path)?;
    let outputs = match model.output {
        Output::Classes { classes, .. } => classes.join(","),
        Output::Risk { event, .. } => event.to_owned(),
    };
    let tensor = |name, row_shape: &[usize], names: Option<String>| TensorMetadata {
        name,
        datatype: "FP64",
        shape: std::iter::once(-1).chain(row_shape.iter().map(|length| *length as i64)).collect(),
        parameters: names.map(|names| Names { names }),
    };
    let outputs = OutputKind::ALL.map(|kind| {
        let names = (kind != OutputKind::Contributions).then(|| outputs.clone());
        tensor(kind.name(), &kind.row_shape(model), names)
    });
    let inputs = [tensor(INPUT, &[model.features.len()], Some(model.features.join(",")))];
    let inventory = gunzip(model.inventory).and_then(|json| serde_json::from_slice::<Inventory>(&json).ok());
    let inventory = inventory.ok_or(Problem::Internal)?;
    let parameters = CardParameters {
        title: model.title,
        draft: model.draft,
        card: format!("/models/{}", model.name),
        source_attributes: inventory.source_attributes,
    };
    let (name, versions, platform) = (model.name, [model.version], PLATFORM);
    let metadata = Metadata { name, versions, platform, inputs, outputs, parameters };
    Ok(Response::json(200, &metadata).with_model_etag(request.headers))
}
