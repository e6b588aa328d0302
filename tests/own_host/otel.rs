//! Telemetry through the host: a module that was built for it, and a stand-in for an OpenTelemetry collector.

use harness::http::{read_request, write_json};
use harness::supabase::{self, FakeSupabase, Reply};
use harness::tokens::token;
use harness::{DEPRESSED, Host, built, state, wait_for, wait_until};
use serde_json::{Value, json};
use std::cell::Cell;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// A collector, and what reached it: the path and the body.
struct Collector {
    url: String,
    taken: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Collector {
    fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let taken: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let own = taken.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let (head, body) = read_request(&stream);
                let path = head[0].split(' ').nth(1).expect("a path").to_owned();
                own.lock().expect("no test failed").push((path, serde_json::from_str(&body).expect("JSON")));
                write_json(&mut stream, 200, "{}");
            }
        });
        Collector { url, taken }
    }

    fn text(&self) -> String {
        format!("{:?}", self.taken.lock().expect("no test failed"))
    }

    /// Every span so far.
    fn spans(&self) -> Vec<Value> {
        let taken = self.taken.lock().expect("no test failed");
        let traces = taken.iter().filter(|(path, _)| path == "/v1/traces");
        let scopes =
            traces.flat_map(|(_, body)| body["resourceSpans"][0]["scopeSpans"].as_array().expect("scopes").clone());
        scopes.flat_map(|scope| scope["spans"].as_array().expect("spans").clone()).collect()
    }

    /// The sum of all data points of a metric that have an attribute with a value.
    fn sum(&self, name: &str, attribute: (&str, &str)) -> u64 {
        let taken = self.taken.lock().expect("no test failed");
        let mut sum = 0;
        for (_, body) in taken.iter().filter(|(path, _)| path == "/v1/metrics") {
            let resource = &body["resourceMetrics"][0];
            assert_eq!(
                resource["resource"]["attributes"][0],
                json!({ "key": "service.name", "value": { "stringValue": "bipolar-edge" } })
            );
            for metric in resource["scopeMetrics"][0]["metrics"].as_array().expect("metrics") {
                if metric["name"] != name {
                    continue;
                }
                let kind = if metric["sum"].is_null() { "histogram" } else { "sum" };
                assert_eq!(metric[kind]["aggregationTemporality"], 1, "differences");
                for point in metric[kind]["dataPoints"].as_array().expect("points") {
                    let wanted = json!({ "key": attribute.0, "value": { "stringValue": attribute.1 } });
                    if point["attributes"].as_array().is_some_and(|all| all.contains(&wanted)) {
                        let number = if kind == "sum" { &point["asInt"] } else { &point["count"] };
                        sum += number.as_str().and_then(|number| number.parse::<u64>().ok()).expect("a number");
                    }
                }
            }
        }
        sum
    }
}

/// The manifest of the module that exports.
fn manifest(state: &TempDir) -> PathBuf {
    let manifest = std::fs::read_to_string(harness::FAST).expect("the manifest");
    let module = std::path::absolute(built("otel/bipolar_edge_spin_4_1.wasm")).expect("a path").display().to_string();
    let file = state.path().join(harness::FAST);
    let own = manifest.replace("target/wasm32-wasip2/release/bipolar_edge_spin_4_1.wasm", &module);
    std::fs::write(&file, own).expect("written");
    file
}

#[test]
fn exporting_module_sends_spans_and_metrics_without_personal_data() {
    let (collector, supabase, state) = (Collector::start(), FakeSupabase::start(vec![Reply::Rows]), state());
    let project = supabase::variables(&supabase.url);
    let variables = project.iter().map(String::as_str).chain(["protect_operations=false"]);
    let flags = variables.flat_map(|variable| ["--variable", variable]);
    let flags: Vec<&str> = flags.chain(["--otlp-endpoint", collector.url.as_str()]).collect();
    let host = Host::start_manifest(&manifest(&state), &state, &flags);

    let (id, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let authorization = format!("Bearer {}", token(&supabase.url, DEPRESSED));
    let path = format!("/data/predictions/{DEPRESSED}");
    let traceparent = format!("00-{id}-{parent}-01");
    let headers = [("authorization", authorization.as_str()), ("traceparent", traceparent.as_str())];
    assert_eq!(host.request("GET", &path, &headers).header("x-cache"), "MISS");
    assert_eq!(host.get("/data/predictions/x").status, 401);
    let mut unsampled = headers;
    let not = traceparent.replace("-01", "-00");
    unsampled[1] = ("traceparent", &not);
    let unsampled_requests = Cell::new(0);
    wait_for(|| {
        unsampled_requests.set(unsampled_requests.get() + 1);
        Some(host.request("GET", &path, &unsampled)).filter(|answer| answer.header("x-cache") == "HIT")
    });

    let route = "/data/predictions/{user_id}";
    let spans = wait_for(|| {
        let spans = collector.spans();
        (spans.iter().filter(|span| span["kind"] == 2).count() >= 2).then_some(spans)
    });
    let server = spans.iter().find(|span| span["traceId"] == id && span["kind"] == 2).expect("the request's span");
    assert_eq!((&server["name"], &server["parentSpanId"]), (&json!(format!("GET {route}")), &json!(parent)));
    let attribute = |key: &str| {
        let all = server["attributes"].as_array().expect("attributes");
        all.iter().find(|one| one["key"] == key).map(|one| one["value"].clone())
    };
    assert_eq!(attribute("http.response.status_code"), Some(json!({ "intValue": "200" })));
    assert_eq!(attribute("bipolar_edge.cache"), Some(json!({ "stringValue": "miss" })));
    let parts: Vec<&str> = spans
        .iter()
        .filter(|span| span["parentSpanId"] == server["spanId"])
        .filter_map(|span| span["name"].as_str())
        .collect();
    for part in ["access", "cache", "source", "features", "inference"] {
        assert!(parts.contains(&part), "{part} is not in {parts:?}");
    }
    assert_eq!(
        spans.iter().filter(|span| span["traceId"] == id && span["kind"] == 2).count(),
        1,
        "the other was not sampled"
    );
    let refused = spans.iter().find(|span| span["traceId"] != id && span["kind"] == 2).expect("a trace of its own");
    assert_eq!((&refused["parentSpanId"], &refused["status"]), (&json!(""), &json!({})), "a caller's own mistake");
    let upstream = supabase.requests();
    let step = server["spanId"].as_str().expect("an id");
    assert!(upstream[0].contains(&format!("traceparent: 00-{id}-{step}-01")), "{}", upstream[0]);

    // Every request is handed over, whatever instance answered it.
    let made = 2 + unsampled_requests.get();
    wait_until(|| collector.sum("bipolar_edge_http_requests", ("route", route)) == made);
    assert_eq!(collector.sum("bipolar_edge_http_request_duration", ("route", route)), made);
    let text = collector.text();
    for secret in [DEPRESSED, "eyJ", harness::tokens::SECRET, harness::tokens::ANON_KEY] {
        assert!(!text.contains(secret), "{secret} was exported");
    }
}

#[test]
fn exporting_module_needs_wasi_otel_and_the_shipped_one_does_not() {
    let state = state();
    let refused = Host::try_start_manifest(&manifest(&state), &state, &[]).expect_err("it does not start");
    let refused = format!("{refused:#}");
    assert!(refused.contains("wasi:otel") && refused.contains("is not offered"), "{refused}");
    assert_eq!(Host::start(&state, &[]).get("/health/ready").status, 200);
}
