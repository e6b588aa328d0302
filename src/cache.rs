//! The prediction cache: one entry a person and window, in the platform's key-value store.
//!
//! An entry holds the predictions of every type, so any subset of types is a hit. The store has no expiry, so the
//! entry carries its own. The key carries a fingerprint of everything else that an answer depends on, so a new
//! release never serves an old model's answer. Whatever is wrong with the store or an entry, the answer is computed:
//! the cache never fails a request and never holds one up for longer than [`STORE_LIMIT`].
//!
//! A person has a *generation*, a random text in the store, and an entry carries the one that was read before the check-ins it
//! was made from. To invalidate is to write a new generation: from then on every entry of an older one, also one whose write
//! is still under way in another instance, is a miss. A request therefore reads two keys, at once. The store has to show what
//! was written: where a replica lags behind, an old entry is served for as long as the lag, and never beyond its time to live.

use crate::instance::Instance;
use crate::log;
use crate::platform::{Platform, StoreError, within};
use crate::problem::Problem;
use crate::request::{PredictionRequest, UserId, WindowDays};
use crate::response::in_seconds;
use crate::settings::Settings;
use bipolar_edge_models::{FINGERPRINT, MODELS};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long a request waits for the store. A healthy one answers in well under a millisecond.
const STORE_LIMIT: Duration = Duration::from_millis(50);
/// How long a write may take: nobody waits for it, but it keeps its instance alive.
const WRITE_LIMIT: Duration = Duration::from_secs(2);
/// How long a store that was too slow is left alone, so that not every request waits [`STORE_LIMIT`] for it.
const REST: Duration = Duration::from_secs(2);
/// No entry that this service writes is longer; a longer one is not worth parsing.
const LONGEST_ENTRY: usize = 1 << 20;

/// What the cache knows of one person and window.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Entry {
    /// The entry's own key, so that one copied to another key is not served from there.
    key: String,
    /// The person's generation when the check-ins were asked for; empty if there was none.
    generation: String,
    /// Milliseconds since 1970-01-01 UTC.
    expires_at: i64,
    /// When the predictions were made, RFC 3339.
    pub(crate) generated_at: String,
    /// Contributions are in the predictions.
    pub(crate) explained: bool,
    /// How many latest check-ins were asked for; fewer are here only if there are no more.
    pub(crate) limit_checkins: u8,
    /// One a model, in the registry's order, as JSON.
    pub(crate) predictions: Vec<Box<RawValue>>,
    /// The latest check-ins, latest first.
    pub(crate) per_checkin: Vec<CheckInEntry>,
}

/// The predictions at one check-in.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct CheckInEntry {
    pub(crate) checkin_id: String,
    pub(crate) checkin_date: String,
    pub(crate) predictions: Vec<Box<RawValue>>,
}

/// What came of asking the cache.
#[derive(Debug)]
pub(crate) enum Lookup {
    Hit(Entry),
    /// Nothing usable; an answer is worth writing, under this generation.
    Miss {
        generation: String,
    },
    /// The cache is off, or its store failed or is too slow to be asked.
    Bypass,
}

/// The key of a person and window.
pub(crate) fn key(request: &PredictionRequest, settings: &Settings) -> String {
    key_of(request.user_id, request.wanted.window, settings)
}

fn key_of(user_id: UserId, window: WindowDays, settings: &Settings) -> String {
    let mut configured = DefaultHasher::new();
    settings.crisis_resources.hash(&mut configured);
    format!("predictions:{}:{}:{FINGERPRINT}{:016x}", user_id, window.get(), configured.finish())
}

