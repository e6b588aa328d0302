//! Rate limits. How requests are counted depends on the store, and `GET /health/ready` says which way it is.
//!
//! Time is cut into windows as long as the limit's unit, and a caller has a count in each. The count against the limit
//! is that of this window, plus the part of the last one's that a window which ends now still covers:
//!
//! ```text
//! last * (1 - elapsed / length) + this
//! ```
//!
//! It takes the requests of the last window for evenly spread, which is the approximation.
//!
//! With Redis every request is counted before it is answered, together with the cache's look-up in one command, so a
//! limit is exact for all instances and regions that share the server. A request that is refused is taken off again
//! after its answer, so that a caller who asks too often still gets as much as the limit allows. A key-value store has
//! no counters: there requests are counted by sampling, which `sampled.rs` does, and an instance that is reused adds
//! the requests that it let through itself.

use super::identity_of;
use super::sampled::{self, CallerKey, OwnCounts, Table};
use crate::config::Settings;
use crate::ids::UserId;
use crate::platform::{Platform, RedisValue, StoreError};
use crate::problem::Problem;
use crate::quota::{LimitGroup, Rate, RateLimitPolicy, RateLimitStatus, judge};
use crate::random::uniform;
use crate::store::{Failure, ReadAlong, Store};
use crate::telemetry::metrics::{self, RATE_LIMITED};
use jiff::Timestamp;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// Counts a request in the window of the first key, which is kept for as long as the next window needs it; reads the
/// window before it, and other keys.
const COUNT: &str = "local this = redis.call('INCR', KEYS[1]) \
                     if this == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end \
                     local reply = {this, tonumber(redis.call('GET', KEYS[2]) or '0') or 0} \
                     for i = 3, #KEYS do reply[i] = redis.call('GET', KEYS[i]) end return reply";
/// Takes a request off again, if its window is still counted.
const TAKE_OFF: &str = "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('DECR', KEYS[1]) end return 1";

/// A request that was counted.
#[derive(Default)]
pub(crate) struct Checked {
    /// How much is left of the limit, if there is one.
    pub(crate) status: Option<RateLimitStatus>,
    /// The other keys that were asked for, if they could be read.
    pub(crate) read_along: Option<ReadAlong>,
}

/// The result of judging a request: within the limit, or one too many.
type Judged = Result<RateLimitStatus, RateLimitStatus>;

/// The rate limiter of one instance.
pub(crate) struct RateLimiter<P: Platform> {
    platform: P,
    store: Rc<Store<P>>,
    /// The requests that this instance let through.
    own: RefCell<OwnCounts>,
    /// The values of slots that are to be written after the answer.
    pending: Rc<RefCell<HashMap<String, Vec<u8>>>>,
}

impl<P: Platform> RateLimiter<P> {
    pub(crate) fn new(platform: P, store: Rc<Store<P>>) -> RateLimiter<P> {
        RateLimiter { platform, store, own: RefCell::default(), pending: Rc::default() }
    }

    /// Counts a request of a caller, and reads other keys along with the count. Errors if the request is one too many.
    /// A store that fails lets it through.
    pub(crate) async fn check(
        &self,
        settings: &Settings,
        group: LimitGroup,
        caller: &str,
        keys: Option<[String; 2]>,
    ) -> Result<Checked, Problem> {
        let Some(rate) = limit(settings, group) else { return Ok(Checked::default()) };
        let counted = match self.store.is_redis() {
            true => self.count(rate, group, caller, &keys).await,
            false => self.sample(settings, (rate, group), caller, &keys).await,
        };
        match counted {
            Ok((Ok(status), values)) => {
                let read_along = keys.zip(<[_; 2]>::try_from(values).ok());
                let read_along = read_along.map(|(keys, values)| ReadAlong { keys, values });
                Ok(Checked { status: Some(status), read_along })
            }
            Ok((Err(status), _)) => {
                metrics::add(&RATE_LIMITED, &[group.name()], 1);
                Err(Problem::TooManyRequests(status))
            }
            Err(failure) => {
                failure.warn("not_limited", "requests could not be counted and are let through");
                Ok(Checked::default())
            }
        }
    }

    /// Counts a request in Redis.
    async fn count(
        &self,
        rate: Rate,
        group: LimitGroup,
        caller: &str,
        keys: &Option<[String; 2]>,
    ) -> Result<(Judged, Vec<Option<Vec<u8>>>), Failure> {
        let caller = self.store.hash(caller);
        let ([this, last], elapsed) = window_keys(rate, group, &caller);
        let mut all = vec![this.as_str(), &last];
        all.extend(keys.iter().flatten().map(String::as_str));
        let kept = (u64::from(rate.seconds) * 2000).to_string();
        let mut reply = self.store.evaluate(COUNT, &all, &[kept.as_bytes()]).await?.into_iter();
        let mut number = || if let Some(RedisValue::Integer(number)) = reply.next() { number } else { 0 };
        let (count, last) = (number(), number());
        let judged = judge(rate, last, count, elapsed);
        if judged.is_err() {
            let store = self.store.clone();
            self.platform.spawn(async move { drop(store.uncounted().evaluate(TAKE_OFF, &[&this], &[]).await) });
        }
        Ok((judged, reply.map(RedisValue::into_bytes).collect()))
    }

