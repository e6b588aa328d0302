//! The keys that a Supabase project publishes (a JSON Web Key Set, RFC 7517): fetched once, kept in the store for every
//! instance, and fetched anew when a token names a key that is not there, or the set has grown old. An instance that
//! fetches says so in the store first; those that look in the moment before that fetch too, which does no harm.

use crate::deadline::Deadline;
use crate::platform::{Fetch, Platform, fetch_with_retry, with_timeout};
use crate::store::Store;
use crate::supabase::Project;
use crate::telemetry::log;
use crate::telemetry::metrics::{self, UPSTREAM};
use crate::time::now;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

const STORE_KEY: &str = "key-set";
/// A project has two or three keys.
const MAX_KEYS: usize = 32;
/// The fewest bits of an RSA key's modulus: shorter ones can be broken.
const MIN_RSA_BITS: usize = 2048;
/// The most bytes of a set.
const MAX_BYTES: usize = 64 << 10;
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// A set is fetched anew after ten minutes, as Supabase's own caches do, so that a revoked key does not live on.
const FRESH_SECONDS: i64 = 600;
/// When it cannot be fetched anew, the old one serves for a day.
const MAX_AGE_SECONDS: i64 = 86_400;
const KEPT: Duration = Duration::from_secs(MAX_AGE_SECONDS as u64);
/// The time between two looks of an instance whether another has fetched the set.
const POLL_INTERVAL: Duration = Duration::from_millis(25);
/// The shortest time between one fetched set and the next fetch, whatever keys the tokens name.
const MIN_REFETCH_SECONDS: i64 = 60;
/// The shortest time between a fetch that failed and the next.
const MIN_RETRY_SECONDS: i64 = 10;

/// A key set as an instance last saw it.
#[derive(Default)]
struct KeySet {
    fetched_at: i64,
    attempted_at: i64,
    /// Whoever attempted has not said what came of it.
    is_under_way: bool,
    keys: Rc<[Key]>,
}

/// A key that tokens can be checked with.
struct Key {
    id: String,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// A key set in the store.
#[derive(Default, Deserialize, Serialize)]
struct Stored {
    /// Seconds since 1970-01-01 UTC; 0 for never.
    fetched_at: i64,
    attempted_at: i64,
    under_way: bool,
    /// As the project publishes them.
    keys: Vec<Box<RawValue>>,
}

/// A key set as a project publishes it.
#[derive(Deserialize)]
struct Published {
    keys: Vec<Box<RawValue>>,
}

/// The result of looking for a key.
pub(super) enum FoundKey {
    /// The algorithm is the key's own: the one in the token's header is checked against it.
    Key(Algorithm, DecodingKey),
    /// The project has no such key, as far as is known; in so many seconds it may be asked again.
    NoSuchKey(i64),
    /// The project could not be asked for its keys.
    Unavailable,
}

impl KeySet {
    fn find(&self, id: &str) -> Option<FoundKey> {
        let key = self.keys.iter().find(|key| key.id == id)?;
        Some(FoundKey::Key(key.algorithm, key.key.clone()))
    }

    fn is_fresh(&self) -> bool {
        age(self.fetched_at) < FRESH_SECONDS
    }

    /// Another instance is fetching it, if it still lives.
    fn is_being_fetched(&self) -> bool {
        self.is_under_way && age(self.attempted_at) <= FETCH_TIMEOUT.as_secs() as i64
    }

    fn may_be_fetched(&self) -> bool {
        age(self.fetched_at) >= MIN_REFETCH_SECONDS && age(self.attempted_at) >= MIN_RETRY_SECONDS
    }

    /// The seconds until it may be fetched anew, one at least.
    fn may_be_fetched_in(&self) -> i64 {
        let left = |time: i64, min: i64| min - age(time).min(min);
        left(self.fetched_at, MIN_REFETCH_SECONDS).max(left(self.attempted_at, MIN_RETRY_SECONDS)).max(1)
    }
}

impl From<&Stored> for KeySet {
    fn from(stored: &Stored) -> KeySet {
        let keys = stored.keys.iter().take(MAX_KEYS).filter_map(|key| Key::parse(key.get())).collect();
        let Stored { fetched_at, attempted_at, under_way, .. } = *stored;
        KeySet { fetched_at, attempted_at, is_under_way: under_way, keys }
    }
}

impl Key {
    /// Parses a key that can be used here: for verifying signatures (RFC 7517, sections 4.2 and 4.3), on the curve
    /// P-256 or RSA of 2,048 bits or more (RFC 7518, section 3.3), with an id.
    fn parse(text: &str) -> Option<Key> {
        let jwk: Jwk = serde_json::from_str(text).ok()?;
        let is_for_signatures =
            jwk.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
        let operations = jwk.common.key_operations.as_ref();
        let is_for_verifying = operations.is_none_or(|all| all.contains(&KeyOperations::Verify));
        if !is_for_signatures || !is_for_verifying {
            return None;
        }
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            _ => return None,
        };
        let declared = jwk.common.key_algorithm;
        if declared.is_some_and(|declared| declared.to_string() != format!("{algorithm:?}")) {
            return None;
        }
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        let is_too_short = match key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, .. } => bits(n) < MIN_RSA_BITS,
            DecodingKeyKind::SecretOrDer(_) => false,
        };
        if is_too_short { None } else { Some(Key { id: jwk.common.key_id?, algorithm, key }) }
    }
}

