//! Metrics: the families, the counts of this instance, and the text formats of Prometheus and OpenMetrics.
//!
//! An instance counts here since its last flush; `totals` adds up over instances.
//!
//! **Architecture invariant:** a label's value is a name of this crate's or of a model card's. Nothing that a caller
//! sends becomes one.

use crate::predict::{Outcome, PredictionsAt, UNKNOWN_LEVEL};
use bipolar_edge_models::{FINGERPRINT, MODELS, RiskLevel};
use features::{FEATURES, Row};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::time::Duration;

/// A metric family: series of one name.
pub(crate) struct Family {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    kind: Kind,
}

enum Kind {
    Counter,
    /// Durations, by the upper bounds of its buckets in microseconds.
    Histogram(&'static [u64]),
}

/// The most labels of a family.
const MAX_LABELS: usize = 3;

const fn counter(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Family {
    Family { name, help, labels, kind: Kind::Counter }
}

const fn durations(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Family {
    Family { name, help, labels, kind: Kind::Histogram(&BUCKETS) }
}

/// From 50 us, less than which nothing is answered in, to the longest that an answer may take by default.
const BUCKETS: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 2_500_000, 10_000_000,
    30_000_000,
];

pub(crate) static STARTED: Family =
    counter("bipolar_edge_http_requests_started_total", "Requests that have begun, answered or not.", &[]);
pub(crate) static REQUESTS: Family =
    counter("bipolar_edge_http_requests_total", "Requests that were answered.", &["route", "method", "status"]);
pub(crate) static DURATIONS: Family = durations(
    "bipolar_edge_http_request_duration_seconds",
    "From a request to its answer, in the component.",
    &["route"],
);
pub(crate) static PROBLEMS: Family =
    counter("bipolar_edge_problems_total", "Answers that are a problem, by its kind.", &["kind"]);
pub(crate) static WARNINGS: Family =
    counter("bipolar_edge_warnings_total", "Degradations that the log has a line of, by its event.", &["event"]);
pub(crate) static CACHE: Family =
    counter("bipolar_edge_cache_answers_total", "Answers about a person, by what the cache had.", &["outcome"]);
pub(crate) static STORE: Family = durations(
    "bipolar_edge_store_operation_duration_seconds",
    "Operations of the key-value store that were waited for.",
    &["operation"],
);
pub(crate) static STORE_ERRORS: Family = counter(
    "bipolar_edge_store_errors_total",
    "Operations of the key-value store that failed.",
    &["operation", "cause"],
);
pub(crate) static UPSTREAM: Family = durations(
    "bipolar_edge_upstream_request_duration_seconds",
    "Requests to the project that check-ins come from.",
    &["upstream", "outcome"],
);
pub(crate) static PREDICTIONS: Family = counter(
    "bipolar_edge_predictions_total",
    "Predictions that were made, those later served from the cache once.",
    &["type", "label", "risk_level"],
);
pub(crate) static INFERENCE: Family =
    durations("bipolar_edge_inference_duration_seconds", "Making a prediction, its explanation included.", &["type"]);
pub(crate) static INFERENCE_ROWS: Family = counter(
    "bipolar_edge_inference_protocol_rows_total",
    "Rows that were predicted through the Open Inference Protocol.",
    &["model"],
);
pub(crate) static INFERENCE_REQUESTS: Family = durations(
    "bipolar_edge_inference_protocol_duration_seconds",
    "Predicting all rows of a request of the Open Inference Protocol.",
    &["model"],
);
pub(crate) static ROWS: Family =
    counter("bipolar_edge_feature_rows_total", "Rows of features that predictions were made from.", &[]);
pub(crate) static MISSING: Family =
    counter("bipolar_edge_missing_features_total", "Rows of features in which this one is missing.", &["feature"]);
pub(crate) static TIMEOUTS: Family =
    counter("bipolar_edge_timeouts_total", "What the deadline came before, by what it was.", &["waited_for"]);
pub(crate) static RATE_LIMITED: Family =
    counter("bipolar_edge_rate_limited_requests_total", "Requests that were one too many.", &["limit"]);
pub(crate) static UNCOUNTED: Family = counter(
    "bipolar_edge_uncounted_requests_total",
    "Requests that the store could not count: limited by one instance alone, or not at all.",
    &["limit"],
);
pub(crate) static JOBS: Family =
    counter("bipolar_edge_jobs_total", "Background predictions that were started, and that ended.", &["outcome"]);
pub(crate) static INSTANCES: Family =
    counter("bipolar_edge_instances_started_total", "Instances that have answered a request.", &[]);

/// In the order of the answer.
static FAMILIES: [&Family; 20] = [
    &STARTED,
    &REQUESTS,
    &DURATIONS,
    &PROBLEMS,
    &WARNINGS,
    &CACHE,
    &STORE,
    &STORE_ERRORS,
    &UPSTREAM,
    &PREDICTIONS,
    &INFERENCE,
    &INFERENCE_ROWS,
    &INFERENCE_REQUESTS,
    &ROWS,
    &MISSING,
    &TIMEOUTS,
    &RATE_LIMITED,
    &UNCOUNTED,
    &JOBS,
    &INSTANCES,
];

/// Counts by series. A series is its family's name and its labels' values, with a bar between; of a counter there is
/// one number, of a histogram its buckets, the one beyond them, and the sum in microseconds.
pub(crate) type Counts = BTreeMap<String, Vec<u64>>;

type Key = (&'static str, [&'static str; MAX_LABELS]);

thread_local! {
    /// The counts of this instance since its last flush.
    static PENDING: RefCell<HashMap<Key, Vec<u64>>> = RefCell::default();
    /// The part of them that says how often each feature was missing: a row lacks many, so they stand in their order.
    static PENDING_MISSING: RefCell<[u64; FEATURES.len()]> = const { RefCell::new([0; FEATURES.len()]) };
    /// Deltas that were taken and could not be written.
    static UNFLUSHED: RefCell<Counts> = const { RefCell::new(Counts::new()) };
}

/// Adds to a counter.
pub(crate) fn add(family: &'static Family, labels: &[&'static str], count: u64) {
    with(family, labels, 1, |numbers| numbers[0] += count);
}

