//! Forgetting: what is over leaves the store, and what is about a person leaves it when they ask.
//!
//! A key-value store forgets nothing by itself. So the slots whose values expire are *swept* in turn: a sweep reads the
//! next ones and deletes what is over, and leaves in the store how far it came. One in [`MISSES_PER_SWEEP`] of the
//! requests that the cache does not answer sweeps [`SLOTS_PER_SWEEP`] slots after its answer, so about as many as a
//! quarter of the slots go round once; `POST /hooks/sweep` does it where there is no traffic. Two sweeps at the same
//! time look at the same slots, which does no harm.
//!
//! At the end of a round, and under a layout that no sweep knows yet, a sweep also looks through a list of all keys,
//! and deletes what is over under other numbers of slots, and the keys that this service had in earlier releases. An
//! erasure looks through that list for the numbers of slots that there are, and deletes what is about a person under
//! each.

use crate::ids::UserId;
use crate::instance::Instance;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::random::{chance, uniform};
use crate::store::{Failure, Layout, LeftOver};
use crate::telemetry::log;
use serde::Serialize;
use std::rc::Rc;
use std::time::Duration;

/// One miss in so many sweeps, so that hits never do and misses seldom.
const MISSES_PER_SWEEP: u32 = 16;
/// The slots that it looks at.
const SLOTS_PER_SWEEP: u64 = 64;
/// The slots that are read at once.
const SLOTS_AT_ONCE: u64 = 16;
/// The keys of other layouts that one sweep looks at.
const KEYS_PER_SWEEP: usize = 4_096;
/// The key under which a sweep says how far it came.
const KEY: &str = "sweep";
/// The layout of the keys, for those of another to be looked for: raise it when a kind of key goes.
const LAYOUT_VERSION: u64 = 3;

/// How far the sweeps have come under a layout.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Progress {
    /// The number of the next slot.
    next: u64,
    /// There are keys of other layouts to look at.
    has_more: bool,
}

impl Progress {
    /// Parses progress, or returns `None` if it is none under this layout.
    fn parse(bytes: &[u8], layout: Layout) -> Option<Progress> {
        let mut numbers = std::str::from_utf8(bytes).ok()?.split(' ').map(|number| number.parse::<u64>().ok());
        let mut number = || numbers.next().flatten();
        let [version, slots, next, has_more] = [number()?, number()?, number()?, number()?];
        let is_current = version == LAYOUT_VERSION && slots == layout.expiring();
        is_current.then_some(Progress { next: next % slots, has_more: has_more != 0 })
    }

    /// Renders it as numbers with a space between.
    fn render(self, layout: Layout) -> String {
        format!("{LAYOUT_VERSION} {} {} {}", layout.expiring(), self.next, u8::from(self.has_more))
    }
}

/// The result of a sweep.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Swept {
    /// The slots that were looked at.
    pub(crate) slots: u64,
    /// The values that were over and are gone.
    pub(crate) deleted: usize,
    /// The keys of an earlier release, or of another number of slots, that are gone.
    pub(crate) left_over: usize,
}

/// The values about a person that were in the store and are gone, by their kind.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Erased {
    /// Predictions, of every window.
    pub(crate) predictions: usize,
    /// Background predictions.
    pub(crate) jobs: usize,
    /// Verified tokens.
    pub(crate) tokens: usize,
    /// Counts of requests, for the limits.
    pub(crate) counters: usize,
}

/// Sweeps after an answer that the cache did not give, once in a while.
pub(crate) fn sweep_later<P: Platform>(instance: &Rc<Instance<P>>) {
    if instance.store.layout().is_some() && chance(1.0 / f64::from(MISSES_PER_SWEEP)) {
        let own = instance.clone();
        instance.platform.spawn(async move {
            if let Err(failure) = sweep(&own, SLOTS_PER_SWEEP).await {
                failure.warn("not_swept", "values that are over could not all be deleted");
            }
        });
    }
}

