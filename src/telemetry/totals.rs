//! Counts of every instance together, in the store.
//!
//! At a flush an instance writes the *delta* of its counts since the last one under the next number of a sequence that
//! all share. Nothing is read or changed for that, and nobody waits for it: one increment and one write, at most ten
//! times a second, after answers. Every [`DELTAS_PER_CHECKPOINT`]th delta is added to the *checkpoint* together with
//! those before it, by the instance that wrote it. The totals are the checkpoint and the deltas after it, so they are
//! right whatever instance is asked and however many have come and gone; the counts of an instance since its last flush
//! are lost if it is killed, which is a tenth of a second's, or if the store takes nothing until it ends.
//!
//! A delta that was added up is deleted only once a later checkpoint has been written over one that had it: should two
//! instances add up at once, and the slower write last, nothing is lost. A number whose delta never came, because its
//! instance was killed in between, is passed over after [`LOST_AFTER`].

use super::log;
use super::metrics::{self, Counts};
use crate::platform::Platform;
use crate::store::{Failure, Store};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// The time between two flushes of the log.
const LOG_FLUSH_INTERVAL: Duration = Duration::from_millis(20);
/// The counts are flushed once in so many flushes of the log.
const LOG_FLUSHES_PER_COUNTS: u32 = 5;
/// So often in a row the store may refuse counts before they wait for the next request: after some six seconds.
const MAX_FAILURES: u32 = 5;
const DELTAS_PER_CHECKPOINT: i64 = 32;
/// The most deltas that are read for one answer or one checkpoint.
const MAX_DELTAS_READ: i64 = 2048;
/// Deltas are read so many at a time.
const BATCH: usize = 64;
/// A write that takes longer has been given up, in milliseconds.
const LOST_AFTER: i64 = 30_000;

const SEQUENCE_KEY: &str = "metrics:sequence";
const CHECKPOINT_KEY: &str = "metrics:sum";

/// The sum of all deltas up to a number.
#[derive(Default, Deserialize, Serialize)]
struct Checkpoint {
    /// The number of the last delta in it.
    last: i64,
    /// The number up to which deltas are deleted.
    deleted: i64,
    /// A number whose delta was not there, and since when, in milliseconds since 1970-01-01 UTC.
    missed: Option<(i64, i64)>,
    counts: Counts,
}

/// The counts of one instance on their way into the store.
pub(crate) struct Totals<P> {
    platform: P,
    store: Rc<Store<P>>,
    /// A flush is scheduled.
    is_flushing: Cell<bool>,
    /// The time up to which the host's exporter was handed counts.
    exported_until: Cell<Timestamp>,
}

impl<P: Platform> Totals<P> {
    pub(crate) fn new(platform: P, store: Rc<Store<P>>) -> Totals<P> {
        let exported_until = Cell::new(Timestamp::now());
        Totals { platform, store, is_flushing: Cell::default(), exported_until }
    }

    /// Has counts, and the lines of the log, written soon.
    pub(crate) fn schedule_flush(self: &Rc<Self>) {
        if self.is_flushing.replace(true) {
            return;
        }
        let own = self.clone();
        self.platform.spawn(async move {
            let mut failures = 0;
            while metrics::has_pending() || log::has_pending() {
                for _ in 0..LOG_FLUSHES_PER_COUNTS << failures {
                    own.platform.sleep(LOG_FLUSH_INTERVAL).await;
                    log::flush();
                }
                if let Err(failure) = own.flush().await {
                    // Counts that could not be written are counted still. An instance that nobody asks any more would
                    // take them with it: try again, and wait twice as long each time.
                    warn_not_written(failure);
                    failures += 1;
                    if failures > MAX_FAILURES {
                        break;
                    }
                } else {
                    failures = 0;
                }
            }
            own.is_flushing.set(false);
        });
    }

    /// Writes the delta since the last flush.
    async fn flush(&self) -> Result<(), Failure> {
        let delta = metrics::take_delta();
        if delta.is_empty() {
            return Ok(());
        }
        match self.write(&delta).await {
            Ok(number) => {
                self.export(&delta);
                if number % DELTAS_PER_CHECKPOINT == 0 {
                    self.write_checkpoint(number).await;
                }
                Ok(())
            }
            Err(failure) => {
                metrics::put_back(delta);
                Err(failure)
            }
        }
    }