/// Adds a duration to a histogram.
pub(crate) fn observe(family: &'static Family, labels: &[&'static str], took: Duration) {
    let Kind::Histogram(bounds) = family.kind else { return };
    let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let bucket = bounds.iter().position(|bound| microseconds <= *bound).unwrap_or(bounds.len());
    with(family, labels, bounds.len() + 2, |numbers| {
        numbers[bucket] += 1;
        numbers[bounds.len() + 1] += microseconds;
    });
}

fn with(family: &'static Family, labels: &[&'static str], length: usize, change: impl FnOnce(&mut [u64])) {
    let mut values = [""; MAX_LABELS];
    for (value, label) in values.iter_mut().zip(labels) {
        *value = label;
    }
    PENDING.with_borrow_mut(|pending| {
        change(pending.entry((family.name, values)).or_insert_with(|| vec![0; length]));
    });
}

/// Returns true if something was counted since the last flush.
pub(crate) fn has_pending() -> bool {
    PENDING.with_borrow(|pending| !pending.is_empty())
}

/// Takes the delta: everything that was counted since it was last taken.
pub(crate) fn take_delta() -> Counts {
    let missing = PENDING_MISSING.replace([0; FEATURES.len()]);
    for (feature, count) in FEATURES.iter().zip(missing).filter(|(_, count)| *count > 0) {
        add(&MISSING, &[feature.name], count);
    }
    let taken = PENDING.take();
    let series = |(name, labels): Key| {
        let values = labels.iter().take_while(|label| !label.is_empty());
        values.fold(name.to_owned(), |series, label| series + "|" + label)
    };
    let mut counts = UNFLUSHED.take();
    merge(&mut counts, taken.into_iter().map(|(key, numbers)| (series(key), numbers)).collect());
    counts
}

/// Puts back a delta that could not be written.
pub(crate) fn put_back(delta: Counts) {
    UNFLUSHED.with_borrow_mut(|unflushed| merge(unflushed, delta));
}

/// Counts predictions: their labels, their durations, and the features that their row lacks.
pub(crate) fn observe_predictions(row: Option<&Row>, predictions: &PredictionsAt) {
    if let Some(row) = row {
        add(&ROWS, &[], 1);
        PENDING_MISSING.with_borrow_mut(|pending| {
            pending.iter_mut().zip(row).for_each(|(count, value)| *count += u64::from(value.is_nan()));
        });
    }
    for (model, prediction) in predictions.iter() {
        let (name, level) = (model.name, prediction.risk_level(model));
        add(&PREDICTIONS, &[name, prediction.label(model), level.map_or(UNKNOWN_LEVEL, RiskLevel::as_str)], 1);
        match prediction.outcome {
            Outcome::OutOfTime => add(&TIMEOUTS, &["prediction"], 1),
            _ => observe(&INFERENCE, &[name], prediction.duration),
        }
    }
}

/// The label of a status. Every status that this service answers with is here, which a test holds.
pub(crate) fn status_label(status: u16) -> &'static str {
    match status {
        200 => "200",
        202 => "202",
        204 => "204",
        304 => "304",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        405 => "405",
        408 => "408",
        413 => "413",
        414 => "414",
        415 => "415",
        429 => "429",
        431 => "431",
        500 => "500",
        502 => "502",
        503 => "503",
        504 => "504",
        _ => "other",
    }
}

