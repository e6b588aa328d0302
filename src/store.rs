//! The store, as this service uses it: the platform's key-value store, or a Redis server where one is configured.
//! Nobody waits long for it, no key in it names a person, and its values can be sealed, because others may share it.
//!
//! A key-value store keeps what it is given, so it has a fixed number of keys ([`layout`]), and each value carries
//! the time at which it is over: nothing is read of it afterwards, and `retention.rs` removes it.
//!
//! An instance waits for its store by what that usually takes ([`Breaker`]): one that is far away is slow, not dead. A
//! circuit breaker leaves a store that was too slow alone for a while, so that not every request waits for it. Both
//! that and the time-outs need an interface that is asynchronous and an instance that is reused: where the platform's
//! is synchronous, a request waits for as long as the host lets it, so there are few calls in its way.

mod layout;
mod redis;

use layout::{HEADER_BYTES, VERSION, over_at};
pub(crate) use layout::{JOB_PLACES, Kind, Layout, LeftOver};

use crate::ids::UserId;
use crate::platform::{Platform, RedisValue, StoreError, with_timeout};
use crate::redis::RedisUrl;
use crate::sealing::StoreSecrets;
use crate::telemetry::log;
use crate::telemetry::metrics::{self, STORE, STORE_ERRORS};
use crate::time::{MAX_CLOCK_SKEW_MS, after, monotonic_now, now_ms};
use redis::RedisConnection;
use serde::Serialize;
use std::cell::{Cell, OnceCell};
use std::fmt;
use std::time::{Duration, Instant};

/// The time for which a read is waited for before the store has answered once.
const FIRST_READ_TIMEOUT: Duration = Duration::from_millis(500);
/// The least time that a read is given beyond what reads usually take. A healthy store answers in well under a
/// millisecond, and now and then it, or the machine, pauses.
const MIN_READ_MARGIN: Duration = Duration::from_millis(50);
/// The longest one: a prediction without the cache takes less.
const MAX_READ_TIMEOUT: Duration = Duration::from_secs(1);
/// Nobody waits for a write, but it keeps its instance alive.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// Nobody waits for a list of all keys, which walks the whole store.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);
/// The time for which the circuit stays open after a time-out.
const BREAKER_OPEN: Duration = Duration::from_secs(2);
/// No value that expires is kept for longer: entries have a day, and a day in which they may stand in.
const LONGEST_KEPT: Duration = Duration::from_secs(3 * 86_400);
/// The key under which the store says when something could be written last, only to see if anything can be.
const PROBE_KEY: &str = "ready";
/// It is written so often at most, by all instances together: a platform may count or charge writes.
const PROBE_INTERVAL: Duration = Duration::from_secs(60);

/// The reason why the store could not be asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Failure {
    /// It was too slow a moment ago, and is left alone.
    CircuitOpen,
    TimedOut,
    /// A write was too slow, which opens no circuit: nobody waited for it.
    WriteTimedOut,
    Error(StoreError),
}

impl Failure {
    /// The sentence for the log.
    pub(crate) fn cause(self) -> &'static str {
        match self {
            Failure::CircuitOpen => "the store was too slow a moment ago",
            Failure::TimedOut => "the store is too slow and is left alone for a while",
            Failure::WriteTimedOut => "the store is too slow",
            Failure::Error(error) => error.name(),
        }
    }

    /// The label in metrics.
    fn label(self) -> &'static str {
        match self {
            Failure::CircuitOpen | Failure::TimedOut | Failure::WriteTimedOut => "too slow",
            Failure::Error(error) => error.name(),
        }
    }

    /// Logs a warning, but not while the circuit is open: that was said when it opened.
    pub(crate) fn warn(self, event: &'static str, message: &'static str) {
        if self != Failure::CircuitOpen {
            log::warning(event, message, self.cause());
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.cause())
    }
}

/// The condition of the store.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Condition {
    Ok,
    /// It can be read and deleted from, and takes nothing new.
    ReadOnly,
    Unavailable,
}

