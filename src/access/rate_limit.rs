//! Rate limits. Requests are counted in the store by atomic increments, so that a limit holds for all instances, and
//! regions, that share one.
//!
//! Time is cut into windows as long as the limit's unit, and a caller has a counter in each. The count against the
//! limit is the counter of this window, plus the part of the last one's that a window which ends now still covers:
//!
//! ```text
//! last * (1 - elapsed / length) + this
//! ```
//!
//! It takes the requests of the last window for evenly spread, which is the approximation. A request that is refused is
//! taken off again, so that a caller who asks too often still gets as much as the limit allows. The first request of a
//! window looks up the last window's counter and adds it to the upper half of its own, so that every other learns both
//! with its one increment; and it deletes the counter of the window before the last.
//!
//! An increment is a write; where a store commits each by itself, it makes a cached answer a third slower or more. So
//! an instance that has counted a caller in this window, and knows them to be below half of their limit, counts their
//! next requests together, after [`FLUSH_INTERVAL`] and after the answers. It holds back one part in [`HELD_BACK`] of
//! the limit at most: by that much a caller who is below half of it can be underestimated by each other instance, and
//! that much is lost if the instance is killed. From half of the limit on, and for the first request in an instance,
//! the count is exact.

use crate::config::Settings;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::quota::{LimitGroup, Rate, RateLimitStatus};
use crate::store::{Failure, Store};
use crate::telemetry::log;
use crate::telemetry::metrics::{self, RATE_LIMITED};
use jiff::Timestamp;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// The most callers that an instance remembers.
const MAX_REMEMBERED: usize = 1024;
/// The time for which requests are held back before they are counted together.
const FLUSH_INTERVAL: Duration = Duration::from_millis(20);
/// One part in so many of the limit may be held back.
const HELD_BACK: u32 = 16;

/// The rate limiter of one instance.
pub(crate) struct RateLimiter<P> {
    platform: P,
    store: Rc<Store<P>>,
    /// The callers that this instance has counted, by the key of their counter.
    counts: Rc<RefCell<HashMap<String, Count>>>,
}

/// The requests of a caller in a window, as one instance knows them.
struct Count {
    /// The counter when the instance last added to it.
    counter: Counter,
    /// Requests that it has let through since.
    pending: i64,
}

/// A counter of the store: the requests of the last window in the upper half, those of this one in the lower.
#[derive(Clone, Copy)]
struct Counter(i64);

impl Counter {
    fn last(self) -> i64 {
        self.0 >> 32
    }

    fn this(self) -> i64 {
        self.0 & 0xffff_ffff
    }

    /// The number that is added to a counter to tell it of the last window.
    fn with_last(count: i64) -> i64 {
        count << 32
    }
}

/// A caller's window: the key of its counter, and how much of it has elapsed, from 0 to 1.
struct Window {
    key: String,
    elapsed: f64,
}

impl<P: Platform> RateLimiter<P> {
    pub(crate) fn new(platform: P, store: Rc<Store<P>>) -> RateLimiter<P> {
        RateLimiter { platform, store, counts: Rc::default() }
    }

    /// Counts a request of a caller. Errors if it is one too many. A store that fails lets it through.
    pub(crate) async fn check(
        &self,
        settings: &Settings,
        group: LimitGroup,
        caller: &str,
    ) -> Result<Option<RateLimitStatus>, Problem> {
        let rate = match group {
            LimitGroup::Predictions => settings.rate_limit_predictions,
            LimitGroup::Default => settings.rate_limit_default,
        };
        let Some(rate) = rate else { return Ok(None) };
        match self.count(rate, group, caller).await {
            Ok(Ok(status)) => Ok(Some(status)),
            Ok(Err(status)) => {
                metrics::add(&RATE_LIMITED, &[group.name()], 1);
                Err(Problem::TooManyRequests(status))
            }
            Err(failure) => {
                failure.warn("not_limited", "requests could not be counted and are let through");
                Ok(None)
            }
        }
    }

