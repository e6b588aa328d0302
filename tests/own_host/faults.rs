//! The service while its store fails. Only the project's own host can make it fail. What a slow store costs depends on
//! the module: the interface of WASI 0.3 can be given up on, that of 0.2 is waited for.

use harness::supabase::{FakeSupabase, Reply};
use harness::tokens::{ANON_KEY, SERVICE_KEY};
use harness::{DEPRESSED, Host, TYPES, state, wait_for, wait_until, without_ids};
use serde_json::json;
use std::time::{Duration, Instant};
use tempfile::TempDir;

#[test]
fn store_errors_never_fail_a_prediction() {
    let host = Host::with_flags(&["--store-fault", "errors"]);
    for _ in 0..5 {
        let answer = host.predictions(DEPRESSED, "");
        assert_eq!(answer.header("x-cache"), "BYPASS");
        assert_eq!(answer.json()["predictions"].as_array().map(Vec::len), Some(TYPES.len()));
    }
    let ready = host.get("/health/ready");
    assert_eq!((ready.status, ready.json()["store"].as_str()), (200, Some("unavailable")));
    wait_until(|| host.log().contains("the prediction cache could not be read: store error"));
    assert!(!host.log().contains(DEPRESSED), "a user id is in the log");
}

#[test]
fn slow_store_opens_the_circuit_breaker() {
    let state = state();
    let host = Host::start_fast(&state, &["--store-fault", "slow=5s", "--max-instance-reuse-count", "1000"]);
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(host.predictions(DEPRESSED, "").header("x-cache"), "BYPASS");
    }
    // Waiting for the store even once would take five seconds: this is no measurement of speed.
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    wait_until(|| host.log().contains("the store is too slow and is left alone for a while"));
}

#[test]
fn slow_store_is_waited_for_where_its_interface_is_synchronous_and_asked_as_seldom_as_can_be() {
    let host = Host::with_flags(&["--store-fault", "slow=300ms", "--variable", "work_after_response=true"]);
    let start = Instant::now();
    let answer = host.predictions(DEPRESSED, "");
    assert!(start.elapsed() >= Duration::from_millis(600), "two reads: {:?}", start.elapsed());
    assert_eq!(answer.header("x-cache"), "MISS");
    let start = Instant::now();
    let posted = host.post("/data/predictions", &json!({ "checkins": [{ "checkin_date": "2026-01-01" }] }));
    assert_eq!(posted.status, 200, "{}", posted.body);
    // Without a limit there is nothing to ask the store for.
    assert!(start.elapsed() < Duration::from_millis(300), "{:?}", start.elapsed());
}

#[test]
fn lost_writes_cost_cache_hits_only() {
    let host = Host::with_flags(&["--store-fault", "loses-writes"]);
    let first = host.predictions(DEPRESSED, "").json();
    for _ in 0..5 {
        let answer = host.predictions(DEPRESSED, "");
        assert_eq!(answer.header("x-cache"), "MISS");
        assert_eq!(without_ids(answer.json())["predictions"], without_ids(first.clone())["predictions"]);
    }
}

#[test]
fn recovered_store_is_used_again() {
    let state = state();
    let fault = state.path().join("fault");
    std::fs::write(&fault, "errors").expect("written");
    let host = Host::start_fast(&state, &["--store-fault", &format!("@{}", fault.display())]);
    assert_eq!(host.predictions(DEPRESSED, "").header("x-cache"), "BYPASS");
    std::fs::write(&fault, "").expect("written");
    assert_eq!(host.predictions(DEPRESSED, "").header("x-cache"), "MISS");
    host.wait_for_hit(DEPRESSED, "");
    std::fs::write(&fault, "slow=3s").expect("written");
    assert_eq!(host.predictions(DEPRESSED, "").header("x-cache"), "BYPASS");
    std::fs::write(&fault, "").expect("written");
    host.wait_for_hit(DEPRESSED, "");
}

