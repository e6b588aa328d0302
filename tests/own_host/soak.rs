//! Mixed traffic while something is wrong around the service: no wrong answer ever, nothing that grows, no count that
//! is made up. `SOAK_SECONDS` says for how long each part goes on, and `cargo xtask soak` has it be ten minutes; with
//! `--platform` the host has a platform's quotas too, which this traffic exceeds.

mod clock;
mod faults;
mod needs_redis;
mod questions;
mod regions;
mod traffic;

use std::time::Duration;

/// The time that a part takes: so many seconds in a test run among others.
fn time(seconds: u64) -> Duration {
    Duration::from_secs(std::env::var("SOAK_SECONDS").map_or(seconds, |text| text.parse().expect("whole seconds")))
}
