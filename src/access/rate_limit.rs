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
//! A key-value store has no counters: there requests are counted so, by sampling, which `sampled.rs` does, and an
//! instance that is reused adds the requests that it let through itself.
//!
//! With Redis every request is counted before it is answered, together with the cache's look-up in one command, so a
//! limit is exact for all instances and regions that share the server. A window is cut into [`BUCKETS`] there, and one
//! that has begun is counted whole: within the length of a window nobody is let through more often than their limit
//! says, whenever they ask, and who asks as often as they may is let through 20 times of 21 at least. A request that is
//! refused is not counted.
//!
//! A store that does not answer counts nobody. Then an instance that is reused holds each caller to their limit by what
//! it has let through itself, which is a floor: so many instances, so many times the limit. It says so once in the log,
//! and `GET /health/ready` does.

use super::identity_of;
use super::sampled::{self, CallerKey, Counts, OwnCounts, Table};
use crate::config::Settings;
use crate::ids::UserId;
use crate::platform::{Platform, RedisValue, StoreError};
use crate::problem::Problem;
use crate::quota::{LimitGroup, Rate, RateLimitPolicy, RateLimitStatus, judge};
use crate::random::uniform;
use crate::store::{Failure, ReadAlong, Store};
use crate::telemetry::log;
use crate::telemetry::metrics::{self, RATE_LIMITED, UNCOUNTED};
use crate::time::now_ms;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// The parts that a window is cut into with Redis.
const BUCKETS: i64 = 20;
/// Counts a request in the hash of the first key, by bucket, if it is within the limit; forgets buckets that are past.
/// Returns if it is, how many are counted, the oldest bucket that has some, and the values of other keys. Arguments:
/// the limit, this bucket, the buckets of a window, and the milliseconds for which to keep the hash.
const COUNT: &str = "local now, buckets, used = tonumber(ARGV[2]), tonumber(ARGV[3]), 0 \
                     local first, is_within, all = now, 0, redis.call('HGETALL', KEYS[1]) \
                     for i = 1, #all, 2 do \
                     local bucket, count = tonumber(all[i]), tonumber(all[i + 1]) \
                     if bucket and count and bucket >= now - buckets and bucket <= now + buckets then \
                     used = used + count if bucket < first then first = bucket end \
                     else redis.call('HDEL', KEYS[1], all[i]) end end \
                     if used < tonumber(ARGV[1]) then is_within, used = 1, used + 1 \
                     redis.call('HINCRBY', KEYS[1], ARGV[2], 1) redis.call('PEXPIRE', KEYS[1], ARGV[4]) end \
                     local reply = {is_within, used, first} \
                     for i = 2, #KEYS do reply[i + 2] = redis.call('GET', KEYS[i]) end return reply";
/// The key that [`RateLimiter::can_count`] counts under.
const PROBE_KEY: &str = "ready:counting";

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
    faults: Rc<Faults>,
}

/// The reasons why limits are not those of all instances together now.
#[derive(Default)]
struct Faults {
    /// Requests could not be judged.
    reads: Cell<bool>,
    /// Requests could not be counted.
    writes: Cell<bool>,
}

impl Faults {
    /// Says in the log that limits are not held together any more, once: until they are again.
    fn note<P: Platform>(&self, fault: &Cell<bool>, failure: Failure) {
        let is_known = self.reads.get() || self.writes.get();
        fault.set(true);
        if !is_known {
            let message = match P::REUSES_INSTANCES {
                true => "requests cannot be counted: each instance holds callers to their limits by itself",
                false => "requests cannot be counted and are let through",
            };
            log::warning("not_limited", message, failure.cause());
        }
    }
}

impl<P: Platform> RateLimiter<P> {
    pub(crate) fn new(platform: P, store: Rc<Store<P>>) -> RateLimiter<P> {
        RateLimiter { platform, store, own: RefCell::default(), pending: Rc::default(), faults: Rc::default() }
    }

