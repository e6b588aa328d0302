//! How often a caller may ask. Counted in the store by atomic increments, so that a limit holds for all instances, and regions,
//! that share one.
//!
//! Time is cut into windows as long as the limit's unit, and a caller has a counter in each. What counts against the limit is
//! the counter of this window plus that part of the last one's which a window that ends now still covers:
//! `last * (1 - elapsed / length) + this`. It takes the requests of the last window for evenly spread, which is the
//! approximation. A request that is refused is taken off again, so that a caller who asks too often still gets what the limit
//! allows. The first request of a window looks up the last window's counter and adds it to the upper half of its own, so that
//! every other learns both with its one increment; and it deletes the counter of the window before the last.
//!
//! An increment is a write; where a store commits each by itself, it makes a cached answer a third slower or more. So an instance
//! that has counted a caller in this window, and knows them to be below half of their limit, counts what they ask next together,
//! within [`GATHERED`] and after the answers. What it holds back so is at most a [`HELD_BACK`]th of the limit: by that much a
//! caller who is below half of it can be underestimated by each other instance, and that much is lost if the instance is killed.
//! From half of the limit on, and for the first request in an instance, the count is exact.

use crate::instance::Instance;
use crate::platform::{Platform, within};
use crate::problem::Problem;
use crate::settings::Settings;
use crate::store::{self, Failure};
use crate::telemetry::log;
use crate::telemetry::metrics::{self, RATE_LIMITED};
use jiff::Timestamp;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// So many requests in so many seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    requests: u32,
    seconds: u32,
}

impl Rate {
    /// Reads `60/minute`; `None` inside for `off`.
    pub(crate) fn parse(text: &str) -> Option<Option<Rate>> {
        if text.trim() == "off" {
            return Some(None);
        }
        let (requests, unit) = text.split_once('/')?;
        let seconds = match unit.trim() {
            "second" => 1,
            "minute" => 60,
            "hour" => 3_600,
            "day" => 86_400,
            _ => return None,
        };
        let requests = requests.trim().parse().ok().filter(|requests| (1..=1_000_000_000).contains(requests))?;
        Some(Some(Rate { requests, seconds }))
    }
}

/// What is counted apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Class {
    Predictions,
    Other,
}

/// Where a caller stands, for the headers of the answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Standing {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    /// Seconds until this window ends, or until it is worth asking again.
    pub(crate) reset: u32,
}

/// What an instance knows of its callers, by the key of their counter.
pub(crate) type Counts = Rc<RefCell<HashMap<String, Count>>>;

/// What an instance knows of a caller in a window.
pub(crate) struct Count {
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

    /// What is added to a counter to tell it of the last window.
    fn with_last(count: i64) -> i64 {
        count << 32
    }
}

/// The most callers that an instance remembers.
const MOST_REMEMBERED: usize = 1024;
/// How long requests are gathered before they are counted together.
const GATHERED: Duration = Duration::from_millis(20);
/// Which part of the limit may be gathered.
const HELD_BACK: u32 = 16;

/// Counts a request of a caller. Errors if it is one too many. A store that fails lets it through.
pub(crate) async fn count<P: Platform>(
    instance: &Instance<P>,
    settings: &Settings,
    class: Class,
    caller: &str,
) -> Result<Option<Standing>, Problem> {
    let (rate, name) = match class {
        Class::Predictions => (settings.rate_limit_predictions, "predictions"),
        Class::Other => (settings.rate_limit_default, "default"),
    };
    let Some(rate) = rate else { return Ok(None) };
    match counted(instance, settings, rate, name, caller).await {
        Ok(Ok(standing)) => Ok(Some(standing)),
        Ok(Err(standing)) => {
            metrics::add(&RATE_LIMITED, &[name], 1);
            Err(Problem::TooManyRequests(standing))
        }
        Err(failure) => {
            if let Some(cause) = failure.name() {
                log::warning("not_limited", "requests could not be counted and are let through", cause);
            }
            Ok(None)
        }
    }
}

