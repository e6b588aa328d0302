//! The prediction cache: one entry a person and window, in the platform's key-value store.
//!
//! An entry holds the predictions of every type, so any subset of types is a hit. A key-value store has no expiry, so
//! the entry carries its own. The key carries a fingerprint of everything else that an answer depends on, models and
//! code, so a new release never serves an old release's answer. Whatever is wrong with the store or an entry, an answer
//! is computed: the cache never fails a request, and the store never holds one up for long where that can be helped.
//!
//! A person has a *generation*, a random text in the store, and an entry carries the one that was read before the
//! check-ins it was made from. To invalidate is to write a new generation: from then on every entry of an older one,
//! also one whose write is still under way in another instance, is a miss. A request therefore reads two keys, at once.
//! The store has to show the new generation: where a replica lags behind, an old entry is served for as long as the
//! lag, and never beyond its time to live.
//!
//! With Redis, requests that miss the same entry at the same time ask the database once between them, whatever instance
//! they are in: the first takes a *lease*, and the others wait for its entry.

use crate::config::Settings;
use crate::deadline::Deadline;
use crate::ids::{UserId, WindowDays};
use crate::platform::{Platform, RedisValue};
use crate::problem::Problem;
use crate::request::{PredictionOptions, PredictionRequest};
use crate::store::{Failure, ReadAlong, Store};
use crate::telemetry::log;
use crate::time::{elapsed_since, rfc3339_seconds};
use bipolar_edge_models::{FINGERPRINT, MODELS};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// No entry that this service writes is longer; a longer one is not worth parsing.
const MAX_ENTRY_BYTES: usize = 1 << 20;
/// Redis keeps a generation for longer than any entry of an older one: both have a day at most.
const GENERATION_KEPT: Duration = Duration::from_secs(3 * 86_400);
/// The time for which others wait for whoever has the lease: their instance may have ended.
const LEASE: Duration = Duration::from_secs(10);
/// The time between two looks of those who wait.
const LEASE_POLL_INTERVAL: Duration = Duration::from_millis(25);
/// Takes a lease, if nobody has it.
const TAKE_LEASE: &str = "if redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return 1 end return 0";

/// A hash of the code that answers are made by, which the build computes. The models have a fingerprint of their own.
pub(crate) const CODE_FINGERPRINT: &str = env!("CODE_FINGERPRINT");

/// The predictions about one person and window.
#[derive(Debug, Deserialize, Serialize)]
pub struct Entry {
    /// The entry's own key, so that one copied to another key is not served from there.
    key: String,
    /// The person's generation when the check-ins were asked for; empty if there was none.
    generation: String,
    /// Milliseconds since 1970-01-01 UTC.
    made_at: i64,
    /// Milliseconds since 1970-01-01 UTC.
    expires_at: i64,
    /// The time at which the predictions were made, RFC 3339.
    pub(crate) generated_at: String,
    /// Contributions are in the predictions.
    pub(crate) explained: bool,
    /// The number of latest check-ins that were asked for; fewer are here only if there are no more.
    pub(crate) limit_checkins: u8,
    /// The prediction of the day, if there is a model for it.
    pub(crate) day: Option<DayPrediction>,
    /// One a model, in the registry's order, as JSON.
    pub(crate) predictions: Vec<Box<RawValue>>,
    /// The latest check-ins, latest first.
    pub(crate) per_checkin: Vec<CheckInEntry>,
}

/// The prediction of the day: a label and its probability.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct DayPrediction {
    pub(crate) label: String,
    pub(crate) probability: Option<f64>,
}

/// The predictions at one check-in.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct CheckInEntry {
    pub(crate) checkin_id: String,
    pub(crate) checkin_date: String,
    pub(crate) predictions: Vec<Box<RawValue>>,
}

/// Predictions of every type, ready to be answered or kept.
pub(crate) struct PredictionSet {
    /// The prediction of the day, if there is a model for it.
    pub(crate) day: Option<DayPrediction>,
    /// At the latest check-in; one a model, in the registry's order, as JSON.
    pub(crate) predictions: Vec<Box<RawValue>>,
    /// At each of the latest check-ins that were asked for.
    pub(crate) per_checkin: Vec<CheckInEntry>,
    /// None of them ran out of time.
    pub(crate) is_complete: bool,
}

