//! Check-ins from a database, through a stand-in for PostgREST that says what a test has it say.

use harness::supabase::{FakeSupabase, Reply};
use harness::tokens::{ANON_KEY, token};
use harness::{DEPRESSED, Host, MANIC, Response, demo_rows, state, wait_for, wait_until, without_ids};
use serde_json::{Value, json};
use std::time::Duration;

/// Asks as the person.
fn ask(host: &Host, url: &str, query: &str) -> Response {
    let authorization = format!("Bearer {}", token(url, DEPRESSED));
    host.request("GET", &format!("/data/predictions/{DEPRESSED}{query}"), &[("authorization", &authorization)])
}

#[test]
fn database_rows_get_the_predictions_of_the_same_demo_check_ins() {
    let demo_host = Host::demo();
    let rows = demo_rows(DEPRESSED);
    let supabase = FakeSupabase::start(vec![Reply::rows(&rows[..34.min(rows.len())])]);
    let state = state();
    let mut host = Host::with_supabase(&state, &supabase.url, &[]);
    let query = "?window_days=7&limit_checkins=9&explain=true";
    let ours = ask(&host, &supabase.url, query);
    assert_eq!(ours.status, 200, "{}", ours.body);
    assert_eq!(ours.header("x-cache"), "MISS");
    let mut theirs = demo_host.predictions(DEPRESSED, query).json();
    theirs["generated_at"] = ours.json()["generated_at"].clone();
    assert_eq!(without_ids(ours.json()), without_ids(theirs));
    assert_eq!(host.get("/").json()["demo_people"], json!([]), "the demo people are nobody here");
    let authorization = format!("Bearer {}", token(&supabase.url, DEPRESSED));
    let day =
        host.request("GET", &format!("/data/prediction_of_day/{DEPRESSED}"), &[("authorization", &authorization)]);
    assert_eq!(day.json()["label"], "depression");

    let requests = supabase.requests();
    let begin = format!("GET /rest/v1/check_ins?select=*&user_id=eq.{DEPRESSED}&checkin_date=lte.20");
    assert!(requests[0].starts_with(&begin), "{}", requests[0]);
    assert!(requests[0].contains("&order=checkin_date.desc&limit=34 "), "{}", requests[0]);
    for header in [
        "accept: application/json",
        &format!("apikey: {ANON_KEY}"),
        &format!("authorization: Bearer {}", token(&supabase.url, DEPRESSED))[..40],
    ] {
        assert!(requests[0].contains(header), "{header}: {}", requests[0]);
    }
    assert_eq!(requests.len(), 2, "one request an answer");
    // What is kept for those who see everything is there after a restart, and the database is not asked.
    wait_until(|| ask(&host, &supabase.url, query).header("x-cache") == "HIT");
    host.stop("-TERM");
    let host = Host::with_supabase(&state, &supabase.url, &[]);
    assert_eq!(ask(&host, &supabase.url, query).header("x-cache"), "HIT");
    assert_eq!(supabase.requests().len(), 2);
}

#[test]
fn database_failures_have_their_own_problems_and_leak_nothing() {
    let secret = r#"{"code":"42P01","message":"relation \"secret_table\" does not exist"}"#.to_owned();
    let others = demo_rows(MANIC);
    let cases = [
        (Reply::Respond(401, secret.clone()), 502, "source-refused", 1),
        (Reply::Respond(403, secret.clone()), 502, "source-refused", 1),
        (Reply::Respond(404, secret.clone()), 503, "source-without-table", 1),
        (Reply::Respond(400, secret.clone()), 502, "source-malformed", 1),
        (Reply::Respond(302, secret.clone()), 502, "source-malformed", 1),
        (Reply::Respond(500, secret.clone()), 503, "source-failing", 1),
        (Reply::Respond(200, secret.clone()), 502, "source-malformed", 1),
        (Reply::Respond(200, "secret_table".to_owned()), 502, "source-malformed", 1),
        (Reply::Respond(200, "[7]".to_owned()), 502, "source-malformed", 1),
        (Reply::rows(&others), 502, "source-malformed", 1),
        (Reply::Respond(200, " ".repeat((1 << 20) + 1)), 502, "source-oversized", 1),
        (Reply::Disconnect, 503, "source-unreachable", 2),
        (Reply::Hang, 504, "source-slow", 1),
        (Reply::Trickle, 504, "source-slow", 1),
        (Reply::RowsAfter(Duration::from_secs(3)), 504, "source-slow", 1),
    ];
    for (reply, status, kind, requests) in cases {
        let supabase = FakeSupabase::start(vec![reply]);
        let state = state();
        let host = Host::with_supabase(&state, &supabase.url, &["--variable", "inference_timeout_seconds=1.5"]);
        let answer = ask(&host, &supabase.url, "");
        assert_eq!(answer.json()["type"], format!("urn:bipolar-edge:problem:{kind}"), "{}", answer.body);
        assert_eq!((answer.status, &answer.json()["status"]), (status, &json!(status)));
        assert_eq!(supabase.requests().len(), requests, "{kind}");
        for word in ["secret_table", "127.0.0.1", MANIC, DEPRESSED, "eyJ"] {
            assert!(!answer.body.contains(word), "{word}: {}", answer.body);
        }
        assert!(!host.log().contains("secret_table"), "{}", host.log());
    }
}

