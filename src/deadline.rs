//! How long an answer may still take. The host has a limit of its own, after which the caller gets no more than a broken
//! connection or a bare 500: this one is meant to come first.

use std::time::{Duration, Instant};

/// When an answer must be on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn new(start: Instant, limit: Duration) -> Deadline {
        Deadline(start + limit)
    }

    pub(crate) fn has_passed(self) -> bool {
        self.is_before(Instant::now())
    }

    pub(crate) fn is_before(self, now: Instant) -> bool {
        now >= self.0
    }

    pub(crate) fn left(self) -> Duration {
        self.left_from(Instant::now())
    }

    pub(crate) fn left_from(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }
}
