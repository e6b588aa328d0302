//! What operators see: a line a request, counts of everything, and how long each part took. No person is in any of it.

pub(crate) mod export;
pub(crate) mod log;
pub(crate) mod metrics;
mod record;
pub(crate) mod totals;
pub(crate) mod trace;

pub(crate) use record::Record;