/// The bits of a number, whose bytes stand with the greatest first.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let first = number.get(zeros).map_or(8, |byte| byte.leading_zeros() as usize);
    ((number.len() - zeros) * 8).saturating_sub(first)
}

/// Seconds since a time. A time in the future, by a clock that was set back, is long ago.
fn age(time: i64) -> i64 {
    let age = now().as_second().saturating_sub(time);
    if age < 0 { i64::MAX } else { age }
}

/// The project's keys, as one instance knows them.
pub(super) struct KeySetCache<P: Platform> {
    platform: P,
    store: Rc<Store<P>>,
    known: RefCell<Rc<KeySet>>,
}

impl<P: Platform> KeySetCache<P> {
    pub(super) fn new(platform: P, store: Rc<Store<P>>) -> KeySetCache<P> {
        KeySetCache { platform, store, known: RefCell::default() }
    }

    /// Finds the key that a token names.
    pub(super) async fn find(&self, project: &Project, id: &str, deadline: Deadline) -> FoundKey {
        let known = self.known.borrow().clone();
        if let Some(found) = known.find(id).filter(|_| known.is_fresh()) {
            return found;
        }
        let known = self.newest().await;
        // An old set is good enough for as long as somebody fetches it anew.
        let is_good_enough = known.is_fresh() || known.is_being_fetched() && age(known.fetched_at) < MAX_AGE_SECONDS;
        if let Some(found) = known.find(id).filter(|_| is_good_enough) {
            return found;
        }
        let refreshed = self.refresh(project, known, deadline).await;
        match refreshed.find(id).filter(|_| age(refreshed.fetched_at) < MAX_AGE_SECONDS) {
            Some(found) => found,
            None if refreshed.fetched_at == 0 => FoundKey::Unavailable,
            None => FoundKey::NoSuchKey(refreshed.may_be_fetched_in()),
        }
    }

    /// The store's set, or the instance's if the store has none that is as new.
    async fn newest(&self) -> Rc<KeySet> {
        let stored = self.stored().await;
        let known = self.known.borrow().clone();
        match stored {
            Some(stored) if stored.fetched_at >= known.fetched_at && stored.attempted_at >= known.attempted_at => {
                self.keep(KeySet::from(&stored))
            }
            _ => known,
        }
    }

    async fn stored(&self) -> Option<Stored> {
        let value = self.store.get_sealed(STORE_KEY, KEPT).await.ok()??;
        serde_json::from_slice(&value).ok()
    }

    fn keep(&self, set: KeySet) -> Rc<KeySet> {
        let set = Rc::new(set);
        *self.known.borrow_mut() = set.clone();
        set
    }

    /// Fetches the set, unless it was fetched a moment ago, or another instance is fetching it: then waits for what it
    /// finds.
    async fn refresh(&self, project: &Project, known: Rc<KeySet>, deadline: Deadline) -> Rc<KeySet> {
        if known.is_being_fetched() {
            return self.wait_for(known.attempted_at, deadline).await.unwrap_or(known);
        }
        if !known.may_be_fetched() {
            return known;
        }
        let mut record = self.begin(&known).await;
        match fetch(&self.platform, project, deadline).await {
            Ok(keys) => {
                record.fetched_at = now().as_second();
                record.keys = keys;
            }
            Err(cause) => log::warning("keys_not_fetched", "the project's keys could not be fetched", cause),
        }
        record.under_way = false;
        self.write(&record).await;
        if record.fetched_at >= known.fetched_at {
            return self.keep(KeySet::from(&record));
        }
        // The store has forgotten a set that this instance still knows.
        let (fetched_at, attempted_at) = (known.fetched_at, record.attempted_at);
        self.keep(KeySet { fetched_at, attempted_at, is_under_way: known.is_under_way, keys: known.keys.clone() })
    }

