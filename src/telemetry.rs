//! The view of operators: a line a request, counts of everything, and how long each part took. No person is in any of
//! it.
//!
//! Two floors: `log`, `metrics`, `trace`, `timing` and `export` know nothing of the service; `totals`, `request_log`
//! and `decision_log` stand above the store and the responses.

pub(crate) mod decision_log;
pub mod export;
pub(crate) mod log;
pub mod metrics;
pub(crate) mod request_log;
pub(crate) mod timing;
pub(crate) mod totals;
pub mod trace;