/// Asks the cache for what `request` wants.
pub(crate) async fn look_up<P: Platform>(
    instance: &Instance<P>,
    settings: &Settings,
    key: &str,
    request: &PredictionRequest,
) -> Lookup {
    let resting = instance.store_rests_until.get().is_some_and(|until| Instant::now() < until);
    // A token is the database's to judge: what is in the cache may not be this caller's to see.
    if settings.cache_ttl.is_none() || settings.supabase.is_some() || resting {
        return Lookup::Bypass;
    }
    let generation_key = generation_key(request.user_id);
    let both = futures::future::try_join(instance.platform.get(key), instance.platform.get(&generation_key));
    match within(&instance.platform, STORE_LIMIT, both).await {
        Some(Ok((entry, generation))) => {
            // What this service did not write is no generation that an entry has.
            let generation = generation.map_or(String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
            match entry.and_then(|bytes| read(&bytes, key, &generation, Timestamp::now())) {
                Some(entry) if entry.serves(request) => Lookup::Hit(entry),
                _ => Lookup::Miss { generation },
            }
        }
        Some(Err(error)) => {
            log::warning("the prediction cache could not be read", error.name());
            Lookup::Bypass
        }
        None => {
            log::warning(
                "the prediction cache could not be read",
                "the store is too slow and is left alone for a while",
            );
            instance.store_rests_until.set(Some(Instant::now() + REST));
            Lookup::Bypass
        }
    }
}

/// Whether the store answers in time, for the readiness check.
pub(crate) async fn store_answers<P: Platform>(instance: &Instance<P>) -> bool {
    matches!(within(&instance.platform, STORE_LIMIT, instance.platform.get("ready")).await, Some(Ok(_)))
}

/// Makes every prediction about a person, whatever instance made it or is still writing it, one that is not served again.
/// Gives how many entries there were. Errors if the store does not take the new generation.
pub(crate) async fn invalidate<P: Platform>(instance: &Instance<P>, user_id: UserId) -> Result<usize, Problem> {
    let settings = instance.settings().await?;
    let platform = &instance.platform;
    let (generation_key, generation) = (generation_key(user_id), Uuid::new_v4().to_string());
    if let Err(failure) = write(platform, &generation_key, generation.as_bytes()).await {
        log::warning("a person's predictions could not be invalidated", failure);
        return Err(Problem::StoreUnavailable);
    }
    // None of these can be served any more: to delete them is to keep no more of a person than is needed.
    let delete = |window| {
        let key = key_of(user_id, window, &settings);
        async move {
            let there = platform.exists(&key).await.unwrap_or(false);
            there && platform.delete(&key).await.is_ok()
        }
    };
    let deletions = futures::future::join_all(WindowDays::all().map(delete));
    let deleted = within(platform, WRITE_LIMIT, deletions).await.unwrap_or_default();
    Ok(deleted.into_iter().filter(|deleted| *deleted).count())
}

fn generation_key(user_id: UserId) -> String {
    format!("generation:{user_id}")
}

/// Writes an entry once the response has left.
pub(crate) fn write_later<P: Platform>(instance: &Instance<P>, entry: &Entry) {
    let Ok(bytes) = serde_json::to_vec(entry) else { return };
    let (platform, key) = (instance.platform.clone(), entry.key.clone());
    instance.platform.spawn(async move {
        if let Err(failure) = write(&platform, &key, &bytes).await {
            log::warning("the prediction cache could not be written", failure);
        }
    });
}

/// Writes one key, or says for the log why not.
async fn write(platform: &impl Platform, key: &str, bytes: &[u8]) -> Result<(), &'static str> {
    match within(platform, WRITE_LIMIT, platform.set(key, bytes)).await {
        Some(written) => written.map_err(StoreError::name),
        None => Err("the store is too slow"),
    }
}

/// An entry out of a store's bytes, or `None` if it is corrupt, foreign, invalidated or expired: each is a miss.
fn read(bytes: &[u8], key: &str, generation: &str, now: Timestamp) -> Option<Entry> {
    if bytes.len() > LONGEST_ENTRY {
        return None;
    }
    let entry: Entry = serde_json::from_slice(bytes).ok()?;
    let whole = |predictions: &[Box<RawValue>]| predictions.len() == MODELS.len();
    let fits = entry.key == key
        && entry.generation == generation
        && now.as_millisecond() < entry.expires_at
        && whole(&entry.predictions)
        && entry.per_checkin.iter().all(|checkin| whole(&checkin.predictions));
    fits.then_some(entry)
}

impl Entry {
    /// An entry made now. `ttl` is how long it will be served.
    pub(crate) fn new(
        key: String,
        generation: String,
        ttl: Duration,
        request: &PredictionRequest,
        predictions: Vec<Box<RawValue>>,
        per_checkin: Vec<CheckInEntry>,
    ) -> Entry {
        let now = Timestamp::now();
        Entry {
            key,
            generation,
            expires_at: now.as_millisecond().saturating_add_unsigned(ttl.as_millis() as u64),
            generated_at: in_seconds(now),
            explained: request.wanted.explain,
            limit_checkins: request.wanted.limit_checkins,
            predictions,
            per_checkin,
        }
    }

