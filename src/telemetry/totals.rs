//! Counts of every instance together, in the store.
//!
//! With Redis every *delta*, the counts of an instance since its last flush, is added to a hash there, so the totals
//! are exact. A key-value store can only be read and written, and a write may cost it a commit: there one delta in
//! `metrics_sampling` is added, as that many, to one value that all share. So the totals are estimates, which
//! `bipolar_edge_metrics_sampling` says: of a count n the standard error is about `sqrt(n * metrics_sampling)`. Of two
//! instances that write at the same time one loses its part, so the writes are kept so far apart that this is rare,
//! which makes each stand for more. The log has every request.
//!
//! Nobody waits for a flush: it comes after the answer. The counts of an instance since its last flush are lost if it
//! is killed.

use super::log;
use super::metrics::{self, Counts};
use crate::config::Settings;
use crate::platform::{Platform, RedisValue};
use crate::quota::METRICS_WRITES;
use crate::random::chance;
use crate::store::{Failure, Store};
use crate::time::{after, now, now_ms};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// The time between two flushes of the log.
const LOG_FLUSH_INTERVAL: Duration = Duration::from_millis(20);
/// The counts are flushed once in so many flushes of the log.
const LOG_FLUSHES_PER_COUNTS: u32 = 5;
/// So often in a row the store may refuse counts before they wait for the next request: after some six seconds.
const MAX_FAILURES: u32 = 5;
/// A sampled delta stands for at most so many times what its sampling says.
const MAX_THINNING: f64 = 50.0;
/// No value that this service writes is longer.
const MAX_VALUE_BYTES: usize = 256 << 10;
/// Counts are kept for as long as somebody counts, and a year more.
const KEPT: Duration = Duration::from_secs(365 * 86_400);

/// The key of the value that all share, or of the hash.
const KEY: &str = "metrics";

/// Adds numbers to the fields of a hash.
const ADD: &str = "for i = 2, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end \
                   redis.call('EXPIRE', KEYS[1], ARGV[1]) return 1";
/// Reads the fields of a hash and their numbers, by turns.
const READ: &str = "return redis.call('HGETALL', KEYS[1])";

/// The estimates in a key-value store.
#[derive(Default, Deserialize, Serialize)]
struct Estimates {
    /// Milliseconds since 1970-01-01 UTC.
    written_at: i64,
    counts: Counts,
}

/// The counts of one instance on their way into the store.
pub(crate) struct Totals<P: Platform> {
    platform: P,
    store: Rc<Store<P>>,
    /// A flush is scheduled.
    is_flushing: Cell<bool>,
    /// The time up to which the host's exporter was handed counts.
    exported_until: Cell<Timestamp>,
    /// The totals that this instance read last.
    last_read: RefCell<Counts>,
}

/// Totals, as far as they are known.
pub(crate) struct Known {
    pub(crate) counts: Counts,
    /// One request in so many was counted, as so many.
    pub(crate) sampling: u32,
    /// They are those of now, and not those that this instance read last.
    pub(crate) is_current: bool,
}

impl<P: Platform> Totals<P> {
    pub(crate) fn new(platform: P, store: Rc<Store<P>>) -> Totals<P> {
        let exported_until = Cell::new(now());
        Totals { platform, store, is_flushing: Cell::default(), exported_until, last_read: RefCell::default() }
    }

    /// Has counts, and the lines of the log, written soon. Without a configuration there is nowhere to write counts to.
    pub(crate) fn schedule_flush(self: &Rc<Self>, settings: Option<Rc<Settings>>) {
        if !P::REUSES_INSTANCES {
            // Nothing is worth waiting for: the line of this request leaves with its answer.
            log::flush();
            if !settings.as_ref().is_some_and(|settings| self.is_counted(settings)) {
                // Work after the answer decides for itself: what was not counted must not have a second chance.
                metrics::take_delta();
                return;
            }
        }
        if self.is_flushing.replace(true) {
            return;
        }
        let own = self.clone();
        self.platform.spawn(async move {
            if P::REUSES_INSTANCES {
                own.flush_until_nothing_is_left(settings.as_deref()).await;
            } else if let Some(settings) = settings
                && let Err(failure) = own.write(&settings, &metrics::take_delta()).await
            {
                warn_not_written(failure);
            }
            log::flush();
            own.is_flushing.set(false);
        });
    }

    /// Decides if the next delta is counted: all are with Redis, else one in so many.
    fn is_counted(&self, settings: &Settings) -> bool {
        self.store.is_redis() || chance(1.0 / f64::from(settings.metrics_sampling))
    }