    /// Counts a request of a caller, and reads other keys along with the count. Errors if the request is one too many.
    /// Where the store fails this instance judges by itself.
    pub(crate) async fn check(
        &self,
        settings: &Settings,
        group: LimitGroup,
        caller: &str,
        keys: Option<[String; 2]>,
    ) -> Result<Checked, Problem> {
        let Some(rate) = limit(settings, group) else { return Ok(Checked::default()) };
        let hash = self.store.hash(caller);
        // A hash has as many digits.
        let Some(CallerKey { slot, tag }) = CallerKey::from_hash(&hash) else { return Err(Problem::Internal) };
        let mut request = sampled::Request { tag, group, rate, now_ms: now_ms(), own: Counts::default() };
        let counted = match self.store.is_redis() {
            true => self.count(&request, &hash, &keys).await,
            false => self.sample(settings, &request, slot, &keys).await,
        };
        // From the last await on until the request is added nothing else runs, so none is judged beside it.
        let (judged, values) = match counted {
            Ok((judged, values)) => {
                self.faults.reads.set(false);
                (judged.map(Some), values)
            }
            Err(failure) => {
                self.faults.note::<P>(&self.faults.reads, failure);
                metrics::add(&UNCOUNTED, &[group.name()], 1);
                // Where others let the caller through too, nobody knows how much they have left.
                request.own = self.own.borrow().get_or_shared(tag, group, rate, request.now_ms);
                (judge_alone(&request).map(|_| None), Vec::new())
            }
        };
        let is_alone = matches!(judged, Ok(None));
        let status = judged.map_err(|status| {
            metrics::add(&RATE_LIMITED, &[group.name()], 1);
            Problem::TooManyRequests(status)
        })?;
        self.own.borrow_mut().add(&request, is_alone);
        let read_along = keys.zip(<[_; 2]>::try_from(values).ok());
        Ok(Checked { status, read_along: read_along.map(|(keys, values)| ReadAlong { keys, values }) })
    }

    /// Counts a request in Redis.
    async fn count(
        &self,
        request: &sampled::Request,
        caller: &str,
        keys: &Option<[String; 2]>,
    ) -> Result<(Judged, Vec<Option<Vec<u8>>>), Failure> {
        let sampled::Request { group, rate, now_ms, .. } = *request;
        let key = redis_key(group, caller);
        let mut all = vec![key.as_str()];
        all.extend(keys.iter().flatten().map(String::as_str));
        let bucket_ms = bucket_ms(rate);
        let arguments = arguments(rate, now_ms);
        let arguments = arguments.each_ref().map(|number| number.as_bytes());
        let mut reply = self.store.evaluate(COUNT, &all, &arguments).await?.into_iter();
        let mut number = || match reply.next() {
            Some(RedisValue::Integer(number)) => Ok(number),
            _ => Err(Failure::Error(StoreError::Other)),
        };
        let (is_within, used, first) = (number()? != 0, number()?, number()?);
        // The oldest bucket is not counted any more from here on.
        let wait_ms = first.saturating_add(BUCKETS + 1).saturating_mul(bucket_ms).saturating_sub(now_ms);
        let status = RateLimitStatus {
            limit: rate.requests,
            remaining: u32::try_from(i64::from(rate.requests).saturating_sub(used)).unwrap_or(0),
            reset: u32::try_from(wait_ms.max(1).div_euclid(1000) + 1).unwrap_or(rate.seconds),
        };
        let judged = if is_within { Ok(status) } else { Err(status) };
        Ok((judged, reply.map(RedisValue::into_bytes).collect()))
    }

    /// Counts a request in the key-value store by sampling, after the answer.
    async fn sample(
        &self,
        settings: &Settings,
        request: &sampled::Request,
        slot: usize,
        keys: &Option<[String; 2]>,
    ) -> Result<(Judged, Vec<Option<Vec<u8>>>), Failure> {
        let key = slot_key(slot);
        let mut all = vec![key.as_str()];
        all.extend(keys.iter().flatten().map(String::as_str));
        let mut values = self.store.get_all(&all).await?.into_iter();
        let table = Table::parse(&values.next().flatten().unwrap_or_default());
        let sampled::Request { tag, group, rate, now_ms, .. } = *request;
        // Not before the store was asked: others were let through meanwhile.
        let request = &sampled::Request { own: self.own.borrow().get(tag, group, rate, now_ms), ..*request };
        let judged = table.status(request);
        let share = sampled::share_of_slot(settings.counting_writes);
        if judged.is_ok()
            && let Some(bytes) = table.count(request, uniform(), share)
        {
            self.write_later(key, bytes);
        }
        Ok((judged, values.collect()))
    }

