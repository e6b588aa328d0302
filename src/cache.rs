//! The prediction cache: a value a person, with the predictions for each window that was asked for.
//!
//! An entry holds the predictions of every type for one window, so any subset of types is a hit. It holds numbers, and
//! an answer is rendered from them for the question that was asked: nobody sees what others asked for. It carries the
//! time at which it expires, and a fingerprint of everything else that an answer depends on, models and code, so a new
//! release never serves an old release's answer. In a key-value store a person's value has a slot that others may
//! share, and says whose it is: a neighbour's is a miss. Whatever is wrong with the store or a value, an answer is
//! computed: the cache never fails a request, and the store never holds one up for long where that can be helped.
//!
//! **Invalidation.** People share a fixed number of *generations*, and with Redis each has one: a random text under a
//! key that invalidators alone write, and that nothing deletes. An entry carries the generation that was read before
//! the check-ins that it was made from. To invalidate a person is to write a new generation, and nothing else. After
//! that write no answer comes from check-ins that were read before it:
//!
//! 1. A request that begins after the write reads the new generation, or a later one, and serves only entries that
//!    carry the same.
//! 2. An entry that carries it was made by a request that had read it before it asked for the check-ins, hence after
//!    the write. Generations are random, so none comes back.
//! 3. Whatever a late writer puts into the slot, it is an entry of the generation that it has read, or of one that was
//!    there before: by (1) nobody serves it. It may replace entries of the new one: a miss, and no more.
//!
//! Those who share a generation are invalidated together, which costs the others a prediction. There is one number of
//! generations for few slots and one for many, so all this holds, too, where `cache_slots` changes among few, or among
//! many; not where it changes from the one to the other and back within an entry's time to live.
//!
//! The store has to show the new generation: where a replica lags behind, an old entry is served for as long as the
//! lag, and never beyond its time to live. `cache/interleavings.rs` tries every order of the steps of readers, writers
//! and invalidators.
//!
//! With `cache_memory_seconds` an instance answers from what it has read a moment ago, and for so long does not see
//! what others have invalidated. What it invalidates or writes itself, it forgets.
//!
//! With Redis, requests that miss the same entry at the same time ask the database once between them, whatever instance
//! they are in: the first takes a *lease*, and the others wait for its entry.

#[cfg(test)]
mod interleavings;
mod memory;
mod slot;

pub use slot::Slot;

use crate::config::Settings;
use crate::deadline::Deadline;
use crate::ids::UserId;
use crate::platform::{Platform, RedisValue};
use crate::predict::{Explain, PredictionsAt};
use crate::request::{PredictionOptions, PredictionRequest};
use crate::store::{Failure, Kind, ReadAlong, Store};
use crate::time::{MAX_CLOCK_SKEW_MS, after, elapsed_since, monotonic_now, now, now_ms, rfc3339_seconds};
use bipolar_edge_models::FINGERPRINT;
use memory::Memory;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;
use uuid::Uuid;

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
    /// The fingerprint of what the answer depends on besides check-ins.
    fingerprint: String,
    /// The generation when the check-ins were asked for; empty if there was none.
    generation: String,
    /// Milliseconds since 1970-01-01 UTC.
    made_at: i64,
    /// Milliseconds since 1970-01-01 UTC.
    expires_at: i64,
    /// The moment from which it does not even stand in, because its check-ins are too old.
    pub(crate) usable_until: Option<i64>,
    /// The time at which the predictions were made, RFC 3339.
    pub(crate) generated_at: String,
    /// The explanation that the predictions have.
    pub(crate) explained: Explain,
    /// The number of latest check-ins that were asked for; fewer are here only if there are no more.
    pub(crate) limit_checkins: u8,
    /// At the latest check-in.
    pub(crate) latest: PredictionsAt,
    /// The latest check-ins, latest first.
    pub(crate) per_checkin: Vec<CheckInEntry>,
}

/// The predictions at one check-in.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct CheckInEntry {
    pub(crate) checkin_id: String,
    pub(crate) checkin_date: String,
    pub(crate) at: PredictionsAt,
}