#[test]
fn unreachable_or_insecure_database_has_its_own_problem() {
    let plain = FakeSupabase::start(vec![Reply::Respond(400, String::new())]);
    let closed = harness::free_port();
    for (url, status, kind) in [
        (format!("http://127.0.0.1:{closed}"), 503, "source-unreachable"),
        (plain.url.replace("http", "https"), 502, "source-tls"),
    ] {
        let state = state();
        let host = Host::with_supabase(&state, &url, &[]);
        let answer = ask(&host, &url, "");
        assert_eq!(answer.json()["type"], format!("urn:bipolar-edge:problem:{kind}"), "{}", answer.body);
        assert_eq!(answer.status, status);
    }
}

#[test]
fn broken_connection_is_retried_once() {
    let supabase = FakeSupabase::start(vec![Reply::Disconnect, Reply::rows(&demo_rows(DEPRESSED))]);
    let state = state();
    let host = Host::with_supabase(&state, &supabase.url, &[]);
    let answer = ask(&host, &supabase.url, "");
    assert_eq!(answer.prediction("mood_state")["label"], "depression");
    assert_eq!(supabase.requests().len(), 2);
}

#[test]
fn out_of_range_database_values_are_missing_and_counted() {
    let mut rows = demo_rows(DEPRESSED);
    rows[0]["mood_data"]["depressedMood"] = json!(11);
    rows[0]["sleep_data"] = json!("not an object");
    rows[1]["checkin_date"] = json!("never");
    let supabase = FakeSupabase::start(vec![Reply::rows(&rows)]);
    let state = state();
    let host = Host::with_supabase(&state, &supabase.url, &[]);
    let answer = ask(&host, &supabase.url, "?limit_checkins=10&explain=true");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let days: Vec<Value> = answer.json()["per_checkin"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|day| day["checkin_date"].clone())
        .collect();
    assert!(days.contains(&rows[0]["checkin_date"]) && days.len() == 10, "{days:?}");
    // One scale, the six fields of a group, one row.
    wait_until(|| host.log().contains("without a date or of a day to come: 8"));
}

#[test]
fn outage_serves_stale_entries_but_never_across_an_invalidation() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let state = state();
    let short = ["--variable", "cache_ttl_seconds=1", "--variable", "inference_timeout_seconds=1.5"];
    let host = Host::with_supabase(&state, &supabase.url, &short);
    let first = ask(&host, &supabase.url, "");
    assert_eq!(first.header("x-cache"), "MISS", "{}", first.body);
    supabase.set_reply(Reply::Disconnect);
    // Not before it has expired.
    let stale = wait_for(|| Some(ask(&host, &supabase.url, "")).filter(|answer| answer.header("x-cache") == "STALE"));
    assert_eq!(stale.status, 200);
    assert_eq!(stale.json()["predictions"], first.json()["predictions"]);
    assert!(stale.json()["warning"].as_str().is_some_and(|warning| warning.contains("cannot be reached")));
    let age = stale.json()["age_seconds"].as_u64().expect("an age");
    assert!((1..30).contains(&age) && stale.header("age") == age.to_string(), "{age}");
    for outage in [Reply::Respond(503, String::new()), Reply::Respond(429, String::new()), Reply::Hang] {
        supabase.set_reply(outage);
        assert_eq!(ask(&host, &supabase.url, "").header("x-cache"), "STALE");
    }
    // These are no outage: the database has something to say about the caller, or about this deployment.
    for (reply, status) in [(Reply::Respond(401, String::new()), 502), (Reply::Respond(404, String::new()), 503)] {
        supabase.set_reply(reply);
        assert_eq!(ask(&host, &supabase.url, "").status, status);
    }
    supabase.set_reply(Reply::Disconnect);
    let path = format!("/data/predictions/{DEPRESSED}");
    let authorization = format!("Bearer {}", token(&supabase.url, DEPRESSED));
    assert_eq!(host.request("DELETE", &path, &[("authorization", &authorization)]).status, 200);
    assert_eq!(ask(&host, &supabase.url, "").status, 503);
}

#[test]
fn stale_time_of_zero_serves_no_stale_entries() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let state = state();
    let host = Host::with_supabase(
        &state,
        &supabase.url,
        &["--variable", "cache_ttl_seconds=1", "--variable", "cache_stale_seconds=0"],
    );
    assert_eq!(ask(&host, &supabase.url, "").header("x-cache"), "MISS");
    supabase.set_reply(Reply::Disconnect);
    wait_until(|| ask(&host, &supabase.url, "").status == 503);
}

