//! `wasi:otel@0.2.0-rc.2`, offered with `--otlp-endpoint`: what a guest exports goes on to a collector, by OTLP over HTTP in JSON.

use crate::bindings::telemetry::wasi::otel::metrics::{
    self, HistogramDataPoint, MetricData, MetricNumber, ResourceMetrics, SumDataPoint, Temporality,
};
use crate::bindings::telemetry::wasi::otel::tracing::{self, SpanContext, SpanData, SpanKind, Status, TraceFlags};
use crate::bindings::telemetry::wasi::otel::types::{self, InstrumentationScope, KeyValue};
use crate::instance::Guest;
use serde_json::{Value, json};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use wasmtime::Result;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;

/// How long spans are gathered before they are sent, and the most of them.
const GATHERED: Duration = Duration::from_millis(100);
const MOST_SPANS: usize = 512;
const PATIENCE: Duration = Duration::from_secs(5);

/// On its way to the collector.
pub(crate) enum Exported {
    /// A scope and a span of it.
    Span(Value, Value),
    Metrics(Value),
}

/// Sends what it is given to a collector, in a thread of its own, until nobody can give it any more.
pub(crate) fn exporter(endpoint: &str) -> Sender<Exported> {
    let (sender, receiver) = channel();
    let endpoint = endpoint.trim_end_matches('/').to_owned();
    std::thread::spawn(move || export(&endpoint, &receiver));
    sender
}

fn export(endpoint: &str, given: &Receiver<Exported>) {
    let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build();
    let agent = ureq::Agent::from(config);
    let send = |path: &str, body: &Value| {
        let request = agent.post(format!("{endpoint}{path}")).header("content-type", "application/json");
        if let Err(error) = request.send(body.to_string()) {
            eprintln!("the collector did not take what was exported: {error}");
        }
    };
    while let Ok(first) = given.recv() {
        let (begun, mut spans, mut next) = (Instant::now(), Vec::new(), Some(first));
        while let Some(exported) = next {
            match exported {
                Exported::Span(scope, span) => spans.push(json!({ "scope": scope, "spans": [span] })),
                Exported::Metrics(metrics) => send("/v1/metrics", &metrics),
            }
            let left = GATHERED.saturating_sub(begun.elapsed());
            next = if spans.len() < MOST_SPANS { given.recv_timeout(left).ok() } else { None };
        }
        if !spans.is_empty() {
            // Spin says no more of itself.
            let resource =
                json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": "edge-host" } }] });
            send("/v1/traces", &json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": spans }] }));
        }
    }
}

impl Guest {
    fn export(&self, exported: Exported) {
        if let Some(exporter) = &self.exporter {
            // The thread ends with the process.
            let _ = exporter.send(exported);
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
        let told = json!({
            "traceId": span.span_context.trace_id, "spanId": span.span_context.span_id, "parentSpanId": span.parent_span_id,
            "name": span.name, "kind": kind, "startTimeUnixNano": nanoseconds(span.start_time),
            "endTimeUnixNano": nanoseconds(span.end_time), "attributes": attributes(&span.attributes), "status": status,
        });
        self.export(Exported::Span(scope(&span.instrumentation_scope), told));
        Ok(())
    }

    /// This host traces nothing itself.
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
            let mut told = Vec::new();
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
                told.push(
                    json!({ "name": metric.name, "description": metric.description, "unit": metric.unit, kind: data }),
                );
            }
            scopes.push(json!({ "scope": scope(&scoped.scope), "metrics": told }));
        }
        let resource = json!({ "attributes": attributes(&exported.resource.attributes) });
        Guest::export(
            self,
            Exported::Metrics(json!({ "resourceMetrics": [{ "resource": resource, "scopeMetrics": scopes }] })),
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
            // What is no JSON, and what OTLP has no plain form of, goes as it came.
            _ => json!({ "stringValue": value }),
        };
        json!({ "key": key, "value": value })
    };
    attributes.iter().map(one).collect()
}

fn nanoseconds(time: Datetime) -> String {
    (u128::from(time.seconds) * 1_000_000_000 + u128::from(time.nanoseconds)).to_string()
}