    async fn flush_until_nothing_is_left(&self, settings: Option<&Settings>) {
        let mut failures = 0;
        while log::has_pending() || settings.is_some() && metrics::has_pending() {
            for _ in 0..LOG_FLUSHES_PER_COUNTS << failures {
                self.platform.sleep(LOG_FLUSH_INTERVAL).await;
                log::flush();
            }
            let Some(settings) = settings else { continue };
            if let Err(failure) = self.flush(settings).await {
                // Counts that could not be written are counted still. An instance that nobody asks any more would take
                // them with it: try again, and wait twice as long each time.
                warn_not_written(failure);
                failures += 1;
                if failures > MAX_FAILURES {
                    break;
                }
            } else {
                failures = 0;
            }
        }
    }

    /// Writes the delta since the last flush, if it is counted.
    async fn flush(&self, settings: &Settings) -> Result<(), Failure> {
        let delta = metrics::take_delta();
        if delta.is_empty() {
            return Ok(());
        }
        let written = if self.is_counted(settings) { self.write(settings, &delta).await } else { Ok(()) };
        match written {
            Ok(()) => self.export(&delta),
            Err(_) => metrics::put_back(delta),
        }
        written
    }

    async fn write(&self, settings: &Settings, delta: &Counts) -> Result<(), Failure> {
        match self.store.is_redis() {
            true => self.add(delta).await,
            false => self.sample(settings, delta).await,
        }
    }

    /// Adds a delta to the hash in Redis. There names are sealed alike each time, and numbers stay in clear for the
    /// server to add to: whoever reads it, and may ask for a prediction of their own, would learn which of the names is
    /// that of its label. So where the store is sealed no label is among them.
    async fn add(&self, delta: &Counts) -> Result<(), Failure> {
        let delta = if self.store.is_sealed() { &metrics::without_outcomes(delta) } else { delta };
        let mut fields = Vec::new();
        for (series, numbers) in delta {
            for (index, number) in numbers.iter().enumerate().filter(|(_, number)| **number > 0) {
                fields.push(self.store.seal_name(&format!("{series}#{index}")));
                fields.push(number.to_string().into_bytes());
            }
        }
        let kept = KEPT.as_secs().to_string();
        let mut arguments = vec![kept.as_bytes()];
        arguments.extend(fields.iter().map(Vec::as_slice));
        self.store.uncounted().evaluate(ADD, &[KEY], &arguments).await.map(drop)
    }

    /// Adds a delta that is one in so many to the estimates, as that many.
    async fn sample(&self, settings: &Settings, delta: &Counts) -> Result<(), Failure> {
        let mut estimates = self.estimates().await?;
        let now = now_ms();
        let elapsed = now.saturating_sub(estimates.written_at).max(0) as f64 / 1000.0;
        let writes_per_second = (f64::from(settings.counting_writes) / f64::from(METRICS_WRITES)).max(1.0);
        let share = (elapsed * writes_per_second).clamp(1.0 / MAX_THINNING, 1.0);
        let share = if settings.counting_writes == 0 { 1.0 } else { share };
        if !chance(share) {
            return Ok(());
        }
        let weight = f64::from(settings.metrics_sampling) / share;
        let weigh = |number: &u64| (*number as f64 * weight).round() as u64;
        let weighed = delta.iter().map(|(series, numbers)| (series.clone(), numbers.iter().map(weigh).collect()));
        metrics::merge(&mut estimates.counts, weighed.collect());
        estimates.written_at = now;
        // Texts and numbers can always be serialized.
        let bytes = serde_json::to_vec(&estimates).unwrap_or_default();
        let sealed = self.store.seal(KEY, &bytes, after(now, KEPT));
        self.store.uncounted().set(KEY, &sealed, Duration::MAX).await
    }