    /// Counts a request, and returns the status that lets it through, or as an error the one that does not.
    async fn count(
        &self,
        rate: Rate,
        group: LimitGroup,
        caller: &str,
    ) -> Result<Result<RateLimitStatus, RateLimitStatus>, Failure> {
        let caller = self.store.hash(caller).await?;
        let now = Timestamp::now().as_millisecond();
        let length = i64::from(rate.seconds) * 1000;
        let (index, elapsed) = (now.div_euclid(length), now.rem_euclid(length) as f64 / length as f64);
        let key = |index: i64| format!("rate:{}:{caller}:{index}", group.name());
        let window = Window { key: key(index), elapsed };
        if let Some(status) = self.count_later(rate, &window) {
            return Ok(Ok(status));
        }
        let mut counter = Counter(self.store.increment(&window.key, self.take_pending(&window.key) + 1).await?);
        if counter.0 == 1 {
            let last = Counter(self.store.uncounted().counter(&key(index - 1)).await?).this();
            if last > 0 {
                counter = Counter(self.store.increment(&window.key, Counter::with_last(last)).await?);
            }
            let (store, old) = (self.store.clone(), key(index - 2));
            self.platform.spawn(async move { store.uncounted().delete(&old).await });
        }
        let judged = judge(rate, counter.last(), counter.this(), elapsed);
        if judged.is_err() {
            counter = Counter(self.store.increment(&window.key, -1).await?);
        }
        self.remember(window.key, counter);
        Ok(judged)
    }

    fn take_pending(&self, key: &str) -> i64 {
        self.counts.borrow_mut().get_mut(key).map_or(0, |count| std::mem::take(&mut count.pending))
    }

    fn remember(&self, key: String, counter: Counter) {
        let mut counts = self.counts.borrow_mut();
        if counts.len() >= MAX_REMEMBERED {
            counts.retain(|_, count| count.pending > 0);
        }
        counts.entry(key).or_insert(Count { counter, pending: 0 }).counter = counter;
    }

    /// Lets a request through whose caller is known to be far from the limit, and counts it after the answer.
    fn count_later(&self, rate: Rate, window: &Window) -> Option<RateLimitStatus> {
        let mut counts = self.counts.borrow_mut();
        let count = counts.get_mut(&window.key)?;
        let this = count.counter.this() + count.pending + 1;
        let status = judge(rate, count.counter.last(), this, window.elapsed).ok()?;
        if status.remaining < rate.requests / 2 || count.pending >= i64::from(rate.requests / HELD_BACK) {
            return None;
        }
        count.pending += 1;
        if count.pending == 1 {
            self.schedule_flush(window.key.clone());
        }
        Some(status)
    }

    /// Counts the requests that were held back, soon.
    fn schedule_flush(&self, key: String) {
        let (platform, store, counts) = (self.platform.clone(), self.store.clone(), self.counts.clone());
        self.platform.spawn(async move {
            platform.sleep(FLUSH_INTERVAL).await;
            let pending = counts.borrow_mut().get_mut(&key).map_or(0, |count| std::mem::take(&mut count.pending));
            if pending == 0 {
                return;
            }
            match store.uncounted().increment(&key, pending).await {
                Ok(sum) => {
                    if let Some(count) = counts.borrow_mut().get_mut(&key) {
                        count.counter = Counter(sum);
                    }
                }
                Err(failure) => {
                    let message = "requests could not be counted and were let through";
                    log::warning("not_limited", message, failure.cause());
                }
            }
        });
    }
}

