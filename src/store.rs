//! The platform's key-value store, as this service uses it: nobody waits long for it, no key in it names a person, and what
//! is in it can be sealed, because it may be a Redis that others share.

use crate::instance::Instance;
use crate::platform::{Platform, StoreError, within};
use crate::request::UserId;
use crate::settings::Settings;
use crate::telemetry::metrics::{self, STORE, STORE_ERRORS};
use chacha20poly1305::aead::{Aead, Generate, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a request waits for the store. A healthy one answers in well under a millisecond.
const LIMIT: Duration = Duration::from_millis(50);
/// The same for what an instance asks once, and without which no limit holds: a flood of requests must not be what turns the
/// limits off.
const PATIENT_LIMIT: Duration = Duration::from_millis(500);
/// How long a write may take: nobody waits for it, but it keeps its instance alive.
pub(crate) const WRITE_LIMIT: Duration = Duration::from_secs(2);
/// How long a store that was too slow is left alone, so that not every request waits [`LIMIT`] for it.
const REST: Duration = Duration::from_secs(2);
/// How long an answer says that the store is well.
const WELL: Duration = Duration::from_secs(1);
/// How long a claim is held: whoever claimed may have died since.
const CLAIM_SECONDS: i64 = 10;
/// The key of the secret that keys are hashed with, where the configuration has none.
const SECRET_KEY: &str = "key-secret";

/// Why the store could not be asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Failure {
    /// It was too slow a moment ago, and is left alone.
    Resting,
    TooSlow,
    Error(StoreError),
}

impl Failure {
    /// For the metrics.
    fn cause(self) -> &'static str {
        match self {
            Failure::Resting | Failure::TooSlow => "too slow",
            Failure::Error(error) => error.name(),
        }
    }

    /// For the log; nothing while the store rests, which was said when the rest began.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Failure::Resting => None,
            Failure::TooSlow => Some("the store is too slow and is left alone for a while"),
            Failure::Error(error) => Some(error.name()),
        }
    }
}

/// The output of an operation on the store, for which a request waits.
pub(crate) async fn ask<P: Platform, T>(
    instance: &Instance<P>,
    operation: &'static str,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, Failure> {
    timed(operation, ask_within(instance, LIMIT, work)).await
}