#[test]
fn request_after_an_invalidation_does_not_join_one_from_before_it() {
    let supabase = FakeSupabase::start(vec![Reply::RowsAfter(Duration::from_secs(1))]);
    let state = state();
    let host = Host::with_supabase(&state, &supabase.url, &[]);
    let authorization = format!("Bearer {}", token(&supabase.url, DEPRESSED));
    std::thread::scope(|scope| {
        let before = scope.spawn(|| ask(&host, &supabase.url, ""));
        wait_until(|| supabase.requests().len() == 1);
        let path = format!("/data/predictions/{DEPRESSED}");
        assert_eq!(host.request("DELETE", &path, &[("authorization", &authorization)]).status, 200);
        assert_eq!(ask(&host, &supabase.url, "").status, 200);
        assert_eq!(before.join().expect("an answer").status, 200);
    });
    assert_eq!(supabase.requests().len(), 2);
}

#[test]
fn check_in_values_are_neither_logged_nor_stored() {
    let mut rows = demo_rows(DEPRESSED);
    rows[0]["sleep_data"]["hoursSlept"] = json!(6.543_217);
    rows[0]["mood_data"]["depressedMood"] = json!(98_765.5);
    rows[0]["notes"] = json!("a note to nobody");
    let supabase = FakeSupabase::start(vec![Reply::rows(&rows)]);
    let state = state();
    let mut host = Host::with_supabase(&state, &supabase.url, &[]);
    assert_eq!(ask(&host, &supabase.url, "?limit_checkins=3").status, 200);
    wait_until(|| ask(&host, &supabase.url, "?limit_checkins=3").header("x-cache") == "HIT");
    let posted = |hours: &str| {
        let body = format!(
            r#"{{"as_of":"2031-01-01","checkins":[{{"checkin_date":"2031-01-01","hoursSlept":{hours},"notes":"a note to nobody"}}]}}"#
        );
        let authorization = format!("Bearer {}", token(&supabase.url, DEPRESSED));
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        host.send("POST", "/data/predictions", &headers, &body)
    };
    assert_eq!(posted("6.543217").status, 200);
    let refused = posted("98765.5");
    assert_eq!(refused.status, 400);
    assert!(!refused.body.contains("98765"), "{}", refused.body);
    host.stop("-TERM");
    let stored = host.store_bytes();
    let stored = String::from_utf8_lossy(&stored);
    assert!(stored.contains("probabilities"));
    // With their points: five digits alone stand in a store of numbers by chance.
    for word in ["6.543217", "98765.5", "a note to nobody", "someone@example.com", "sleep_data"] {
        assert!(!host.log().contains(word), "{word}: {}", host.log());
        assert!(!stored.contains(word), "{word} is in the store");
    }
}

#[test]
fn nobody_is_told_a_number_from_check_ins_of_long_ago_by_default() {
    let mut rows = demo_rows(DEPRESSED);
    for (index, row) in rows.iter_mut().enumerate() {
        row["checkin_date"] = json!(format!("2019-{:02}-{:02}", 12 - index / 28, 28 - index % 28));
    }
    let supabase = FakeSupabase::start(vec![Reply::rows(&rows)]);
    let variables = harness::supabase::variables(&supabase.url);
    let flags: Vec<&str> = variables.iter().flat_map(|variable| ["--variable", variable]).collect();
    let host = Host::with_flags(&flags);
    let authorization = format!("Bearer {}", token(&supabase.url, DEPRESSED));
    for (path, query) in
        [("/data/predictions", ""), ("/data/predictions", "?limit_checkins=9"), ("/data/prediction_of_day", "")]
    {
        for _ in 0..2 {
            let path = format!("{path}/{DEPRESSED}{query}");
            let answer = host.request("GET", &path, &[("authorization", &authorization)]);
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert!(answer.body.contains("\"code\":\"stale\""), "{}", answer.body);
            let of = |key: &str| answer.body.matches(&format!("\"{key}\":")).count();
            assert_eq!(answer.body.matches("\"probability\":null").count(), of("probability"), "{}", answer.body);
            assert_eq!(of("as_of"), of("probability"), "{}", answer.body);
        }
    }
}

#[test]
fn check_in_of_a_day_to_come_is_left_out() {
    let mut rows = demo_rows(DEPRESSED);
    rows[0]["checkin_date"] = json!("2062-01-01");
    let supabase = FakeSupabase::start(vec![Reply::rows(&rows)]);
    let state = state();
    let host = Host::with_supabase(&state, &supabase.url, &[]);
    let answer = ask(&host, &supabase.url, "").json();
    let checkin_date = rows[1]["checkin_date"].as_str().map(|date| &date[..10]);
    assert_eq!(answer["predictions"][0]["as_of"].as_str(), checkin_date, "{answer}");
    wait_until(|| host.log().contains("of a day to come: "));
}
