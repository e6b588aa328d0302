//! `wasi:otel`, where the module is built for a host that offers it: spans and counts on their way to the host's
//! exporter.

use jiff::Timestamp;
use service::telemetry::export::{Attribute, Span};
use service::telemetry::metrics::Exported;
use service::telemetry::trace::Trace;

#[allow(missing_docs, unreachable_pub, unsafe_code, clippy::all, reason = "generated")]
mod telemetry {
    wit_bindgen::generate!({ path: "../../../wit", world: "telemetry", generate_all });
}

/// The name under which telemetry is exported.
const SERVICE_NAME: &str = "bipolar-edge";

use telemetry::wasi::clocks::wall_clock::Datetime;
use telemetry::wasi::otel::metrics::{
    Histogram, HistogramDataPoint, Metric, MetricData, MetricNumber, ResourceMetrics, ScopeMetrics, Sum, SumDataPoint,
    Temporality,
};
use telemetry::wasi::otel::tracing::{SpanContext, SpanData, SpanKind, Status, TraceFlags};
use telemetry::wasi::otel::types::{InstrumentationScope, KeyValue, Resource};
use telemetry::wasi::otel::{metrics, tracing};

/// The host's span, if it has one: an id of zeros is none.
pub(crate) fn parent_span() -> Option<Trace> {
    let outer = tracing::outer_span_context();
    let is_id = |id: &str, length| id.len() == length && id.bytes().any(|digit| digit != b'0');
    let sampled = outer.trace_flags.contains(TraceFlags::SAMPLED);
    (is_id(&outer.trace_id, 32) && is_id(&outer.span_id, 16))
        .then(|| Trace::child_of(&outer.trace_id, &outer.span_id, sampled))
}

pub(crate) fn export_spans(spans: &[Span]) {
    for span in spans.iter().filter(|span| span.sampled) {
        let context = SpanContext {
            trace_id: span.trace_id.clone(),
            span_id: span.id.clone(),
            trace_flags: TraceFlags::SAMPLED,
            is_remote: false,
            trace_state: Vec::new(),
        };
        tracing::on_start(&context);
        tracing::on_end(&SpanData {
            span_context: context,
            parent_span_id: span.parent_id.clone(),
            span_kind: if span.is_server { SpanKind::Server } else { SpanKind::Internal },
            name: span.name.clone(),
            start_time: datetime(span.start),
            end_time: datetime(span.end),
            attributes: span.attributes.iter().map(|(key, value)| attribute(key, value)).collect(),
            events: Vec::new(),
            links: Vec::new(),
            status: span.error.clone().map_or(Status::Unset, Status::Error),
            instrumentation_scope: scope(),
            dropped_attributes: 0,
            dropped_events: 0,
            dropped_links: 0,
        });
    }
}

/// Exports counts as differences: an instance knows neither the counts of others, nor its own before it was made anew.
pub(crate) fn export_counts(counts: &[Exported<'_>], from: Timestamp, to: Timestamp) -> Result<(), &'static str> {
    let (start_time, time) = (datetime(from), datetime(to));
    let metric = |counted: &Exported<'_>| {
        let attributes =
            counted.labels.iter().map(|(key, value)| KeyValue { key: (*key).to_owned(), value: json(value) }).collect();
        let data = match counted.bounds {
            None => MetricData::U64Sum(Sum {
                data_points: vec![SumDataPoint {
                    attributes,
                    value: MetricNumber::U64(counted.numbers.first().copied().unwrap_or(0)),
                    exemplars: Vec::new(),
                }],
                start_time,
                time,
                temporality: Temporality::Delta,
                is_monotonic: true,
            }),
            Some(bounds) => {
                let (buckets, sum) = counted.numbers.split_at(counted.numbers.len().min(bounds.len() + 1));
                MetricData::F64Histogram(Histogram {
                    data_points: vec![HistogramDataPoint {
                        attributes,
                        count: buckets.iter().sum(),
                        bounds: bounds.iter().map(|microseconds| *microseconds as f64 / 1e6).collect(),
                        bucket_counts: buckets.to_vec(),
                        min: None,
                        max: None,
                        sum: MetricNumber::F64(sum.first().copied().unwrap_or(0) as f64 / 1e6),
                        exemplars: Vec::new(),
                    }],
                    start_time,
                    time,
                    temporality: Temporality::Delta,
                })
            }
        };
        // The collector adds what Prometheus's conventions add.
        let name = counted.name.trim_end_matches("_total").trim_end_matches("_seconds");
        let unit = if counted.bounds.is_some() { "s" } else { "1" };
        Metric { name: name.to_owned(), description: counted.help.to_owned(), unit: unit.to_owned(), data }
    };
    let resource = Resource {
        attributes: vec![
            KeyValue { key: "service.name".to_owned(), value: json(SERVICE_NAME) },
            KeyValue { key: "service.version".to_owned(), value: json(env!("CARGO_PKG_VERSION")) },
        ],
        schema_url: None,
    };
    let scope_metrics = vec![ScopeMetrics { scope: scope(), metrics: counts.iter().map(metric).collect() }];
    // The host's own words go no further.
    metrics::export(&ResourceMetrics { resource, scope_metrics }).map_err(|_| "the host did not take them")
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: SERVICE_NAME.to_owned(),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        schema_url: None,
        attributes: Vec::new(),
    }
}

fn attribute(key: &str, value: &Attribute) -> KeyValue {
    let value = match value {
        Attribute::Text(text) => json(text),
        Attribute::Number(number) => number.to_string(),
    };
    KeyValue { key: key.to_owned(), value }
}

/// Formats a text as the interface has values: in JSON.
fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn datetime(time: Timestamp) -> Datetime {
    Datetime {
        seconds: u64::try_from(time.as_second()).unwrap_or(0),
        nanoseconds: u32::try_from(time.subsec_nanosecond()).unwrap_or(0),
    }
}