async fn counted<P: Platform>(
    instance: &Instance<P>,
    settings: &Settings,
    rate: Rate,
    class: &str,
    caller: &str,
) -> Result<Result<Standing, Standing>, Failure> {
    let caller = store::hashed(instance, settings, caller).await?;
    let now = Timestamp::now().as_millisecond();
    let length = i64::from(rate.seconds) * 1000;
    let (window, elapsed) = (now.div_euclid(length), now.rem_euclid(length) as f64 / length as f64);
    let key = |window: i64| format!("rate:{class}:{caller}:{window}");
    let this_key = key(window);
    if let Some(standing) = count_later(instance, rate, &this_key, elapsed) {
        return Ok(Ok(standing));
    }
    let owed = instance.counts.borrow_mut().get_mut(&this_key).map_or(0, |count| std::mem::take(&mut count.pending));
    let mut counter = Counter(store::increment(instance, &this_key, owed + 1).await?);
    if counter.0 == 1 {
        let last = Counter(store::counter(instance, &key(window - 1)).await?).this();
        if last > 0 {
            counter = Counter(store::increment(instance, &this_key, Counter::with_last(last)).await?);
        }
        let (platform, old) = (instance.platform.clone(), key(window - 2));
        instance.platform.spawn(async move {
            // What cannot be deleted now is a few bytes too many.
            let _ = within(&platform, store::WRITE_LIMIT, platform.delete(&old)).await;
        });
    }
    let judged = judge(rate, counter.last(), counter.this(), elapsed);
    if judged.is_err() {
        counter = Counter(store::increment(instance, &this_key, -1).await?);
    }
    let mut counts = instance.counts.borrow_mut();
    if counts.len() >= MOST_REMEMBERED {
        counts.retain(|_, count| count.pending > 0);
    }
    counts.entry(this_key).or_insert(Count { counter, pending: 0 }).counter = counter;
    Ok(judged)
}

/// Lets a request through whose caller is known to be far from the limit, and counts it after the answer.
fn count_later<P: Platform>(instance: &Instance<P>, rate: Rate, key: &str, elapsed: f64) -> Option<Standing> {
    let mut counts = instance.counts.borrow_mut();
    let count = counts.get_mut(key)?;
    let standing = judge(rate, count.counter.last(), count.counter.this() + count.pending + 1, elapsed).ok()?;
    if standing.remaining < rate.requests / 2 || count.pending >= i64::from(rate.requests / HELD_BACK) {
        return None;
    }
    count.pending += 1;
    if count.pending == 1 {
        let (platform, counts, key) = (instance.platform.clone(), instance.counts.clone(), key.to_owned());
        instance.platform.spawn(async move {
            platform.sleep(GATHERED).await;
            let pending = counts.borrow_mut().get_mut(&key).map_or(0, |count| std::mem::take(&mut count.pending));
            if pending == 0 {
                return;
            }
            match platform.increment(&key, pending) {
                Ok(sum) => drop(counts.borrow_mut().get_mut(&key).map(|count| count.counter = Counter(sum))),
                Err(error) => {
                    log::warning("not_limited", "requests could not be counted and were let through", error.name())
                }
            }
        });
    }
    Some(standing)
}

