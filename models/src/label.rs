//! Labels of predictions that the service itself gives, which no model's class or event may be called.

/// The label of a prediction for which no time was left.
pub const TIMEOUT_LABEL: &str = "timeout";
/// The label of a prediction that lacks an answer without which the model would only guess.
pub const INSUFFICIENT_DATA_LABEL: &str = "insufficient_data";

/// Labels that a model card may not use: a client tells by them that there is no prediction. `unknown` and `error` are
/// the risk level and the source that stand beside the others.
pub const RESERVED_LABELS: [&str; 4] = [TIMEOUT_LABEL, INSUFFICIENT_DATA_LABEL, "unknown", "error"];