    /// Writes a delta under the next number, and returns that.
    async fn write(&self, delta: &Counts) -> Result<i64, Failure> {
        // Texts and numbers can always be serialized.
        let bytes = serde_json::to_vec(delta).unwrap_or_default();
        let number = self.store.uncounted().increment(SEQUENCE_KEY, 1).await?;
        self.store.uncounted().set(&delta_key(number), &bytes).await?;
        Ok(number)
    }

    /// Hands a delta to the host's exporter, if it has one.
    fn export(&self, delta: &Counts) {
        if !P::EXPORTS {
            return;
        }
        let (from, to) = (self.exported_until.get(), Timestamp::now());
        self.exported_until.set(to);
        if let Err(cause) = self.platform.export_counts(&metrics::exported(delta), from, to) {
            log::warning("metrics_not_exported", "counts could not be handed to the host's exporter", cause);
        }
    }

    /// Reads the totals, those of this instance included. Errors if the store cannot be read.
    pub(crate) async fn read(&self) -> Result<Counts, Failure> {
        if let Err(failure) = self.flush().await {
            warn_not_written(failure);
        }
        for _ in 0..5 {
            let Checkpoint { last, mut counts, .. } = self.checkpoint().await?;
            let newest = self.store.uncounted().counter(SEQUENCE_KEY).await?;
            for (_, delta) in self.deltas(last, newest).await? {
                metrics::merge(&mut counts, delta.unwrap_or_default());
            }
            // A checkpoint that was written meanwhile may have had deltas deleted.
            if self.checkpoint().await?.last == last {
                return Ok(counts);
            }
        }
        Err(Failure::TimedOut)
    }

    /// Adds deltas to the checkpoint. After a failure the next checkpoint has them.
    async fn write_checkpoint(&self, newest: i64) {
        let Ok(before) = self.checkpoint().await else { return };
        let Ok(deltas) = self.deltas(before.last, newest).await else { return };
        let now = Timestamp::now().as_millisecond();
        let mut next = Checkpoint { last: before.last, deleted: before.last, missed: None, counts: before.counts };
        for (number, delta) in deltas {
            match delta {
                Some(counts) => metrics::merge(&mut next.counts, counts),
                None => {
                    let since = before.missed.filter(|(missed, _)| *missed == number).map_or(now, |(_, since)| since);
                    if now - since < LOST_AFTER {
                        next.missed = Some((number, since));
                        break;
                    }
                }
            }
            next.last = number;
        }
        // Another may have added up meanwhile, and have got further.
        let Ok(again) = self.checkpoint().await else { return };
        if again.last != before.last {
            return;
        }
        let Ok(bytes) = serde_json::to_vec(&next) else { return };
        if self.store.uncounted().set(CHECKPOINT_KEY, &bytes).await.is_err() {
            return;
        }
        for number in (before.deleted + 1..=before.last).take(MAX_DELTAS_READ as usize) {
            self.store.uncounted().delete(&delta_key(number)).await;
        }
    }

    async fn checkpoint(&self) -> Result<Checkpoint, Failure> {
        let bytes = self.store.uncounted().get(CHECKPOINT_KEY).await?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    /// The deltas after a number, each if it is there.
    async fn deltas(&self, after: i64, newest: i64) -> Result<Vec<(i64, Option<Counts>)>, Failure> {
        let numbers: Vec<i64> = (after + 1..=newest).take(MAX_DELTAS_READ as usize).collect();
        let mut deltas = Vec::with_capacity(numbers.len());
        for batch in numbers.chunks(BATCH) {
            let read = batch.iter().map(|number| async {
                Ok::<_, Failure>((*number, self.store.uncounted().get(&delta_key(*number)).await?))
            });
            for (number, bytes) in futures::future::try_join_all(read).await? {
                deltas.push((number, bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok())));
            }
        }
        Ok(deltas)
    }
}

fn warn_not_written(failure: Failure) {
    log::warning("metrics_not_written", "counts could not be written to the store", failure.cause());
}

