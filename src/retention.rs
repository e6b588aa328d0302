//! Forgetting: what is over leaves the store, and what is about a person leaves it when they ask.
//!
//! A key-value store forgets nothing by itself. So the slots whose values expire are *swept* in turn: a sweep reads the
//! next ones and deletes what is over, and leaves in the store how far it came. One in [`MISSES_PER_SWEEP`] of the
//! requests that the cache does not answer sweeps [`SLOTS_PER_SWEEP`] slots after its answer, so about as many as a
//! quarter of the slots go round once; `POST /hooks/sweep` does it where there is no traffic. Two sweeps at the same
//! time look at the same slots, which does no harm.
//!
//! Under a new layout the store is *settled* first: in a list of all keys, those that this service had and has no
//! longer are looked for and deleted, and so are values that were written for another layout. An erasure, which looks
//! where a person's values are under this layout, waits for that.

use crate::config::Settings;
use crate::deadline::Deadline;
use crate::ids::UserId;
use crate::instance::Instance;
use crate::platform::Platform;
use crate::random::chance;
use crate::store::{Failure, Layout};
use serde::Serialize;
use std::rc::Rc;
use std::time::Duration;

/// One miss in so many sweeps, so that hits never do and misses seldom.
const MISSES_PER_SWEEP: u32 = 16;
/// The slots that it looks at.
const SLOTS_PER_SWEEP: u64 = 64;
/// The slots that are read at once.
const SLOTS_AT_ONCE: u64 = 16;
/// The keys of another layout that are deleted in one sweep at most.
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
    /// Nothing of another layout is left.
    is_settled: bool,
}

impl Progress {
    /// Parses progress, or returns `None` if it is none under this layout.
    fn parse(bytes: &[u8], layout: Layout) -> Option<Progress> {
        let mut numbers = std::str::from_utf8(bytes).ok()?.split(' ').map(|number| number.parse::<u64>().ok());
        let mut number = || numbers.next().flatten();
        let [version, slots, next, is_settled] = [number()?, number()?, number()?, number()?];
        let is_current = version == LAYOUT_VERSION && slots == layout.expiring();
        is_current.then_some(Progress { next: next % slots, is_settled: is_settled == 1 })
    }

    /// Renders it as numbers with a space between.
    fn render(self, layout: Layout) -> String {
        format!("{LAYOUT_VERSION} {} {} {}", layout.expiring(), self.next, u8::from(self.is_settled))
    }
}

/// The result of a sweep.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Swept {
    /// The slots that were looked at.
    pub(crate) slots: u64,
    /// The values that were over and are gone.
    pub(crate) deleted: usize,
    /// The keys and values of an earlier layout that are gone.
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
    let mut sweep = Sweep::new(instance, layout).await?;
    sweep.run(slots).await?;
    Ok(sweep.swept)
}

/// A sweep under way.
struct Sweep<'a, P: Platform> {
    instance: &'a Instance<P>,
    layout: Layout,
    progress: Progress,
    swept: Swept,
    failed: Option<Failure>,
}

impl<'a, P: Platform> Sweep<'a, P> {
    /// A sweep that begins where the last one under this layout ended.
    async fn new(instance: &'a Instance<P>, layout: Layout) -> Result<Self, Failure> {
        let bytes = instance.store.uncounted().get(KEY).await?.unwrap_or_default();
        let progress = Progress::parse(&bytes, layout).unwrap_or(Progress { next: 0, is_settled: false });
        Ok(Sweep { instance, layout, progress, swept: Swept::default(), failed: None })
    }

    /// Looks at so many slots, and before that at the list of keys if there is something to be looked for.
    async fn run(&mut self, slots: u64) -> Result<(), Failure> {
        let store = self.instance.store.uncounted();
        let total = self.layout.expiring();
        // A list that cannot be had is asked for again once in a round.
        if self.progress.next == 0 && !self.progress.is_settled {
            let listed = self.look_through_list().await;
            self.note(listed);
        }
        let mut left = slots.min(total);
        while left > 0 {
            let count = left.min(SLOTS_AT_ONCE).min(total - self.progress.next);
            let numbers = self.progress.next..self.progress.next + count;
            let keys: Vec<String> = numbers.map(|number| self.layout.expiring_key(number)).collect();
            let deleted = store.delete_what_is_over(&keys).await;
            self.swept.deleted += self.note(deleted).unwrap_or(0);
            self.swept.slots += count;
            left -= count;
            self.progress.next = (self.progress.next + count) % total;
            if self.progress.next == 0 {
                let forgotten = self.instance.rate_limiter.forget_past_windows().await;
                self.note(forgotten);
            }
            self.instance.platform.yield_now().await;
        }
        self.save().await?;
        self.failed.map_or(Ok(()), Err)
    }

    /// Looks at the list of keys until the store is settled.
    async fn settle(&mut self, deadline: Deadline) -> Result<(), Failure> {
        while !self.progress.is_settled {
            if deadline.has_passed() {
                return Err(Failure::WriteTimedOut);
            }
            let listed = self.look_through_list().await;
            self.save().await?;
            listed?;
        }
        Ok(())
    }