/// The same for what is not to be counted, because it is what counts are kept with.
pub(crate) async fn ask_uncounted<P: Platform, T>(
    instance: &Instance<P>,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, Failure> {
    ask_within(instance, LIMIT, work).await
}

/// Counts an operation by how long it took, or by why it failed.
async fn timed<T>(operation: &'static str, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let start = Instant::now();
    let done = work.await;
    match &done {
        // It was not asked.
        Err(Failure::Resting) => {}
        Err(failure) => metrics::add(&STORE_ERRORS, &[operation, failure.cause()], 1),
        Ok(_) => metrics::observe(&STORE, &[operation], start.elapsed()),
    }
    done
}

async fn ask_within<P: Platform, T>(
    instance: &Instance<P>,
    limit: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, Failure> {
    if instance.store_rests_until.get().is_some_and(|until| Instant::now() < until) {
        return Err(Failure::Resting);
    }
    match within(&instance.platform, limit, work).await {
        Some(Ok(output)) => {
            instance.store_well_until.set(Some(Instant::now() + WELL));
            Ok(output)
        }
        Some(Err(error)) => Err(Failure::Error(error)),
        None => {
            rest(instance);
            Err(Failure::TooSlow)
        }
    }
}

fn rest<P>(instance: &Instance<P>) {
    instance.store_rests_until.set(Some(Instant::now() + REST));
    instance.store_well_until.set(None);
}

/// Adds to a counter at once, whoever else does, and gives the sum. The interface for it is synchronous: while it runs, the
/// instance's other requests wait, without a limit. So a store that has not just shown that it is well is asked something else
/// first.
pub(crate) async fn increment<P: Platform>(instance: &Instance<P>, key: &str, delta: i64) -> Result<i64, Failure> {
    timed("increment", increment_uncounted(instance, key, delta)).await
}

/// The same for what is not to be counted.
pub(crate) async fn increment_uncounted<P: Platform>(
    instance: &Instance<P>,
    key: &str,
    delta: i64,
) -> Result<i64, Failure> {
    if instance.store_well_until.get().is_none_or(|until| Instant::now() > until) {
        ask_within(instance, PATIENT_LIMIT, instance.platform.exists("ready")).await?;
    }
    let start = Instant::now();
    let sum = instance.platform.increment(key, delta).map_err(Failure::Error)?;
    if start.elapsed() > PATIENT_LIMIT {
        rest(instance);
    }
    Ok(sum)
}

/// A counter, or 0 if there is none. To be asked right after another counter, when the store is known to be well.
pub(crate) async fn counter<P: Platform>(instance: &Instance<P>, key: &str) -> Result<i64, Failure> {
    // A counter's bytes are the store's own affair: to add nothing is the way to read it, and would make one that is not there.
    match instance.platform.counter_exists(key).map_err(Failure::Error)? {
        true => increment_uncounted(instance, key, 0).await,
        false => Ok(0),
    }
}

/// Writes one key, or says for the log why not.
pub(crate) async fn write(platform: &impl Platform, key: &str, bytes: &[u8]) -> Result<(), &'static str> {
    let start = Instant::now();
    let written = write_uncounted(platform, key, bytes).await;
    match written {
        Ok(()) => metrics::observe(&STORE, &["set"], start.elapsed()),
        Err(cause) => metrics::add(&STORE_ERRORS, &["set", cause], 1),
    }
    written
}

/// The same for what is not to be counted.
pub(crate) async fn write_uncounted(platform: &impl Platform, key: &str, bytes: &[u8]) -> Result<(), &'static str> {
    match within(platform, WRITE_LIMIT, platform.set(key, bytes)).await {
        Some(written) => written.map_err(StoreError::name),
        None => Err("the store is too slow"),
    }
}

/// Whether the store answers in time, for the readiness check.
pub(crate) async fn answers<P: Platform>(instance: &Instance<P>) -> bool {
    ask(instance, "exists", instance.platform.exists("ready")).await.is_ok()
}

/// Whether the caller is the first of all instances to claim a task within [`CLAIM_SECONDS`]; and the key of the claim, which
/// should be deleted once the task is done and can be seen to be.
pub(crate) async fn claim<P: Platform>(instance: &Instance<P>, task: &str) -> Result<(bool, String), Failure> {
    let key = format!("claim:{task}:{}", Timestamp::now().as_second() / CLAIM_SECONDS);
    let first = increment(instance, &key, 1).await? == 1;
    Ok((first, key))
}

/// What stands in a store's key in place of a caller, or of a question of theirs: 128 bits of HMAC-SHA256 with this deployment's secret.
pub(crate) async fn hashed<P: Platform>(
    instance: &Instance<P>,
    settings: &Settings,
    text: &str,
) -> Result<String, Failure> {
    Ok(digits(&digest(keyed_hash(instance, settings).await?, text)[..16]))
}

/// The hash that has been given the secret, for which an instance asks once.
async fn keyed_hash<P: Platform>(instance: &Instance<P>, settings: &Settings) -> Result<Hmac<Sha256>, Failure> {
    if let Some(hash) = &*instance.keyed_hash.borrow() {
        return Ok(hash.clone());
    }
    let secret = secret(instance, settings).await?;
    // A key of any length will do.
    let hash = Hmac::new_from_slice(&secret).map_err(|_| Failure::Error(StoreError::Other))?;
    Ok(instance.keyed_hash.borrow_mut().insert(hash).clone())
}

