//! `GET /models` and `GET /models/{name}`: the inventory, written by the build.

use crate::problem::Problem;
use crate::response::Response;
use bipolar_edge_models::{MODELS, Model};

pub(super) fn all() -> Response {
    let summaries: Vec<&str> = MODELS.iter().map(|model| model.summary).collect();
    Response::json_text(200, format!("{{\"models\":[{}]}}", summaries.join(",")))
}

pub(super) fn one(name: &str) -> Result<Response, Problem> {
    Model::find(name).map(|model| Response::json_text(200, model.inventory)).ok_or(Problem::NoSuchModel)
}
