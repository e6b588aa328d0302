//! `wasi:otel@0.2.0-rc.2`, offered with `--otlp-endpoint`: sends the spans and metrics of a guest on to a collector, by
//! OTLP over HTTP in JSON.

use crate::bindings::telemetry::wasi::otel::metrics::{
    self, HistogramDataPoint, MetricData, MetricNumber, ResourceMetrics, SumDataPoint, Temporality,
};
use crate::bindings::telemetry::wasi::otel::tracing::{self, SpanContext, SpanData, SpanKind, Status, TraceFlags};
use crate::bindings::telemetry::wasi::otel::types::{self, InstrumentationScope, KeyValue};
use crate::guest::Guest;
use serde_json::{Value, json};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use wasmtime::Result;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;

/// Time for which spans are collected before they are sent.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);
/// Maximum number of spans that are sent together.
const MAX_SPANS: usize = 512;
/// Timeout of a request to the collector.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// One signal of a guest, in OTLP's JSON.
pub(crate) enum Signal {
    /// A scope and a span of it.
    Span { scope: Value, span: Value },
    /// The body of a request with metrics.
    Metrics(Value),
}

/// Starts a thread that sends signals to a collector until every sender is dropped.
pub(crate) fn exporter(endpoint: &str) -> Sender<Signal> {
    let (sender, receiver) = channel();
    let endpoint = endpoint.trim_end_matches('/').to_owned();
    std::thread::spawn(move || run_exporter(&endpoint, &receiver));
    sender
}