/// Two keys, and the values that were read under them together with something else.
pub(crate) struct ReadAlong {
    pub(crate) keys: [String; 2],
    pub(crate) values: [Option<Vec<u8>>; 2],
}

/// The store of one instance.
pub(crate) struct Store<P: Platform> {
    platform: P,
    breaker: Breaker,
    /// The last write failed.
    refuses_writes: Cell<bool>,
    /// Set once the configuration was read; nothing is asked of the store before.
    configured: OnceCell<Configured<P>>,
    /// The last person that was hashed, with the whole digest: a request hashes its person for the store and for the
    /// log.
    last_person: Cell<Option<(UserId, [u8; 32])>>,
}

/// The parts of the store that the configuration decides.
struct Configured<P: Platform> {
    secrets: StoreSecrets,
    layout: Layout,
    redis: Option<RedisConnection<P>>,
}

/// The circuit breaker of one instance. It waits for a read as TCP waits for an acknowledgement (RFC 6298): for what
/// the store usually takes and four times its mean deviation, and for twice as long after each time-out in a row. A
/// store that is steady deviates so little that a pause would look like its end: twice the usual time is never too
/// long.
#[derive(Default)]
struct Breaker {
    open_until: Cell<Option<Instant>>,
    /// The time that reads usually take, and its mean deviation.
    usual: Cell<Option<(Duration, Duration)>>,
    /// The time-outs in a row.
    timeouts: Cell<u32>,
}

impl Breaker {
    /// Returns the time for which a read may be waited for; `None` while the circuit is open. Once it has been for long
    /// enough one read finds out if the store is back: the others stay away as long as that may take.
    fn admit(&self) -> Option<Duration> {
        let (now, timeout) = (monotonic_now(), self.timeout());
        match self.open_until.get() {
            Some(until) if now < until => return None,
            Some(_) => self.open_until.set(Some(now + timeout)),
            None => {}
        }
        Some(timeout)
    }

    fn timeout(&self) -> Duration {
        let usual = self
            .usual
            .get()
            .map_or(FIRST_READ_TIMEOUT, |(mean, deviation)| mean + (4 * deviation).max(mean).max(MIN_READ_MARGIN));
        let doubled = usual.saturating_mul(1 << self.timeouts.get().min(8));
        doubled.min(MAX_READ_TIMEOUT)
    }

    /// Learns that a read was answered, and how long it took.
    fn answered(&self, took: Duration) {
        self.open_until.set(None);
        self.timeouts.set(0);
        self.usual.set(Some(match self.usual.get() {
            None => (took, took / 2),
            Some((mean, deviation)) => ((7 * mean + took) / 8, (3 * deviation + mean.abs_diff(took)) / 4),
        }));
    }

    /// Learns that a read was not answered in time. Of many at the same time the first counts.
    fn timed_out(&self) {
        let now = monotonic_now();
        if self.open_until.get().is_none_or(|until| now >= until || until - now < BREAKER_OPEN / 2) {
            self.timeouts.set(self.timeouts.get().saturating_add(1));
            self.open();
        }
    }

    fn open(&self) {
        self.open_until.set(Some(monotonic_now() + BREAKER_OPEN));
    }
}

impl<P: Platform> Store<P> {
    pub(crate) fn new(platform: P) -> Store<P> {
        Store {
            platform,
            breaker: Breaker::default(),
            refuses_writes: Cell::default(),
            configured: OnceCell::new(),
            last_person: Cell::default(),
        }
    }

    /// Sets what the configuration says of the store. It does not change while an instance lives.
    pub(crate) fn configure(&self, secrets: StoreSecrets, redis: Option<RedisUrl>, layout: Layout) {
        let redis = redis.map(|url| RedisConnection::new(self.platform.clone(), url));
        let _ = self.configured.set(Configured { secrets, layout, redis });
    }

