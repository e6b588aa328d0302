//! Path, query and body into types that cannot be wrong.

mod errors;
mod options;
mod posted;
mod query;

pub use posted::PostedRequest;
pub use query::PredictionRequest;

pub(crate) use options::PredictionOptions;
pub(crate) use posted::json_problem;
pub(crate) use query::{language, parse_slots, reject_other_parameters};

use crate::limits::{MAX_HEADER_BYTES, MAX_HEADERS, MAX_URL_BYTES};
use crate::problem::Problem;
use http::request::Parts;

/// Errors if a request is larger than any that is meant well, before anything of it is parsed. The host has limits of
/// its own, which may come first.
pub(crate) fn check_size(request: &Parts) -> Result<(), Problem> {
    if request.uri.path_and_query().is_some_and(|url| url.as_str().len() > MAX_URL_BYTES) {
        return Err(Problem::UrlTooLong);
    }
    let bytes: usize = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > MAX_HEADER_BYTES || request.headers.len() > MAX_HEADERS {
        return Err(Problem::HeadersTooLarge);
    }
    Ok(())
}