/// Predictions of every type, ready to be answered or kept.
#[derive(Default)]
pub(crate) struct PredictionSet {
    /// At the latest check-in.
    pub(crate) latest: PredictionsAt,
    /// At each of the latest check-ins that were asked for.
    pub(crate) per_checkin: Vec<CheckInEntry>,
    /// One of them ran out of time.
    pub(crate) is_cut_short: bool,
    /// The moment at which the latest check-in becomes too old for them; `None` for never. In milliseconds since
    /// 1970-01-01 UTC.
    pub(crate) usable_until: Option<i64>,
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
    keys: [String; 2],
    /// The person's hash.
    person: String,
    window: u8,
    fingerprint: String,
    /// The generation, read before the check-ins.
    pub(crate) generation: String,
    /// The bytes of an entry that has expired, not too long ago: better than an error.
    stale: Option<Vec<u8>>,
    /// The person's entries for other windows that can be served still, or stand in.
    others: Vec<(u8, Vec<u8>)>,
    /// This request has the lease, which it must give back.
    has_lease: Cell<bool>,
}

impl CacheSlot {
    fn lease_key(&self) -> String {
        format!("lease:{}:{}", self.person, self.window)
    }
}

/// The prediction cache of one instance.
pub(crate) struct PredictionCache<P: Platform> {
    platform: P,
    store: Rc<Store<P>>,
    /// The release that entries are of.
    release: String,
    memory: Rc<Memory>,
}

impl<P: Platform> PredictionCache<P> {
    pub(crate) fn new(platform: P, store: Rc<Store<P>>) -> PredictionCache<P> {
        PredictionCache::of_release(platform, store, &format!("{FINGERPRINT}{CODE_FINGERPRINT}"))
    }

    fn of_release(platform: P, store: Rc<Store<P>>, release: &str) -> PredictionCache<P> {
        PredictionCache { platform, store, release: release.to_owned(), memory: Rc::default() }
    }

    /// A hash of everything but the check-ins that an entry depends on: models, code, and the configuration.
    fn fingerprint(&self, settings: &Settings) -> String {
        let mut configured = DefaultHasher::new();
        settings.max_checkin_age_set().hash(&mut configured);
        format!("{}{:016x}", self.release, configured.finish())
    }

    /// The keys of the slot that answers a request, and of its generation; `None` if nothing is kept.
    pub(crate) fn keys(&self, settings: &Settings, request: &PredictionRequest) -> Option<[String; 2]> {
        settings.cache_ttl.filter(|_| self.store.keeps_predictions())?;
        let person = self.store.hash_person(request.user_id);
        Some([Kind::Predictions, Kind::Generation].map(|kind| self.store.key(kind, &person)))
    }

    /// The keys that have to be read to answer a request: those of [`PredictionCache::keys`], unless they were a moment
    /// ago.
    pub(crate) fn keys_to_read(&self, settings: &Settings, request: &PredictionRequest) -> Option<[String; 2]> {
        let keys = self.keys(settings, request)?;
        if self.memory.has(&keys[0], settings.cache_memory) { None } else { Some(keys) }
    }

    /// Looks up the entry that answers a request. Reads nothing that was read along with something else.
    pub(crate) async fn look_up(
        &self,
        settings: &Settings,
        request: &PredictionRequest,
        read_along: Option<ReadAlong>,
    ) -> Lookup {
        let (keys, values) = match read_along {
            Some(ReadAlong { keys, values }) => (keys, values.into()),
            None => {
                let Some(keys) = self.keys(settings, request) else { return Lookup::Bypass };
                if let Some(values) = self.memory.get(&keys[0], settings.cache_memory) {
                    return self.judge(settings, request, keys, values);
                }
                match self.store.get_all(&keys.each_ref().map(String::as_str)).await {
                    Ok(values) => (keys, values),
                    Err(failure) => {
                        failure.warn("cache_not_read", "the prediction cache could not be read");
                        return Lookup::Bypass;
                    }
                }
            }
        };
        let read = (!settings.cache_memory.is_zero()).then(|| (keys[0].clone(), values.clone()));
        let lookup = self.judge(settings, request, keys, values);
        if let (Lookup::Hit(_), Some((key, values))) = (&lookup, read) {
            self.memory.remember(key, values);
        }
        lookup
    }

