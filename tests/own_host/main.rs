//! Tests of what only the project's own host can do: run any guest, make the store fail, export telemetry, be killed at
//! will.
//!
//! Programs that may be missing are needed by modules named after them, as in `tests/it`.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

mod faults;
mod guest;
mod otel;
mod soak;
