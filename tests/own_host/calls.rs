//! The calls to the host that a request costs, and the work that follows its answer, where each request has an instance
//! of its own.

use harness::supabase::{FakeSupabase, Reply};
use harness::tokens::{ANON_KEY, SECRET, token};
use harness::{DEPRESSED, EUTHYMIC, Host, MANIC, MIXED, Response, state, wait_for, wait_until};
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

/// A host that writes down the calls of each request.
struct Counted {
    host: Host,
    file: PathBuf,
    _state: TempDir,
}

impl Counted {
    fn start(variables: &[&str], flags: &[&str]) -> Counted {
        let state = state();
        let file = state.path().join("calls");
        let calls = ["--calls-file", file.to_str().expect("UTF-8")];
        // Whether a request is counted in the metrics is chance: here hardly any is.
        let variables = variables.iter().chain(&["metrics_sampling=1000000"]);
        let variables = variables.flat_map(|variable| ["--variable", variable]);
        let host = Host::start(&state, &variables.chain(calls).chain(flags.iter().copied()).collect::<Vec<_>>());
        Counted { host, file, _state: state }
    }

    /// Asks, and returns the answer with the calls that it cost, those after it too.
    fn ask(&self, ask: impl FnOnce(&Host) -> Response) -> (Response, Value) {
        let lines = || std::fs::read_to_string(&self.file).unwrap_or_default();
        let before = lines().lines().count();
        let answer = ask(&self.host);
        let line = wait_for(|| lines().lines().nth(before).and_then(|line| serde_json::from_str(line).ok()));
        (answer, line)
    }
}

fn predictions(host: &Host) -> Response {
    host.predictions(DEPRESSED, "")
}

/// The sum of all calls to the store and for variables.
fn sum(calls: &Value) -> u64 {
    let store = calls["store"].as_object().expect("calls of the store").values();
    store.map(|count| count.as_u64().expect("a count")).sum::<u64>() + calls["variables"].as_u64().expect("a count")
}

#[test]
fn cached_answer_costs_few_calls_and_no_write_and_an_uncached_one_a_single_write() {
    // With limits, which are read too, and without.
    for (limit, reads) in [("rate_limit_predictions=1000000/day", 3), ("rate_limit_predictions=off", 2)] {
        let counted = Counted::start(&[limit, "counting_writes_per_second=1"], &[]);
        let mut uncached = Vec::new();
        for person in [DEPRESSED, EUTHYMIC, MANIC, MIXED] {
            let (answer, calls) = counted.ask(|host| host.predictions(person, ""));
            assert_eq!(answer.header("x-cache"), "MISS");
            // The first request of all is counted for its limit, if there is one.
            uncached.push((sum(&calls), calls["store"]["set"].as_u64().expect("a count")));
        }
        uncached.sort_unstable();
        // One miss in sixteen also sweeps.
        assert!(uncached[1].0 <= 8 && uncached[1].1 < reads, "{uncached:?}");
        let mut written = 0;
        for _ in 0..100 {
            let (answer, calls) = counted.ask(predictions);
            assert_eq!(answer.header("x-cache"), "HIT");
            assert_eq!((&calls["store"]["get"], &calls["variables"]), (&json!(reads), &json!(1)), "{calls}");
            written += calls["store"]["set"].as_u64().expect("a count");
            assert!(sum(&calls) <= 7, "{calls}");
        }
        assert!(written <= if reads == 3 { 30 } else { 0 }, "a hit writes nothing nearly always: {written}");
    }
}

#[test]
fn answers_that_need_no_store_ask_it_nothing() {
    let counted = Counted::start(&[], &[]);
    let (answer, calls) = counted.ask(|host| host.get("/health/live"));
    assert_eq!((answer.status, sum(&calls)), (200, 0), "{calls}");
    let checkins = json!({ "as_of": "2031-01-01", "checkins": [{ "checkin_date": "2031-01-01", "hoursSlept": 7 }] });
    let (answer, calls) = counted.ask(|host| host.post("/data/predictions", &checkins));
    assert_eq!((answer.status, sum(&calls)), (200, 1), "{calls}");
    let (answer, calls) = counted.ask(|host| host.get("/v2/models/mood_state"));
    assert_eq!((answer.status, sum(&calls)), (200, 1), "{calls}");
}