    /// Finds out if requests are counted in Redis, which may be read and written, and still run no scripts. That is
    /// counted by a limit of its own, so that it writes once a minute.
    pub(crate) async fn can_count(&self) -> bool {
        let arguments = arguments(Rate { requests: 1, seconds: 60 }, now_ms());
        let arguments = arguments.each_ref().map(|number| number.as_bytes());
        self.store.uncounted().evaluate(COUNT, &[PROBE_KEY], &arguments).await.is_ok()
    }

    /// Deletes the counts of a person in the store; returns how many there were. Only those of windows that are past if
    /// the limit `holds`, for whoever may erase themselves could pass it. Other callers who are counted at that moment
    /// may be counted once too little.
    pub(crate) async fn erase(&self, person: UserId, holds: bool) -> Result<usize, Failure> {
        let hash = self.store.hash(&identity_of(person));
        if self.store.is_redis() {
            if holds {
                // Redis has forgotten windows that are past.
                return Ok(0);
            }
            let keys = [LimitGroup::Predictions, LimitGroup::Default].map(|group| redis_key(group, &hash));
            return self.store.uncounted().delete_all(&keys).await;
        }
        let Some(CallerKey { slot, tag }) = CallerKey::from_hash(&hash) else { return Ok(0) };
        if !holds {
            self.own.borrow_mut().forget(tag);
        }
        let key = slot_key(slot);
        let now = now_ms();
        let erase = |table: Table| if holds { table.without_past(Some(tag), now) } else { table.without(tag) };
        // A request that is counted after its answer would write them again.
        if let Some(pending) = self.pending.borrow_mut().get_mut(&key)
            && let Some((bytes, _)) = erase(Table::parse(pending))
        {
            *pending = bytes;
        }
        let table = Table::parse(&self.store.get(&key).await?.unwrap_or_default());
        let Some((bytes, erased)) = erase(table) else { return Ok(0) };
        if self.store.set(&key, &bytes, Duration::MAX).await.is_err() {
            // A store that is full takes no table without them: it has to forget those of the others too.
            self.store.uncounted().delete_all(&[key]).await?;
        }
        Ok(erased)
    }

