//! From check-ins to the row of features that the models read.
//!
//! The trainer and the service both call [`row`], so a feature cannot mean one thing when a model is trained and
//! another when it predicts. What a value says in words stands beside it. This crate knows nothing of models,
//! requests or stores.
//!
//! ```
//! use features::{CheckIn, FIELDS, Language, feature_index, feature_label, field_index, row};
//! use jiff::civil::Date;
//!
//! let checkin = |day, mood| {
//!     let mut values = [f32::NAN; FIELDS.len()];
//!     values[field_index("depressedMood").expect("a field")] = mood;
//!     CheckIn { id: String::new(), date: Date::constant(2026, 1, day), values }
//! };
//! let row = row(&[checkin(1, 4.0), checkin(2, 7.0)], 7).expect("there are check-ins");
//! let mean = feature_index("depressedMood_mean").expect("a feature");
//! assert_eq!(row[mean], 5.5);
//! assert_eq!(feature_label(mean, Language::English), "depressed mood, mean");
//! ```

mod checkin;
mod feature;
mod words;

pub use checkin::{CheckIn, FIELDS, Field, Range, Unit, field_index};
pub use feature::{Coverage, FEATURES, Feature, FeatureKind, Row, coverage, feature_index, row};
pub use words::{
    Clauses, Language, MadeAt, STATISTICS, StatisticWords, Words, answer_label, day_in_words, feature_label,
};