/// The result of asking the cache.
#[derive(Debug)]
pub(crate) enum Lookup {
    Hit(Entry),
    /// There is nothing to serve at once.
    Miss(CacheSlot),
    /// The cache is off, or its store failed or is too slow to be asked.
    Bypass,
}

/// The place of an entry in the store.
#[derive(Debug)]
pub(crate) struct CacheSlot {
    key: String,
    generation_key: String,
    /// The person's generation, read before their check-ins.
    pub(crate) generation: String,
    /// The bytes of an entry that has expired, not too long ago: better than an error.
    stale: Option<Vec<u8>>,
    /// This request has the lease, which it must give back.
    has_lease: Cell<bool>,
}

impl CacheSlot {
    fn lease_key(&self) -> String {
        format!("lease:{}", self.key)
    }
}

/// A person in the store's keys.
struct PersonKeys(String);

impl PersonKeys {
    fn hash<P: Platform>(store: &Store<P>, user_id: UserId) -> PersonKeys {
        PersonKeys(store.hash_person(user_id))
    }

    fn generation(&self) -> String {
        format!("generation:{}", self.0)
    }

    fn entry(&self, window: WindowDays, fingerprint: &str) -> String {
        format!("predictions:{}:{}:{fingerprint}", self.0, window.get())
    }
}

/// The prediction cache of one instance.
pub(crate) struct PredictionCache<P: Platform> {
    platform: P,
    store: Rc<Store<P>>,
    /// The release that entries are of.
    release: String,
}

impl<P: Platform> PredictionCache<P> {
    pub(crate) fn new(platform: P, store: Rc<Store<P>>) -> PredictionCache<P> {
        PredictionCache::of_release(platform, store, &format!("{FINGERPRINT}{CODE_FINGERPRINT}"))
    }

    fn of_release(platform: P, store: Rc<Store<P>>, release: &str) -> PredictionCache<P> {
        PredictionCache { platform, store, release: release.to_owned() }
    }

    /// A hash of everything but the check-ins that an answer depends on: models, code, and the words of the
    /// configuration.
    fn fingerprint(&self, settings: &Settings) -> String {
        let mut configured = DefaultHasher::new();
        settings.crisis_resources.hash(&mut configured);
        format!("{}{:016x}", self.release, configured.finish())
    }

    /// The keys of the entry that answers a request, and of the person's generation; `None` if the cache is off.
    pub(crate) fn keys(&self, settings: &Settings, request: &PredictionRequest) -> Option<[String; 2]> {
        settings.cache_ttl?;
        let person = PersonKeys::hash(&self.store, request.user_id);
        Some([person.entry(request.options.window, &self.fingerprint(settings)), person.generation()])
    }

    /// Looks up the entry that answers a request. Reads nothing that was read along with something else.
    pub(crate) async fn look_up(
        &self,
        settings: &Settings,
        request: &PredictionRequest,
        read_along: Option<ReadAlong>,
    ) -> Lookup {
        let Some(keys) = self.keys(settings, request) else { return Lookup::Bypass };
        let values = match read_along.filter(|read| read.keys == keys) {
            Some(read) => Ok(Vec::from(read.values)),
            None => self.store.get_all(&keys.each_ref().map(String::as_str)).await,
        };
        values.map_or_else(
            |failure| {
                failure.warn("cache_not_read", "the prediction cache could not be read");
                Lookup::Bypass
            },
            |values| self.judge(settings, request, keys, values),
        )
    }