/// Whether a request is within a limit, of which `this` have been counted in a window that is `elapsed` (0 to 1), itself
/// included, and `last` in the one before.
fn judge(rate: Rate, last: i64, this: i64, elapsed: f64) -> Result<Standing, Standing> {
    let (limit, last, this) = (f64::from(rate.requests), last.max(0) as f64, this.max(1) as f64);
    // What is a rounding error beyond a whole second is none.
    let seconds = |windows: f64| (windows * f64::from(rate.seconds) - 1e-6).ceil().max(1.0) as u32;
    let standing = |remaining: f64, reset: f64| Standing {
        limit: rate.requests,
        remaining: remaining.max(0.0) as u32,
        reset: seconds(reset),
    };
    let used = last * (1.0 - elapsed) + this;
    if used <= limit {
        return Ok(standing(limit - used, 1.0 - elapsed));
    }
    // When a request would be let through, if none came until then: in this window, or when enough of it is past.
    let wait = if this <= limit && last > 0.0 {
        1.0 - (limit - this) / last - elapsed
    } else {
        let refused_taken_off = this - 1.0;
        1.0 - elapsed + (1.0 - (limit - 1.0) / refused_taken_off.max(1.0)).max(0.0)
    };
    Err(standing(0.0, wait))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::fake::Fake;
    use futures::executor::block_on;
    use proptest::prelude::*;

    const SIXTY: Rate = Rate { requests: 60, seconds: 60 };

    #[test]
    fn a_rate_is_read_or_refused() {
        assert_eq!(Rate::parse("60/minute"), Some(Some(SIXTY)));
        assert_eq!(Rate::parse(" 5 / second "), Some(Some(Rate { requests: 5, seconds: 1 })));
        assert_eq!(Rate::parse("off"), Some(None));
        for wrong in ["", "60", "0/minute", "-1/minute", "60/fortnight", "1e3/hour", "60/minute/", "1000000001/day"] {
            assert_eq!(Rate::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_window_that_begins_still_holds_the_last_one() {
        assert!(judge(SIXTY, 60, 1, 0.0).is_err(), "at the very edge");
        assert!(judge(SIXTY, 60, 1, 0.01).is_err());
        assert_eq!(judge(SIXTY, 60, 1, 0.5), Ok(Standing { limit: 60, remaining: 29, reset: 30 }));
        assert!(judge(SIXTY, 60, 31, 0.5).is_err());
        assert_eq!(judge(SIXTY, 0, 60, 0.9), Ok(Standing { limit: 60, remaining: 0, reset: 6 }));
        assert_eq!(judge(SIXTY, 0, 61, 0.9), Err(Standing { limit: 60, remaining: 0, reset: 7 }));
    }

    #[test]
    fn what_is_counted_later_is_counted_in_the_end_and_near_the_limit_nothing_is() {
        let mut fake = Fake::with_variable("rate_limit_predictions", "160/day");
        fake.set_variable("cache_key_secret", "a secret of sixteen bytes or more");
        let instance = Instance::new(fake);
        block_on(async {
            let settings = instance.settings().await.expect("valid");
            for asked in 1..=160_u32 {
                let standing = count(&instance, &settings, Class::Predictions, "someone").await;
                let standing = standing.expect("within the limit").expect("there is a limit");
                assert_eq!((standing.limit, standing.remaining), (160, 160 - asked));
                let counts = instance.counts.borrow();
                let (_, count) = counts.iter().next().expect("a caller");
                assert!(count.pending <= 10 && (asked <= 80 || count.pending == 0), "{asked}: {}", count.pending);
                assert_eq!(count.counter.this() + count.pending, i64::from(asked));
            }
            for _ in 0..3 {
                let refused = count(&instance, &settings, Class::Predictions, "someone").await;
                assert!(matches!(refused, Err(Problem::TooManyRequests(_))));
            }
            let stored = instance.platform.stored.borrow();
            let counters: Vec<_> = stored.iter().filter(|(key, _)| key.starts_with("rate:")).collect();
            assert_eq!(counters.len(), 1);
            assert_eq!(counters[0].1, b"160", "what was refused was taken off again");
            assert!(!counters[0].0.contains("someone"));
        });
    }

    #[test]
    fn the_first_request_of_a_window_brings_the_last_one_with_it() {
        let counter = Counter(3 + Counter::with_last(1_000_000_000));
        assert_eq!((counter.last(), counter.this()), (1_000_000_000, 3));
        let mut fake = Fake::with_variable("rate_limit_predictions", "10/day");
        fake.set_variable("cache_key_secret", "a secret of sixteen bytes or more");
        let instance = Instance::new(fake);
        block_on(async {
            let settings = instance.settings().await.expect("valid");
            let caller = store::hashed(&instance, &settings, "someone").await.expect("hashed");
            let today = Timestamp::now().as_second() / 86_400;
            // Yesterday's counter knows of the day before, which is no longer of interest.
            let yesterday = (Counter::with_last(9) + 8).to_string().into_bytes();
            let key = |day: i64| format!("rate:predictions:{caller}:{day}");
            instance.platform.stored.borrow_mut().insert(key(today - 1), yesterday);
            instance.platform.stored.borrow_mut().insert(key(today - 2), b"9".to_vec());
            for asked in 1..=2 {
                count(&instance, &settings, Class::Predictions, "someone").await.expect("within the limit");
                let stored = instance.platform.stored.borrow();
                assert_eq!(stored[&key(today)], (Counter::with_last(8) + asked).to_string().into_bytes());
                assert!(stored.contains_key(&key(today - 1)) && !stored.contains_key(&key(today - 2)));
            }
        });
    }

    proptest! {
        /// Whoever waits for as long as they are told is let through, and was not told to wait for longer than needed.
        #[test]
        fn the_time_to_wait_is_right(requests in 1u32..500, last in 0i64..500, this in 1i64..500, elapsed in 0.0f64..1.0) {
            let rate = Rate { requests, seconds: 3_600 };
            // No more than the limit was ever let through.
            let (last, this) = (last.min(i64::from(requests)), this.min(i64::from(requests) + 1));
            let Err(Standing { reset, .. }) = judge(rate, last, this, elapsed) else { return Ok(()) };
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