    /// Decides if the values of a slot and its generation answer a request.
    fn judge(
        &self,
        settings: &Settings,
        request: &PredictionRequest,
        keys: [String; 2],
        values: Vec<Option<Vec<u8>>>,
    ) -> Lookup {
        let mut values = values.into_iter();
        let (value, generation) = (values.next().flatten(), values.next().flatten());
        // A text that this service did not write is no generation that an entry has.
        let generation = generation.map_or(String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
        let keep = kept(settings);
        let value = value.and_then(|value| self.store.open(&keys[0], value, keep)).unwrap_or_default();
        let (person, fingerprint) = (self.store.hash_person(request.user_id), self.fingerprint(settings));
        let window = request.options.window.get();
        let slot = Slot::parse(&value).filter(|slot| slot.person == person);
        let bytes = slot.as_ref().and_then(|slot| slot.entry(window)).unwrap_or_default();
        let entry = Entry::parse(bytes, &fingerprint, &generation).filter(|entry| entry.serves(&request.options));
        let stale = match entry {
            Some(entry) if entry.is_current() => return Lookup::Hit(entry),
            Some(entry) if entry.stands_in(settings.cache_stale) => Some(bytes.to_vec()),
            _ => None,
        };
        let entries = slot.map_or_else(Vec::new, |slot| slot.entries).into_iter();
        let is_kept = |bytes: &[u8]| {
            let entry = Entry::parse(bytes, &fingerprint, &generation);
            entry.is_some_and(|entry| entry.is_current() || entry.stands_in(settings.cache_stale))
        };
        let others = entries.filter(|(other, bytes)| *other != window && is_kept(bytes));
        let others = others.map(|(other, bytes)| (other, bytes.to_vec())).collect();
        let has_lease = Cell::default();
        Lookup::Miss(CacheSlot { keys, person, window, fingerprint, generation, stale, others, has_lease })
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
            Ok(_) => {
                slot.has_lease.set(true);
                return None;
            }
            // A store that fails now is no reason to wait.
            Err(failure) => {
                failure.warn("lease_not_taken", "misses about one person do not share a question to the database");
                return None;
            }
        }
        let wait_until = Deadline::new(monotonic_now(), LEASE.min(deadline.remaining() / 2));
        while !wait_until.has_passed() {
            self.platform.sleep(LEASE_POLL_INTERVAL).await;
            let keys = [slot.keys[0].as_str(), &slot.keys[1], &lease];
            let mut values = match self.store.get_all(&keys).await {
                Ok(values) => values,
                Err(failure) => {
                    failure.warn("lease_not_awaited", "a question to the database could not be shared");
                    break;
                }
            };
            let is_leased = values.pop().flatten().is_some();
            if let Lookup::Hit(entry) = self.judge(settings, request, slot.keys.clone(), values) {
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
        let generation = self.store.get(&slot.keys[1]).await.ok()?;
        let is_same = generation.unwrap_or_default() == slot.generation.as_bytes();
        if is_same { Entry::parse(bytes, &slot.fingerprint, &slot.generation) } else { None }
    }

    /// The generation of a person, for what is kept elsewhere to be invalidated with the cache; empty if there is none.
    pub(crate) async fn generation(&self, user_id: UserId) -> Result<String, Failure> {
        let key = self.store.key(Kind::Generation, &self.store.hash_person(user_id));
        let generation = self.store.get(&key).await?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&generation).into_owned())
    }

    /// Invalidates every prediction about a person, whatever instance made it or is still writing it. Errors if the
    /// store does not take the new generation.
    pub(crate) async fn invalidate(&self, user_id: UserId) -> Result<(), Failure> {
        let generation = Uuid::new_v4().to_string();
        let person = self.store.hash_person(user_id);
        self.memory.invalidate(&self.store.key(Kind::Predictions, &person));
        let key = self.store.key(Kind::Generation, &person);
        self.store.set(&key, generation.as_bytes(), GENERATION_KEPT).await
    }