    /// A view whose operations are not counted, for the keys that counts themselves are kept in.
    pub(crate) fn uncounted(&self) -> Uncounted<'_, P> {
        Uncounted(self)
    }

    /// Returns true if a Redis server is configured: it counts exactly, and forgets by itself.
    pub(crate) fn is_redis(&self) -> bool {
        self.redis().is_some()
    }

    fn redis(&self) -> Option<&RedisConnection<P>> {
        self.configured.get()?.redis.as_ref()
    }

    /// The numbers of slots; `None` where there are none, with Redis.
    pub(crate) fn layout(&self) -> Option<Layout> {
        self.configured.get().filter(|configured| configured.redis.is_none()).map(|configured| configured.layout)
    }

    /// Returns true if predictions can be kept.
    pub(crate) fn keeps_predictions(&self) -> bool {
        self.layout().is_none_or(|layout| layout.slots(Kind::Predictions) > 0)
    }

    /// The key of a value about something that has this hash: its own in Redis, else that of a slot.
    pub(crate) fn key(&self, kind: Kind, hash: &str) -> String {
        self.layout().map_or_else(|| format!("{}:{hash}", kind.name()), |layout| layout.key(kind, hash, 0))
    }

    /// The keys of the places that a job about something with this hash can have.
    pub(crate) fn job_keys(&self, hash: &str) -> Vec<String> {
        let key = |place| match self.layout() {
            Some(layout) => layout.key(Kind::Job, hash, place),
            None => format!("{}:{hash}:{place}", Kind::Job.name()),
        };
        (0..JOB_PLACES).map(key).collect()
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        counted("get", self.uncounted().get(key)).await
    }

    /// Gets several keys at once.
    pub(crate) async fn get_all(&self, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, Failure> {
        counted("get", self.guarded(true, self.read_all(keys))).await
    }

    async fn read_all(&self, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        match self.redis() {
            Some(redis) => redis.get_all(keys).await,
            None => futures::future::try_join_all(keys.iter().map(|key| self.platform.get(key))).await,
        }
    }

    /// Sets a key. Redis forgets it after `keep`; no key-value store forgets anything.
    pub(crate) async fn set(&self, key: &str, value: &[u8], keep: Duration) -> Result<(), Failure> {
        counted("set", self.uncounted().set(key, value, keep)).await
    }

    /// Runs a script of Redis's, which must be configured.
    pub(crate) async fn evaluate(
        &self,
        script: &str,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<Vec<RedisValue>, Failure> {
        counted("eval", self.uncounted().evaluate(script, keys, arguments)).await
    }

    /// Finds out if the store can be read and written. It is read each time, and written once in a while, or if the
    /// last write of this instance failed. It is a new key that is written: a store that has no room for another would
    /// take one that is there.
    pub(crate) async fn condition(&self) -> Condition {
        let Ok(value) = self.get(PROBE_KEY).await else { return Condition::Unavailable };
        let written_at = value.and_then(|value| std::str::from_utf8(&value).ok()?.parse::<i64>().ok());
        let now = now_ms();
        let is_recent = written_at.is_some_and(|at| (at..after(at, PROBE_INTERVAL)).contains(&now));
        if is_recent && !self.refuses_writes.get() {
            return Condition::Ok;
        }
        let key = format!("{PROBE_KEY}:probe");
        self.uncounted().delete(&key).await;
        let condition = self.probe(&key, now).await;
        self.uncounted().delete(&key).await;
        match condition {
            Condition::Ok => self.probe(PROBE_KEY, now).await,
            Condition::ReadOnly | Condition::Unavailable => condition,
        }
    }

    async fn probe(&self, key: &str, now: i64) -> Condition {
        match self.set(key, now.to_string().as_bytes(), 2 * PROBE_INTERVAL).await {
            Ok(()) => Condition::Ok,
            Err(_) => Condition::ReadOnly,
        }
    }

    /// Gets a value that was sealed for its key, and is kept for `keep`. One that was not, or is over, is none.
    pub(crate) async fn get_sealed(&self, key: &str, keep: Duration) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.get(key).await?.and_then(|value| self.open(key, value, keep)))
    }

    /// Sets a value, sealed for its key, that is over after `keep`.
    pub(crate) async fn set_sealed(&self, key: &str, value: &[u8], keep: Duration) -> Result<(), Failure> {
        let over_at = after(now_ms(), keep);
        self.set(key, &self.seal(key, value, over_at), keep).await
    }

    /// Returns true if values are sealed.
    pub(crate) fn is_sealed(&self) -> bool {
        self.configured.get().is_some_and(|configured| configured.secrets.cipher.is_some())
    }

    /// A name as it goes into the store, sealed alike each time.
    pub(crate) fn seal_name(&self, name: &str) -> Vec<u8> {
        self.configured.get().map_or_else(Vec::new, |configured| configured.secrets.seal_name(name))
    }

    /// A name out of the store, or `None` if this deployment did not seal it.
    pub(crate) fn open_name(&self, name: Vec<u8>) -> Option<String> {
        self.configured.get()?.secrets.open_name(name)
    }

    /// Seals a value for its key and for the time at which it is over.
    pub(crate) fn seal(&self, key: &str, value: &[u8], over_at: i64) -> Vec<u8> {
        let sealed = self.configured.get().map(|configured| configured.secrets.seal(&sealed_for(key, over_at), value));
        let header = [&[VERSION][..], &over_at.to_le_bytes()].concat();
        [header, sealed.unwrap_or_else(|| value.to_vec())].concat()
    }

    /// Opens a value that was sealed for its key, and is not over. One that has longer to live than `keep` was written
    /// by a clock that has been set back since, and is none.
    pub(crate) fn open(&self, key: &str, value: Vec<u8>, keep: Duration) -> Option<Vec<u8>> {
        let now = now_ms();
        let latest = after(now, keep).saturating_add(MAX_CLOCK_SKEW_MS);
        let is_current = over_at(&value).is_some_and(|at| now < at && at <= latest);
        if is_current { self.unseal(key, value) } else { None }
    }

    /// Opens a value that was sealed for its key, also one that is over.
    pub(crate) fn unseal(&self, key: &str, mut value: Vec<u8>) -> Option<Vec<u8>> {
        let over_at = over_at(&value).filter(|_| value.first() == Some(&VERSION))?;
        let sealed = value.split_off(HEADER_BYTES);
        self.configured.get()?.secrets.open(&sealed_for(key, over_at), sealed)
    }

    /// Lists the keys that somebody's values can have under this layout or, where the store's keys are listed, under
    /// the others that those are of.
    pub(crate) fn keys_to_erase(&self, listed: Option<&[String]>, kind: Kind, hash: &str) -> Vec<String> {
        match (self.layout(), kind) {
            (Some(layout), Kind::Job) => layout.keys_among(listed, kind, hash, JOB_PLACES),
            (Some(layout), _) => layout.keys_among(listed, kind, hash, 1),
            (None, Kind::Job) => self.job_keys(hash),
            (None, _) => vec![self.key(kind, hash)],
        }
    }

    /// Lists the keys of the generations that somebody's predictions can have under the other layouts whose keys are
    /// listed.
    pub(crate) fn other_generations(&self, listed: &[String], hash: &str) -> Vec<String> {
        self.layout().map_or_else(Vec::new, |layout| layout.other_generations_in(listed, hash))
    }

    /// Deletes what is about somebody under these keys: the values in which `count` finds something, or of which it
    /// cannot say, as of those that cannot be opened. Returns the sum of counts.
    pub(crate) async fn erase(
        &self,
        keys: &[String],
        count: impl Fn(&[u8]) -> Option<usize>,
    ) -> Result<usize, Failure> {
        let values = self.uncounted().get_patiently(keys).await?;
        let (mut erased, mut gone) = (0, Vec::new());
        for (key, value) in keys.iter().zip(values) {
            // What this service has not written is not this service's to delete.
            let Some(value) = value.filter(|value| over_at(value).is_some()) else { continue };
            let about = self.unseal(key, value).and_then(|value| count(&value));
            if about != Some(0) {
                gone.push(key.clone());
            }
            erased += about.unwrap_or(0);
        }
        self.uncounted().delete_all(&gone).await?;
        Ok(erased)
    }

    /// Hashes a caller, or a question of theirs, for a key: 128 bits of HMAC-SHA256 with this deployment's secret, in
    /// hexadecimal.
    pub(crate) fn hash(&self, text: &str) -> String {
        base16ct::lower::encode_string(&self.digest(text)[..16])
    }

    /// Hashes a person for a key.
    pub(crate) fn hash_person(&self, person: UserId) -> String {
        base16ct::lower::encode_string(&self.person_digest(person)[..16])
    }

    /// Hashes a person for the log, once the configuration was read: 48 bits, which no key of the store has.
    pub(crate) fn hash_for_log(&self, person: UserId) -> Option<String> {
        self.configured.get()?;
        Some(base16ct::lower::encode_string(&self.person_digest(person)[16..22]))
    }

    /// Hashes what a prediction was made from for the log, in 128 bits: the numbers' bytes, lowest first. `None` where
    /// there is no secret to hash it with: check-ins could be guessed.
    pub(crate) fn input_digest(&self, inputs: impl Iterator<Item = f64>) -> Option<String> {
        let secrets = &self.configured.get().filter(|configured| configured.secrets.is_secret)?.secrets;
        // All that is missing is the same.
        let number = |input: f64| if input.is_nan() { f64::NAN.to_bits() } else { input.to_bits() };
        let parts = std::iter::once(*b"inputs::").chain(inputs.map(|input| number(input).to_le_bytes()));
        Some(base16ct::lower::encode_string(&secrets.keyed_hash.digest_parts(parts)[..16]))
    }

    fn person_digest(&self, person: UserId) -> [u8; 32] {
        if let Some((_, digest)) = self.last_person.get().filter(|(last, _)| *last == person) {
            return digest;
        }
        let digest = self.digest(&format!("person:{person}"));
        self.last_person.set(Some((person, digest)));
        digest
    }

    fn digest(&self, text: &str) -> [u8; 32] {
        // Nothing is hashed before there is a configuration.
        self.configured.get().map_or([0; 32], |configured| configured.secrets.keyed_hash.digest(text))
    }

    /// Awaits an operation behind the circuit breaker, which reads, or may write.
    async fn guarded<T>(&self, is_read: bool, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, Failure> {
        let timeout = self.breaker.admit().ok_or(Failure::CircuitOpen)?;
        let start = monotonic_now();
        match with_timeout(&self.platform, timeout, work).await {
            Some(Ok(output)) => {
                self.breaker.answered(monotonic_now() - start);
                Ok(output)
            }
            Some(Err(error)) => {
                // A server that is away takes long to say so, and each question would dial again. One that refuses to
                // write, as it is full, answers everybody else.
                if self.redis().is_some_and(|redis| is_read || !redis.is_connected()) {
                    self.breaker.open();
                }
                Err(Failure::Error(error))
            }
            None => {
                self.breaker.timed_out();
                Err(Failure::TimedOut)
            }
        }
    }
}

