//! The prediction cache: one entry a person and window, in the platform's key-value store.
//!
//! An entry holds the predictions of every type, so any subset of types is a hit. The store has no expiry, so the
//! entry carries its own. The key carries a fingerprint of everything else that an answer depends on, so a new
//! release never serves an old model's answer. Whatever is wrong with the store or an entry, the answer is computed:
//! the cache never fails a request, and the store never holds one up for long.
//!
//! A person has a *generation*, a random text in the store, and an entry carries the one that was read before the check-ins it
//! was made from. To invalidate is to write a new generation: from then on every entry of an older one, also one whose write
//! is still under way in another instance, is a miss. A request therefore reads two keys, at once. The store has to show what
//! was written: where a replica lags behind, an old entry is served for as long as the lag, and never beyond its time to live.

use crate::instance::Instance;
use crate::platform::{Platform, within};
use crate::problem::Problem;
use crate::request::{PredictionRequest, UserId, Wanted, WindowDays};
use crate::response::in_seconds;
use crate::settings::Settings;
use crate::store::{self, Failure};
use crate::telemetry::log;
use bipolar_edge_models::{FINGERPRINT, MODELS};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;
use uuid::Uuid;

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
    made_at: i64,
    /// The same.
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
    /// Nothing to serve at once.
    Miss(Place),
    /// The cache is off, or its store failed or is too slow to be asked.
    Bypass,
}

/// Where an answer is worth writing, and what stands there.
#[derive(Debug)]
pub(crate) struct Place {
    key: String,
    generation_key: String,
    /// The person's generation, read before their check-ins.
    pub(crate) generation: String,
    /// The bytes of an entry that has expired, not too long ago: better than an error.
    stale: Option<Vec<u8>>,
}

/// A person in the store's keys.
struct Person(String);

impl Person {
    async fn of<P: Platform>(instance: &Instance<P>, settings: &Settings, user_id: UserId) -> Result<Person, Failure> {
        Ok(Person(store::hashed_person(instance, settings, user_id).await?))
    }

    fn generation_key(&self) -> String {
        format!("generation:{}", self.0)
    }

    fn entry_key(&self, window: WindowDays, settings: &Settings) -> String {
        let mut configured = DefaultHasher::new();
        settings.crisis_resources.hash(&mut configured);
        format!("predictions:{}:{}:{FINGERPRINT}{:016x}", self.0, window.get(), configured.finish())
    }
}