    /// Deletes what the store holds of a person, who must have been invalidated before, under this layout or, where its
    /// keys are listed, under the others that those are of; returns the number of entries.
    pub(crate) async fn erase(&self, user_id: UserId, listed: Option<&[String]>) -> Result<usize, Failure> {
        let person = self.store.hash_person(user_id);
        let keys = self.store.keys_to_erase(listed, Kind::Predictions, &person);
        let theirs = |slot: Slot<'_>| if slot.person == person { slot.entries.len() } else { 0 };
        let erased = self.store.erase(&keys, |value| Slot::parse(value).map(theirs)).await?;
        // Other instances may have other generations, and write once more what they have read. A store that is full
        // takes none: then they cannot write either.
        for key in self.store.other_generations(listed.unwrap_or_default(), &person) {
            if let Err(failure) = self.store.set(&key, Uuid::new_v4().to_string().as_bytes(), GENERATION_KEPT).await {
                failure.warn("not_invalidated", "a generation of another number of slots could not be written");
            }
        }
        Ok(erased)
    }

    /// Writes an entry once the response has left, and gives back the lease.
    pub(crate) fn write_later(&self, settings: &Settings, slot: &CacheSlot, entry: &Entry) {
        let Ok(bytes) = serde_json::to_vec(entry) else { return self.release_later(slot) };
        let mut entries = vec![(slot.window, bytes.as_slice())];
        entries.extend(slot.others.iter().map(|(window, bytes)| (*window, bytes.as_slice())));
        let (store, key, value) = (self.store.clone(), slot.keys[0].clone(), Slot::render(&slot.person, &entries));
        // The others expire before this one does, and are served no longer than they would have been.
        let keep = kept(settings);
        let lease = slot.has_lease.take().then(|| slot.lease_key());
        let memory = self.memory.clone();
        self.platform.spawn(async move {
            memory.forget(&key);
            if let Err(failure) = store.set_sealed(&key, &value, keep).await {
                failure.warn("cache_not_written", "the prediction cache could not be written");
            }
            if let Some(lease) = lease {
                store.uncounted().delete(&lease).await;
            }
        });
    }
}

/// The time for which the store keeps an entry.
fn kept(settings: &Settings) -> Duration {
    settings.cache_ttl.unwrap_or_default() + settings.cache_stale
}

impl Entry {
    /// Parses an entry, or returns `None` if it is corrupt, of another release or invalidated: each is a miss.
    pub fn parse(bytes: &[u8], fingerprint: &str, generation: &str) -> Option<Entry> {
        let entry: Entry = serde_json::from_slice(bytes).ok()?;
        let is_its_own = entry.fingerprint == fingerprint && entry.generation == generation;
        (is_its_own && entry.is_whole()).then_some(entry)
    }

    /// There is a prediction for each model everywhere.
    pub(crate) fn is_whole(&self) -> bool {
        self.latest.is_whole() && self.per_checkin.iter().all(|checkin| checkin.at.is_whole())
    }

    /// An entry made now, which will be served for `ttl`; one that has no slot is not written.
    pub(crate) fn new(
        slot: Option<&CacheSlot>,
        ttl: Duration,
        options: &PredictionOptions,
        predictions: PredictionSet,
    ) -> Entry {
        let now = now();
        let text = |of: fn(&CacheSlot) -> &String| slot.map_or_else(String::new, |slot| of(slot).clone());
        let (fingerprint, generation) = (text(|slot| &slot.fingerprint), text(|slot| &slot.generation));
        Entry {
            fingerprint,
            generation,
            made_at: now.as_millisecond(),
            expires_at: after(now.as_millisecond(), ttl).min(predictions.usable_until.unwrap_or(i64::MAX)),
            usable_until: predictions.usable_until,
            generated_at: rfc3339_seconds(now),
            explained: options.explain,
            limit_checkins: options.limit_checkins,
            latest: predictions.latest,
            per_checkin: predictions.per_checkin,
        }
    }

    /// The time for which it has been out of date; zero while it is not.
    pub fn expired_for(&self) -> Duration {
        elapsed_since(self.expires_at)
    }

    fn is_current(&self) -> bool {
        self.expired_for() == Duration::ZERO && !self.is_from_the_future()
    }

    /// Returns true if it was made by a clock that has been set back since, or that is wrong: nobody can say how old it
    /// is.
    fn is_from_the_future(&self) -> bool {
        self.made_at.saturating_sub(now_ms()) > MAX_CLOCK_SKEW_MS
    }

    /// Returns true if it may be served although it has expired: for so long, and while its check-ins are not too old.
    fn stands_in(&self, cache_stale: Duration) -> bool {
        let is_too_old = self.usable_until.is_some_and(|until| now_ms() >= until);
        !is_too_old && !self.is_from_the_future() && self.expired_for() < cache_stale
    }

