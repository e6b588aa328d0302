//! The platform's key-value store, as this service uses it: nobody waits long for it, no key in it names a person, and
//! its values can be sealed, because it may be a Redis that others share.
//!
//! A circuit breaker leaves a store that was too slow alone for a while, so that not every request waits for it.

use crate::ids::UserId;
use crate::platform::{Platform, StoreError, with_timeout};
use crate::sealing::{KeyedHash, StoreSecrets, new_secret};
use crate::telemetry::log;
use crate::telemetry::metrics::{self, STORE, STORE_ERRORS};
use jiff::Timestamp;
use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A healthy store answers in well under a millisecond.
const READ_TIMEOUT: Duration = Duration::from_millis(50);
/// The time-out of reads that an instance makes once, and without which no limit holds: a flood of requests must not be
/// what turns the limits off.
const FIRST_TIMEOUT: Duration = Duration::from_millis(500);
/// Nobody waits for a write, but it keeps its instance alive.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// The time for which the circuit stays open after a time-out.
const BREAKER_OPEN: Duration = Duration::from_secs(2);
/// The time for which an answer says that the store is healthy.
const HEALTHY_FOR: Duration = Duration::from_secs(1);
/// A claim is held so long: whoever claimed may have died since.
const CLAIM_SECONDS: i64 = 10;
/// The key of the secret that keys are hashed with, where the configuration has none.
const SECRET_KEY: &str = "key-secret";
/// A key that is asked for only to see if the store answers.
const PROBE_KEY: &str = "ready";

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
            Failure::CircuitOpen | Failure::TimedOut => "too slow",
            Failure::WriteTimedOut | Failure::Error(_) => self.cause(),
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

/// The key-value store.
pub(crate) struct Store<P> {
    platform: P,
    breaker: Breaker,
    /// Set once the configuration was read; before that values are read and written as they are.
    secrets: OnceCell<StoreSecrets>,
    /// The hash for keys, once its secret is known.
    keyed_hash: RefCell<Option<KeyedHash>>,
    /// The last person that was hashed, with the whole digest: a request hashes its person for the store and for the
    /// log.
    last_person: Cell<Option<(UserId, [u8; 32])>>,
}

/// The circuit breaker of one instance.
#[derive(Default)]
struct Breaker {
    open_until: Cell<Option<Instant>>,
    healthy_until: Cell<Option<Instant>>,
}

impl Breaker {
    fn is_open(&self) -> bool {
        self.open_until.get().is_some_and(|until| Instant::now() < until)
    }

    fn is_known_healthy(&self) -> bool {
        self.healthy_until.get().is_some_and(|until| Instant::now() <= until)
    }

    fn open(&self) {
        self.open_until.set(Some(Instant::now() + BREAKER_OPEN));
        self.healthy_until.set(None);
    }

    fn note_answer(&self) {
        self.healthy_until.set(Some(Instant::now() + HEALTHY_FOR));
    }
}

impl<P: Platform> Store<P> {
    pub(crate) fn new(platform: P) -> Store<P> {
        Store {
            platform,
            breaker: Breaker::default(),
            secrets: OnceCell::new(),
            keyed_hash: RefCell::default(),
            last_person: Cell::default(),
        }
    }

    /// Sets the secrets that the configuration has. They do not change while an instance lives.
    pub(crate) fn configure(&self, secrets: StoreSecrets) {
        let _ = self.secrets.set(secrets);
    }