/// Asks the cache for what `request` wants.
pub(crate) async fn look_up<P: Platform>(
    instance: &Instance<P>,
    settings: &Settings,
    request: &PredictionRequest,
) -> Lookup {
    if settings.cache_ttl.is_none() {
        return Lookup::Bypass;
    }
    let looked_up = async {
        let person = Person::of(instance, settings, request.user_id).await?;
        let (key, generation_key) = (person.entry_key(request.wanted.window, settings), person.generation_key());
        let both = futures::future::try_join(instance.platform.get(&key), instance.platform.get(&generation_key));
        let (entry, generation) = store::ask(instance, "get", both).await?;
        // What this service did not write is no generation that an entry has.
        let generation = generation.map_or(String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
        let bytes = entry.and_then(|bytes| store::open(settings, &key, bytes)).unwrap_or_default();
        let entry = read(&bytes, &key, &generation).filter(|entry| entry.serves(request));
        let stale = match entry {
            Some(entry) if entry.expired_for() == Duration::ZERO => return Ok(Lookup::Hit(entry)),
            Some(entry) if entry.expired_for() < settings.cache_stale => Some(bytes),
            _ => None,
        };
        Ok(Lookup::Miss(Place { key, generation_key, generation, stale }))
    };
    looked_up.await.unwrap_or_else(|failure: Failure| {
        if let Some(cause) = failure.name() {
            log::warning("cache_not_read", "the prediction cache could not be read", cause);
        }
        Lookup::Bypass
    })
}

/// The entry that expired not too long ago, if the person was not invalidated since it was looked up.
pub(crate) async fn stale<P: Platform>(instance: &Instance<P>, place: &Place) -> Option<Entry> {
    let bytes = place.stale.as_ref()?;
    let generation = store::ask(instance, "get", instance.platform.get(&place.generation_key)).await.ok()?;
    let same = generation.unwrap_or_default() == place.generation.as_bytes();
    if same { read(bytes, &place.key, &place.generation) } else { None }
}

/// Makes every prediction about a person, whatever instance made it or is still writing it, one that is not served again.
/// Gives how many entries there were. Errors if the store does not take the new generation.
pub(crate) async fn invalidate<P: Platform>(
    instance: &Instance<P>,
    settings: &Settings,
    user_id: UserId,
) -> Result<usize, Problem> {
    let platform = &instance.platform;
    let failed = |cause| {
        log::warning("not_invalidated", "a person's predictions could not be invalidated", cause);
        Problem::StoreUnavailable
    };
    let person = Person::of(instance, settings, user_id)
        .await
        .map_err(|failure| failed(failure.name().unwrap_or("the store was too slow a moment ago")))?;
    let generation = Uuid::new_v4().to_string();
    store::write(platform, &person.generation_key(), generation.as_bytes()).await.map_err(failed)?;
    // None of these can be served any more: to delete them is to keep no more of a person than is needed.
    let delete = |window| {
        let key = person.entry_key(window, settings);
        async move {
            let there = platform.exists(&key).await.unwrap_or(false);
            there && platform.delete(&key).await.is_ok()
        }
    };
    let deletions = futures::future::join_all(WindowDays::all().map(delete));
    let deleted = within(platform, store::WRITE_LIMIT, deletions).await.unwrap_or_default();
    Ok(deleted.into_iter().filter(|deleted| *deleted).count())
}

/// Writes an entry once the response has left.
pub(crate) fn write_later<P: Platform>(instance: &Instance<P>, settings: &Rc<Settings>, entry: &Entry) {
    let Ok(bytes) = serde_json::to_vec(entry) else { return };
    let (platform, settings, key) = (instance.platform.clone(), settings.clone(), entry.key.clone());
    instance.platform.spawn(async move {
        if let Err(cause) = store::write(&platform, &key, &store::seal(&settings, &key, &bytes)).await {
            log::warning("cache_not_written", "the prediction cache could not be written", cause);
        }
    });
}

/// An entry out of a store's bytes, or `None` if it is corrupt, foreign or invalidated: each is a miss.
fn read(bytes: &[u8], key: &str, generation: &str) -> Option<Entry> {
    if bytes.len() > LONGEST_ENTRY {
        return None;
    }
    let entry: Entry = serde_json::from_slice(bytes).ok()?;
    let whole = |predictions: &[Box<RawValue>]| predictions.len() == MODELS.len();
    let fits = entry.key == key
        && entry.generation == generation
        && whole(&entry.predictions)
        && entry.per_checkin.iter().all(|checkin| whole(&checkin.predictions));
    fits.then_some(entry)
}

/// What the fuzzer calls.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(bytes: &[u8]) {
    if let Some(entry) = read(bytes, "k", "g") {
        let _ = (entry.expired_for(), entry.age());
    }
}

impl Entry {
    /// An entry made now, which will be served for `ttl`; one that has no place is not written.
    pub(crate) fn new(
        place: Option<&Place>,
        ttl: Duration,
        wanted: &Wanted,
        predictions: Vec<Box<RawValue>>,
        per_checkin: Vec<CheckInEntry>,
    ) -> Entry {
        let now = Timestamp::now();
        let (key, generation) =
            place.map_or_else(Default::default, |place| (place.key.clone(), place.generation.clone()));
        Entry {
            key,
            generation,
            made_at: now.as_millisecond(),
            expires_at: now.as_millisecond().saturating_add_unsigned(ttl.as_millis() as u64),
            generated_at: in_seconds(now),
            explained: wanted.explain,
            limit_checkins: wanted.limit_checkins,
            predictions,
            per_checkin,
        }
    }

    /// How long it has been out of date; nothing while it is not.
    fn expired_for(&self) -> Duration {
        since(self.expires_at)
    }

    /// How long ago it was made.
    pub(crate) fn age(&self) -> Duration {
        since(self.made_at)
    }

    /// Whether everything that a request asks for is here.
    fn serves(&self, request: &PredictionRequest) -> bool {
        let no_more = self.per_checkin.len() < usize::from(self.limit_checkins);
        (self.explained || !request.wanted.explain) && (no_more || request.wanted.limit_checkins <= self.limit_checkins)
    }
}

