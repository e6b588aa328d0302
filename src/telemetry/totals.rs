//! Counts of every instance together, in the store.
//!
//! An instance writes down what it has counted since it last did, under the next number of a sequence that all share: a *note*. Nothing
//! is read or changed for that, and nobody waits for it: one increment and one write, at most ten times a second, after answers. Every
//! [`NOTES_A_SUM`]th note is added to the *sum* together with those before it, by whoever wrote it. The totals are the sum and
//! the notes after it, so they are right whatever instance is asked and however many have come and gone; what an instance had
//! counted since its last note is lost if it is killed, which is a tenth of a second's, or if the store takes nothing until it ends.
//!
//! A note that was added up is deleted only once a later sum has been written over one that had it: should two instances add up
//! at once, and the slower write last, nothing is lost. A number whose note never came, because its instance was killed in
//! between, is passed over after [`LOST_AFTER`].

use super::log;
use super::metrics::{self, Counts};
use crate::instance::Instance;
use crate::platform::{Platform, within};
use crate::store::{self, Failure, WRITE_LIMIT};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::rc::Rc;
use std::time::Duration;

/// How long an instance gathers lines of the log before it writes them.
pub(crate) const GATHERED: Duration = Duration::from_millis(20);
/// How many times as long it gathers counts.
const COUNTS_GATHERED: u32 = 5;
/// How often in a row counts may not be taken by the store before they wait for the next request: after some six seconds.
const MOST_FAILURES: u32 = 5;
/// How many notes there are between two sums.
const NOTES_A_SUM: i64 = 32;
/// The most notes that are read for one answer or one sum.
const MOST_READ: i64 = 2048;
/// Notes are read so many at a time.
const AT_A_TIME: usize = 64;
/// A write that takes longer has been given up, in milliseconds.
const LOST_AFTER: i64 = 30_000;

const SEQUENCE_KEY: &str = "metrics:sequence";
const SUM_KEY: &str = "metrics:sum";

/// What all notes up to a number add up to.
#[derive(Default, Deserialize, Serialize)]
struct Sum {
    /// The number of the last note in it.
    last: i64,
    /// The number up to which notes are deleted.
    deleted: i64,
    /// A number whose note was not there, and since when, in milliseconds since 1970-01-01 UTC.
    missed: Option<(i64, i64)>,
    counts: Counts,
}

/// Has what was counted, and the lines of the log, written soon.
pub(crate) fn tell_later<P: Platform>(instance: &Rc<Instance<P>>) {
    if instance.telling.replace(true) {
        return;
    }
    let own = instance.clone();
    instance.platform.spawn(async move {
        let mut failures = 0;
        while metrics::is_pending() || log::is_pending() {
            for _ in 0..COUNTS_GATHERED << failures {
                own.platform.sleep(GATHERED).await;
                log::flush();
            }
            if let Err(cause) = tell(&own).await {
                // What could not be written is counted still. An instance that nobody asks any more would take it with it: try again,
                // and wait twice as long each time.
                log::warning("metrics_not_written", "counts could not be written to the store", cause);
                failures += 1;
                if failures > MOST_FAILURES {
                    break;
                }
            } else {
                failures = 0;
            }
        }
        own.telling.set(false);
    });
}

/// Writes a note of what was counted.
async fn tell<P: Platform>(instance: &Instance<P>) -> Result<(), &'static str> {
    let counts = metrics::take();
    if counts.is_empty() {
        return Ok(());
    }
    let told = async {
        let failed = |failure: Failure| failure.name().unwrap_or("the store was too slow a moment ago");
        let number = store::increment_uncounted(instance, SEQUENCE_KEY, 1).await.map_err(failed)?;
        let bytes = serde_json::to_vec(&counts).map_err(|_| "they are not JSON")?;
        store::write_uncounted(&instance.platform, &note(number), &bytes).await?;
        Ok(number)
    };
    match told.await {
        Ok(number) => {
            if P::EXPORTS {
                let (from, to) = (instance.exported_until.get(), Timestamp::now());
                instance.exported_until.set(to);
                if let Err(cause) = instance.platform.export_counts(&metrics::exported(&counts), from, to) {
                    log::warning("metrics_not_exported", "counts could not be handed to the host's exporter", cause);
                }
            }
            if number % NOTES_A_SUM == 0 {
                add_up(instance, number).await;
            }
            Ok(())
        }
        Err(cause) => {
            metrics::put_back(counts);
            Err(cause)
        }
    }
}