    async fn estimates(&self) -> Result<Estimates, Failure> {
        let bytes = self.store.uncounted().get(KEY).await?.filter(|bytes| bytes.len() <= MAX_VALUE_BYTES);
        let bytes = bytes.and_then(|bytes| self.store.open(KEY, bytes, KEPT));
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    /// Hands a delta to the host's exporter, if it has one.
    fn export(&self, delta: &Counts) {
        if !P::EXPORTS {
            return;
        }
        let (from, to) = (self.exported_until.get(), now());
        self.exported_until.set(to);
        if let Err(cause) = self.platform.export_counts(&metrics::exported(delta), from, to) {
            log::warning("metrics_not_exported", "counts could not be handed to the host's exporter", cause);
        }
    }

    /// Reads the totals. Where the store cannot be read they are those that this instance knows: what it read last, and
    /// nothing if it has read none. Its own counts alone would look like a restart of everything.
    pub(crate) async fn read_or_remember(&self, settings: &Settings) -> Known {
        match self.read(settings).await {
            Ok((counts, sampling)) => {
                self.last_read.replace(counts.clone());
                Known { counts, sampling, is_current: true }
            }
            Err(failure) => {
                failure.warn("metrics_not_read", "counts could not be read from the store");
                let sampling = if self.store.is_redis() { 1 } else { settings.metrics_sampling };
                Known { counts: self.last_read.borrow().clone(), sampling, is_current: false }
            }
        }
    }

    /// Reads the totals, with the number of requests that each counted one stands for. Errors if the store cannot be
    /// read.
    pub(crate) async fn read(&self, settings: &Settings) -> Result<(Counts, u32), Failure> {
        if !self.store.is_redis() {
            return Ok((self.estimates().await?.counts, settings.metrics_sampling));
        }
        if let Err(failure) = self.flush(settings).await {
            warn_not_written(failure);
        }
        let reply = self.store.uncounted().evaluate(READ, &[KEY], &[]).await?;
        Ok((parse_reply(reply, |name| self.store.open_name(name)), 1))
    }
}

/// Parses the fields of the hash, whose names `open` gives, and their numbers. What is none of them is left out.
fn parse_reply(reply: Vec<RedisValue>, open: impl Fn(Vec<u8>) -> Option<String>) -> Counts {
    let mut reply = reply.into_iter();
    let mut counts = Counts::new();
    while let (Some(field), Some(number)) = (reply.next(), reply.next()) {
        let text = |value: RedisValue| String::from_utf8(value.into_bytes()?).ok();
        let Some((field, number)) = field.into_bytes().and_then(&open).zip(text(number)) else { continue };
        let Some((series, index)) = field.rsplit_once('#') else { continue };
        if let (Ok(index), Ok(number)) = (index.parse(), number.parse()) {
            metrics::set_number(&mut counts, series, index, number);
        }
    }
    counts
}

fn warn_not_written(failure: Failure) {
    failure.warn("metrics_not_written", "counts could not be written to the store");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_platform::Fake;
    use crate::telemetry::metrics::{CACHE, STARTED, add};
    use futures::executor::block_on;

    use proptest::prelude::*;

    fn replies() -> impl Strategy<Value = Vec<RedisValue>> {
        let field = "(bipolar_edge_[a-z_]{0,40}(\\|[a-z]{0,8}){0,3}#-?[0-9]{0,20}|[ -~]{0,20})";
        let value = prop_oneof![
            Just(RedisValue::Nil),
            any::<i64>().prop_map(RedisValue::Integer),
            field.prop_map(RedisValue::Status),
            field.prop_map(|text| RedisValue::Bytes(text.into_bytes())),
            "[0-9]{1,21}".prop_map(|text| RedisValue::Bytes(text.into_bytes())),
            proptest::collection::vec(any::<u8>(), 0..20).prop_map(RedisValue::Bytes),
        ];
        proptest::collection::vec(value, 0..40)
    }

    proptest! {
        #[test]
        fn no_reply_of_redis_panics_or_takes_more_room_than_it_has(reply in replies()) {
            let fields = reply.len();
            let counts = parse_reply(reply, |name| String::from_utf8(name).ok());
            prop_assert!(counts.len() <= fields);
            for format in [metrics::Format::Prometheus, metrics::Format::OpenMetrics] {
                let _ = metrics::render(&counts, 1, true, format);
            }
        }
    }

    const STARTED_SERIES: &str = "bipolar_edge_http_requests_started_total";

    fn totals(fake: &Fake) -> (Totals<Fake>, Settings) {
        let settings = block_on(Settings::read(fake)).expect("valid");
        let store = fake.store(&settings);
        (Totals::new(fake.clone(), store), settings)
    }

    fn counted_after(fake: &Fake, instances: u64) -> (Counts, u32) {
        let (_, settings) = totals(fake);
        for number in 1..=instances {
            let (instance, _) = totals(fake);
            add(&STARTED, &[], 2);
            add(&CACHE, &[if number % 2 == 0 { "hit" } else { "miss" }], 1);
            block_on(instance.flush(&settings)).expect("flushed");
        }
        let (instance, _) = totals(fake);
        block_on(instance.read(&settings)).expect("read")
    }

    #[test]
    fn with_every_request_counted_the_totals_of_all_instances_are_exact_in_one_value() {
        let mut fake = Fake::with_variable("metrics_sampling", "1");
        fake.set_variable("counting_writes_per_second", "0");
        let (counts, sampling) = counted_after(&fake, 500);
        assert_eq!((counts[STARTED_SERIES][0], sampling), (1000, 1));
        assert_eq!(counts["bipolar_edge_cache_answers_total|hit"], [250]);
        assert_eq!(fake.stored.borrow().len(), 1);
    }

    #[test]
    fn a_sample_estimates_the_totals() {
        let mut fake = Fake::with_variable("metrics_sampling", "8");
        fake.set_variable("counting_writes_per_second", "0");
        let (counts, sampling) = counted_after(&fake, 20_000);
        let estimate = counts[STARTED_SERIES][0] as f64;
        // Six standard errors.
        let error = 6.0 * 2.0 * (20_000.0_f64 * 8.0 * 50.0).sqrt();
        assert!((estimate - 40_000.0).abs() < error && sampling == 8, "{estimate}");
    }

    #[test]
    fn a_delta_that_could_not_be_written_is_written_later() {
        let fake = Fake::with_variable("metrics_sampling", "1");
        let (instance, settings) = totals(&fake);
        block_on(async {
            add(&STARTED, &[], 3);
            let taken = metrics::take_delta();
            add(&STARTED, &[], 4);
            metrics::put_back(taken);
            instance.flush(&settings).await.expect("flushed");
            assert_eq!(instance.read(&settings).await.expect("read").0[STARTED_SERIES], [7]);
        });
    }

    #[test]
    fn totals_in_the_store_are_sealed_under_an_encryption_key() {
        let mut fake = Fake::with_variable("metrics_sampling", "1");
        fake.set_variable("counting_writes_per_second", "0");
        fake.set_variable("cache_encryption_key", &"a".repeat(64));
        let (counts, _) = counted_after(&fake, 2);
        assert_eq!(counts["bipolar_edge_cache_answers_total|hit"], [1]);
        let holds_name = |value: &Vec<u8>| value.windows(5).any(|part| part == b"cache");
        assert!(!fake.stored.borrow().values().any(holds_name));
    }

    #[test]
    fn names_in_a_sealed_redis_do_not_tell_what_was_predicted() {
        let series = |labels: &str| format!("bipolar_edge_predictions_total|{labels}");
        let counts = Counts::from([
            (series("mood_state|mania|high"), vec![2]),
            (series("mood_state|euthymia|low"), vec![3]),
            (series("relapse_risk|relapse|high"), vec![1]),
            (STARTED_SERIES.to_owned(), vec![4]),
        ]);
        let without = Counts::from([
            (series("mood_state||"), vec![5]),
            (series("relapse_risk||"), vec![1]),
            (STARTED_SERIES.to_owned(), vec![4]),
        ]);
        assert_eq!(metrics::without_outcomes(&counts), without);
    }

    #[test]
    fn totals_are_remembered_while_the_store_cannot_be_read() {
        let mut fake = Fake::with_variable("metrics_sampling", "1");
        fake.set_variable("counting_writes_per_second", "0");
        let (instance, settings) = totals(&fake);
        let read = || block_on(instance.read_or_remember(&settings));
        add(&STARTED, &[], 3);
        block_on(instance.flush(&settings)).expect("flushed");
        fake.failing.borrow_mut().insert(KEY.to_owned());
        let known = read();
        assert!(!known.is_current && known.counts.is_empty(), "nothing was read");
        fake.failing.borrow_mut().clear();
        let known = read();
        assert!(known.is_current && known.counts[STARTED_SERIES] == [3]);
        fake.failing.borrow_mut().insert(KEY.to_owned());
        let known = read();
        assert!(!known.is_current && known.counts[STARTED_SERIES] == [3]);
        metrics::take_delta();
    }

    #[test]
    fn a_value_that_is_no_count_is_none() {
        let fake = Fake::with_variable("metrics_sampling", "1");
        for wrong in [&b"{"[..], b"[]", b"{\"written_at\":1,\"counts\":{\"a\":[-1]}}", &[b' '; MAX_VALUE_BYTES + 1]] {
            fake.stored.borrow_mut().insert(KEY.to_owned(), wrong.to_vec());
            let (instance, settings) = totals(&fake);
            assert!(block_on(instance.read(&settings)).expect("read").0.is_empty());
        }
    }
}