/// Looks at the next slots in turn, and deletes what is over. What fails is left for the next round: it does not stop
/// the sweep, which then errors with the first failure.
pub(crate) async fn sweep<P: Platform>(instance: &Instance<P>, slots: u64) -> Result<Swept, Failure> {
    let Some(layout) = instance.store.layout() else { return Ok(Swept::default()) };
    let store = instance.store.uncounted();
    let save = async |progress: Progress| store.set(KEY, progress.render(layout).as_bytes(), Duration::MAX).await;
    let before = Progress::parse(&store.get(KEY).await?.unwrap_or_default(), layout);
    let Progress { mut next, has_more: mut looks_through_list } =
        before.unwrap_or(Progress { next: 0, has_more: true });
    let (mut swept, mut failed) = (Swept::default(), None);
    let total = layout.expiring();
    let slots = slots.min(total);
    while swept.slots < slots {
        let count = (slots - swept.slots).min(SLOTS_AT_ONCE).min(total - next);
        let keys: Vec<String> = (next..next + count).map(|number| layout.expiring_key(number)).collect();
        swept.deleted += first_failure(&mut failed, store.delete_what_is_over(&keys).await).unwrap_or(0);
        swept.slots += count;
        next = (next + count) % total;
        if next == 0 {
            looks_through_list = true;
            first_failure(&mut failed, instance.rate_limiter.forget_past_windows().await);
        }
        instance.platform.yield_now().await;
    }
    // A list that ends its instance, or fails, is had again in the next round.
    save(Progress { next, has_more: false }).await?;
    if looks_through_list
        && let Some(true) = first_failure(&mut failed, look_through_list(instance, layout, &mut swept.left_over).await)
    {
        save(Progress { next, has_more: true }).await?;
    }
    failed.map_or(Ok(swept), Err)
}

/// Keeps the first failure.
fn first_failure<T>(failed: &mut Option<Failure>, done: Result<T, Failure>) -> Option<T> {
    done.inspect_err(|failure| *failed = failed.or(Some(*failure))).ok()
}

/// Looks through a list of all keys, and deletes what is left over of other layouts. Returns true if there are more
/// than it has looked at.
async fn look_through_list<P: Platform>(
    instance: &Instance<P>,
    layout: Layout,
    left_over: &mut usize,
) -> Result<bool, Failure> {
    let mut keys = left_over_keys(&instance.store.uncounted().keys().await?, layout);
    let is_cut = keys.len() > KEYS_PER_SWEEP;
    if is_cut {
        // Those that stay for now do not keep it from the others for ever.
        let first = (uniform() * keys.len() as f64) as usize % keys.len();
        keys.rotate_left(first);
        keys.truncate(KEYS_PER_SWEEP);
    }
    let before = *left_over;
    delete_left_over(instance, &keys, left_over).await?;
    Ok(is_cut && *left_over > before)
}

/// The keys of a list that are left over of other layouts, if their values meet a condition.
fn left_over_keys(listed: &[String], layout: Layout) -> Vec<(String, LeftOver)> {
    listed.iter().filter_map(|key| Some((key.clone(), layout.left_over(key)?))).collect()
}

/// Deletes what is left over, and counts it. What fails does not stop it; it then errors with the first failure.
async fn delete_left_over<P: Platform>(
    instance: &Instance<P>,
    keys: &[(String, LeftOver)],
    left_over: &mut usize,
) -> Result<(), Failure> {
    let mut failed = None;
    for some in keys.chunks(SLOTS_AT_ONCE as usize) {
        let deleted = instance.store.uncounted().delete_left_over(some).await;
        *left_over += first_failure(&mut failed, deleted).unwrap_or(0);
        instance.platform.yield_now().await;
    }
    failed.map_or(Ok(()), Err)
}

