//! How long an answer may still take. The host has a limit of its own, after which the caller gets no more than a
//! broken connection or a bare 500: this one is meant to come first.

use std::time::{Duration, Instant};

/// The time at which an answer must be on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn new(start: Instant, timeout: Duration) -> Deadline {
        Deadline(start + timeout)
    }

    pub(crate) fn has_passed(self) -> bool {
        self.has_passed_at(Instant::now())
    }

    pub(crate) fn has_passed_at(self, now: Instant) -> bool {
        now >= self.0
    }

    pub(crate) fn remaining(self) -> Duration {
        self.remaining_at(Instant::now())
    }

    pub(crate) fn remaining_at(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }
}
