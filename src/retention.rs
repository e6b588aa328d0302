//! Forgetting: what is over leaves the store, and what is about a person leaves it when they ask.
//!
//! A key-value store forgets nothing by itself. So the slots whose values expire are *swept* in turn: a sweep reads the
//! next ones and deletes what is over, and leaves in the store how far it came. One miss in [`MISSES_PER_SWEEP`] sweeps
//! [`SLOTS_PER_SWEEP`] slots after its answer, so about as many misses as a quarter of the slots go round once;
//! `POST /hooks/sweep` does it where there is no traffic. Two sweeps at the same time look at the same slots, which
//! does no harm.
//!
//! The first sweep that begins a round under a new layout also lists every key of the store once, and deletes those
//! that this service had and has no longer.

use crate::config::Settings;
use crate::ids::UserId;
use crate::instance::Instance;
use crate::platform::Platform;
use crate::random::chance;
use crate::store::{Failure, Layout};
use serde::{Deserialize, Serialize};
use std::rc::Rc;
use std::time::Duration;

/// One miss in so many sweeps, so that hits never do and misses seldom.
const MISSES_PER_SWEEP: u32 = 16;
/// The slots that it looks at.
const SLOTS_PER_SWEEP: u64 = 64;
/// The slots that are read at once.
const SLOTS_AT_ONCE: u64 = 16;
/// The left-over keys that are deleted at once.
const KEYS_AT_ONCE: usize = 64;
/// The key under which a sweep says how far it came.
const KEY: &str = "sweep";
/// The layout of the keys, for those of another to be looked for: raise it when a kind of key goes.
const LAYOUT_VERSION: u32 = 2;

/// How far the sweeps have come.
#[derive(Default, Deserialize, Serialize)]
struct Progress {
    /// The number of the next slot.
    next: u64,
    /// The layout whose left-over keys are gone: its version and its slots.
    cleared: (u32, u64),
}

/// The result of a sweep.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Swept {
    /// The slots that were looked at.
    pub(crate) slots: u64,
    /// The values that were over and are gone.
    pub(crate) deleted: usize,
    /// The keys of an earlier layout that are gone.
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

/// Sweeps after the answer to a miss, once in a while.
pub(crate) fn sweep_later<P: Platform>(instance: &Rc<Instance<P>>) {
    if instance.store.layout().is_some() && chance(1.0 / f64::from(MISSES_PER_SWEEP)) {
        let own = instance.clone();
        instance.platform.spawn(async move {
            if let Err(failure) = sweep(&own, SLOTS_PER_SWEEP).await {
                failure.warn("not_swept", "values that are over could not be deleted");
            }
        });
    }
}

/// Looks at the next slots in turn, and deletes what is over.
pub(crate) async fn sweep<P: Platform>(instance: &Instance<P>, slots: u64) -> Result<Swept, Failure> {
    let Some(layout) = instance.store.layout() else { return Ok(Swept::default()) };
    let store = instance.store.uncounted();
    let progress = store.get(KEY).await?.unwrap_or_default();
    let mut progress: Progress = serde_json::from_slice(&progress).unwrap_or_default();
    let mut swept = Swept::default();
    let total = layout.expiring();
    let cleared = (LAYOUT_VERSION, total);
    if progress.cleared != cleared {
        swept.left_over = clear(instance, layout).await?;
        progress = Progress { next: 0, cleared };
    }
    let slots = slots.min(total);
    while swept.slots < slots {
        let count = (slots - swept.slots).min(SLOTS_AT_ONCE);
        let keys: Vec<String> = (0..count).map(|at| layout.expiring_key((progress.next + at) % total)).collect();
        swept.deleted += store.delete_what_is_over(&keys).await?;
        swept.slots += count;
        if progress.next + count >= total {
            instance.rate_limiter.forget_past_windows().await?;
        }
        progress.next = (progress.next + count) % total;
        instance.platform.yield_now().await;
    }
    let bytes = serde_json::to_vec(&progress).unwrap_or_default();
    store.set(KEY, &bytes, Duration::MAX).await?;
    Ok(swept)
}

/// Deletes the keys that are left over of another layout; returns how many there were.
async fn clear<P: Platform>(instance: &Instance<P>, layout: Layout) -> Result<usize, Failure> {
    let store = instance.store.uncounted();
    let mut keys = store.keys().await?;
    keys.retain(|key| layout.is_left_over(key));
    for some in keys.chunks(KEYS_AT_ONCE) {
        store.delete_all(some).await?;
        instance.platform.yield_now().await;
    }
    Ok(keys.len())
}

/// Deletes everything that the store holds about a person, whose predictions must have been invalidated before. A
/// request under way may still write an entry, which nobody is served and which is over in time.
pub(crate) async fn erase<P: Platform>(
    instance: &Instance<P>,
    settings: &Settings,
    person: UserId,
) -> Result<Erased, Failure> {
    Ok(Erased {
        predictions: instance.cache.erase(person).await?,
        jobs: instance.jobs.erase(person).await?,
        tokens: instance.access.erase(person).await?,
        counters: instance.rate_limiter.erase(settings, person).await?,
    })
}