    /// A view whose operations are not counted, for the keys that counts themselves are kept in.
    pub(crate) fn uncounted(&self) -> Uncounted<'_, P> {
        Uncounted(self)
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        counted("get", self.uncounted().get(key)).await
    }

    /// Gets two keys at once.
    pub(crate) async fn get_both(&self, keys: [&str; 2]) -> Result<[Option<Vec<u8>>; 2], Failure> {
        let both = futures::future::try_join(self.platform.get(keys[0]), self.platform.get(keys[1]));
        let (first, second) = counted("get", self.guarded(READ_TIMEOUT, both)).await?;
        Ok([first, second])
    }

    pub(crate) async fn set(&self, key: &str, value: &[u8]) -> Result<(), Failure> {
        counted("set", self.uncounted().set(key, value)).await
    }

    /// Adds to a counter atomically, and returns the sum.
    pub(crate) async fn increment(&self, key: &str, delta: i64) -> Result<i64, Failure> {
        counted("increment", self.uncounted().increment(key, delta)).await
    }

    /// Returns true if the store answers in time.
    pub(crate) async fn is_ready(&self) -> bool {
        counted("exists", self.guarded(READ_TIMEOUT, self.platform.exists(PROBE_KEY))).await.is_ok()
    }

    /// Gets a value that was sealed for its key. One that was not is none.
    pub(crate) async fn get_sealed(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.get(key).await?.and_then(|value| self.open(key, value)))
    }

    /// Sets a value, sealed for its key.
    pub(crate) async fn set_sealed(&self, key: &str, value: &[u8]) -> Result<(), Failure> {
        let sealed = self.secrets.get().map(|secrets| secrets.seal(key, value));
        self.set(key, sealed.as_deref().unwrap_or(value)).await
    }

    /// Opens a value that was sealed for its key.
    pub(crate) fn open(&self, key: &str, value: Vec<u8>) -> Option<Vec<u8>> {
        match self.secrets.get() {
            None => Some(value),
            Some(secrets) => secrets.open(key, value),
        }
    }

    /// Claims a task for [`CLAIM_SECONDS`]. Returns true to the first of all instances that asks, and the key of the
    /// claim, which should be deleted once the task is done and can be seen to be.
    pub(crate) async fn claim(&self, task: &str) -> Result<(bool, String), Failure> {
        let key = format!("claim:{task}:{}", Timestamp::now().as_second() / CLAIM_SECONDS);
        let is_first = self.increment(&key, 1).await? == 1;
        Ok((is_first, key))
    }

    /// Hashes a caller, or a question of theirs, for a key: 128 bits of HMAC-SHA256 with this deployment's secret, in
    /// hexadecimal.
    pub(crate) async fn hash(&self, text: &str) -> Result<String, Failure> {
        Ok(base16ct::lower::encode_string(&self.keyed_hash().await?.digest(text)[..16]))
    }

    /// Hashes a person for a key.
    pub(crate) async fn hash_person(&self, person: UserId) -> Result<String, Failure> {
        let digest = self.keyed_hash().await?.digest(&hashed_text(person));
        self.last_person.set(Some((person, digest)));
        Ok(base16ct::lower::encode_string(&digest[..16]))
    }

    /// Hashes a person for the log, once this instance knows the secret: 48 bits, which no key of the store has.
    pub(crate) fn hash_for_log(&self, person: UserId) -> Option<String> {
        let last = self.last_person.get().filter(|(last, _)| *last == person);
        let digest = match last {
            Some((_, digest)) => digest,
            None => self.keyed_hash.borrow().as_ref()?.digest(&hashed_text(person)),
        };
        Some(base16ct::lower::encode_string(&digest[16..22]))
    }

    async fn keyed_hash(&self) -> Result<KeyedHash, Failure> {
        if let Some(hash) = &*self.keyed_hash.borrow() {
            return Ok(hash.clone());
        }
        let hash = KeyedHash::new(&self.key_secret().await?).ok_or(Failure::Error(StoreError::Other))?;
        Ok(self.keyed_hash.borrow_mut().insert(hash).clone())
    }

    /// The secret that keys are hashed with: the configuration's, else one that the first instance makes and all read.
    /// Two secrets at a time would mean that an invalidation does not reach every entry, so an instance that finds none
    /// claims the making.
    async fn key_secret(&self) -> Result<Rc<[u8]>, Failure> {
        if let Some(secret) = self.secrets.get().and_then(|secrets| secrets.key_secret.clone()) {
            return Ok(secret);
        }
        if let Some(secret) = self.stored_key_secret().await? {
            return Ok(secret);
        }
        self.make_key_secret().await
    }

    /// Makes the secret, if this instance is the first that found none; else waits for the one that another makes.
    async fn make_key_secret(&self) -> Result<Rc<[u8]>, Failure> {
        let (is_first, claim) = self.claim(SECRET_KEY).await?;
        if is_first {
            // The claim may be the second one: the first is deleted once its secret is stored, and that may have
            // happened since this instance looked.
            let mut secret = self.stored_key_secret().await?;
            if secret.is_none() {
                let made = new_secret();
                self.set_sealed(SECRET_KEY, &made).await.map_err(|_| Failure::TimedOut)?;
                // A secret that another instance wrote meanwhile, with a claim of the next seconds, is everybody's.
                secret = Some(self.stored_key_secret().await?.unwrap_or(made));
            }
            self.uncounted().delete(&claim).await;
            return secret.ok_or(Failure::TimedOut);
        }
        for _ in 0..10 {
            self.platform.sleep(Duration::from_millis(10)).await;
            if let Some(secret) = self.stored_key_secret().await? {
                return Ok(secret);
            }
        }
        Err(Failure::TimedOut)
    }

    async fn stored_key_secret(&self) -> Result<Option<Rc<[u8]>>, Failure> {
        let value = counted("get", self.guarded(FIRST_TIMEOUT, self.platform.get(SECRET_KEY))).await?;
        Ok(value.and_then(|value| self.open(SECRET_KEY, value)).map(Rc::from))
    }

    /// Awaits an operation behind the circuit breaker.
    async fn guarded<T>(
        &self,
        timeout: Duration,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Failure> {
        if self.breaker.is_open() {
            return Err(Failure::CircuitOpen);
        }
        match with_timeout(&self.platform, timeout, work).await {
            Some(Ok(output)) => {
                self.breaker.note_answer();
                Ok(output)
            }
            Some(Err(error)) => Err(Failure::Error(error)),
            None => {
                self.breaker.open();
                Err(Failure::TimedOut)
            }
        }
    }
}