    /// The time since it was made.
    pub fn age(&self) -> Duration {
        elapsed_since(self.made_at)
    }

    /// Returns true if everything that is asked for is here.
    fn serves(&self, options: &PredictionOptions) -> bool {
        let has_all = self.per_checkin.len() < usize::from(self.limit_checkins);
        self.explained >= options.explain && (has_all || options.limit_checkins <= self.limit_checkins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_platform::Fake;
    use crate::time::clock;
    use futures::executor::block_on;
    use proptest::prelude::*;

    const USER: &str = "11111111-1111-4111-8111-111111111111";

    fn request(query: &str) -> PredictionRequest {
        PredictionRequest::parse(USER, query).expect("valid")
    }

    fn predictions() -> PredictionSet {
        PredictionSet { latest: PredictionsAt::of_nothing(), ..PredictionSet::default() }
    }

    #[test]
    fn an_entry_is_served_for_no_longer_than_its_check_ins_are_recent_enough() {
        let made = |usable_until| {
            let set = PredictionSet { usable_until, ..predictions() };
            Entry::new(None, Duration::from_secs(60), &request("").options, set)
        };
        let now = now_ms();
        let hour = Duration::from_secs(3600);
        assert!(made(None).is_current() && made(None).stands_in(hour));
        assert!(made(Some(now + 30_000)).is_current());
        let over = made(Some(now - 1));
        assert!(!over.is_current() && !over.stands_in(hour), "not even while the database is away");
    }

    #[test]
    fn an_entry_from_the_future_is_a_miss_and_does_not_stand_in() {
        let (cache, settings) = cache(&[("cache_ttl_seconds", "86400")], "one");
        let hour = 3_600_000;
        block_on(async {
            let user_id = request("").user_id;
            for (made, asked, is_hit) in [(0, 0, true), (MAX_CLOCK_SKEW_MS / 2, 0, true), (hour, 0, false)] {
                clock::set_ahead(made);
                cache.invalidate(user_id).await.expect("written");
                let slot = miss(&cache, &settings).await;
                cache.write_later(&settings, &slot, &entry_in(&slot, ""));
                clock::set_ahead(asked);
                let looked_up = cache.look_up(&settings, &request(""), None).await;
                assert_eq!(matches!(looked_up, Lookup::Hit(_)), is_hit, "made {made} ms ahead");
                if let Lookup::Miss(slot) = looked_up {
                    assert!(cache.stale(&slot).await.is_none(), "nobody knows how old it is");
                }
            }
            // A value that is longer to live than any that is written now is from the future, whatever is in it.
            let key = &cache.keys(&settings, &request("")).expect("the cache is on")[0];
            clock::set_ahead(hour);
            cache.store.set_sealed(key, b"a value", Duration::from_secs(60)).await.expect("written");
            clock::set_ahead(0);
            let open = async |keep| cache.store.get_sealed(key, Duration::from_secs(keep)).await.expect("read");
            assert_eq!(open(60).await, None);
            assert!(open(3_700).await.is_some());
        });
    }

    fn entry_in(slot: &CacheSlot, query: &str) -> Entry {
        Entry::new(Some(slot), Duration::from_secs(60), &request(query).options, predictions())
    }

    fn entry(query: &str) -> Entry {
        let text = str::to_owned;
        let slot = CacheSlot {
            keys: [text("k"), text("g:k")],
            person: text("p"),
            window: 3,
            fingerprint: text("k"),
            generation: text("g"),
            stale: None,
            others: Vec::new(),
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
        let store = fake.store(&settings);
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
        let fewer = Entry { latest: PredictionsAt::default(), ..entry("") };
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
        assert!(serves("", "explain=none") && !serves("explain=none", ""));
        assert!(!serves("", "limit_checkins=1"));
        // Asked for three and holding none: there are none, however many are asked for.
        assert!(serves("limit_checkins=3", "limit_checkins=10"));
    }

    #[test]
    fn the_key_is_a_slot_that_no_one_can_tell_the_person_from() {
        let key = |secret: &str, slots: &str| {
            let variables = [("cache_key_secret", secret), ("cache_slots", slots)];
            let (cache, settings) = cache(&variables, "one");
            cache.keys(&settings, &request(""))
        };
        let keys = key("a secret of sixteen bytes or more", "1000000").expect("the cache is on");
        assert_ne!(Some(&keys), key("another secret of sixteen bytes or more", "1000000").as_ref());
        let slot = |key: &str, kind: &str| key.strip_prefix(kind).and_then(|slot| slot.parse::<u32>().ok());
        assert!(slot(&keys[0], "predictions:1000000:").is_some_and(|slot| slot < 1_000_000), "{keys:?}");
        assert!(slot(&keys[1], "generation:65536:").is_some_and(|slot| slot < 65_536), "{keys:?}");
        assert_eq!(key("a secret of sixteen bytes or more", "0"), None, "nothing is kept");
    }

    #[test]
    fn windows_of_a_person_share_a_slot_and_a_neighbour_takes_it() {
        let (cache, settings) = cache(&[("cache_slots", "64")], "one");
        let slot_of = |person: &str| {
            let asked = PredictionRequest::parse(person, "").expect("valid");
            cache.keys(&settings, &asked).expect("the cache is on")
        };
        let others = (0..10_000).map(|number| format!("22222222-2222-4222-8222-{number:012}"));
        let neighbour = others.into_iter().find(|other| slot_of(other) == slot_of(USER)).expect("one of them");
        let ask = async |person: &str, query: &str| {
            let asked = PredictionRequest::parse(person, query).expect("valid");
            match cache.look_up(&settings, &asked, None).await {
                Lookup::Hit(_) => true,
                Lookup::Miss(slot) => {
                    let entry = Entry::new(Some(&slot), Duration::from_secs(60), &asked.options, predictions());
                    cache.write_later(&settings, &slot, &entry);
                    false
                }
                Lookup::Bypass => panic!("the store is there"),
            }
        };
        block_on(async {
            assert!(!ask(USER, "").await && !ask(USER, "window_days=7").await);
            assert!(ask(USER, "").await && ask(USER, "window_days=7").await);
            assert!(!ask(&neighbour, "").await, "it is another's");
            assert!(!ask(USER, "").await, "a neighbour has taken the slot");
            assert_eq!(cache.erase(UserId::parse(USER).expect("an id"), None).await, Ok(1));
            assert_eq!(cache.erase(UserId::parse(&neighbour).expect("an id"), None).await, Ok(0));
        });
    }

    #[test]
    fn an_instance_answers_from_memory_for_as_long_as_it_may_and_sees_what_it_does_itself() {
        let (reader, settings) = cache(&[("cache_memory_seconds", "60")], "one");
        let other = PredictionCache::of_release(reader.platform.clone(), reader.store.clone(), "one");
        let user_id = request("").user_id;
        let is_hit = async || matches!(reader.look_up(&settings, &request(""), None).await, Lookup::Hit(_));
        block_on(async {
            let slot = miss(&reader, &settings).await;
            assert!(reader.keys_to_read(&settings, &request("")).is_some(), "what does not answer is not remembered");
            reader.write_later(&settings, &slot, &entry_in(&slot, ""));
            assert!(is_hit().await);
            assert_eq!(reader.keys_to_read(&settings, &request("")), None);
            // Another's invalidation is not seen before its time, its own at once.
            other.invalidate(user_id).await.expect("invalidated");
            assert!(is_hit().await);
            miss(&other, &settings).await;
            reader.invalidate(user_id).await.expect("invalidated");
            miss(&reader, &settings).await;
        });
        let (without, settings) = cache(&[], "one");
        block_on(async {
            let slot = miss(&without, &settings).await;
            without.write_later(&settings, &slot, &entry_in(&slot, ""));
            assert!(matches!(without.look_up(&settings, &request(""), None).await, Lookup::Hit(_)));
            assert!(without.keys_to_read(&settings, &request("")).is_some());
        });
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
            cache.invalidate(user_id).await.expect("written");
            cache.write_later(&settings, &before, &entry_in(&before, ""));
            let after = miss(&cache, &settings).await;
            assert!(before.generation != after.generation && after.stale.is_none());
            cache.write_later(&settings, &after, &entry_in(&after, ""));
            assert!(matches!(cache.look_up(&settings, &request(""), None).await, Lookup::Hit(_)));
            cache.invalidate(user_id).await.expect("written");
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
