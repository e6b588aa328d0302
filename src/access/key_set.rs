//! The keys that a Supabase project publishes (a JSON Web Key Set, RFC 7517): fetched once, kept in the store for every
//! instance, and fetched anew when a token names a key that is not there, or the set has grown old.

use crate::deadline::Deadline;
use crate::instance::Instance;
use crate::platform::{Fetch, Platform, within};
use crate::settings::{Settings, Supabase};
use crate::store;
use crate::telemetry::log;
use crate::telemetry::metrics::{self, UPSTREAM};
use jiff::Timestamp;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::rc::Rc;
use std::time::{Duration, Instant};

const STORE_KEY: &str = "key-set";
/// A project has two or three keys.
const MOST_KEYS: usize = 32;
/// The most bytes of a set.
const ANSWER_LIMIT: usize = 64 << 10;
/// The longest that a set is waited for.
const FETCH_LIMIT: Duration = Duration::from_secs(5);
/// A set is fetched anew after ten minutes, as Supabase's own caches do, so that a revoked key does not live on.
const FRESH_SECONDS: i64 = 600;
/// When it cannot be fetched anew, the old one serves for a day.
const LONGEST_SECONDS: i64 = 86_400;
/// How often an instance looks whether another has fetched it.
const LOOK: Duration = Duration::from_millis(25);
/// The shortest time between one fetched set and the next fetch, whatever keys the tokens name.
const PAUSE_SECONDS: i64 = 60;
/// The same after a fetch that failed.
const PAUSE_AFTER_FAILURE_SECONDS: i64 = 10;

/// A key set as this service last saw it.
#[derive(Default)]
pub(crate) struct KeySet {
    fetched_at: i64,
    attempted_at: i64,
    /// Whoever attempted has not said what came of it.
    under_way: bool,
    keys: Rc<[Key]>,
}

struct Key {
    id: String,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// The same in the store.
#[derive(Default, Deserialize, Serialize)]
struct Stored {
    /// Seconds since 1970-01-01 UTC; 0 for never.
    fetched_at: i64,
    attempted_at: i64,
    under_way: bool,
    /// The store's key of the claim to the last attempt, which nobody needs any more.
    claim: String,
    /// As the project publishes them.
    keys: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Published {
    keys: Vec<Box<RawValue>>,
}

/// What came of looking for a key.
pub(super) enum Found {
    /// The algorithm is the key's own: what the token's header says of it is checked against this.
    Key(Algorithm, DecodingKey),
    /// The project has no such key.
    NoSuchKey,
    /// The project could not be asked what keys it has.
    Unavailable,
}

/// The key that a token names.
pub(super) async fn find<P: Platform>(
    instance: &Instance<P>,
    settings: &Settings,
    supabase: &Supabase,
    id: &str,
    deadline: Deadline,
) -> Found {
    let known = instance.key_set.borrow().clone();
    if let Some(found) = known.key(id).filter(|_| known.is_fresh()) {
        return found;
    }
    let known = newest(instance, settings).await;
    // An old set is good enough for as long as somebody fetches it anew.
    let good_enough = known.is_fresh() || known.is_being_fetched() && age(known.fetched_at) < LONGEST_SECONDS;
    if let Some(found) = known.key(id).filter(|_| good_enough) {
        return found;
    }
    let refreshed = refresh(instance, settings, supabase, known, deadline).await;
    match refreshed.key(id).filter(|_| age(refreshed.fetched_at) < LONGEST_SECONDS) {
        Some(found) => found,
        None if refreshed.fetched_at == 0 => Found::Unavailable,
        None => Found::NoSuchKey,
    }
}

impl KeySet {
    fn key(&self, id: &str) -> Option<Found> {
        let key = self.keys.iter().find(|key| key.id == id)?;
        Some(Found::Key(key.algorithm, key.key.clone()))
    }

    fn is_fresh(&self) -> bool {
        age(self.fetched_at) < FRESH_SECONDS
    }

    /// Another instance is fetching it, if it still lives.
    fn is_being_fetched(&self) -> bool {
        self.under_way && age(self.attempted_at) <= FETCH_LIMIT.as_secs() as i64
    }

    fn may_be_fetched(&self) -> bool {
        age(self.fetched_at) >= PAUSE_SECONDS && age(self.attempted_at) >= PAUSE_AFTER_FAILURE_SECONDS
    }

    fn of(stored: &Stored) -> KeySet {
        let keys = stored.keys.iter().take(MOST_KEYS).filter_map(|key| Key::read(key.get())).collect();
        let Stored { fetched_at, attempted_at, under_way, .. } = *stored;
        KeySet { fetched_at, attempted_at, under_way, keys }
    }
}

impl Key {
    /// A key that can be used here: for signatures, on the curve P-256 or RSA, with an id.
    fn read(text: &str) -> Option<Key> {
        let jwk: Jwk = serde_json::from_str(text).ok()?;
        if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
            return None;
        }
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            _ => return None,
        };
        let said = jwk.common.key_algorithm;
        if said.is_some_and(|said| said.to_string() != format!("{algorithm:?}")) {
            return None;
        }
        Some(Key { id: jwk.common.key_id.clone()?, algorithm, key: DecodingKey::from_jwk(&jwk).ok()? })
    }
}

/// Seconds since a time. A time in the future, by a clock that was set back, is long ago.
fn age(time: i64) -> i64 {
    let age = Timestamp::now().as_second().saturating_sub(time);
    if age < 0 { i64::MAX } else { age }
}

