//! Limits of a platform that a running application can exceed. What exceeds one is refused and not counted.

use platforms::Limits;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Limit of events in any window of time, of the whole application.
pub(crate) struct RateLimit {
    count: usize,
    window: Duration,
    /// Times of the latest events, oldest first.
    events: Mutex<VecDeque<Instant>>,
}

impl RateLimit {
    pub(crate) fn new(count: usize, window: Duration) -> RateLimit {
        RateLimit { count, window, events: Mutex::default() }
    }

    /// Counts an event; returns false if it is one too many.
    pub(crate) fn admit(&self) -> bool {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> bool {
        // No operation leaves the queue half changed, so a panic elsewhere does not spoil it.
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        while events.front().is_some_and(|event| now.duration_since(*event) >= self.window) {
            events.pop_front();
        }
        let admitted = events.len() < self.count;
        if admitted {
            events.push_back(now);
        }
        admitted
    }
}

/// Limits of an application's key-value stores.
pub(crate) struct StoreQuota {
    /// Maximum number of keys in a store.
    pub(crate) keys: Option<usize>,
    /// Held from counting keys to writing one.
    pub(crate) writing: tokio::sync::Mutex<()>,
    key_bytes: Option<usize>,
    value_bytes: Option<usize>,
    reads: Option<RateLimit>,
    writes: Option<RateLimit>,
}

impl StoreQuota {
    pub(crate) fn new(limits: &Limits) -> StoreQuota {
        let per_second = |count| RateLimit::new(count, Duration::from_secs(1));
        StoreQuota {
            keys: limits.keys,
            writing: tokio::sync::Mutex::new(()),
            key_bytes: limits.key_bytes,
            value_bytes: limits.value_bytes,
            reads: limits.reads_per_second.map(per_second),
            writes: limits.writes_per_second.map(per_second),
        }
    }

    pub(crate) fn check_read(&self, key: &str) -> Result<(), String> {
        check_size("a key", key.len(), self.key_bytes)?;
        check_rate("reads", self.reads.as_ref())
    }

    /// Checks all but the number of keys, which the store counts.
    pub(crate) fn check_write(&self, key: &str, value_bytes: usize) -> Result<(), String> {
        check_size("a key", key.len(), self.key_bytes)?;
        check_size("a value", value_bytes, self.value_bytes)?;
        check_rate("writes", self.writes.as_ref())
    }

    pub(crate) fn check_delete(&self) -> Result<(), String> {
        check_rate("writes", self.writes.as_ref())
    }
}

fn check_size(what: &str, bytes: usize, limit: Option<usize>) -> Result<(), String> {
    match limit {
        Some(limit) if bytes > limit => Err(format!("quota exceeded: {what} of {bytes} bytes, {limit} are allowed")),
        _ => Ok(()),
    }
}

fn check_rate(what: &str, limit: Option<&RateLimit>) -> Result<(), String> {
    match limit {
        Some(limit) if !limit.admit() => Err(format!("quota exceeded: {} {what} a second", limit.count)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_slides_and_refused_events_do_not_count() {
        let limit = RateLimit::new(2, Duration::from_secs(1));
        let start = Instant::now();
        let at = |ms| limit.admit_at(start + Duration::from_millis(ms));
        assert!(at(0) && at(600));
        assert!(!at(700) && !at(999));
        assert!(at(1000) && !at(1599) && at(1600));
    }

    #[test]
    fn sizes_and_rates_are_refused_with_the_limit() {
        let limits = Limits {
            key_bytes: Some(3),
            value_bytes: Some(2),
            writes_per_second: Some(1),
            reads_per_second: Some(1),
            ..Limits::default()
        };
        let quota = StoreQuota::new(&limits);
        let error = |result: Result<(), String>| result.expect_err("refused");
        assert_eq!(error(quota.check_read("long")), "quota exceeded: a key of 4 bytes, 3 are allowed");
        assert_eq!(error(quota.check_write("key", 3)), "quota exceeded: a value of 3 bytes, 2 are allowed");
        assert_eq!((quota.check_write("key", 2), quota.check_read("key")), (Ok(()), Ok(())));
        assert_eq!(error(quota.check_delete()), "quota exceeded: 1 writes a second");
        assert_eq!(error(quota.check_read("key")), "quota exceeded: 1 reads a second");
    }
}
