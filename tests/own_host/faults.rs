//! The service while its store fails. Only the project's own host can make it fail. What a slow store costs depends on
//! the module: the interface of WASI 0.3 can be given up on, that of 0.2 is waited for.

use harness::supabase::{FakeSupabase, Reply};
use harness::tokens::WEBHOOK_SECRET;
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
    let metrics = host.get("/metrics");
    assert!(metrics.status == 200 && metrics.body.contains("\nbipolar_edge_store_up 0\n"), "{}", metrics.body);
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
fn limits_are_those_of_one_instance_while_the_store_does_not_count_and_the_log_says_so_once() {
    let path = format!("/data/predictions/{DEPRESSED}");
    let limits = ["--variable", "rate_limit_predictions=5/day", "--variable", "rate_limit_default=5/day"];
    // Another instance answers each request of the portable module, and none knows of another.
    for (start_host, fault, counting, let_in) in [
        (Host::start as fn(&TempDir, &[&str]) -> Host, "errors", "off", 60),
        (Host::start_fast, "errors", "instance", 5),
        (Host::start_fast, "slow=5s", "instance", 5),
    ] {
        let state = state();
        let reused = ["--max-instance-reuse-count", "1000", "--max-instance-concurrent-reuse-count", "64"];
        let host = start_host(&state, &[&["--store-fault", fault][..], &limits, &reused].concat());
        let answers: Vec<_> = (0..60).map(|_| host.get(&path)).collect();
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), let_in, "{fault}: {statuses:?}");
        assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
        for answer in answers {
            let is_let_in = answer.status == 200;
            assert_eq!(answer.header("ratelimit-limit").is_empty(), is_let_in, "nobody knows how much is left");
        }
        assert_eq!(host.get("/health/ready").json()["counting"], counting, "{fault}");
        wait_until(|| host.log().contains("requests cannot be counted"));
        let lines = host.log().matches("\"not_limited\"").count();
        assert_eq!(lines, if let_in == 5 { 1 } else { 60 }, "one an instance");
    }
}

/// A store that is far away is slow and not dead: the cache and the limits go on.
#[test]
fn store_that_is_far_away_but_steady_is_used_and_counts() {
    let state = state();
    let flags = ["--store-fault", "slow=250ms", "--variable", "rate_limit_predictions=3/day"];
    let reused = ["--max-instance-reuse-count", "1000"];
    let host = Host::start_fast(&state, &[&flags[..], &reused].concat());
    let path = format!("/data/predictions/{DEPRESSED}");
    let answers: Vec<_> = (0..10).map(|_| host.get(&path)).collect();
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 3);
    assert!(answers.iter().all(|answer| answer.header("ratelimit-limit") == "3"), "the store counts");
    assert!(answers.iter().any(|answer| answer.header("x-cache") == "HIT"), "the cache answers");
    assert!(!host.log().contains("not_limited") && !host.log().contains("cache_not_read"), "{}", host.log());
}

#[test]
fn full_store_is_said_invalidates_erases_and_limits() {
    let path = format!("/data/predictions/{DEPRESSED}");
    for start_host in [Host::start as fn(&TempDir, &[&str]) -> Host, Host::start_fast] {
        let state = state();
        let fault = state.path().join("fault");
        std::fs::write(&fault, "").expect("written");
        let secret = format!("webhook_secret={WEBHOOK_SECRET}");
        let faulty = format!("@{}", fault.display());
        let host = start_host(&state, &["--store-fault", &faulty, "--variable", &secret]);
        let fill = |is_full: bool| std::fs::write(&fault, if is_full { "full" } else { "" }).expect("written");
        let condition = || host.get("/health/ready").json()["store"].as_str().map(str::to_owned);
        // Nothing was written lately, so it is tried.
        fill(true);
        assert_eq!(condition().as_deref(), Some("read_only"));
        assert_eq!(host.predictions(DEPRESSED, "").status, 200);
        for erases in [true, false] {
            fill(false);
            wait_until(|| condition().as_deref() == Some("ok"));
            host.wait_for_hit(DEPRESSED, "");
            fill(true);
            assert_eq!(host.predictions(DEPRESSED, "").header("x-cache"), "HIT", "what is there is served");
            if erases {
                let receipt = host.request("DELETE", &path, &[]);
                assert_eq!((receipt.status, &receipt.json()["erased"]["predictions"]), (200, &json!(1)));
            } else {
                let body = json!({ "table": "check_ins", "record": { "user_id": DEPRESSED } }).to_string();
                let headers = [("content-type", "application/json"), ("x-webhook-secret", WEBHOOK_SECRET)];
                assert_eq!(host.send("POST", "/hooks/check-ins", &headers, &body).status, 200);
            }
            assert_eq!(host.predictions(DEPRESSED, "").header("x-cache"), "MISS");
        }
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
    let flags = supabase.open_to_all(&["inference_timeout_seconds=1"]);
    let faulty = format!("@{}", fault.display());
    let flags = flags.iter().map(String::as_str).chain(["--store-fault", &faulty]);
    let host = Host::start(&state, &flags.collect::<Vec<_>>());
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
    let away = host.get("/metrics");
    assert_eq!(away.status, 200, "{}", away.body);
    assert!(away.body.contains("\nbipolar_edge_store_up 0\n"), "{}", away.body);
    assert!(!away.body.contains("\nbipolar_edge_http_requests_started_total 0"), "that would be a restart");
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