    /// Decides if the values of an entry and a generation answer a request.
    fn judge(
        &self,
        settings: &Settings,
        request: &PredictionRequest,
        [key, generation_key]: [String; 2],
        values: Vec<Option<Vec<u8>>>,
    ) -> Lookup {
        let mut values = values.into_iter();
        let (entry, generation) = (values.next().flatten(), values.next().flatten());
        // A text that this service did not write is no generation that an entry has.
        let generation = generation.map_or(String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
        let bytes = entry.and_then(|bytes| self.store.open(&key, bytes)).unwrap_or_default();
        let entry = Entry::parse(&bytes, &key, &generation).filter(|entry| entry.serves(&request.options));
        let stale = match entry {
            Some(entry) if entry.expired_for() == Duration::ZERO => return Lookup::Hit(entry),
            Some(entry) if entry.expired_for() < settings.cache_stale => Some(bytes),
            _ => None,
        };
        Lookup::Miss(CacheSlot { key, generation_key, generation, stale, has_lease: Cell::default() })
    }

    /// Takes the lease of a slot, or waits for the entry of the request that has it. Returns `None` if the database
    /// must be asked. Only Redis has leases: elsewhere every miss asks.
    pub(crate) async fn share(
        &self,
        settings: &Settings,
        request: &PredictionRequest,
        slot: &CacheSlot,
        deadline: Deadline,
    ) -> Option<Entry> {
        if !self.store.is_redis() {
            return None;
        }
        let (lease, milliseconds) = (slot.lease_key(), LEASE.as_millis().to_string());
        match self.store.evaluate(TAKE_LEASE, &[&lease], &[milliseconds.as_bytes()]).await.as_deref() {
            Ok([RedisValue::Integer(0)]) => {}
            // A store that fails now is no reason to wait.
            taken => {
                slot.has_lease.set(taken.is_ok());
                return None;
            }
        }
        let wait_until = Deadline::new(Instant::now(), LEASE.min(deadline.remaining() / 2));
        while !wait_until.has_passed() {
            self.platform.sleep(LEASE_POLL_INTERVAL).await;
            let keys = [slot.key.as_str(), &slot.generation_key, &lease];
            let Ok(mut values) = self.store.get_all(&keys).await else { break };
            let is_leased = values.pop().flatten().is_some();
            let keys = [slot.key.clone(), slot.generation_key.clone()];
            if let Lookup::Hit(entry) = self.judge(settings, request, keys, values) {
                return Some(entry);
            }
            if !is_leased {
                break;
            }
        }
        None
    }

    /// Gives back the lease of a request that ended without an entry, after the response.
    pub(crate) fn release_later(&self, slot: &CacheSlot) {
        if slot.has_lease.take() {
            let (store, lease) = (self.store.clone(), slot.lease_key());
            self.platform.spawn(async move { store.uncounted().delete(&lease).await });
        }
    }

    /// The entry that expired not too long ago, if the person was not invalidated since it was looked up.
    pub(crate) async fn stale(&self, slot: &CacheSlot) -> Option<Entry> {
        let bytes = slot.stale.as_ref()?;
        let generation = self.store.get(&slot.generation_key).await.ok()?;
        let is_same = generation.unwrap_or_default() == slot.generation.as_bytes();
        if is_same { Entry::parse(bytes, &slot.key, &slot.generation) } else { None }
    }

    /// Invalidates every prediction about a person, whatever instance made it or is still writing it. Returns the
    /// number of entries that there were. Errors if the store does not take the new generation.
    pub(crate) async fn invalidate(&self, settings: &Settings, user_id: UserId) -> Result<usize, Problem> {
        let failed = |failure: Failure| {
            let message = "a person's predictions could not be invalidated";
            log::warning("not_invalidated", message, failure.cause());
            Problem::StoreUnavailable
        };
        let person = PersonKeys::hash(&self.store, user_id);
        let generation = Uuid::new_v4().to_string();
        self.store.set(&person.generation(), generation.as_bytes(), GENERATION_KEPT).await.map_err(failed)?;
        // None of these can be served any more: to delete them is to keep no more of a person than is needed.
        let fingerprint = self.fingerprint(settings);
        let entries: Vec<String> = WindowDays::all().map(|window| person.entry(window, &fingerprint)).collect();
        Ok(self.store.uncounted().delete_all(&entries).await)
    }

    /// Writes an entry once the response has left, and gives back the lease.
    pub(crate) fn write_later(&self, settings: &Settings, slot: &CacheSlot, entry: &Entry) {
        let Ok(bytes) = serde_json::to_vec(entry) else { return self.release_later(slot) };
        let (store, key) = (self.store.clone(), entry.key.clone());
        let keep = settings.cache_ttl.unwrap_or_default() + settings.cache_stale;
        let lease = slot.has_lease.take().then(|| slot.lease_key());
        self.platform.spawn(async move {
            if let Err(failure) = store.set_sealed(&key, &bytes, keep).await {
                failure.warn("cache_not_written", "the prediction cache could not be written");
            }
            if let Some(lease) = lease {
                store.uncounted().delete(&lease).await;
            }
        });
    }
}

impl Entry {
    /// Parses an entry, or returns `None` if it is corrupt, foreign or invalidated: each is a miss.
    pub fn parse(bytes: &[u8], key: &str, generation: &str) -> Option<Entry> {
        if bytes.len() > MAX_ENTRY_BYTES {
            return None;
        }
        let entry: Entry = serde_json::from_slice(bytes).ok()?;
        let is_whole = |predictions: &[Box<RawValue>]| predictions.len() == MODELS.len();
        let fits = entry.key == key
            && entry.generation == generation
            && is_whole(&entry.predictions)
            && entry.per_checkin.iter().all(|checkin| is_whole(&checkin.predictions));
        fits.then_some(entry)
    }

