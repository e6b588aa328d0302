//! The model that a path names, and the name of its input.

use crate::problem::Problem;
use crate::routes::PathParameters;
use bipolar_edge_models::Model;

/// The name of the one input tensor.
pub(super) const INPUT: &str = "input";

/// Finds the model of a path, and of its version if the path has one.
pub(super) fn find_model(path: &PathParameters<'_>) -> Result<&'static Model, Problem> {
    let model = Model::find(path.get("name")).ok_or(Problem::NoSuchModel)?;
    let is_right_version = path.find("version").is_none_or(|version| version == model.version);
    if is_right_version { Ok(model) } else { Err(Problem::NoSuchModel) }
}