/// Adds counts to others.
pub(crate) fn merge(into: &mut Counts, more: Counts) {
    for (series, numbers) in more {
        let sum = into.entry(series).or_default();
        if sum.len() < numbers.len() {
            sum.resize(numbers.len(), 0);
        }
        for (sum, number) in sum.iter_mut().zip(numbers) {
            *sum = sum.saturating_add(number);
        }
    }
}

/// Returns counts without what was predicted: of predictions their type remains, and that they were made.
pub(crate) fn without_outcomes(counts: &Counts) -> Counts {
    let mut without = Counts::new();
    for (series, numbers) in counts {
        let kind = series.strip_prefix(PREDICTIONS.name).and_then(|labels| labels.split('|').nth(1));
        let series = kind.map_or_else(|| series.clone(), |kind| format!("{}|{kind}||", PREDICTIONS.name));
        merge(&mut without, Counts::from([(series, numbers.clone())]));
    }
    without
}

/// The most numbers of a series: those of a histogram.
const MAX_NUMBERS: usize = BUCKETS.len() + 2;

/// Sets one number of a series. A number that no series has is left out.
pub(crate) fn set_number(counts: &mut Counts, series: &str, index: usize, number: u64) {
    if index < MAX_NUMBERS {
        let numbers = counts.entry(series.to_owned()).or_default();
        numbers.resize(numbers.len().max(index + 1), 0);
        numbers[index] = number;
    }
}

/// The count of a family's series with one label, and the sum in microseconds if it is of durations.
pub(crate) fn count_and_sum(totals: &Counts, family: &Family, label: &str) -> (u64, u64) {
    let numbers = totals.get(&format!("{}|{label}", family.name)).map_or(&[][..], Vec::as_slice);
    match (&family.kind, numbers.split_last()) {
        (Kind::Histogram(_), Some((sum, counts))) => {
            (counts.iter().fold(0, |all, count| count.saturating_add(all)), *sum)
        }
        _ => (numbers.first().copied().unwrap_or(0), 0),
    }
}

/// One series, for a host's exporter.
pub struct Exported<'a> {
    /// The family's name.
    pub name: &'static str,
    /// The family's description.
    pub help: &'static str,
    /// Labels by name.
    pub labels: Vec<(&'static str, &'a str)>,
    /// Of a counter one number; of a histogram its buckets, the one beyond them, and the sum in microseconds.
    pub numbers: &'a [u64],
    /// Of a histogram the upper bounds of its buckets in microseconds.
    pub bounds: Option<&'static [u64]>,
}

/// Counts by series, with the family of each.
pub(crate) fn exported(counts: &Counts) -> Vec<Exported<'_>> {
    let mut all = Vec::with_capacity(counts.len());
    for (series, numbers) in counts {
        let mut parts = series.split('|');
        let name = parts.next().unwrap_or("");
        let Some(family) = FAMILIES.iter().find(|family| family.name == name) else { continue };
        let bounds = if let Kind::Histogram(bounds) = family.kind { Some(bounds) } else { None };
        let labels = family.labels.iter().copied().zip(parts).collect();
        all.push(Exported { name: family.name, help: family.help, labels, numbers, bounds });
    }
    all
}

/// A format that metrics are asked for in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Format {
    /// Prometheus's own, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Totals as text. One request in `sampling` was counted, as so many: above 1 the totals are estimates. Those that are
