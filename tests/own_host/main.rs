//! Behaviour that only the project's own host can show: it runs any guest, makes the store fail, exports telemetry, and
//! is killed at will.
//!
//! Programs that may be missing are needed by modules named after them, as in `tests/it`.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

mod calls;
mod faults;
mod guest;
mod instances;
mod load;
mod manifest;
mod otel;
mod platforms;
mod retention;
mod soak;