/// How long ago a time is; nothing for one to come. Of another's clock, or a corrupt entry, it may be any.
fn since(time: i64) -> Duration {
    let milliseconds = Timestamp::now().as_millisecond().saturating_sub(time);
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
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
        let text = str::to_owned;
        let place = Place { key: text("k"), generation_key: text("g:k"), generation: text("g"), stale: None };
        Entry::new(Some(&place), Duration::from_secs(60), &request(query).wanted, predictions, Vec::new())
    }

    fn settings(variables: &[(&'static str, &str)]) -> Settings {
        let mut fake = Fake::with_variable("cache_ttl_seconds", "300");
        for (name, value) in variables {
            fake.set_variable(name, value);
        }
        block_on(Settings::read(&fake)).expect("valid")
    }

    fn bytes(entry: &Entry) -> Vec<u8> {
        serde_json::to_vec(entry).expect("JSON")
    }

    #[test]
    fn an_entry_is_served_from_its_own_key_and_generation_and_knows_its_age() {
        let written = bytes(&entry(""));
        assert!(read(&written, "k", "g").is_some_and(|entry| entry.expired_for() == Duration::ZERO));
        assert!(read(&written, "another", "g").is_none(), "foreign");
        assert!(read(&written, "k", "h").is_none(), "invalidated");
        assert!(read(&written[..written.len() - 1], "k", "g").is_none(), "cut off");
        let fewer = Entry { predictions: Vec::new(), ..entry("") };
        assert!(read(&bytes(&fewer), "k", "g").is_none(), "of another registry");
        let minute = 60_000;
        let old =
            Entry { made_at: entry("").made_at - 3 * minute, expires_at: entry("").made_at - minute, ..entry("") };
        assert!((59..62).contains(&old.expired_for().as_secs()) && (179..182).contains(&old.age().as_secs()));
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
    fn another_window_configuration_or_secret_has_another_key_and_no_key_has_the_person() {
        let instance = Instance::new(Fake::default());
        let key = |query: &str, variable: (&'static str, &str)| {
            let secret = ("cache_key_secret", "a secret of sixteen bytes or more");
            let (request, settings) = (request(query), settings(&[secret, variable]));
            let person = block_on(Person::of(&instance, &settings, request.user_id)).expect("hashed");
            person.entry_key(request.wanted.window, &settings)
        };
        let first = key("", ("crisis_resources", "CVV 188"));
        assert_eq!(first, key("types=mood_state", ("crisis_resources", "CVV 188")));
        for other in [
            key("window_days=4", ("crisis_resources", "CVV 188")),
            key("", ("crisis_resources", "another")),
            key("", ("cache_key_secret", "another secret of sixteen bytes or more")),
        ] {
            assert_ne!(first, other);
        }
        assert!(!first.contains(USER) && !first.contains("11111111"), "{first}");
    }

    #[test]
    fn a_sealed_entry_opens_for_its_own_key_under_its_own_configuration() {
        let key = |digit: &str| digit.repeat(64);
        let (one, other) =
            (settings(&[("cache_encryption_key", &key("a"))]), settings(&[("cache_encryption_key", &key("b"))]));
        let sealed = store::seal(&one, "k", b"predictions");
        assert!(!sealed.windows(4).any(|bytes| bytes == b"pred"));
        assert_ne!(sealed, store::seal(&one, "k", b"predictions"), "a nonce of its own");
        assert_eq!(store::open(&one, "k", sealed.clone()).as_deref(), Some(&b"predictions"[..]));
        assert_eq!(store::open(&one, "another", sealed.clone()), None);
        assert_eq!(store::open(&other, "k", sealed.clone()), None);
        for cut in [0, 10, 24, sealed.len() - 1] {
            assert_eq!(store::open(&one, "k", sealed[..cut].to_vec()), None);
        }
        assert_eq!(
            store::open(&one, "k", b"{\"key\":\"k\"}".to_vec()),
            None,
            "what was written before there was a key"
        );
    }

    /// The order of things that would serve an old answer: an entry made from old check-ins is written after the
    /// invalidation that their change brought about.
    #[test]
    fn a_write_under_way_loses_against_an_invalidation() {
        let instance = Instance::new(Fake::with_variable("cache_ttl_seconds", "300"));
        block_on(async {
            let settings = instance.settings().await.expect("valid");
            let request = request("");
            let raw = || RawValue::from_string("{}".to_owned()).expect("JSON");
            let entry = |place: &Place| {
                let predictions = MODELS.iter().map(|_| raw()).collect();
                Entry::new(Some(place), Duration::from_secs(60), &request.wanted, predictions, Vec::new())
            };
            let miss = async || match look_up(&instance, &settings, &request).await {
                Lookup::Miss(place) => place,
                other => panic!("{other:?}"),
            };
            let before = miss().await;
            assert_eq!(invalidate(&instance, &settings, request.user_id).await, Ok(0));
            write_later(&instance, &settings, &entry(&before));
            let after = miss().await;
            assert!(before.generation != after.generation && after.stale.is_none());
            write_later(&instance, &settings, &entry(&after));
            assert!(matches!(look_up(&instance, &settings, &request).await, Lookup::Hit(_)));
            assert_eq!(invalidate(&instance, &settings, request.user_id).await, Ok(1));
            assert!(miss().await.stale.is_none());
        });
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut noise in proptest::collection::vec(any::<u8>(), 0..64), at in any::<prop::sample::Index>()) {
            prop_assert!(read(&noise, "k", "g").is_none());
            let mut written = bytes(&entry("limit_checkins=2"));
            let at = at.index(written.len());
            noise.truncate(written.len() - at);
            written[at..at + noise.len()].copy_from_slice(&noise);
            let _ = read(&written, "k", "g");
        }
    }
}