/// not current are what an instance read last, or none.
pub(crate) fn render(totals: &Counts, sampling: u32, is_current: bool, format: Format) -> String {
    let mut out = String::new();
    for family in FAMILIES {
        let kind = if matches!(family.kind, Kind::Counter) { "counter" } else { "histogram" };
        write_head(&mut out, family.name, family.help, kind, format);
        let prefix = format!("{}|", family.name);
        let bare = totals.get_key_value(family.name);
        // A counter without labels is there from the start, so that its rate is known from the first count on.
        if family.labels.is_empty() && bare.is_none() && is_current {
            let _ = writeln!(out, "{} 0", family.name);
        }
        let labelled = totals.range(prefix.clone()..).take_while(|(series, _)| series.starts_with(&prefix));
        for (series, numbers) in bare.into_iter().chain(labelled) {
            let values = series.split('|').skip(1);
            let labels: Vec<String> =
                family.labels.iter().zip(values).map(|(label, value)| format!("{label}=\"{value}\"")).collect();
            write_samples(&mut out, family, &labels, numbers);
        }
    }
    let gauge = |out: &mut String, name, help| write_head(out, name, help, "gauge", format);
    let sum = |family: &Family| {
        let own = |series: &str| series.split('|').next() == Some(family.name);
        totals.iter().filter(|(series, _)| own(series)).filter_map(|(_, numbers)| numbers.first()).sum::<u64>()
    };
    let name = "bipolar_edge_http_requests_in_flight";
    gauge(&mut out, name, "Requests that have begun and were not answered, those of killed instances included.");
    if !totals.is_empty() || is_current {
        let _ = writeln!(out, "{name} {}", sum(&STARTED).saturating_sub(sum(&REQUESTS)));
    }
    let name = "bipolar_edge_metrics_sampling";
    gauge(&mut out, name, "One request in so many is counted, as so many: above 1 all counts are estimates.");
    let _ = writeln!(out, "{name} {sampling}");
    let name = "bipolar_edge_store_up";
    gauge(&mut out, name, "The store could be read for these counts: else they are older ones, or none.");
    let _ = writeln!(out, "{name} {}", u8::from(is_current));
    let name = "bipolar_edge_model_info";
    gauge(&mut out, name, "A model that is compiled in.");
    for model in &MODELS {
        let (kind, version, trees) = (model.name, model.version, model.trees);
        let _ = writeln!(out, "{name}{{type=\"{kind}\",version=\"{version}\",trees=\"{trees}\"}} 1");
    }
    let name = "bipolar_edge_build_info";
    gauge(&mut out, name, "What is deployed.");
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(out, "{name}{{version=\"{version}\",models_fingerprint=\"{FINGERPRINT}\"}} 1");
    if format == Format::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

/// Writes the lines above the samples of a family. In OpenMetrics a counter's family is called without the ending of
/// its samples.
fn write_head(out: &mut String, name: &str, help: &str, kind: &str, format: Format) {
    let name = match format {
        Format::OpenMetrics if kind == "counter" => name.strip_suffix("_total").unwrap_or(name),
        _ => name,
    };
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn write_samples(out: &mut String, family: &Family, labels: &[String], numbers: &[u64]) {
    let name = family.name;
    let braced = |labels: &[String]| match labels.is_empty() {
        true => String::new(),
        false => format!("{{{}}}", labels.join(",")),
    };
    let Kind::Histogram(bounds) = family.kind else {
        let _ = writeln!(out, "{name}{} {}", braced(labels), numbers.first().unwrap_or(&0));
        return;
    };
    let mut count = 0;
    for (index, number) in numbers.iter().enumerate().take(bounds.len() + 1) {
        count += number;
        let bound = bounds.get(index).map_or("+Inf".to_owned(), |bound| format!("{:?}", *bound as f64 / 1e6));
        let labels = [labels, &[format!("le=\"{bound}\"")]].concat();
        let _ = writeln!(out, "{name}_bucket{} {count}", braced(&labels));
    }
    let sum = numbers.get(bounds.len() + 1).copied().unwrap_or(0) as f64 / 1e6;
    let _ = writeln!(out, "{name}_sum{} {sum:?}\n{name}_count{} {count}", braced(labels), braced(labels));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_adds_up_and_keeps_what_is_beyond_its_buckets() {
        take_delta();
        for microseconds in [10, 50, 51, 2_000, 99_000_000] {
            observe(&INFERENCE, &["mood_state"], Duration::from_micros(microseconds));
        }
        let mut totals = take_delta();
        assert!(!has_pending());
        merge(&mut totals, Counts::from([("bipolar_edge_inference_duration_seconds|mood_state".to_owned(), vec![1])]));
        let text = render(&totals, 1, true, Format::Prometheus);
        let sample = |bound: &str| {
            let series =
                format!("bipolar_edge_inference_duration_seconds_bucket{{type=\"mood_state\",le=\"{bound}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&series)).expect("a bucket").to_owned()
        };
        assert_eq!((sample("5e-5"), sample("0.0001"), sample("0.0025")), ("3".into(), "4".into(), "5".into()));
        assert_eq!((sample("30.0"), sample("+Inf")), ("5".into(), "6".into()));
        assert!(text.contains("_sum{type=\"mood_state\"} 99.002111\n"), "{text}");
        assert!(text.contains("_count{type=\"mood_state\"} 6\n"), "{text}");
    }

    #[test]
    fn every_family_is_listed_once_and_named_as_the_conventions_have_it() {
        for (index, family) in FAMILIES.iter().enumerate() {
            assert!(FAMILIES[..index].iter().all(|other| other.name != family.name), "{}", family.name);
            let ending = if matches!(family.kind, Kind::Counter) { "_total" } else { "_duration_seconds" };
            assert!(family.name.starts_with("bipolar_edge_") && family.name.ends_with(ending), "{}", family.name);
            assert!(family.labels.len() <= MAX_LABELS && family.help.ends_with('.'));
        }
        let text = render(&Counts::new(), 1, true, Format::OpenMetrics);
        assert!(text.contains("# TYPE bipolar_edge_http_requests counter\n") && text.ends_with("# EOF\n"));
    }
}