/// Invalidates every prediction about a person, and the outcomes of background predictions.
///
/// A store that is full takes no new generation, but lets go of what it has: there all of it is deleted. That makes
/// room for the generation. Where nothing can be written even then, there is nothing left to be served, and who read
/// the old generation cannot write either.
pub(crate) async fn invalidate<P: Platform>(instance: &Instance<P>, person: UserId) -> Result<(), Problem> {
    let Err(failure) = instance.cache.invalidate(person).await else { return Ok(()) };
    let deleted = async {
        instance.cache.erase(person, None).await?;
        instance.jobs.erase(person, None).await
    };
    if deleted.await.is_err() {
        let message = "a person's predictions could not be invalidated";
        log::warning("not_invalidated", message, failure.cause());
        return Err(Problem::StoreUnavailable);
    }
    write_generation(instance, person).await;
    Ok(())
}

/// Writes a generation once more, after there was no room for it and everything that it invalidates was deleted.
async fn write_generation<P: Platform>(instance: &Instance<P>, person: UserId) {
    if let Err(failure) = instance.cache.invalidate(person).await {
        let message = "a person's predictions were deleted, and nothing can be written";
        log::warning("nothing_written", message, failure.cause());
    }
}

/// Invalidates a person's predictions and deletes everything that the store holds about them; counts of their requests
/// only if no limit looks at them any more, where the limit `holds`. A request under way may still write an entry,
/// which nobody is served and which is over in time. Nothing has to be written for it: a store that is full can erase.
pub(crate) async fn erase<P: Platform>(
    instance: &Instance<P>,
    person: UserId,
    limit_holds: bool,
) -> Result<Erased, Failure> {
    let invalidated = instance.cache.invalidate(person).await;
    let mut erased = Erased::default();
    // What is of this layout goes though there be no list.
    erase_among(instance, person, None, &mut erased).await?;
    if let Some(layout) = instance.store.layout() {
        let listed = instance.store.uncounted().keys().await?;
        erase_among(instance, person, Some(&listed), &mut erased).await?;
        // Of earlier releases nothing tells whose it was.
        let mut old = left_over_keys(&listed, layout);
        old.retain(|(_, condition)| *condition != LeftOver::IfOver);
        delete_left_over(instance, &old, &mut 0).await?;
    }
    erased.counters = instance.rate_limiter.erase(person, limit_holds).await?;
    if invalidated.is_err() {
        write_generation(instance, person).await;
    }
    Ok(erased)
}