    /// An entry made now, which will be served for `ttl`; one that has no slot is not written.
    pub(crate) fn new(
        slot: Option<&CacheSlot>,
        ttl: Duration,
        options: &PredictionOptions,
        predictions: PredictionSet,
    ) -> Entry {
        let now = Timestamp::now();
        let (key, generation) = slot.map_or_else(Default::default, |slot| (slot.key.clone(), slot.generation.clone()));
        Entry {
            key,
            generation,
            made_at: now.as_millisecond(),
            expires_at: now.as_millisecond().saturating_add_unsigned(ttl.as_millis() as u64),
            generated_at: rfc3339_seconds(now),
            explained: options.explain,
            limit_checkins: options.limit_checkins,
            day: predictions.day,
            predictions: predictions.predictions,
            per_checkin: predictions.per_checkin,
        }
    }

    /// The time for which it has been out of date; zero while it is not.
    pub fn expired_for(&self) -> Duration {
        elapsed_since(self.expires_at)
    }

    /// The time since it was made.
    pub fn age(&self) -> Duration {
        elapsed_since(self.made_at)
    }

    /// Returns true if everything that is asked for is here.
    fn serves(&self, options: &PredictionOptions) -> bool {
        let has_all = self.per_checkin.len() < usize::from(self.limit_checkins);
        (self.explained || !options.explain) && (has_all || options.limit_checkins <= self.limit_checkins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_platform::Fake;
    use futures::executor::block_on;
    use proptest::prelude::*;

    const USER: &str = "11111111-1111-4111-8111-111111111111";

    fn request(query: &str) -> PredictionRequest {
        PredictionRequest::parse(USER, query).expect("valid")
    }

    fn predictions() -> PredictionSet {
        let raw = || RawValue::from_string("{\"label\":\"x\"}".to_owned()).expect("JSON");
        let predictions = MODELS.iter().map(|_| raw()).collect();
        PredictionSet { day: None, predictions, per_checkin: Vec::new(), is_complete: true }
    }

    fn entry_in(slot: &CacheSlot, query: &str) -> Entry {
        Entry::new(Some(slot), Duration::from_secs(60), &request(query).options, predictions())
    }

    fn entry(query: &str) -> Entry {
        let text = str::to_owned;
        let slot = CacheSlot {
            key: text("k"),
            generation_key: text("g:k"),
            generation: text("g"),
            stale: None,
            has_lease: Cell::default(),
        };
        entry_in(&slot, query)
    }

    /// A cache whose store has this configuration.
    fn cache(variables: &[(&'static str, &str)], release: &str) -> (PredictionCache<Fake>, Settings) {
        let mut fake = Fake::with_variable("cache_ttl_seconds", "300");
        for (name, value) in variables {
            fake.set_variable(name, value);
        }
        let settings = block_on(Settings::read(&fake)).expect("valid");
        let store = Rc::new(Store::new(fake.clone()));
        store.configure(settings.store_secrets.clone(), None);
        (PredictionCache::of_release(fake, store, release), settings)
    }

    async fn miss(cache: &PredictionCache<Fake>, settings: &Settings) -> CacheSlot {
        match cache.look_up(settings, &request(""), None).await {
            Lookup::Miss(slot) => slot,
            other => panic!("{other:?}"),
        }
    }

    fn bytes(entry: &Entry) -> Vec<u8> {
        serde_json::to_vec(entry).expect("JSON")
    }

    #[test]
    fn an_entry_is_served_from_its_own_key_and_generation_and_knows_its_age() {
        let written = bytes(&entry(""));
        assert!(Entry::parse(&written, "k", "g").is_some_and(|entry| entry.expired_for() == Duration::ZERO));
        assert!(Entry::parse(&written, "another", "g").is_none(), "foreign");
        assert!(Entry::parse(&written, "k", "h").is_none(), "invalidated");
        assert!(Entry::parse(&written[..written.len() - 1], "k", "g").is_none(), "cut off");
        let fewer = Entry { predictions: Vec::new(), ..entry("") };
        assert!(Entry::parse(&bytes(&fewer), "k", "g").is_none(), "of another registry");
        let minute = 60_000;
        let old =
            Entry { made_at: entry("").made_at - 3 * minute, expires_at: entry("").made_at - minute, ..entry("") };
        assert!((59..62).contains(&old.expired_for().as_secs()) && (179..182).contains(&old.age().as_secs()));
    }

    #[test]
    fn an_entry_serves_what_it_holds_and_no_more() {
        let serves = |held: &str, asked: &str| entry(held).serves(&request(asked).options);
        assert!(serves("limit_checkins=3", ""));
        assert!(serves("", "types=mood_state"));
        assert!(serves("explain=true", ""));
        assert!(!serves("", "explain=true"));
        assert!(!serves("", "limit_checkins=1"));
        // Asked for three and holding none: there are none, however many are asked for.
        assert!(serves("limit_checkins=3", "limit_checkins=10"));
    }

    #[test]
    fn another_window_configuration_release_or_secret_has_another_key_and_no_key_has_the_person() {
        let key = |query: &str, variable: (&'static str, &str), release: &str| {
            let secret = ("cache_key_secret", "a secret of sixteen bytes or more");
            let ((cache, settings), request) = (cache(&[secret, variable], release), request(query));
            let [entry, _] = cache.keys(&settings, &request).expect("the cache is on");
            entry
        };
        let resources = ("crisis_resources", "CVV 188");
        let first = key("", resources, "one");
        assert_eq!(first, key("types=mood_state", resources, "one"));
        for other in [
            key("window_days=4", resources, "one"),
            key("", ("crisis_resources", "another"), "one"),
            key("", resources, "other"),
            key("", ("cache_key_secret", "another secret of sixteen bytes or more"), "one"),
        ] {
            assert_ne!(first, other);
        }
        assert!(!first.contains(USER) && !first.contains("11111111"), "{first}");
    }

    #[test]
    fn an_entry_of_another_release_is_a_miss() {
        let (old, settings) = cache(&[], "one");
        let new = PredictionCache::of_release(old.platform.clone(), old.store.clone(), "other");
        block_on(async {
            let slot = miss(&old, &settings).await;
            old.write_later(&settings, &slot, &entry_in(&slot, ""));
            assert!(matches!(old.look_up(&settings, &request(""), None).await, Lookup::Hit(_)));
            miss(&new, &settings).await;
        });
    }

    /// The order of things that would serve an old answer: an entry made from old check-ins is written after the
    /// invalidation that their change brought about.
    #[test]
    fn a_write_under_way_loses_against_an_invalidation() {
        let (cache, settings) = cache(&[], "one");
        block_on(async {
            let user_id = request("").user_id;
            let before = miss(&cache, &settings).await;
            assert_eq!(cache.invalidate(&settings, user_id).await, Ok(0));
            cache.write_later(&settings, &before, &entry_in(&before, ""));
            let after = miss(&cache, &settings).await;
            assert!(before.generation != after.generation && after.stale.is_none());
            cache.write_later(&settings, &after, &entry_in(&after, ""));
            assert!(matches!(cache.look_up(&settings, &request(""), None).await, Lookup::Hit(_)));
            assert_eq!(cache.invalidate(&settings, user_id).await, Ok(1));
            assert!(miss(&cache, &settings).await.stale.is_none());
        });
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut noise in proptest::collection::vec(any::<u8>(), 0..64), at in any::<prop::sample::Index>()) {
            prop_assert!(Entry::parse(&noise, "k", "g").is_none());
            let mut written = bytes(&entry("limit_checkins=2"));
            let at = at.index(written.len());
            noise.truncate(written.len() - at);
            written[at..at + noise.len()].copy_from_slice(&noise);
            let _ = Entry::parse(&written, "k", "g");
        }
    }
}
