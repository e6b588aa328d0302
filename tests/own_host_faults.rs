//! What the service does when its store fails. Only the project's own host can make it fail.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

mod harness;

use harness::{DEPRESSED, Host, state, wait_for};
use std::time::Instant;

#[test]
fn a_store_that_errors_never_fails_an_answer() {
    let state = state();
    let host = Host::start(&state, &["--store-fault", "errors"]);
    for _ in 0..5 {
        let answer = host.predictions(DEPRESSED, "");
        assert_eq!(answer.header("x-cache"), "BYPASS");
        assert_eq!(answer.json()["predictions"].as_array().map(Vec::len), Some(5));
    }
    let ready = host.get("/health/ready");
    assert_eq!((ready.status, ready.json()["store"].as_str()), (200, Some("unavailable")));
    wait_for(|| host.log().contains("the prediction cache could not be read: store error").then_some(()));
    assert!(!host.log().contains(DEPRESSED), "a user id is in the log");
}

#[test]
fn a_slow_store_is_waited_for_once_and_then_left_alone() {
    let state = state();
    let host = Host::start(&state, &["--store-fault", "slow=5s", "--max-instance-reuse-count", "1000"]);
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(host.predictions(DEPRESSED, "").header("x-cache"), "BYPASS");
    }
    // Waiting for the store even once would take five seconds: this is no measurement of speed.
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    wait_for(|| host.log().contains("the store is too slow and is left alone for a while").then_some(()));
}

#[test]
fn a_store_that_loses_writes_costs_hits_and_nothing_else() {
    let state = state();
    let host = Host::start(&state, &["--store-fault", "loses-writes"]);
    let first = host.predictions(DEPRESSED, "").json();
    for _ in 0..5 {
        let answer = host.predictions(DEPRESSED, "");
        assert_eq!(answer.header("x-cache"), "MISS");
        assert_eq!(answer.json()["predictions"], first["predictions"]);
    }
}

#[test]
fn a_store_that_recovers_is_used_again() {
    let state = state();
    let fault = state.path().join("fault");
    std::fs::write(&fault, "errors").expect("written");
    let host = Host::start(&state, &["--store-fault", &format!("@{}", fault.display())]);
    assert_eq!(host.predictions(DEPRESSED, "").header("x-cache"), "BYPASS");
    std::fs::write(&fault, "").expect("written");
    assert_eq!(host.predictions(DEPRESSED, "").header("x-cache"), "MISS");
    host.until_hit(DEPRESSED, "");
    std::fs::write(&fault, "slow=3s").expect("written");
    assert_eq!(host.predictions(DEPRESSED, "").header("x-cache"), "BYPASS");
    std::fs::write(&fault, "").expect("written");
    host.until_hit(DEPRESSED, "");
}

#[test]
fn a_store_that_cannot_count_lets_requests_through_and_says_so() {
    let limits = ["--variable", "rate_limit_predictions=1/day", "--variable", "rate_limit_default=1/day"];
    for fault in ["errors", "slow=5s"] {
        let state = state();
        let host = Host::start(&state, &[&["--store-fault", fault][..], &limits].concat());
        let start = Instant::now();
        for _ in 0..10 {
            assert_eq!(host.predictions(DEPRESSED, "").header("ratelimit-limit"), "", "nobody knows where they stand");
        }
        // The counters' interface knows no time-out: a store that is slow must not be asked through it even once.
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
        wait_for(|| host.log().contains("requests could not be counted and are let through").then_some(()));
    }
}

#[test]
fn an_invalidation_that_the_store_does_not_take_is_an_error() {
    let state = state();
    let host = Host::start(&state, &["--store-fault", "errors"]);
    let answer = host.request("DELETE", &format!("/data/predictions/{DEPRESSED}"), &[]);
    assert_eq!((answer.status, answer.header("retry-after")), (503, "2"), "{}", answer.body);
}