/// Decides if a request is within a limit, of which `this` have been counted in a window that is `elapsed` (0 to 1),
/// itself included, and `last` in the one before.
fn judge(rate: Rate, last: i64, this: i64, elapsed: f64) -> Result<RateLimitStatus, RateLimitStatus> {
    let (limit, last, this) = (f64::from(rate.requests), last.max(0) as f64, this.max(1) as f64);
    // A rounding error beyond a whole second is not another second.
    let seconds = |windows: f64| (windows * f64::from(rate.seconds) - 1e-6).ceil().max(1.0) as u32;
    let status = |remaining: f64, reset: f64| RateLimitStatus {
        limit: rate.requests,
        remaining: remaining.max(0.0) as u32,
        reset: seconds(reset),
    };
    let used = last * (1.0 - elapsed) + this;
    if used <= limit {
        return Ok(status(limit - used, 1.0 - elapsed));
    }
    // The time at which a request would be let through, if none came until then: in this window, or when enough of it
    // is past.
    let wait = if this <= limit && last > 0.0 {
        1.0 - (limit - this) / last - elapsed
    } else {
        let refused_taken_off = this - 1.0;
        1.0 - elapsed + (1.0 - (limit - 1.0) / refused_taken_off.max(1.0)).max(0.0)
    };
    Err(status(0.0, wait))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_platform::Fake;
    use crate::platform::KeyValue;
    use futures::executor::block_on;
    use proptest::prelude::*;

    const SIXTY: Rate = Rate { requests: 60, seconds: 60 };

    #[test]
    fn a_window_that_begins_still_holds_the_last_one() {
        assert!(judge(SIXTY, 60, 1, 0.0).is_err(), "at the very edge");
        assert!(judge(SIXTY, 60, 1, 0.01).is_err());
        assert_eq!(judge(SIXTY, 60, 1, 0.5), Ok(RateLimitStatus { limit: 60, remaining: 29, reset: 30 }));
        assert!(judge(SIXTY, 60, 31, 0.5).is_err());
        assert_eq!(judge(SIXTY, 0, 60, 0.9), Ok(RateLimitStatus { limit: 60, remaining: 0, reset: 6 }));
        assert_eq!(judge(SIXTY, 0, 61, 0.9), Err(RateLimitStatus { limit: 60, remaining: 0, reset: 7 }));
    }

    /// A limiter whose store has a secret, with a limit on predictions.
    fn limiter(limit: &str) -> (Fake, RateLimiter<Fake>, Settings) {
        let mut fake = Fake::with_variable("rate_limit_predictions", limit);
        fake.set_variable("cache_key_secret", "a secret of sixteen bytes or more");
        let settings = block_on(Settings::read(&fake)).expect("valid");
        let store = Rc::new(Store::new(fake.clone()));
        store.configure(settings.store_secrets.clone());
        (fake.clone(), RateLimiter::new(fake, store), settings)
    }

    #[test]
    fn requests_that_are_held_back_are_counted_in_the_end_and_near_the_limit_none_are() {
        let (fake, limiter, settings) = limiter("160/day");
        block_on(async {
            let check = async || limiter.check(&settings, LimitGroup::Predictions, "someone").await;
            for asked in 1..=160_u32 {
                let status = check().await.expect("within the limit").expect("there is a limit");
                assert_eq!((status.limit, status.remaining), (160, 160 - asked));
                let counts = limiter.counts.borrow();
                let (_, count) = counts.iter().next().expect("a caller");
                assert!(count.pending <= 10 && (asked <= 80 || count.pending == 0), "{asked}: {}", count.pending);
                assert_eq!(count.counter.this() + count.pending, i64::from(asked));
            }
            for _ in 0..3 {
                assert!(matches!(check().await, Err(Problem::TooManyRequests(_))));
            }
            let stored = fake.stored.borrow();
            let counters: Vec<_> = stored.iter().filter(|(key, _)| key.starts_with("rate:")).collect();
            assert_eq!(counters.len(), 1);
            assert_eq!(counters[0].1, b"160", "refused requests were taken off again");
            assert!(!counters[0].0.contains("someone"));
        });
    }

    #[test]
    fn the_first_request_of_a_window_brings_the_last_one_with_it() {
        let counter = Counter(3 + Counter::with_last(1_000_000_000));
        assert_eq!((counter.last(), counter.this()), (1_000_000_000, 3));
        let (fake, limiter, settings) = limiter("10/day");
        block_on(async {
            let caller = limiter.store.hash("someone").await.expect("hashed");
            let today = Timestamp::now().as_second() / 86_400;
            // Yesterday's counter knows of the day before, which is no longer of interest.
            let yesterday = (Counter::with_last(9) + 8).to_string().into_bytes();
            let key = |day: i64| format!("rate:predictions:{caller}:{day}");
            fake.set(&key(today - 1), &yesterday).await.expect("set");
            fake.set(&key(today - 2), b"9").await.expect("set");
            for asked in 1..=2 {
                limiter.check(&settings, LimitGroup::Predictions, "someone").await.expect("within the limit");
                let stored = fake.stored.borrow();
                assert_eq!(stored[&key(today)], (Counter::with_last(8) + asked).to_string().into_bytes());
                assert!(stored.contains_key(&key(today - 1)) && !stored.contains_key(&key(today - 2)));
            }
        });
    }

    proptest! {
        /// A caller who waits as long as they are told is let through, and was not told to wait for longer than needed.
        #[test]
        fn the_time_to_wait_is_right(requests in 1u32..500, last in 0i64..500, this in 1i64..500, elapsed in 0.0f64..1.0) {
            let rate = Rate { requests, seconds: 3_600 };
            // No more than the limit was ever let through.
            let (last, this) = (last.min(i64::from(requests)), this.min(i64::from(requests) + 1));
            let Err(RateLimitStatus { reset, .. }) = judge(rate, last, this, elapsed) else { return Ok(()) };
            let after = |seconds: u32| {
                let at = elapsed + f64::from(seconds) / 3_600.0;
                // The refused request was taken off; the new one counts.
                match at {
                    at if at < 1.0 => judge(rate, last, this, at),
                    at if at < 2.0 => judge(rate, this - 1, 1, at - 1.0),
                    _ => judge(rate, 0, 1, at - 2.0),
                }
            };
            prop_assert!(after(reset + 1).is_ok(), "{reset}");
            prop_assert!(reset <= 2 || after(reset - 2).is_err(), "{reset}");
        }
    }
}
