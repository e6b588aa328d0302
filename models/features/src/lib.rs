//! From check-ins to the row of features that the models read.
//!
//! The trainer and the service both call [`row`], so a feature cannot mean one thing when a model is trained and
//! another when it predicts. This crate knows nothing of models, requests or stores.

mod checkin;
mod feature;

pub use checkin::{CheckIn, FIELDS, Field, Range, field_index};
pub use feature::{Coverage, FEATURES, Feature, Row, coverage, feature_index, row};