    /// Counts a request in the key-value store by sampling, after the answer.
    async fn sample(
        &self,
        settings: &Settings,
        (rate, group): (Rate, LimitGroup),
        caller: &str,
        keys: &Option<[String; 2]>,
    ) -> Result<(Judged, Vec<Option<Vec<u8>>>), Failure> {
        let hash = self.store.hash(caller);
        let Some(CallerKey { slot, tag }) = CallerKey::from_hash(&hash) else {
            return Err(Failure::Error(StoreError::Other));
        };
        let key = slot_key(slot);
        let mut all = vec![key.as_str()];
        all.extend(keys.iter().flatten().map(String::as_str));
        let mut values = self.store.get_all(&all).await?.into_iter();
        let table = Table::parse(&values.next().flatten().unwrap_or_default());
        let now_ms = Timestamp::now().as_millisecond();
        let own = self.own.borrow().get(tag, group, rate, now_ms);
        let request = sampled::Request { tag, group, rate, now_ms, own };
        let judged = table.status(&request);
        if judged.is_ok() {
            self.own.borrow_mut().add(&request);
            let share = sampled::share_of_slot(settings.counting_writes);
            if let Some(bytes) = table.count(&request, uniform(), share) {
                self.write_later(key, bytes);
            }
        }
        Ok((judged, values.collect()))
    }

    /// Deletes the counts of a person in the store; returns how many there were. Only those of windows that are past if
    /// the limit `holds`, for whoever may erase themselves could pass it. Other callers who are counted at that moment
    /// may be counted once too little.
    pub(crate) async fn erase(&self, settings: &Settings, person: UserId, holds: bool) -> Result<usize, Failure> {
        let hash = self.store.hash(&identity_of(person));
        if self.store.is_redis() {
            if holds {
                // Redis has forgotten windows that are past.
                return Ok(0);
            }
            let groups = [LimitGroup::Predictions, LimitGroup::Default].into_iter();
            let groups = groups.filter_map(|group| Some((limit(settings, group)?, group)));
            let keys: Vec<String> = groups.flat_map(|(rate, group)| window_keys(rate, group, &hash).0).collect();
            if keys.is_empty() {
                return Ok(0);
            }
            let values = self.store.get_all(&keys.iter().map(String::as_str).collect::<Vec<_>>()).await?;
            self.store.uncounted().delete_all(&keys).await?;
            return Ok(values.into_iter().flatten().count());
        }
        let Some(CallerKey { slot, tag }) = CallerKey::from_hash(&hash) else { return Ok(0) };
        if !holds {
            self.own.borrow_mut().forget(tag);
        }
        let key = slot_key(slot);
        let now = Timestamp::now().as_millisecond();
        let erase = |table: Table| if holds { table.without_past(Some(tag), now) } else { table.without(tag) };
        // A request that is counted after its answer would write them again.
        if let Some(pending) = self.pending.borrow_mut().get_mut(&key)
            && let Some((bytes, _)) = erase(Table::parse(pending))
        {
            *pending = bytes;
        }
        let table = Table::parse(&self.store.get(&key).await?.unwrap_or_default());
        let Some((bytes, erased)) = erase(table) else { return Ok(0) };
        self.store.set(&key, &bytes, Duration::MAX).await?;
        Ok(erased)
    }

    /// Deletes the counts of windows that are past from the key-value store.
    pub(crate) async fn forget_past_windows(&self) -> Result<(), Failure> {
        let now = Timestamp::now().as_millisecond();
        for key in (0..sampled::SLOTS).map(slot_key) {
            let table = Table::parse(&self.store.uncounted().get(&key).await?.unwrap_or_default());
            if let Some((bytes, _)) = table.without_past(None, now) {
                self.store.uncounted().set(&key, &bytes, Duration::MAX).await?;
            }
        }
        Ok(())
    }

    fn write_later(&self, key: String, bytes: Vec<u8>) {
        // Of several at the same time the latest is written, once; the host may drop any of them.
        self.pending.borrow_mut().insert(key.clone(), bytes);
        let (store, pending) = (self.store.clone(), self.pending.clone());
        self.platform.spawn(async move {
            let bytes = pending.borrow_mut().remove(&key);
            if let Some(bytes) = bytes
                && let Err(failure) = store.set(&key, &bytes, Duration::MAX).await
            {
                failure.warn("not_limited", "a request could not be counted");
            }
        });
    }
}

fn slot_key(slot: usize) -> String {
    format!("limits:{slot}")
}