/// The totals, those of this instance included. Errors if the store cannot be read.
pub(crate) async fn read<P: Platform>(instance: &Instance<P>) -> Result<Counts, Failure> {
    if let Err(cause) = tell(instance).await {
        log::warning("metrics_not_written", "counts could not be written to the store", cause);
    }
    for _ in 0..5 {
        let Sum { last, mut counts, .. } = sum(instance).await?;
        let newest = store::counter(instance, SEQUENCE_KEY).await?;
        for (_, note) in notes(instance, last, newest).await? {
            metrics::merge(&mut counts, note.unwrap_or_default());
        }
        // A sum that was written meanwhile may have had notes deleted.
        if sum(instance).await?.last == last {
            return Ok(counts);
        }
    }
    Err(Failure::TooSlow)
}

/// Adds notes to the sum. What fails is done with the next sum.
async fn add_up<P: Platform>(instance: &Instance<P>, newest: i64) {
    let Ok(before) = sum(instance).await else { return };
    let Ok(notes) = notes(instance, before.last, newest).await else { return };
    let now = Timestamp::now().as_millisecond();
    let mut sum = Sum { last: before.last, deleted: before.last, missed: None, counts: before.counts };
    for (number, note) in notes {
        match note {
            Some(counts) => metrics::merge(&mut sum.counts, counts),
            None => {
                let since = before.missed.filter(|(missed, _)| *missed == number).map_or(now, |(_, since)| since);
                if now - since < LOST_AFTER {
                    sum.missed = Some((number, since));
                    break;
                }
            }
        }
        sum.last = number;
    }
    // Another may have added up meanwhile, and have got further.
    let Ok(again) = self::sum(instance).await else { return };
    if again.last != before.last {
        return;
    }
    let Ok(bytes) = serde_json::to_vec(&sum) else { return };
    if store::write_uncounted(&instance.platform, SUM_KEY, &bytes).await.is_err() {
        return;
    }
    let platform = &instance.platform;
    for number in (before.deleted + 1..=before.last).take(MOST_READ as usize) {
        let _ = within(platform, WRITE_LIMIT, platform.delete(&note(number))).await;
    }
}

async fn sum<P: Platform>(instance: &Instance<P>) -> Result<Sum, Failure> {
    let bytes = store::ask_uncounted(instance, instance.platform.get(SUM_KEY)).await?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
}

/// The notes after a number, each if it is there.
async fn notes<P: Platform>(
    instance: &Instance<P>,
    after: i64,
    newest: i64,
) -> Result<Vec<(i64, Option<Counts>)>, Failure> {
    let numbers: Vec<i64> = (after + 1..=newest).take(MOST_READ as usize).collect();
    let mut notes = Vec::with_capacity(numbers.len());
    for some in numbers.chunks(AT_A_TIME) {
        let read = some.iter().map(|number| async {
            let key = note(*number);
            Ok::<_, store::Failure>((*number, store::ask_uncounted(instance, instance.platform.get(&key)).await?))
        });
        for (number, bytes) in futures::future::try_join_all(read).await? {
            notes.push((number, bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok())));
        }
    }
    Ok(notes)
}