    /// Waits until another instance has fetched the set; `None` if it has not in time.
    async fn wait_for(&self, attempted_at: i64, deadline: Deadline) -> Option<Rc<KeySet>> {
        let timeout = FETCH_TIMEOUT.min(deadline.remaining());
        for _ in 0..timeout.as_millis() / POLL_INTERVAL.as_millis() {
            self.platform.sleep(POLL_INTERVAL).await;
            let now = self.newest().await;
            if now.attempted_at >= attempted_at && !now.is_under_way {
                return Some(now);
            }
        }
        None
    }

    /// Tells the other instances that this one fetches the set.
    async fn begin(&self, known: &KeySet) -> Stored {
        let mut record = self.stored().await.unwrap_or_default();
        record.attempted_at = now().as_second();
        record.under_way = true;
        let (fetched_at, attempted_at) = (known.fetched_at, record.attempted_at);
        self.keep(KeySet { fetched_at, attempted_at, is_under_way: true, keys: known.keys.clone() });
        self.write(&record).await;
        record
    }

    async fn write(&self, record: &Stored) {
        let Ok(value) = serde_json::to_vec(record) else { return };
        if let Err(failure) = self.store.set_sealed(STORE_KEY, &value, KEPT).await {
            failure.warn("keys_not_written", "the project's keys could not be written to the store");
        }
    }
}

async fn fetch(
    platform: &impl Platform,
    project: &Project,
    deadline: Deadline,
) -> Result<Vec<Box<RawValue>>, &'static str> {
    let fetch = Fetch {
        url: format!("{}/auth/v1/.well-known/jwks.json", project.origin),
        headers: vec![("accept", "application/json".to_owned()), ("apikey", project.anon_key.clone())],
    };
    let start = Instant::now();
    let timeout = FETCH_TIMEOUT.min(deadline.remaining());
    let keys = match with_timeout(platform, timeout, fetch_with_retry(platform, &fetch, MAX_BYTES)).await {
        None => Err("the project did not answer in time"),
        Some(Err(error)) => Err(error.name()),
        Some(Ok(answer)) if answer.status != 200 => Err("the project did not answer 200"),
        Some(Ok(answer)) => parse(&answer.body).ok_or("the project did not answer with a key set"),
    };
    let outcome = if keys.is_ok() { "ok" } else { "failed" };
    metrics::observe(&UPSTREAM, &["keys", outcome], start.elapsed());
    keys
}

/// Parses a published set into its keys; which of them are usable is decided when they are used.
pub fn parse(body: &[u8]) -> Option<Vec<Box<RawValue>>> {
    let published: Published = serde_json::from_slice(body).ok()?;
    Some(published.keys.into_iter().take(MAX_KEYS).collect())
}

/// Parses a key of a set: for signatures, on the curve P-256 or RSA, with an id.
pub fn parse_key(text: &str) -> Option<(Algorithm, DecodingKey)> {
    Key::parse(text).map(|key| (key.algorithm, key.key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    fn is_usable(key: &serde_json::Value) -> bool {
        parse_key(&key.to_string()).is_some()
    }

    #[test]
    fn an_rsa_key_has_2048_bits_or_more() {
        let key = |modulus: &[u8]| {
            is_usable(&json!({ "kty": "RSA", "kid": "1", "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB" }))
        };
        let mut modulus = [0xff; 257];
        assert!(key(&modulus[..256]) && key(&modulus));
        assert!(!key(&modulus[..255]) && !key(&modulus[..128]) && !key(&[]));
        modulus[0] = 0x7f;
        assert!(!key(&modulus[..256]), "2,047 bits");
        modulus[0] = 0;
        assert!(key(&modulus), "zeros in front are no bits, and do no harm");
        modulus[1] = 0x7f;
        assert!(!key(&modulus));
    }

    #[test]
    fn a_key_is_for_verifying() {
        let key = |purpose: serde_json::Value| {
            let mut key = json!({ "kty": "RSA", "kid": "1", "n": URL_SAFE_NO_PAD.encode([0xff; 256]), "e": "AQAB" });
            for (name, value) in purpose.as_object().expect("an object") {
                key[name] = value.clone();
            }
            is_usable(&key)
        };
        for usable in [json!({}), json!({ "use": "sig" }), json!({ "key_ops": ["sign", "verify"], "use": "sig" })] {
            assert!(key(usable.clone()), "{usable}");
        }
        for other in [
            json!({ "use": "enc" }),
            json!({ "key_ops": [] }),
            json!({ "key_ops": ["sign"] }),
            json!({ "key_ops": ["encrypt", "wrapKey"], "use": "sig" }),
            json!({ "key_ops": ["verify"], "use": "enc" }),
            json!({ "key_ops": "verify" }),
        ] {
            assert!(!key(other.clone()), "{other}");
        }
    }
}