/// The same for a person. Of the rest of the hash comes what stands for them in the log, so that a line costs no hash of its own.
pub(crate) async fn hashed_person<P: Platform>(
    instance: &Instance<P>,
    settings: &Settings,
    person: UserId,
) -> Result<String, Failure> {
    let digest = digest_of_person(keyed_hash(instance, settings).await?, person);
    instance.person_before.set(Some((person, digest)));
    Ok(digits(&digest[..16]))
}

/// What stands in the log in place of a person, once this instance knows the secret: 48 bits, which no key of the store has.
pub(crate) fn hashed_for_log<P>(instance: &Instance<P>, person: UserId) -> Option<String> {
    let before = instance.person_before.get().filter(|(before, _)| *before == person);
    let digest = match before {
        Some((_, digest)) => digest,
        None => digest_of_person(instance.keyed_hash.borrow().clone()?, person),
    };
    Some(digits(&digest[16..22]))
}

fn digest_of_person(hash: Hmac<Sha256>, person: UserId) -> [u8; 32] {
    digest(hash, &format!("person:{person}"))
}

fn digest(mut hash: Hmac<Sha256>, text: &str) -> [u8; 32] {
    hash.update(text.as_bytes());
    hash.finalize().into_bytes().into()
}

/// Bytes in hexadecimal.
fn digits(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// The secret that keys are hashed with: the configuration's, else one that the first instance makes and all read. Two secrets
/// at a time would mean that an invalidation does not reach every entry, so an instance that finds none claims the making.
async fn secret<P: Platform>(instance: &Instance<P>, settings: &Settings) -> Result<Rc<[u8]>, Failure> {
    if let Some(secret) = &settings.cache_key_secret {
        return Ok(secret.clone());
    }
    let platform = &instance.platform;
    let stored = async || -> Result<Option<Rc<[u8]>>, Failure> {
        let bytes = timed("get", ask_within(instance, PATIENT_LIMIT, platform.get(SECRET_KEY))).await?;
        Ok(bytes.and_then(|bytes| open(settings, SECRET_KEY, bytes)).map(Rc::from))
    };
    let mut secret = stored().await?;
    if secret.is_none() {
        let (first, claim) = claim(instance, SECRET_KEY).await?;
        if first {
            let made: Rc<[u8]> = Rc::from(chacha20poly1305::Key::generate().as_slice());
            if write(platform, SECRET_KEY, &seal(settings, SECRET_KEY, &made)).await.is_ok() {
                // What another instance wrote meanwhile, with a claim of the next seconds, is everybody's.
                secret = Some(stored().await?.unwrap_or(made));
                let _ = within(platform, WRITE_LIMIT, platform.delete(&claim)).await;
            }
        } else {
            for _ in 0..10 {
                platform.sleep(Duration::from_millis(10)).await;
                secret = stored().await?;
                if secret.is_some() {
                    break;
                }
            }
        }
    }
    secret.ok_or(Failure::TooSlow)
}

/// A value as it goes into the store: sealed for its key where the configuration has a key to encrypt with (XChaCha20-Poly1305,
/// a random nonce in front), else as it is.
pub(crate) fn seal(settings: &Settings, key: &str, value: &[u8]) -> Vec<u8> {
    let Some(cipher) = &settings.cache_cipher else { return value.to_vec() };
    let nonce = XNonce::generate();
    let sealed = cipher.encrypt(&nonce, Payload { msg: value, aad: key.as_bytes() });
    // Encryption fails for values beyond 256 GiB only; an empty value is none that is read.
    sealed.map_or_else(|_| Vec::new(), |sealed| [nonce.as_slice(), &sealed].concat())
}

/// A value out of the store, or `None` if it was not sealed for this key by this deployment.
pub(crate) fn open(settings: &Settings, key: &str, value: Vec<u8>) -> Option<Vec<u8>> {
    let Some(cipher) = &settings.cache_cipher else { return Some(value) };
    unseal(cipher, key, &value)
}

fn unseal(cipher: &XChaCha20Poly1305, key: &str, value: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = value.split_first_chunk::<24>()?;
    cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: key.as_bytes() }).ok()
}