    /// Whether everything that a request asks for is here.
    fn serves(&self, request: &PredictionRequest) -> bool {
        let no_more = self.per_checkin.len() < usize::from(self.limit_checkins);
        (self.explained || !request.wanted.explain) && (no_more || request.wanted.limit_checkins <= self.limit_checkins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::fake::Fake;
    use futures::executor::block_on;
    use proptest::prelude::*;

    const USER: &str = "11111111-1111-4111-8111-111111111111";

    fn request(query: &str) -> PredictionRequest {
        PredictionRequest::parse(USER, query).expect("valid")
    }

    fn entry(query: &str) -> Entry {
        let raw = || RawValue::from_string("{\"label\":\"x\"}".to_owned()).expect("JSON");
        let predictions = MODELS.iter().map(|_| raw()).collect();
        Entry::new("k".to_owned(), "g".to_owned(), Duration::from_secs(60), &request(query), predictions, Vec::new())
    }

    fn bytes(entry: &Entry) -> Vec<u8> {
        serde_json::to_vec(entry).expect("JSON")
    }

    #[test]
    fn an_entry_is_served_from_its_own_key_until_it_expires() {
        let written = bytes(&entry(""));
        let now = Timestamp::now();
        assert!(read(&written, "k", "g", now).is_some());
        assert!(read(&written, "another", "g", now).is_none(), "foreign");
        assert!(read(&written, "k", "h", now).is_none(), "invalidated");
        assert!(read(&written, "k", "g", now + jiff::SignedDuration::from_secs(61)).is_none(), "expired");
        assert!(read(&written[..written.len() - 1], "k", "g", now).is_none(), "cut off");
        let fewer = Entry { predictions: Vec::new(), ..entry("") };
        assert!(read(&bytes(&fewer), "k", "g", now).is_none(), "of another registry");
    }

    #[test]
    fn an_entry_serves_what_it_holds_and_no_more() {
        assert!(entry("limit_checkins=3").serves(&request("")));
        assert!(entry("").serves(&request("types=mood_state")));
        assert!(entry("explain=true").serves(&request("")));
        assert!(!entry("").serves(&request("explain=true")));
        assert!(!entry("").serves(&request("limit_checkins=1")));
        // Asked for three and holding none: there are none, however many are asked for.
        assert!(entry("limit_checkins=3").serves(&request("limit_checkins=10")));
    }

    #[test]
    fn another_window_and_another_configuration_have_another_key() {
        let settings = |resource: &str| Settings {
            cache_ttl: None,
            crisis_resources: vec![resource.to_owned()],
            inference_timeout: Duration::from_secs(30),
            webhook_secret: None,
            supabase: None,
        };
        let first = key(&request(""), &settings("CVV 188"));
        assert_eq!(first, key(&request("types=mood_state"), &settings("CVV 188")));
        assert_ne!(first, key(&request("window_days=4"), &settings("CVV 188")));
        assert_ne!(first, key(&request(""), &settings("another")));
    }

    /// The order of things that would serve an old answer: an entry made from old check-ins is written after the
    /// invalidation that their change brought about.
    #[test]
    fn a_write_under_way_loses_against_an_invalidation() {
        let instance = Instance::new(Fake::with_variable("cache_ttl_seconds", "300"));
        block_on(async {
            let settings = instance.settings().await.expect("valid");
            let request = request("");
            let key = key(&request, &settings);
            let raw = || RawValue::from_string("{}".to_owned()).expect("JSON");
            let entry = |generation| {
                let predictions = MODELS.iter().map(|_| raw()).collect();
                Entry::new(key.clone(), generation, Duration::from_secs(60), &request, predictions, Vec::new())
            };
            let miss = async || match look_up(&instance, &settings, &key, &request).await {
                Lookup::Miss { generation } => generation,
                other => panic!("{other:?}"),
            };
            let before = miss().await;
            assert_eq!(invalidate(&instance, request.user_id).await, Ok(0));
            write_later(&instance, &entry(before.clone()));
            let after = miss().await;
            assert_ne!(before, after);
            write_later(&instance, &entry(after));
            assert!(matches!(look_up(&instance, &settings, &key, &request).await, Lookup::Hit(_)));
            assert_eq!(invalidate(&instance, request.user_id).await, Ok(1));
            miss().await;
        });
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut noise in proptest::collection::vec(any::<u8>(), 0..64), at in any::<prop::sample::Index>()) {
            prop_assert!(read(&noise, "k", "g", Timestamp::now()).is_none());
            let mut written = bytes(&entry("limit_checkins=2"));
            let at = at.index(written.len());
            noise.truncate(written.len() - at);
            written[at..at + noise.len()].copy_from_slice(&noise);
            let _ = read(&written, "k", "g", Timestamp::now());
        }
    }
}