fn delta_key(number: i64) -> String {
    format!("metrics:note:{number}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_platform::Fake;
    use crate::telemetry::metrics::{CACHE, STARTED, add};
    use futures::executor::block_on;

    const STARTED_SERIES: &str = "bipolar_edge_http_requests_started_total";

    fn totals(fake: &Fake) -> Totals<Fake> {
        Totals::new(fake.clone(), Rc::new(Store::new(fake.clone())))
    }

    fn delta_count(fake: &Fake) -> usize {
        fake.stored.borrow().keys().filter(|key| key.starts_with("metrics:note:")).count()
    }

    #[test]
    fn totals_are_exact_over_instances_and_checkpoints_and_the_store_stays_small() {
        let fake = Fake::default();
        block_on(async {
            for flushed in 1..=500_u64 {
                let instance = totals(&fake);
                add(&STARTED, &[], 2);
                add(&CACHE, &[if flushed % 2 == 0 { "hit" } else { "miss" }], 1);
                instance.flush().await.expect("flushed");
                if flushed % 71 == 0 {
                    let totals = instance.read().await.expect("read");
                    assert_eq!(totals[STARTED_SERIES], [2 * flushed]);
                    assert_eq!(totals["bipolar_edge_cache_answers_total|hit"], [flushed / 2]);
                }
                assert!(delta_count(&fake) <= 2 * DELTAS_PER_CHECKPOINT as usize, "{}", delta_count(&fake));
            }
        });
    }

    #[test]
    fn a_delta_that_never_came_is_passed_over_and_one_that_comes_late_is_not_lost() {
        let fake = Fake::default();
        let instance = totals(&fake);
        block_on(async {
            for number in 1..=100 {
                add(&STARTED, &[], 1);
                instance.flush().await.expect("flushed");
                if number == 40 {
                    // Its instance is still writing it.
                    let late = fake.stored.borrow_mut().remove(&delta_key(40)).expect("a delta");
                    fake.stored.borrow_mut().insert("late".to_owned(), late);
                }
            }
            assert_eq!(instance.read().await.expect("read")[STARTED_SERIES], [99]);
            let late = fake.stored.borrow_mut().remove("late").expect("a delta");
            fake.stored.borrow_mut().insert(delta_key(40), late);
            assert_eq!(instance.read().await.expect("read")[STARTED_SERIES], [100]);
            fake.stored.borrow_mut().remove(&delta_key(50)).expect("a delta");
            instance.write_checkpoint(100).await;
            let mut stopped = instance.checkpoint().await.expect("read");
            assert_eq!((stopped.last, stopped.missed.map(|(number, _)| number)), (49, Some(50)));
            stopped.missed = Some((50, Timestamp::now().as_millisecond() - LOST_AFTER));
            let bytes = serde_json::to_vec(&stopped).expect("JSON");
            fake.stored.borrow_mut().insert(CHECKPOINT_KEY.to_owned(), bytes);
            instance.write_checkpoint(100).await;
            assert_eq!(instance.checkpoint().await.expect("read").last, 100);
            assert_eq!(instance.read().await.expect("read")[STARTED_SERIES], [99]);
        });
    }

    #[test]
    fn of_two_that_add_up_at_once_the_slower_loses_nothing() {
        let fake = Fake::default();
        let instance = totals(&fake);
        block_on(async {
            let mut slow = None;
            for number in 1..=200 {
                if number == 70 {
                    slow = fake.stored.borrow().get(CHECKPOINT_KEY).cloned();
                }
                if number == 100 {
                    // A checkpoint of 70 is written over the one of 96.
                    fake.stored.borrow_mut().insert(CHECKPOINT_KEY.to_owned(), slow.clone().expect("a checkpoint"));
                }
                add(&STARTED, &[], 1);
                instance.flush().await.expect("flushed");
                assert_eq!(instance.read().await.expect("read")[STARTED_SERIES], [number]);
            }
        });
    }

    #[test]
    fn a_delta_that_could_not_be_written_is_written_later() {
        let instance = totals(&Fake::default());
        block_on(async {
            add(&STARTED, &[], 3);
            let taken = metrics::take_delta();
            add(&STARTED, &[], 4);
            metrics::put_back(taken);
            assert_eq!(instance.read().await.expect("read")[STARTED_SERIES], [7]);
        });
    }
}