fn run_exporter(endpoint: &str, signals: &Receiver<Signal>) {
    let config = ureq::Agent::config_builder().timeout_global(Some(SEND_TIMEOUT)).build();
    let agent = ureq::Agent::from(config);
    let send = |path: &str, body: &Value| {
        let request = agent.post(format!("{endpoint}{path}")).header("content-type", "application/json");
        if let Err(error) = request.send(body.to_string()) {
            eprintln!("the collector did not take what was exported: {error}");
        }
    };
    while let Ok(first) = signals.recv() {
        let (start, mut spans, mut next) = (Instant::now(), Vec::new(), Some(first));
        while let Some(signal) = next {
            match signal {
                Signal::Span { scope, span } => spans.push(json!({ "scope": scope, "spans": [span] })),
                Signal::Metrics(metrics) => send("/v1/metrics", &metrics),
            }
            let left = FLUSH_INTERVAL.saturating_sub(start.elapsed());
            next = if spans.len() < MAX_SPANS { signals.recv_timeout(left).ok() } else { None };
        }
        if !spans.is_empty() {
            // Spin's own resource has no other attribute.
            let resource =
                json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": "edge-host" } }] });
            send("/v1/traces", &json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": spans }] }));
        }
    }
}

impl Guest {
    fn export(&self, signal: Signal) {
        if let Some(exporter) = &self.shared.exporter {
            // The thread ends with the process.
            let _ = exporter.send(signal);
        }
    }
}

impl types::Host for &mut Guest {}

impl tracing::Host for &mut Guest {
    async fn on_start(&mut self, _: SpanContext) -> Result<()> {
        Ok(())
    }

    async fn on_end(&mut self, span: SpanData) -> Result<()> {
        let kind = match span.span_kind {
            SpanKind::Internal => 1,
            SpanKind::Server => 2,
            SpanKind::Client => 3,
            SpanKind::Producer => 4,
            SpanKind::Consumer => 5,
        };
        let status = match span.status {
            Status::Unset => json!({}),
            Status::Ok => json!({ "code": 1 }),
            Status::Error(message) => json!({ "code": 2, "message": message }),
        };
        let scope = scope(&span.instrumentation_scope);
        let span = json!({
            "traceId": span.span_context.trace_id, "spanId": span.span_context.span_id,
            "parentSpanId": span.parent_span_id, "name": span.name, "kind": kind,
            "startTimeUnixNano": nanoseconds(span.start_time), "endTimeUnixNano": nanoseconds(span.end_time),
            "attributes": attributes(&span.attributes), "status": status,
        });
        self.export(Signal::Span { scope, span });
        Ok(())
    }

    /// Returns no span: this host traces nothing itself.
    async fn outer_span_context(&mut self) -> Result<SpanContext> {
        Ok(SpanContext {
            trace_id: "0".repeat(32),
            span_id: "0".repeat(16),
            trace_flags: TraceFlags::empty(),
            is_remote: false,
            trace_state: Vec::new(),
        })
    }
}

impl metrics::Host for &mut Guest {
    async fn export(&mut self, exported: ResourceMetrics) -> Result<std::result::Result<(), String>> {
        let mut scopes = Vec::new();
        for scoped in &exported.scope_metrics {
            let mut exported_metrics = Vec::new();
            for metric in &scoped.metrics {
                let (kind, data) = match &metric.data {
                    MetricData::U64Sum(sum) | MetricData::F64Sum(sum) | MetricData::S64Sum(sum) => {
                        let points = sum.data_points.iter().map(|point| sum_point(point, sum.start_time, sum.time));
                        let data = json!({ "dataPoints": points.collect::<Vec<_>>(), "isMonotonic": sum.is_monotonic });
                        ("sum", with_temporality(data, sum.temporality))
                    }
                    MetricData::F64Histogram(histogram) | MetricData::U64Histogram(histogram) => {
                        let point = |point| histogram_point(point, histogram.start_time, histogram.time);
                        let points: Vec<Value> = histogram.data_points.iter().map(point).collect();
                        ("histogram", with_temporality(json!({ "dataPoints": points }), histogram.temporality))
                    }
                    _ => return Ok(Err("this host exports sums and histograms".to_owned())),
                };
                exported_metrics.push(
                    json!({ "name": metric.name, "description": metric.description, "unit": metric.unit, kind: data }),
                );
            }
            scopes.push(json!({ "scope": scope(&scoped.scope), "metrics": exported_metrics }));
        }
        let resource = json!({ "attributes": attributes(&exported.resource.attributes) });
        Guest::export(
            self,
            Signal::Metrics(json!({ "resourceMetrics": [{ "resource": resource, "scopeMetrics": scopes }] })),
        );
        Ok(Ok(()))
    }
}

fn with_temporality(mut data: Value, temporality: Temporality) -> Value {
    data["aggregationTemporality"] = match temporality {
        Temporality::Delta => json!(1),
        Temporality::Cumulative | Temporality::LowMemory => json!(2),
    };
    data
}

fn sum_point(point: &SumDataPoint, start: Datetime, end: Datetime) -> Value {
    let (kind, value) = match point.value {
        MetricNumber::F64(number) => ("asDouble", json!(number)),
        // OTLP's JSON has 64-bit numbers as text.
        MetricNumber::S64(number) => ("asInt", json!(number.to_string())),
        MetricNumber::U64(number) => ("asInt", json!(number.to_string())),
    };
    json!({
        "attributes": attributes(&point.attributes), "startTimeUnixNano": nanoseconds(start),
        "timeUnixNano": nanoseconds(end), kind: value,
    })
}

fn histogram_point(point: &HistogramDataPoint, start: Datetime, end: Datetime) -> Value {
    let sum = match point.sum {
        MetricNumber::F64(number) => number,
        MetricNumber::S64(number) => number as f64,
        MetricNumber::U64(number) => number as f64,
    };
    json!({
        "attributes": attributes(&point.attributes), "startTimeUnixNano": nanoseconds(start),
        "timeUnixNano": nanoseconds(end), "count": point.count.to_string(), "sum": sum, "explicitBounds": point.bounds,
        "bucketCounts": point.bucket_counts.iter().map(u64::to_string).collect::<Vec<_>>(),
    })
}

fn scope(scope: &InstrumentationScope) -> Value {
    json!({ "name": scope.name, "version": scope.version })
}

fn attributes(attributes: &[KeyValue]) -> Vec<Value> {
    let one = |KeyValue { key, value }: &KeyValue| {
        let value = match serde_json::from_str(value) {
            Ok(Value::Bool(value)) => json!({ "boolValue": value }),
            Ok(Value::Number(value)) if value.is_i64() => json!({ "intValue": value.to_string() }),
            Ok(Value::Number(value)) => json!({ "doubleValue": value }),
            Ok(Value::String(value)) => json!({ "stringValue": value }),
            // Text that is no JSON, and JSON that OTLP has no plain form of, is passed on as it is.
            _ => json!({ "stringValue": value }),
        };
        json!({ "key": key, "value": value })
    };
    attributes.iter().map(one).collect()
}

fn nanoseconds(time: Datetime) -> String {
    (u128::from(time.seconds) * 1_000_000_000 + u128::from(time.nanoseconds)).to_string()
}