    /// Keeps the first failure.
    fn note<T>(&mut self, done: Result<T, Failure>) -> Option<T> {
        done.inspect_err(|failure| self.failed = self.failed.or(Some(*failure))).ok()
    }

    async fn save(&self) -> Result<(), Failure> {
        let progress = self.progress.render(self.layout);
        self.instance.store.uncounted().set(KEY, progress.as_bytes(), Duration::MAX).await
    }

    /// Goes through a list of all keys, and deletes what is left over of another layout.
    async fn look_through_list(&mut self) -> Result<(), Failure> {
        let store = self.instance.store.uncounted();
        let mut keys = store.keys().await?;
        keys.retain(|key| Layout::may_be_own(key));
        let before = self.swept.left_over;
        for some in keys.chunks(SLOTS_AT_ONCE as usize) {
            self.swept.left_over += store.delete_left_over(self.layout, some).await?;
            self.instance.platform.yield_now().await;
            if self.swept.left_over - before >= KEYS_PER_SWEEP {
                return Ok(());
            }
        }
        self.progress.is_settled = true;
        Ok(())
    }
}

/// Sweeps until nothing of another layout is in the store. Errors if the store fails, or has more of it than can be
/// looked at by a deadline: the next time goes on.
async fn settle<P: Platform>(instance: &Instance<P>, deadline: Deadline) -> Result<(), Failure> {
    match instance.store.layout() {
        Some(layout) => Sweep::new(instance, layout).await?.settle(deadline).await,
        None => Ok(()),
    }
}

/// Settles the store after an invalidation: entries of another layout may have another generation, which it has not
/// written.
pub(crate) fn settle_later<P: Platform>(instance: &Rc<Instance<P>>, deadline: Deadline) {
    if instance.store.layout().is_some() {
        let own = instance.clone();
        instance.platform.spawn(async move {
            if let Err(failure) = settle(&own, deadline).await {
                failure.warn("not_swept", "values that are over could not all be deleted");
            }
        });
    }
}