/// The limit on a group of requests as answers give it, if there is one.
pub(crate) fn policy(settings: &Settings, group: LimitGroup) -> Option<RateLimitPolicy> {
    limit(settings, group).map(|rate| RateLimitPolicy { group, rate })
}

/// The limit of a group, if there is one.
fn limit(settings: &Settings, group: LimitGroup) -> Option<Rate> {
    match group {
        LimitGroup::Predictions => settings.rate_limit_predictions,
        LimitGroup::Default => settings.rate_limit_default,
    }
}

/// The keys in Redis of a caller's counts in this window and in the last one, and how much of this one has elapsed.
fn window_keys(rate: Rate, group: LimitGroup, caller: &str) -> ([String; 2], f64) {
    let (index, elapsed) = window(rate, Timestamp::now().as_millisecond());
    ([index, index - 1].map(|index| format!("rate:{}:{caller}:{index}", group.name())), elapsed)
}

/// The number of the window that a time is in, and how much of it has elapsed, from 0 to 1.
fn window(rate: Rate, now: i64) -> (i64, f64) {
    let length = i64::from(rate.seconds) * 1000;
    (now.div_euclid(length), now.rem_euclid(length) as f64 / length as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_platform::Fake;
    use futures::executor::block_on;

    /// A limiter with a limit on predictions.
    fn limiter(fake: &Fake) -> (RateLimiter<Fake>, Settings) {
        let settings = block_on(Settings::read(fake)).expect("valid");
        let store = fake.store(&settings);
        (RateLimiter::new(fake.clone(), store), settings)
    }

    #[test]
    fn a_small_limit_is_exact_for_one_who_asks_after_each_answer_whatever_instance_answers() {
        for instances_are_reused in [true, false] {
            let mut fake = Fake::with_variable("rate_limit_predictions", "4/day");
            fake.set_variable("counting_writes_per_second", "0");
            let reused = limiter(&fake);
            for asked in 1..=8_u32 {
                let fresh = limiter(&fake);
                let (limiter, settings) = if instances_are_reused { &reused } else { &fresh };
                match block_on(limiter.check(settings, LimitGroup::Predictions, "someone", None)) {
                    Ok(Checked { status: Some(status), .. }) if asked <= 4 => {
                        assert_eq!((status.limit, status.remaining), (4, 4 - asked));
                    }
                    Err(Problem::TooManyRequests(_)) if asked > 4 => {}
                    _ => panic!("{asked}"),
                }
            }
            assert!(fake.stored.borrow().keys().all(|key| key.starts_with("limits:")));
        }
    }

    #[test]
    fn an_erasure_by_the_person_leaves_the_limit_as_it_is_and_one_by_a_server_leaves_nothing() {
        let mut fake = Fake::with_variable("rate_limit_predictions", "4/day");
        fake.set_variable("counting_writes_per_second", "0");
        let person = UserId::parse("11111111-1111-4111-8111-111111111111").expect("an id");
        let ask = || {
            let (fresh, settings) = limiter(&fake);
            block_on(fresh.check(&settings, LimitGroup::Predictions, &identity_of(person), None)).is_ok()
        };
        let erase = |holds: bool| {
            let (fresh, settings) = limiter(&fake);
            block_on(fresh.erase(&settings, person, holds)).expect("the store works")
        };
        let (reused, settings) = limiter(&fake);
        let ask_reused =
            || block_on(reused.check(&settings, LimitGroup::Predictions, &identity_of(person), None)).is_ok();
        assert!((0..4).all(|_| ask_reused()) && !ask_reused());
        assert_eq!(block_on(reused.erase(&settings, person, false)), Ok(1));
        assert!(ask_reused(), "nothing is left of them here either");
        assert_eq!(block_on(reused.erase(&settings, person, false)), Ok(1));
        assert!((0..4).all(|_| ask()));
        assert_eq!(erase(true), 0);
        assert!(!ask(), "the limit holds");
        let tag = CallerKey::from_hash(&limiter(&fake).0.store.hash(&identity_of(person))).expect("a hash").tag;
        let is_counted =
            || fake.stored.borrow().values().any(|value| value.windows(8).any(|bytes| bytes == tag.to_le_bytes()));
        assert!(is_counted());
        assert_eq!((erase(false), erase(false)), (1, 0));
        assert!(!is_counted());
        assert!(ask(), "nothing is left of them");
    }

    #[test]
    fn other_keys_are_read_along_with_the_count() {
        let fake = Fake::with_variable("rate_limit_predictions", "4/day");
        fake.stored.borrow_mut().insert("one".to_owned(), b"1".to_vec());
        let (limiter, settings) = limiter(&fake);
        let keys = ["one", "two"].map(str::to_owned);
        let checked = block_on(limiter.check(&settings, LimitGroup::Predictions, "someone", Some(keys.clone())));
        let read = checked.expect("within the limit").read_along.expect("read");
        assert_eq!((read.keys, read.values), (keys, [Some(b"1".to_vec()), None]));
    }
}