    /// Deletes the counts of windows that are past from the key-value store.
    pub(crate) async fn forget_past_windows(&self) -> Result<(), Failure> {
        let now = now_ms();
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
        let (store, pending, faults) = (self.store.clone(), self.pending.clone(), self.faults.clone());
        self.platform.spawn(async move {
            let bytes = pending.borrow_mut().remove(&key);
            let Some(bytes) = bytes else { return };
            match store.set(&key, &bytes, Duration::MAX).await {
                Ok(()) => faults.writes.set(false),
                Err(failure) => faults.note::<P>(&faults.writes, failure),
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

/// The key in Redis of a caller's counts.
fn redis_key(group: LimitGroup, caller: &str) -> String {
    format!("rate:{}:{caller}", group.name())
}

/// The length of a bucket, in milliseconds.
fn bucket_ms(rate: Rate) -> i64 {
    i64::from(rate.seconds) * 1000 / BUCKETS
}

/// The arguments of [`COUNT`].
fn arguments(rate: Rate, now_ms: i64) -> [String; 4] {
    let bucket_ms = bucket_ms(rate);
    let now = now_ms.div_euclid(bucket_ms);
    let kept = bucket_ms * (BUCKETS + 1);
    [i64::from(rate.requests), now, BUCKETS, kept].map(|number| number.to_string())
}

/// Judges a request by what this instance has let through alone.
fn judge_alone(request: &sampled::Request) -> Judged {
    let sampled::Request { rate, now_ms, own, .. } = *request;
    let length_ms = i64::from(rate.seconds) * 1000;
    let elapsed = now_ms.rem_euclid(length_ms) as f64 / length_ms as f64;
    judge(rate, own.last.into(), i64::from(own.this) + 1, elapsed)
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
            let (fresh, _) = limiter(&fake);
            block_on(fresh.erase(person, holds)).expect("the store works")
        };
        let (reused, settings) = limiter(&fake);
        let ask_reused =
            || block_on(reused.check(&settings, LimitGroup::Predictions, &identity_of(person), None)).is_ok();
        assert!((0..4).all(|_| ask_reused()) && !ask_reused());
        assert_eq!(block_on(reused.erase(person, false)), Ok(1));
        assert!(ask_reused(), "nothing is left of them here either");
        assert_eq!(block_on(reused.erase(person, false)), Ok(1));
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
    fn an_instance_holds_callers_to_their_limits_while_the_store_does_not_count() {
        let fake = Fake::with_variable("rate_limit_predictions", "4/day");
        let (reused, settings) = limiter(&fake);
        let ask = |limiter: &RateLimiter<Fake>, caller: &str| {
            block_on(limiter.check(&settings, LimitGroup::Predictions, caller, None)).map(|checked| checked.status)
        };
        let fail = |fails: bool| {
            let keys = (0..sampled::SLOTS).map(slot_key);
            let mut failing = fake.failing.borrow_mut();
            failing.clear();
            failing.extend(keys.filter(|_| fails));
        };
        assert!(ask(&reused, "one").is_ok_and(|status| status.is_some()));
        fail(true);
        let answers: Vec<_> = (0..6).map(|_| ask(&reused, "one")).collect();
        assert!(answers[..3].iter().all(|answer| matches!(answer, Ok(None))), "nobody knows what is left of it");
        assert!(answers[3..].iter().all(|answer| matches!(answer, Err(Problem::TooManyRequests(_)))));
        assert!(ask(&reused, "other").is_ok(), "each caller has their own");
        assert!(reused.faults.reads.get());
        fail(false);
        assert!(ask(&reused, "another").is_ok_and(|status| status.is_some()));
        assert!(!reused.faults.reads.get());
        // A store that is full counts nobody who is new.
        fake.full.set(true);
        let (full, _) = limiter(&fake);
        assert_eq!((0..8).filter(|_| ask(&full, "new").is_ok()).count(), 4);
        assert!(full.faults.writes.get() && !full.faults.reads.get());
    }

    #[test]
    fn requests_in_flight_while_the_store_fails_are_let_in_as_often_as_the_limit_says() {
        let mut fake = Fake::with_variable("rate_limit_predictions", "5/day");
        fake.failing.borrow_mut().extend((0..sampled::SLOTS).map(slot_key));
        let turns = fake.clone();
        fake.before_operation = Some(Rc::new(move || {
            let turns = turns.clone();
            Box::pin(async move { crate::platform::Tasks::yield_now(&turns).await })
        }));
        let (limiter, settings) = limiter(&fake);
        let check = |_| limiter.check(&settings, LimitGroup::Predictions, "someone", None);
        let checked = block_on(futures::future::join_all((0..64).map(check)));
        assert_eq!(checked.iter().filter(|checked| checked.is_ok()).count(), 5);
        // One that answers slowly, too: what it says is of before.
        fake.failing.borrow_mut().clear();
        let check = |_| limiter.check(&settings, LimitGroup::Predictions, "another", None);
        let checked = block_on(futures::future::join_all((0..64).map(check)));
        assert_eq!(checked.iter().filter(|checked| checked.is_ok()).count(), 5);
    }

    #[test]
    fn callers_that_an_instance_does_not_remember_share_a_limit_while_the_store_fails() {
        let fake = Fake::with_variable("rate_limit_predictions", "4/day");
        let (limiter, settings) = limiter(&fake);
        fake.failing.borrow_mut().extend((0..sampled::SLOTS).map(slot_key));
        let ask = |caller: String| block_on(limiter.check(&settings, LimitGroup::Predictions, &caller, None)).is_ok();
        assert!((0..sampled::MAX_OWN).all(|number| ask(format!("remembered {number}"))));
        assert_eq!((0..100).filter(|number| ask(format!("other {number}"))).count(), 4);
        assert!(ask("remembered 0".to_owned()), "who is remembered has their own");
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