/// Deletes what is about a person under this layout or, where keys are listed, under the others that those are of, and
/// counts it.
async fn erase_among<P: Platform>(
    instance: &Instance<P>,
    person: UserId,
    listed: Option<&[String]>,
    erased: &mut Erased,
) -> Result<(), Failure> {
    erased.predictions += instance.cache.erase(person, listed).await?;
    erased.jobs += instance.jobs.erase(person, listed).await?;
    erased.tokens += instance.access.erase(person, listed).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::fake_platform::Fake;
    use crate::quota::LimitGroup;
    use crate::store::Kind;
    use futures::executor::block_on;

    const USER: &str = "11111111-1111-4111-8111-111111111111";

    fn person() -> UserId {
        UserId::parse(USER).expect("an id")
    }

    async fn instance(fake: &Fake) -> (Rc<Instance<Fake>>, Rc<Settings>) {
        let instance = Rc::new(Instance::new(fake.clone()));
        let settings = instance.settings().await.expect("valid");
        (instance, settings)
    }

    async fn erase_person(instance: &Instance<Fake>) -> Erased {
        erase(instance, person(), false).await.expect("erased")
    }

    /// Writes something about the person, which is over after so many seconds, and returns its key.
    async fn write(instance: &Instance<Fake>, seconds: u64) -> String {
        let hash = instance.store.hash_person(person());
        let key = instance.store.key(Kind::Predictions, &hash);
        let entry = [hash.as_bytes(), &[3, 1, 0, 0, 0], b"1"].concat();
        instance.store.set_sealed(&key, &entry, Duration::from_secs(seconds)).await.expect("written");
        key
    }

    #[test]
    fn an_erasure_reaches_what_is_over_what_another_layout_has_and_what_cannot_be_opened() {
        let keys = ["11".repeat(32), "22".repeat(32)];
        for (before, after, seconds, key_changes) in [
            ("400", "400", 0, 0),
            ("1000", "400", 60, 0),
            ("400", "1000", 60, 0),
            ("400", "0", 60, 0),
            ("400", "400", 60, 1),
        ] {
            block_on(async {
                let mut fake = Fake::with_variable("cache_slots", before);
                fake.set_variable("cache_encryption_key", &keys[0]);
                fake.set_variable("cache_key_secret", "a secret that stays the same");
                let (old, _) = instance(&fake).await;
                let key = write(&old, seconds).await;
                let neighbours = old.store.key(Kind::Token, &old.store.hash("somebody else's"));
                old.store.set_sealed(&neighbours, b"a token", Duration::from_secs(60)).await.expect("written");
                fake.stored.borrow_mut().insert("predictions:99:1".to_owned(), b"another's".to_vec());
                fake.stored.borrow_mut().insert(format!("job:{}", "0a".repeat(16)), b"an earlier release's".to_vec());
                fake.set_variable("cache_slots", after);
                fake.set_variable("cache_encryption_key", &keys[key_changes]);
                let (new, _) = instance(&fake).await;
                let erased = erase_person(&new).await;
                assert_eq!(
                    erased.predictions,
                    1 - key_changes,
                    "{before} to {after}: what cannot be opened is not counted"
                );
                assert!(!fake.stored.borrow().contains_key(&key), "{before} to {after}");
                assert!(fake.stored.borrow().contains_key(&neighbours), "{before} to {after}");
                assert!(fake.stored.borrow().contains_key("predictions:99:1"), "{before} to {after}");
                assert!(!fake.stored.borrow().keys().any(|key| key.ends_with("0a0a")), "{before} to {after}");
                assert_eq!(erase_person(&new).await, Erased::default());
            });
        }
    }

    #[test]
    fn a_full_store_is_invalidated_and_erased_by_deleting() {
        use crate::cache::{Entry, Lookup};
        use crate::request::PredictionRequest;
        for erases in [false, true] {
            block_on(async {
                let fake = Fake::with_variable("rate_limit_predictions", "4/day");
                let (instance, settings) = instance(&fake).await;
                let asked = PredictionRequest::parse(USER, "").expect("valid");
                let caller = format!("subject:{USER}");
                assert!(instance.rate_limiter.check(&settings, LimitGroup::Predictions, &caller, None).await.is_ok());
                let Lookup::Miss(slot) = instance.cache.look_up(&settings, &asked, None).await else {
                    panic!("nothing was written yet")
                };
                let latest = crate::predict::PredictionsAt::of_nothing();
                let set = crate::cache::PredictionSet { latest, ..Default::default() };
                let entry = Entry::new(Some(&slot), Duration::from_secs(60), &asked.options, set);
                instance.cache.write_later(&settings, &slot, &entry);
                assert!(matches!(instance.cache.look_up(&settings, &asked, None).await, Lookup::Hit(_)));
                fake.full.set(true);
                if erases {
                    let erased = erase_person(&instance).await;
                    assert_eq!((erased.predictions, erased.counters), (1, 1));
                    assert!(!fake.stored.borrow().keys().any(|key| key.starts_with("limits:")));
                } else {
                    invalidate(&instance, person()).await.expect("invalidated");
                }
                assert!(matches!(instance.cache.look_up(&settings, &asked, None).await, Lookup::Miss(_)));
                // What was under way cannot be written, and is not served once it can.
                instance.cache.write_later(&settings, &slot, &entry);
                fake.full.set(false);
                invalidate(&instance, person()).await.expect("invalidated");
                instance.cache.write_later(&settings, &slot, &entry);
                assert!(matches!(instance.cache.look_up(&settings, &asked, None).await, Lookup::Miss(_)));
                fake.failing.borrow_mut().extend(fake.stored.borrow().keys().cloned());
                assert!(invalidate(&instance, person()).await.is_err(), "a store that fails is not one that is full");
            });
        }
    }

    #[test]
    fn a_sweep_goes_on_past_what_fails_and_looks_again_in_the_next_round() {
        let fake = Fake::with_variable("cache_slots", "64");
        block_on(async {
            let (instance, _) = instance(&fake).await;
            let layout = instance.store.layout().expect("slots");
            let total = layout.expiring();
            for number in 0..total {
                let key = layout.expiring_key(number);
                instance.store.set_sealed(&key, b"over", Duration::ZERO).await.expect("written");
            }
            fake.failing.borrow_mut().insert("predictions:64:20".to_owned());
            assert!(sweep(&instance, total).await.is_err());
            let left = fake.stored.borrow().len() as u64;
            assert_eq!(left, SLOTS_AT_ONCE + 1, "the slots beside it, and the progress");
            fake.failing.borrow_mut().clear();
            let swept = sweep(&instance, total).await.expect("swept");
            assert_eq!((swept.slots, swept.deleted as u64), (total, SLOTS_AT_ONCE));
            // A list that fails is had later, and holds up no round.
            fake.failing.borrow_mut().insert("*".to_owned());
            instance.store.set_sealed("predictions:64:20", b"over", Duration::ZERO).await.expect("written");
            assert!(sweep(&instance, total).await.is_err());
            assert!(!fake.stored.borrow().contains_key("predictions:64:20"));
        });
    }

    #[test]
    fn what_is_over_under_another_number_of_slots_goes_and_what_is_not_stays() {
        block_on(async {
            let mut fake = Fake::with_variable("cache_slots", "1000");
            let (old, _) = instance(&fake).await;
            let over = write(&old, 0).await;
            fake.set_variable("cache_slots", "64");
            let (new, _) = instance(&fake).await;
            let total = new.store.layout().expect("slots").expiring();
            assert_eq!(sweep(&new, 1).await.map(|swept| swept.left_over), Ok(1), "no sweep knew this layout");
            assert!(!fake.stored.borrow().contains_key(&over));
            // Other instances may serve it still.
            let live = write(&old, 60).await;
            assert_eq!(sweep(&new, total).await.map(|swept| swept.left_over), Ok(0));
            assert!(fake.stored.borrow().contains_key(&live));
            // Whatever wrote it meanwhile: each round looks again.
            write(&old, 0).await;
            assert_eq!(sweep(&new, total).await.map(|swept| swept.left_over), Ok(1));
        });
    }

    #[test]
    fn a_longer_list_than_a_sweep_looks_at_is_looked_at_in_parts() {
        let fake = Fake::with_variable("cache_slots", "64");
        block_on(async {
            let (instance, _) = instance(&fake).await;
            for number in 0..2 * KEYS_PER_SWEEP + 1 {
                fake.stored.borrow_mut().insert(format!("job:{number:032}"), b"old".to_vec());
                fake.stored.borrow_mut().insert(format!("another's:{number}"), b"another's".to_vec());
            }
            let mut sweeps = Vec::new();
            for _ in 0..3 {
                sweeps.push(sweep(&instance, 1).await.expect("swept").left_over);
            }
            assert_eq!(sweeps, [KEYS_PER_SWEEP, KEYS_PER_SWEEP, 1]);
            assert_eq!(fake.stored.borrow().len(), 2 * KEYS_PER_SWEEP + 2, "those of another, and the progress");
            assert_eq!(sweep(&instance, 1).await.map(|swept| swept.left_over), Ok(0));
        });
    }

    #[test]
    fn progress_is_read_as_it_was_written_and_nothing_else_is() {
        let layout = Layout::new(64);
        let progress = Progress { next: 175, has_more: true };
        let written = progress.render(layout);
        assert_eq!(Progress::parse(written.as_bytes(), layout), Some(progress));
        assert_eq!(Progress::parse(written.as_bytes(), Layout::new(65)), None, "of another layout");
        for hostile in ["", "3", "-1 -1 -1 -1", "3 176 x 1", "2 176 0 1", "3 176 0"] {
            assert_eq!(Progress::parse(hostile.as_bytes(), layout), None, "{hostile}");
        }
        let far = format!("3 176 {} 1", u64::MAX);
        assert!(Progress::parse(far.as_bytes(), layout).is_some_and(|progress| progress.next < layout.expiring()));
    }
}