/// The text that stands for a person in the hash.
fn hashed_text(person: UserId) -> String {
    format!("person:{person}")
}

/// Counts an operation by how long it took, or by why it failed.
async fn counted<T>(operation: &'static str, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let start = Instant::now();
    let done = work.await;
    match &done {
        // It was not asked.
        Err(Failure::CircuitOpen) => {}
        Err(failure) => metrics::add(&STORE_ERRORS, &[operation, failure.label()], 1),
        Ok(_) => metrics::observe(&STORE, &[operation], start.elapsed()),
    }
    done
}

/// A view of the store whose operations are not counted.
pub(crate) struct Uncounted<'a, P>(&'a Store<P>);

impl<P: Platform> Uncounted<'_, P> {
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.0.guarded(READ_TIMEOUT, self.0.platform.get(key)).await
    }

    /// Sets a key. A slow write opens no circuit, and is made while one is open: nobody waits for it.
    pub(crate) async fn set(&self, key: &str, value: &[u8]) -> Result<(), Failure> {
        match with_timeout(&self.0.platform, WRITE_TIMEOUT, self.0.platform.set(key, value)).await {
            Some(written) => written.map_err(Failure::Error),
            None => Err(Failure::WriteTimedOut),
        }
    }

    /// Deletes a key. One that cannot be deleted now is a few bytes too many, and no more.
    pub(crate) async fn delete(&self, key: &str) {
        let _ = with_timeout(&self.0.platform, WRITE_TIMEOUT, self.0.platform.delete(key)).await;
    }

    /// Deletes keys at once, and returns how many of them were there.
    pub(crate) async fn delete_all(&self, keys: impl Iterator<Item = String>) -> usize {
        let platform = &self.0.platform;
        let delete = |key: String| async move {
            platform.exists(&key).await.unwrap_or(false) && platform.delete(&key).await.is_ok()
        };
        let deletions = futures::future::join_all(keys.map(delete));
        let deleted = with_timeout(platform, WRITE_TIMEOUT, deletions).await.unwrap_or_default();
        deleted.into_iter().filter(|deleted| *deleted).count()
    }

    /// Adds to a counter atomically, and returns the sum. The interface is synchronous: while it runs, the instance's
    /// other requests wait, without a time-out. So a store that has not just shown that it is healthy is probed first.
    pub(crate) async fn increment(&self, key: &str, delta: i64) -> Result<i64, Failure> {
        let Store { platform, breaker, .. } = self.0;
        if !breaker.is_known_healthy() {
            self.0.guarded(FIRST_TIMEOUT, platform.exists(PROBE_KEY)).await?;
        }
        let start = Instant::now();
        let sum = platform.increment(key, delta).map_err(Failure::Error)?;
        if start.elapsed() > FIRST_TIMEOUT {
            breaker.open();
        }
        Ok(sum)
    }

    /// Reads a counter; 0 if there is none. To be asked right after another counter, when the store is known to be
    /// healthy.
    pub(crate) async fn counter(&self, key: &str) -> Result<i64, Failure> {
        // A counter's bytes are the store's own: to add nothing is the way to read it, and would make one that is not
        // there.
        match self.0.platform.counter_exists(key).map_err(Failure::Error)? {
            true => self.increment(key, 0).await,
            false => Ok(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_platform::Fake;
    use futures::executor::block_on;

    /// Two secrets at a time would part the counters of one caller, and hide entries from an invalidation.
    #[test]
    fn an_instance_that_looked_before_the_secret_was_stored_takes_it_all_the_same() {
        let fake = Fake::default();
        let (first, late) = (Store::new(fake.clone()), Store::new(fake.clone()));
        block_on(async {
            let secret = first.key_secret().await.expect("made");
            // It found none, and the first has stored its own and deleted the claim since.
            assert_eq!(late.make_key_secret().await.expect("found"), secret);
            assert_eq!(first.hash("a caller").await, late.hash("a caller").await);
            assert!(fake.stored.borrow().keys().all(|key| !key.starts_with("claim:")));
        });
    }
}