#[test]
fn signed_in_caller_costs_no_more() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let [url, anon, secret] = [
        format!("supabase_url={}", supabase.url),
        format!("supabase_anon_key={ANON_KEY}"),
        format!("supabase_jwt_secret={SECRET}"),
    ];
    let counted = Counted::start(&[&url, &anon, &secret, "rate_limit_predictions=1000000/day"], &[]);
    let bearer = format!("Bearer {}", token(&supabase.url, DEPRESSED));
    let ask = |days: u8| {
        let path = format!("/data/predictions/{DEPRESSED}?window_days={days}");
        counted.ask(|host| host.request("GET", &path, &[("authorization", bearer.as_str())]))
    };
    // One miss in sixteen also sweeps, which reads 64 slots: this is about one that does not.
    let uncached = (1..=8).find_map(|days| {
        let (answer, calls) = ask(days);
        assert_eq!((answer.header("x-cache"), &calls["http"]), ("MISS", &json!(1)), "{calls}");
        let reads = calls["store"]["get"].as_u64().expect("a count");
        (reads < 64).then_some((days, calls))
    });
    let (days, calls) = uncached.expect("eight sweeps in a row");
    assert!(sum(&calls) <= 8, "{calls}");
    let (answer, calls) = ask(days);
    assert_eq!((answer.header("x-cache"), &calls["http"]), ("HIT", &json!(0)), "{calls}");
    assert!(sum(&calls) <= 7, "{calls}");
}

#[test]
fn nothing_is_wrong_where_the_host_ends_the_guest_with_its_response_and_nothing_lost_where_it_works_before() {
    let asynchronous =
        |host: &Host| host.request("GET", &format!("/data/predictions/{MANIC}"), &[("prefer", "respond-async")]);
    let ends = ["--end-with-response"];
    let after = Counted::start(&["work_after_response=true", "inference_timeout_seconds=1"], &ends);
    for _ in 0..3 {
        assert_eq!(after.ask(predictions).0.header("x-cache"), "MISS", "nothing was kept");
    }
    let accepted = asynchronous(&after.host);
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    let lost = wait_for(|| {
        let job = after.host.get(accepted.header("location")).json();
        (job["status"] != "running").then_some(job)
    });
    assert_eq!(lost["error"]["type"], "urn:bipolar-edge:problem:job-lost", "{lost}");
    assert_eq!(after.host.request("DELETE", &format!("/data/predictions/{DEPRESSED}"), &[]).status, 200);

    let before = Counted::start(&["work_after_response=false"], &ends);
    assert_eq!(before.ask(predictions).0.header("x-cache"), "MISS");
    assert_eq!(before.ask(predictions).0.header("x-cache"), "HIT");
    let accepted = asynchronous(&before.host);
    assert_eq!(before.host.get(accepted.header("location")).json()["status"], "done");
    assert_eq!(before.host.predictions(MANIC, "").header("x-cache"), "HIT");
    wait_until(|| before.host.log().contains("\"cache\":\"hit\""));
}

#[test]
fn invalidation_reaches_another_region_as_late_as_its_store() {
    let state = state();
    let lag = ["--replica-lag", "1s", "--variable", "cache_key_secret=a secret that every region has"];
    let [near, far] = [Host::start(&state, &lag), Host::start(&state, &lag)];
    near.wait_for_hit(EUTHYMIC, "");
    far.wait_for_hit(EUTHYMIC, "");
    assert_eq!(near.request("DELETE", &format!("/data/predictions/{EUTHYMIC}"), &[]).status, 200);
    wait_until(|| far.predictions(EUTHYMIC, "").header("x-cache") == "MISS");
    // Where it was asked for it holds at once.
    near.wait_for_hit(MANIC, "");
    assert_eq!(near.request("DELETE", &format!("/data/predictions/{MANIC}"), &[]).status, 200);
    assert_eq!(near.predictions(MANIC, "").header("x-cache"), "MISS");
}

#[test]
fn quotas_of_the_clouds_are_no_reason_to_fail() {
    for platform in ["fermyon-cloud", "akamai-functions"] {
        let counted = Counted::start(
            &["metrics_sampling=16", "rate_limit_predictions=60/minute", "client_ip_header=x-caller"],
            &["--platform", platform],
        );
        // More people, windows and callers than a store has keys or a second has writes.
        for turn in 0..150 {
            let path = format!("/data/predictions/{DEPRESSED}?window_days={}", 1 + turn % 30);
            let caller = format!("198.51.100.{}", turn % 50);
            let answer = counted.host.request("GET", &path, &[("x-caller", &caller)]);
            assert_eq!(answer.status, 200, "{platform}: {}", answer.body);
        }
        // What readiness writes may be the one write too many of a second.
        wait_until(|| counted.host.get("/health/ready").json()["store"] == "ok");
    }
}
