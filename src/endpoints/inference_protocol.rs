//! `/v2`: the Open Inference Protocol (KServe v2), so that clients of other model servers can ask every model for its
//! numbers: rows of its own features in, probabilities, margins and contributions out. With the binary-data extension,
//! in which tensors stand behind the JSON as little-endian bytes.

mod infer;
mod lookup;
mod metadata;
mod outputs;
mod repository;
mod tensor;

pub(super) use infer::post as infer;
pub use infer::predict;
pub(super) use metadata::{live, model, model_ready, ready, server};
pub(super) use repository::{all_stats, config, index, stats};
