//! `GET /models` and `GET /models/{name}`: the inventory, written by the build.

use crate::context::EndpointRequest;
use crate::http::Response;
use crate::http::response::Asset;
use crate::platform::Platform;
use crate::problem::Problem;
use bipolar_edge_models::{MODELS, Model};

pub(super) async fn list<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    let summaries: Vec<&str> = MODELS.iter().map(|model| model.summary).collect();
    let body = format!("{{\"models\":[{}]}}", summaries.join(","));
    Ok(Response::json_text(200, body).with_model_etag(request.headers))
}

pub(super) async fn get<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    let model = Model::find(request.path.get("name")).ok_or(Problem::NoSuchModel)?;
    Response::asset(&Asset::of_models("application/json", model.inventory), request.headers)
}