#[test]
fn rate_limits_fail_open_with_a_warning() {
    let limits = ["--variable", "rate_limit_predictions=1/day", "--variable", "rate_limit_default=1/day"];
    for (start_host, fault) in [
        (Host::start as fn(&TempDir, &[&str]) -> Host, "errors"),
        (Host::start_fast, "errors"),
        (Host::start_fast, "slow=5s"),
    ] {
        let state = state();
        let host = start_host(&state, &[&["--store-fault", fault][..], &limits].concat());
        let start = Instant::now();
        for _ in 0..10 {
            assert_eq!(host.predictions(DEPRESSED, "").header("ratelimit-limit"), "", "nobody knows where they stand");
        }
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
        wait_until(|| host.log().contains("requests could not be counted and are let through"));
    }
}

#[test]
fn failed_invalidation_is_503() {
    let host = Host::with_flags(&["--store-fault", "errors"]);
    let answer = host.request("DELETE", &format!("/data/predictions/{DEPRESSED}"), &[]);
    assert_eq!((answer.status, answer.header("retry-after")), (503, "2"), "{}", answer.body);
}

#[test]
fn store_failure_makes_a_job_direct_or_lost() {
    let state = state();
    let fault = state.path().join("fault");
    std::fs::write(&fault, "errors").expect("written");
    let supabase = FakeSupabase::start(vec![Reply::RowsAfter(Duration::from_millis(500))]);
    let variables = [
        format!("supabase_url={}", supabase.url),
        format!("supabase_anon_key={ANON_KEY}"),
        "auth_mode=off".to_owned(),
        format!("supabase_service_key={SERVICE_KEY}"),
        "inference_timeout_seconds=1".to_owned(),
    ];
    let flags = variables.iter().flat_map(|variable| ["--variable", variable]);
    let faulty = format!("@{}", fault.display());
    let host = Host::start(&state, &flags.chain(["--store-fault", &faulty]).collect::<Vec<_>>());
    let path = format!("/data/predictions/{DEPRESSED}");
    let ask = || host.request("GET", &path, &[("prefer", "respond-async")]);
    let direct = ask();
    assert_eq!((direct.status, direct.header("x-cache")), (200, "BYPASS"), "{}", direct.body);
    wait_until(|| host.log().contains("a background prediction could not be begun and is made at once"));

    std::fs::write(&fault, "").expect("written");
    let accepted = ask();
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    std::fs::write(&fault, "errors").expect("written");
    let location = accepted.header("location");
    assert_eq!(host.get(location).status, 503, "nobody knows");
    wait_until(|| host.log().contains("the end of a background prediction could not be written"));
    std::fs::write(&fault, "").expect("written");
    assert_eq!(host.get(location).json()["status"], "running");
    let job = wait_for(|| Some(host.get(location).json()).filter(|job| job["status"] != "running"));
    assert_eq!(job["error"]["type"], "urn:bipolar-edge:problem:job-lost", "{job}");
}

#[test]
fn unflushed_metrics_are_flushed_once_the_store_recovers() {
    let state = state();
    let fault = state.path().join("fault");
    std::fs::write(&fault, "").expect("written");
    let host = Host::start_fast(&state, &["--store-fault", &format!("@{}", fault.display())]);
    host.predictions(DEPRESSED, "");
    std::fs::write(&fault, "errors").expect("written");
    assert_eq!(host.get("/metrics").status, 503);
    for _ in 0..5 {
        host.predictions(DEPRESSED, "");
    }
    std::fs::write(&fault, "").expect("written");
    wait_for(|| {
        let text = host.get("/metrics").body;
        let sample = |series: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
            value.map_or(0, |value| value.parse::<u64>().expect("a number"))
        };
        let route = "route=\"/data/predictions/{user_id}\",method=\"GET\",status=\"200\"";
        let answered = sample(&format!("bipolar_edge_http_requests_total{{{route}}}"));
        assert!(answered <= 6, "{text}");
        (answered == 6
            && sample("bipolar_edge_warnings_total{event=\"cache_not_read\"}") >= 5
            && sample("bipolar_edge_store_errors_total{operation=\"get\",cause=\"store error\"}") >= 5)
            .then_some(())
    });
}