/// Deletes everything that the store holds about a person, whose predictions must have been invalidated before; counts
/// of their requests only if no limit looks at them any more, where the limit `holds`. A request under way may still
/// write an entry, which nobody is served and which is over in time.
pub(crate) async fn erase<P: Platform>(
    instance: &Instance<P>,
    settings: &Settings,
    person: UserId,
    limit_holds: bool,
    deadline: Deadline,
) -> Result<Erased, Failure> {
    settle(instance, deadline).await?;
    Ok(Erased {
        predictions: instance.cache.erase(person).await?,
        jobs: instance.jobs.erase(person).await?,
        tokens: instance.access.erase(person).await?,
        counters: instance.rate_limiter.erase(settings, person, limit_holds).await?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Lookup;
    use crate::deadline::Deadline;
    use crate::fake_platform::Fake;
    use crate::request::PredictionRequest;
    use crate::store::Kind;
    use futures::executor::block_on;
    use std::time::Instant;

    const USER: &str = "11111111-1111-4111-8111-111111111111";

    fn person() -> UserId {
        UserId::parse(USER).expect("an id")
    }

    async fn instance(fake: &Fake) -> (Rc<Instance<Fake>>, Rc<Settings>) {
        let instance = Rc::new(Instance::new(fake.clone()));
        let settings = instance.settings().await.expect("valid");
        (instance, settings)
    }

    async fn erase_person(instance: &Instance<Fake>, settings: &Settings) -> Result<Erased, Failure> {
        let deadline = Deadline::new(Instant::now(), Duration::from_secs(60));
        erase(instance, settings, person(), false, deadline).await
    }

    /// Writes something about the person, which is over after a time, and returns its key.
    async fn write(instance: &Instance<Fake>, keep: Duration) -> String {
        let hash = instance.store.hash_person(person());
        let key = instance.store.key(Kind::Predictions, &hash);
        let entry = [hash.as_bytes(), &[3, 1, 0, 0, 0], b"1"].concat();
        instance.store.set_sealed(&key, &entry, keep).await.expect("written");
        key
    }

    #[test]
    fn an_erasure_reaches_what_is_over_and_what_another_layout_has_left() {
        for (before, slots, keep) in [("400", "400", 0), ("1000", "400", 60), ("400", "1000", 60), ("400", "0", 60)] {
            block_on(async {
                let mut fake = Fake::with_variable("cache_slots", before);
                let (old, _) = instance(&fake).await;
                let key = write(&old, Duration::from_secs(keep)).await;
                let next_to_it = old.store.key(Kind::Token, &old.store.hash("somebody else's"));
                old.store.set_sealed(&next_to_it, b"a token", Duration::from_secs(60)).await.expect("written");
                fake.set_variable("cache_slots", slots);
                let (new, settings) = instance(&fake).await;
                assert!(fake.stored.borrow().contains_key(&key));
                let erased = erase_person(&new, &settings).await.expect("erased");
                assert_eq!(erased.predictions, usize::from(before == slots), "what nobody looks for is not counted");
                assert!(!fake.stored.borrow().contains_key(&key), "{before} to {slots}");
                assert!(fake.stored.borrow().contains_key(&next_to_it), "it is nobody's of these");
            });
        }
    }

    #[test]
    fn a_value_that_is_over_is_counted_when_it_is_the_persons() {
        let fake = Fake::with_variable("cache_slots", "64");
        block_on(async {
            let (instance, settings) = instance(&fake).await;
            erase_person(&instance, &settings).await.expect("settled");
            write(&instance, Duration::ZERO).await;
            assert_eq!(erase_person(&instance, &settings).await.expect("erased").predictions, 1);
        });
    }

    #[test]
    fn a_sweep_goes_on_past_what_fails_and_looks_again_in_the_next_round() {
        let fake = Fake::with_variable("cache_slots", "64");
        block_on(async {
            let (instance, settings) = instance(&fake).await;
            let layout = instance.store.layout().expect("slots");
            let total = layout.expiring();
            for number in 0..total {
                let key = layout.expiring_key(number);
                instance.store.set_sealed(&key, b"over", Duration::ZERO).await.expect("written");
            }
            fake.failing.borrow_mut().insert("predictions:20".to_owned());
            assert!(sweep(&instance, total).await.is_err());
            let left = fake.stored.borrow().len() as u64;
            assert_eq!(left, SLOTS_AT_ONCE + 1, "the slots beside it, and the progress");
            assert!(erase_person(&instance, &settings).await.is_err(), "not all is gone");
            fake.failing.borrow_mut().clear();
            let swept = sweep(&instance, total).await.expect("swept");
            assert_eq!((swept.slots, swept.deleted as u64), (total, SLOTS_AT_ONCE));
            // A list that fails is had later, and holds up no round.
            fake.failing.borrow_mut().insert("*".to_owned());
            fake.stored.borrow_mut().remove(KEY).expect("progress");
            instance.store.set_sealed("predictions:20", b"over", Duration::ZERO).await.expect("written");
            assert!(sweep(&instance, total).await.is_err());
            assert!(!fake.stored.borrow().contains_key("predictions:20"));
        });
    }

    #[test]
    fn hostile_progress_is_no_progress() {
        let fake = Fake::with_variable("cache_slots", "64");
        block_on(async {
            let (instance, _) = instance(&fake).await;
            let total = instance.store.layout().expect("slots").expiring();
            let hostile = |next: u64, slots: u64| format!("{LAYOUT_VERSION} {slots} {next} 1");
            for hostile in ["", "3", "-1 -1 -1 -1", &hostile(u64::MAX, total), &hostile(0, u64::MAX)] {
                fake.stored.borrow_mut().insert(KEY.to_owned(), hostile.as_bytes().to_vec());
                assert_eq!(sweep(&instance, u64::MAX).await.map(|swept| swept.slots), Ok(total), "{hostile}");
            }
        });
    }

    #[test]
    fn a_list_longer_than_a_sweep_looks_at_is_gone_through_in_parts() {
        let fake = Fake::with_variable("cache_slots", "64");
        block_on(async {
            let (instance, settings) = instance(&fake).await;
            for number in 0..2 * KEYS_PER_SWEEP + 1 {
                fake.stored.borrow_mut().insert(format!("job:{number:032}"), b"old".to_vec());
                fake.stored.borrow_mut().insert(format!("job:{}", 1_000 + number), b"another's".to_vec());
            }
            let total = instance.store.layout().expect("slots").expiring();
            let first = sweep(&instance, total).await.expect("swept");
            assert!((1..KEYS_PER_SWEEP + SLOTS_AT_ONCE as usize).contains(&first.left_over), "{first:?}");
            erase_person(&instance, &settings).await.expect("erased");
            let kept = fake.stored.borrow();
            assert_eq!(kept.keys().filter(|key| key.len() == 36).count(), 0);
            assert_eq!(kept.len(), 2 * KEYS_PER_SWEEP + 2, "those of another, and the progress");
        });
    }

    #[test]
    fn an_invalidation_holds_where_nothing_is_kept() {
        block_on(async {
            let mut fake = Fake::with_variable("cache_slots", "400");
            let (kept, settings) = instance(&fake).await;
            fake.set_variable("cache_slots", "0");
            let (off, _) = instance(&fake).await;
            let request = PredictionRequest::parse(USER, "").expect("valid");
            let generation =
                async |instance: &Instance<Fake>| match instance.cache.look_up(&settings, &request, None).await {
                    Lookup::Miss(slot) => slot.generation,
                    other => panic!("{other:?}"),
                };
            let before = generation(&kept).await;
            off.cache.invalidate(person()).await.expect("written");
            assert_ne!(generation(&kept).await, before);
        });
    }
}