/// Counts an operation by how long it took, or by why it failed.
async fn counted<T>(operation: &'static str, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let start = monotonic_now();
    let done = work.await;
    match &done {
        // It was not asked.
        Err(Failure::CircuitOpen) => {}
        Err(failure) => metrics::add(&STORE_ERRORS, &[operation, failure.label()], 1),
        Ok(_) => metrics::observe(&STORE, &[operation], start.elapsed()),
    }
    done
}

/// The text that a value is sealed for: nobody can give it a longer life.
fn sealed_for(key: &str, over_at: i64) -> String {
    format!("{key} {over_at}")
}

/// Returns true if a value of this service is over, or was written by a clock that has been set back since: none of
/// those that are swept is kept for longer.
fn is_over(value: &[u8]) -> bool {
    let now = now_ms();
    over_at(value).is_some_and(|at| at <= now || at > after(now, LONGEST_KEPT))
}

/// A view of the store whose operations are not counted.
pub(crate) struct Uncounted<'a, P: Platform>(&'a Store<P>);

impl<P: Platform> Uncounted<'_, P> {
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        let read = async {
            match self.0.redis() {
                Some(redis) => redis.get(key).await,
                None => self.0.platform.get(key).await,
            }
        };
        self.0.guarded(true, read).await
    }

    /// Sets a key. A slow write opens no circuit, and is made while one is open: nobody waits for it.
    pub(crate) async fn set(&self, key: &str, value: &[u8], keep: Duration) -> Result<(), Failure> {
        let write = async {
            match self.0.redis() {
                Some(redis) => redis.set(key, value, keep).await,
                None => self.0.platform.set(key, value).await,
            }
        };
        let written = match with_timeout(&self.0.platform, WRITE_TIMEOUT, write).await {
            Some(written) => written.map_err(Failure::Error),
            None => Err(Failure::WriteTimedOut),
        };
        self.0.refuses_writes.set(written.is_err());
        written
    }

    /// Runs a script of Redis's, which must be configured.
    pub(crate) async fn evaluate(
        &self,
        script: &str,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<Vec<RedisValue>, Failure> {
        let Some(redis) = self.0.redis() else { return Err(Failure::Error(StoreError::NoSuchStore)) };
        self.0.guarded(false, redis.evaluate(script, keys, arguments)).await
    }

    /// Deletes a key. One that cannot be deleted now is a few bytes too many, and no more.
    pub(crate) async fn delete(&self, key: &str) {
        let _ = self.delete_all(&[key.to_owned()]).await;
    }

    /// Deletes keys at once, whether the circuit is open or not: nobody waits for it, and whoever erases needs it.
    /// Returns how many of them were there, of which a key-value store says nothing. Errors if one of them may still be
    /// there.
    pub(crate) async fn delete_all(&self, keys: &[String]) -> Result<usize, Failure> {
        let delete = async {
            match self.0.redis() {
                _ if keys.is_empty() => Ok(0),
                Some(redis) => {
                    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                    redis.delete(&keys).await
                }
                None => {
                    for key in keys {
                        self.0.platform.delete(key).await?;
                    }
                    Ok(keys.len())
                }
            }
        };
        match with_timeout(&self.0.platform, WRITE_TIMEOUT, delete).await {
            Some(deleted) => deleted.map_err(Failure::Error),
            None => Err(Failure::WriteTimedOut),
        }
    }

    /// Deletes the values of slots that are over; returns how many there were. One that is written in the moment
    /// between the last look and the deletion goes with it, which costs a prediction that has to be made again.
    pub(crate) async fn delete_what_is_over(&self, keys: &[String]) -> Result<usize, Failure> {
        let values = self.get_patiently(keys).await?;
        let mut deleted = 0;
        for (key, value) in keys.iter().zip(values) {
            if value.is_none_or(|value| !is_over(&value)) {
                continue;
            }
            // It may have been replaced while others were looked at.
            let key = std::slice::from_ref(key);
            let value = self.get_patiently(key).await?.pop().flatten();
            if value.is_some_and(|value| is_over(&value)) {
                self.delete_all(key).await?;
                deleted += 1;
            }
        }
        Ok(deleted)
    }

    /// Deletes those of some keys that are left over of another layout, if their values meet the conditions; returns
    /// how many there were.
    pub(crate) async fn delete_left_over(&self, some: &[(String, LeftOver)]) -> Result<usize, Failure> {
        let keys: Vec<String> = some.iter().map(|(key, _)| key.clone()).collect();
        let (values, now) = (self.get_patiently(&keys).await?, now_ms());
        let over = some
            .iter()
            .zip(values)
            .filter(|((_, condition), value)| value.as_ref().is_some_and(|value| condition.is_met(value, now)));
        let over: Vec<String> = over.map(|((key, _), _)| key.clone()).collect();
        self.delete_all(&over).await?;
        Ok(over.len())
    }

    /// Gets several keys at once for somebody who would rather wait than have nothing. It asks whether the circuit is
    /// open or not, and opens none: requests do not wait for it.
    async fn get_patiently(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Failure> {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        match with_timeout(&self.0.platform, WRITE_TIMEOUT, self.0.read_all(&keys)).await {
            Some(values) => values.map_err(Failure::Error),
            None => Err(Failure::WriteTimedOut),
        }
    }

    /// Lists every key of the store, which a store may take long for. There is no such list with Redis, which forgets
    /// by itself.
    pub(crate) async fn keys(&self) -> Result<Vec<String>, Failure> {
        match with_timeout(&self.0.platform, LIST_TIMEOUT, self.0.platform.keys()).await {
            Some(listed) => listed.map_err(Failure::Error),
            None => Err(Failure::WriteTimedOut),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::fake_platform::Fake;
    use crate::time::clock;
    use futures::executor::block_on;

    #[test]
    fn a_store_without_room_for_another_key_is_not_ready_to_be_written() {
        let fake = Fake::with_variable("cache_slots", "400");
        let settings = block_on(Settings::read(&fake)).expect("valid");
        let store = fake.store(&settings);
        assert_eq!(block_on(store.condition()), Condition::Ok);
        fake.quota.set(Some(fake.stored.borrow().len()));
        assert_eq!(block_on(store.condition()), Condition::Ok, "that was found out a moment ago");
        clock::pass(PROBE_INTERVAL);
        assert_eq!(block_on(store.condition()), Condition::ReadOnly, "what it has it takes once more");
        fake.quota.set(None);
        assert_eq!(block_on(store.condition()), Condition::Ok);
        assert_eq!(fake.stored.borrow().keys().collect::<Vec<_>>(), [PROBE_KEY], "nothing else stays");
    }

    const MS: Duration = Duration::from_millis(1);

    /// Reads by the virtual clock from a store that takes so long; returns true if it is waited for.
    fn read(breaker: &Breaker, takes: Duration) -> Option<bool> {
        let timeout = breaker.admit()?;
        clock::pass(takes.min(timeout));
        match takes <= timeout {
            true => breaker.answered(takes),
            false => breaker.timed_out(),
        }
        Some(takes <= timeout)
    }

    #[test]
    fn a_store_that_is_far_away_is_slow_and_not_dead() {
        for takes in [60 * MS, 300 * MS] {
            let breaker = Breaker::default();
            let waited = (0..100).filter(|_| read(&breaker, takes) == Some(true)).count();
            assert_eq!(waited, 100, "{takes:?}");
            assert_eq!(read(&breaker, 2 * takes - MS), Some(true), "a pause of a steady store is no end");
        }
        // One that becomes slow is left alone for a moment, and is then waited for longer.
        let breaker = Breaker::default();
        assert!((0..20).all(|_| read(&breaker, MS) == Some(true)));
        assert_eq!(breaker.timeout(), MS + MIN_READ_MARGIN);
        assert_eq!(read(&breaker, 150 * MS), Some(false));
        assert_eq!(read(&breaker, 150 * MS), None, "it is left alone");
        clock::pass(BREAKER_OPEN);
        assert_eq!(read(&breaker, 150 * MS), Some(false), "100 ms are not enough either");
        clock::pass(BREAKER_OPEN);
        let waited = (0..100).filter(|_| read(&breaker, 150 * MS) == Some(true)).count();
        assert_eq!(waited, 100, "now it is known");
    }

    #[test]
    fn one_read_finds_out_if_a_store_is_back_and_nobody_waits_for_ever() {
        let breaker = Breaker::default();
        let together: Vec<_> = (0..16).filter_map(|_| breaker.admit()).collect();
        assert_eq!(together.len(), 16);
        clock::pass(FIRST_READ_TIMEOUT);
        together.iter().for_each(|_| breaker.timed_out());
        assert_eq!(breaker.timeouts.get(), 1, "of many at the same time the first counts");
        assert!(breaker.admit().is_none());
        clock::pass(BREAKER_OPEN);
        assert!(breaker.admit().is_some() && breaker.admit().is_none(), "one at a time");
        for _ in 0..10 {
            clock::pass(BREAKER_OPEN + MAX_READ_TIMEOUT);
            assert!(
                breaker.admit().is_some_and(|timeout| timeout <= MAX_READ_TIMEOUT),
                "one that was dropped is no end"
            );
            breaker.timed_out();
        }
        clock::pass(BREAKER_OPEN);
        assert_eq!(read(&breaker, MS), Some(true));
        assert!((0..16).all(|_| breaker.admit().is_some()));
    }
}