/// The store's set, or the instance's if the store has none that is as new.
async fn newest<P: Platform>(instance: &Instance<P>, settings: &Settings) -> Rc<KeySet> {
    let stored = stored(instance, settings).await;
    let known = instance.key_set.borrow().clone();
    match stored {
        Some(stored) if stored.fetched_at >= known.fetched_at && stored.attempted_at >= known.attempted_at => {
            keep(instance, &stored)
        }
        _ => known,
    }
}

async fn stored<P: Platform>(instance: &Instance<P>, settings: &Settings) -> Option<Stored> {
    let bytes = store::ask(instance, "get", instance.platform.get(STORE_KEY)).await.ok()??;
    serde_json::from_slice(&store::open(settings, STORE_KEY, bytes)?).ok()
}

fn keep<P: Platform>(instance: &Instance<P>, stored: &Stored) -> Rc<KeySet> {
    let set = Rc::new(KeySet::of(stored));
    *instance.key_set.borrow_mut() = set.clone();
    set
}

/// Fetches the set, unless it was fetched a moment ago. Of many instances that want to, one does; the others wait for what it
/// finds.
async fn refresh<P: Platform>(
    instance: &Instance<P>,
    settings: &Settings,
    supabase: &Supabase,
    known: Rc<KeySet>,
    deadline: Deadline,
) -> Rc<KeySet> {
    let platform = &instance.platform;
    let being_fetched = known.is_being_fetched();
    if !being_fetched && !known.may_be_fetched() {
        return known;
    }
    // Without a store each instance fetches for itself, as seldom.
    let claimed = if being_fetched { Ok((false, String::new())) } else { store::claim(instance, STORE_KEY).await };
    let (first, claim) = claimed.unwrap_or((true, String::new()));
    if !first {
        let awaited = known.attempted_at + i64::from(!being_fetched);
        let limit = FETCH_LIMIT.min(deadline.left());
        for _ in 0..limit.as_millis() / LOOK.as_millis() {
            platform.sleep(LOOK).await;
            let now = newest(instance, settings).await;
            if now.attempted_at >= awaited && !now.under_way {
                return now;
            }
        }
        return known;
    }
    let mut record = stored(instance, settings).await.unwrap_or_default();
    let old_claim = std::mem::replace(&mut record.claim, claim);
    record.attempted_at = Timestamp::now().as_second();
    record.under_way = true;
    let begun = KeySet { attempted_at: record.attempted_at, under_way: true, keys: known.keys.clone(), ..*known };
    *instance.key_set.borrow_mut() = Rc::new(begun);
    write(instance, settings, &record).await;
    if !old_claim.is_empty() {
        let _ = within(platform, store::WRITE_LIMIT, platform.delete(&old_claim)).await;
    }
    let fetched = fetch(platform, supabase, deadline).await;
    record.under_way = false;
    match fetched {
        Ok(keys) => {
            record.fetched_at = Timestamp::now().as_second();
            record.keys = keys;
        }
        Err(cause) => log::warning("keys_not_fetched", "the project's keys could not be fetched", cause),
    }
    write(instance, settings, &record).await;
    if record.fetched_at >= known.fetched_at {
        return keep(instance, &record);
    }
    // The store has forgotten what this instance still knows.
    let known = Rc::new(KeySet { attempted_at: record.attempted_at, keys: known.keys.clone(), ..*known });
    *instance.key_set.borrow_mut() = known.clone();
    known
}

async fn write<P: Platform>(instance: &Instance<P>, settings: &Settings, record: &Stored) {
    let Ok(bytes) = serde_json::to_vec(record) else { return };
    if let Err(cause) = store::write(&instance.platform, STORE_KEY, &store::seal(settings, STORE_KEY, &bytes)).await {
        log::warning("keys_not_written", "the project's keys could not be written to the store", cause);
    }
}

async fn fetch(
    platform: &impl Platform,
    supabase: &Supabase,
    deadline: Deadline,
) -> Result<Vec<Box<RawValue>>, &'static str> {
    let fetch = Fetch {
        url: format!("{}/auth/v1/.well-known/jwks.json", supabase.origin),
        headers: vec![("accept", "application/json".to_owned()), ("apikey", supabase.anon_key.clone())],
    };
    let start = Instant::now();
    let fetched = within(platform, FETCH_LIMIT.min(deadline.left()), platform.fetch_twice(&fetch, ANSWER_LIMIT)).await;
    let keys = match fetched {
        None => Err("the project did not answer in time"),
        Some(Err(error)) => Err(error.name()),
        Some(Ok(answer)) if answer.status != 200 => Err("the project did not answer 200"),
        Some(Ok(answer)) => read(&answer.body).ok_or("the project did not answer with a key set"),
    };
    let outcome = if keys.is_ok() { "ok" } else { "failed" };
    metrics::observe(&UPSTREAM, &["keys", outcome], start.elapsed());
    keys
}

/// The keys of a published set; which of them can be used is seen when they are.
pub(super) fn read(body: &[u8]) -> Option<Vec<Box<RawValue>>> {
    let published: Published = serde_json::from_slice(body).ok()?;
    Some(published.keys.into_iter().take(MOST_KEYS).collect())
}

/// A key of a set as it is used, for tests and the fuzzer.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn usable(text: &str) -> Option<(Algorithm, DecodingKey)> {
    Key::read(text).map(|key| (key.algorithm, key.key))
}