fn note(number: i64) -> String {
    format!("metrics:note:{number}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::fake::Fake;
    use crate::telemetry::metrics::{CACHE, STARTED, add};
    use futures::executor::block_on;

    const STARTED_SERIES: &str = "bipolar_edge_http_requests_started_total";

    fn keys(instance: &Instance<Fake>) -> usize {
        instance.platform.stored.borrow().keys().filter(|key| key.starts_with("metrics:note:")).count()
    }

    #[test]
    fn totals_are_exact_over_instances_and_sums_and_the_store_stays_small() {
        let fake = Fake::default();
        block_on(async {
            for told in 1..=500_u64 {
                let instance = Instance::new(fake.clone());
                add(&STARTED, &[], 2);
                add(&CACHE, &[if told % 2 == 0 { "hit" } else { "miss" }], 1);
                tell(&instance).await.expect("told");
                if told % 71 == 0 {
                    let totals = read(&instance).await.expect("read");
                    assert_eq!(totals[STARTED_SERIES], [2 * told]);
                    assert_eq!(totals["bipolar_edge_cache_answers_total|hit"], [told / 2]);
                }
                assert!(keys(&instance) <= 2 * NOTES_A_SUM as usize, "{}", keys(&instance));
            }
        });
    }

    #[test]
    fn a_note_that_never_came_is_passed_over_and_one_that_comes_late_is_not_lost() {
        let instance = Instance::new(Fake::default());
        block_on(async {
            for number in 1..=100 {
                add(&STARTED, &[], 1);
                tell(&instance).await.expect("told");
                if number == 40 {
                    // Its instance is still writing it.
                    let late = instance.platform.stored.borrow_mut().remove(&note(40)).expect("a note");
                    instance.platform.stored.borrow_mut().insert("late".to_owned(), late);
                }
            }
            assert_eq!(read(&instance).await.expect("read")[STARTED_SERIES], [99]);
            let late = instance.platform.stored.borrow_mut().remove("late").expect("a note");
            instance.platform.stored.borrow_mut().insert(note(40), late);
            assert_eq!(read(&instance).await.expect("read")[STARTED_SERIES], [100]);
            instance.platform.stored.borrow_mut().remove(&note(50)).expect("a note");
            add_up(&instance, 100).await;
            let mut stopped = sum(&instance).await.expect("read");
            assert_eq!((stopped.last, stopped.missed.map(|(number, _)| number)), (49, Some(50)));
            stopped.missed = Some((50, Timestamp::now().as_millisecond() - LOST_AFTER));
            let bytes = serde_json::to_vec(&stopped).expect("JSON");
            instance.platform.stored.borrow_mut().insert(SUM_KEY.to_owned(), bytes);
            add_up(&instance, 100).await;
            assert_eq!(sum(&instance).await.expect("read").last, 100);
            assert_eq!(read(&instance).await.expect("read")[STARTED_SERIES], [99]);
        });
    }

    #[test]
    fn of_two_that_add_up_at_once_the_slower_loses_nothing() {
        let instance = Instance::new(Fake::default());
        block_on(async {
            let mut slow = None;
            for number in 1..=200 {
                if number == 70 {
                    slow = instance.platform.stored.borrow().get(SUM_KEY).cloned();
                }
                if number == 100 {
                    // What was read at 70 is written over what was added up at 96.
                    instance.platform.stored.borrow_mut().insert(SUM_KEY.to_owned(), slow.clone().expect("a sum"));
                }
                add(&STARTED, &[], 1);
                tell(&instance).await.expect("told");
                assert_eq!(read(&instance).await.expect("read")[STARTED_SERIES], [number]);
            }
        });
    }

    #[test]
    fn what_could_not_be_written_is_told_later() {
        let instance = Instance::new(Fake::default());
        block_on(async {
            add(&STARTED, &[], 3);
            let taken = metrics::take();
            add(&STARTED, &[], 4);
            metrics::put_back(taken);
            assert_eq!(read(&instance).await.expect("read")[STARTED_SERIES], [7]);
        });
    }
}
