//! HTTP: headers, bodies, compression, CORS, and the one place that builds responses.

pub(crate) mod body;
pub(crate) mod compression;
pub(crate) mod cors;
pub(crate) mod headers;
pub(crate) mod problem_response;
pub(crate) mod response;

pub use compression::decompress;
pub use response::Response;
