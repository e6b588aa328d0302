//! From check-ins to the row of features that the models read.
//!
//! The trainer and the service both call [`row`], so a feature cannot mean one thing when a model is trained and
//! another when it predicts. What a value says in words stands beside it. This crate knows nothing of models,
//! requests or stores.

mod checkin;
mod feature;
mod words;

pub use checkin::{CheckIn, FIELDS, Field, Range, Unit, field_index};
pub use feature::{Coverage, FEATURES, Feature, FeatureKind, Row, coverage, feature_index, row};
pub use words::{Clauses, Language, STATISTICS, StatisticWords, Words, feature_label};
