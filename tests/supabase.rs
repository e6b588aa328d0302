//! Check-ins from a database, through a stand-in for PostgREST that says what a test has it say.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

mod harness;

use harness::stand_in::{Reply, StandIn, rows, says};
use harness::tokens::{ANON_KEY, token};
use harness::{Answer, DEPRESSED, Host, MANIC, state, wait_for};
use serde_json::{Value, json};
use std::time::Duration;

/// Asks as the person.
fn ask(host: &Host, url: &str, query: &str) -> Answer {
    let authorization = format!("Bearer {}", token(url, DEPRESSED));
    host.request("GET", &format!("/data/predictions/{DEPRESSED}{query}"), &[("authorization", &authorization)])
}

#[test]
fn rows_of_the_database_are_answered_as_the_same_check_ins_are_from_the_other_sources() {
    let demo_state = state();
    let demo_host = Host::start(&demo_state, &[]);
    let rows = rows(DEPRESSED);
    let stand_in = StandIn::start(vec![says(&rows[..34.min(rows.len())])]);
    let state = state();
    let mut host = Host::of_project(&state, &stand_in.url, &[]);
    let query = "?window_days=7&limit_checkins=9&explain=true";
    let ours = ask(&host, &stand_in.url, query);
    assert_eq!(ours.status, 200, "{}", ours.body);
    assert_eq!(ours.header("x-cache"), "MISS");
    let mut theirs = demo_host.predictions(DEPRESSED, query).json();
    theirs["generated_at"] = ours.json()["generated_at"].clone();
    assert_eq!(ours.json(), theirs);
    assert_eq!(host.get("/").json()["demo_people"], json!([]), "the demo people are nobody here");
    let authorization = format!("Bearer {}", token(&stand_in.url, DEPRESSED));
    let day =
        host.request("GET", &format!("/data/prediction_of_day/{DEPRESSED}"), &[("authorization", &authorization)]);
    assert_eq!(day.json()["label"], "depression");

    let seen = stand_in.seen();
    let path = format!("/rest/v1/check_ins?select=*&user_id=eq.{DEPRESSED}&order=checkin_date.desc&limit=34 ");
    assert!(seen[0].starts_with(&format!("GET {path}")), "{}", seen[0]);
    for header in [
        "accept: application/json",
        &format!("apikey: {ANON_KEY}"),
        &format!("authorization: Bearer {}", token(&stand_in.url, DEPRESSED))[..40],
    ] {
        assert!(seen[0].contains(header), "{header}: {}", seen[0]);
    }
    assert_eq!(seen.len(), 2, "one request an answer");
    // What is kept for those who see everything is there after a restart, and the database is not asked.
    wait_for(|| (ask(&host, &stand_in.url, query).header("x-cache") == "HIT").then_some(()));
    host.stop("-TERM");
    let host = Host::of_project(&state, &stand_in.url, &[]);
    assert_eq!(ask(&host, &stand_in.url, query).header("x-cache"), "HIT");
    assert_eq!(stand_in.seen().len(), 2);
}

#[test]
fn each_failure_of_the_database_has_its_own_problem_and_tells_nothing_of_it() {
    let secret = r#"{"code":"42P01","message":"relation \"secret_table\" does not exist"}"#.to_owned();
    let others = rows(MANIC);
    let cases = [
        (Reply::Says(401, secret.clone()), 502, "source-refused", 1),
        (Reply::Says(403, secret.clone()), 502, "source-refused", 1),
        (Reply::Says(404, secret.clone()), 503, "source-without-table", 1),
        (Reply::Says(400, secret.clone()), 502, "source-malformed", 1),
        (Reply::Says(302, secret.clone()), 502, "source-malformed", 1),
        (Reply::Says(500, secret.clone()), 503, "source-failing", 1),
        (Reply::Says(200, secret.clone()), 502, "source-malformed", 1),
        (Reply::Says(200, "secret_table".to_owned()), 502, "source-malformed", 1),
        (Reply::Says(200, "[7]".to_owned()), 502, "source-malformed", 1),
        (says(&others), 502, "source-malformed", 1),
        (Reply::Says(200, " ".repeat((1 << 20) + 1)), 502, "source-oversized", 1),
        (Reply::Closes, 503, "source-unreachable", 2),
        (Reply::Keeps, 504, "source-slow", 1),
        (Reply::Drips, 504, "source-slow", 1),
        (Reply::RowsAfter(Duration::from_secs(3)), 504, "source-slow", 1),
    ];
    for (reply, status, kind, requests) in cases {
        let stand_in = StandIn::start(vec![reply]);
        let state = state();
        let host = Host::of_project(&state, &stand_in.url, &["--variable", "inference_timeout_seconds=1.5"]);
        let answer = ask(&host, &stand_in.url, "");
        assert_eq!(answer.json()["type"], format!("urn:bipolar-edge:problem:{kind}"), "{}", answer.body);
        assert_eq!((answer.status, &answer.json()["status"]), (status, &json!(status)));
        assert_eq!(stand_in.seen().len(), requests, "{kind}");
        for word in ["secret_table", "127.0.0.1", MANIC, DEPRESSED, "eyJ"] {
            assert!(!answer.body.contains(word), "{word}: {}", answer.body);
        }
        assert!(!host.log().contains("secret_table"), "{}", host.log());
    }
}

#[test]
fn a_database_that_cannot_be_reached_or_not_securely_says_so() {
    let plain = StandIn::start(vec![Reply::Says(400, String::new())]);
    let closed = harness::free_port();
    for (url, status, kind) in [
        (format!("http://127.0.0.1:{closed}"), 503, "source-unreachable"),
        (plain.url.replace("http", "https"), 502, "source-tls"),
    ] {
        let state = state();
        let host = Host::of_project(&state, &url, &[]);
        let answer = ask(&host, &url, "");
        assert_eq!(answer.json()["type"], format!("urn:bipolar-edge:problem:{kind}"), "{}", answer.body);
        assert_eq!(answer.status, status);
    }
}

#[test]
fn a_connection_that_breaks_is_tried_once_more() {
    let stand_in = StandIn::start(vec![Reply::Closes, says(&rows(DEPRESSED))]);
    let state = state();
    let host = Host::of_project(&state, &stand_in.url, &[]);
    let answer = ask(&host, &stand_in.url, "");
    assert_eq!(answer.prediction("mood_state")["label"], "depression");
    assert_eq!(stand_in.seen().len(), 2);
}

#[test]
fn what_is_out_of_range_in_the_database_is_missing_and_counted() {
    let mut rows = rows(DEPRESSED);
    rows[0]["mood_data"]["depressedMood"] = json!(11);
    rows[0]["sleep_data"] = json!("not an object");
    rows[1]["checkin_date"] = json!("never");
    let stand_in = StandIn::start(vec![says(&rows)]);
    let state = state();
    let host = Host::of_project(&state, &stand_in.url, &[]);
    let answer = ask(&host, &stand_in.url, "?limit_checkins=10&explain=true");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let days: Vec<Value> = answer.json()["per_checkin"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|day| day["checkin_date"].clone())
        .collect();
    assert!(days.contains(&rows[0]["checkin_date"]) && days.len() == 10, "{days:?}");
    // One scale, the six fields of a group, one row.
    wait_for(|| host.log().contains("without a date: 8").then_some(()));
}

#[test]
fn an_outage_is_answered_with_what_expired_a_while_ago_and_never_across_an_invalidation() {
    let stand_in = StandIn::start(vec![Reply::Rows]);
    let state = state();
    let short = ["--variable", "cache_ttl_seconds=1", "--variable", "inference_timeout_seconds=1.5"];
    let host = Host::of_project(&state, &stand_in.url, &short);
    let first = ask(&host, &stand_in.url, "");
    assert_eq!(first.header("x-cache"), "MISS", "{}", first.body);
    stand_in.replies(Reply::Closes);
    // Not before it has expired.
    let stale = wait_for(|| Some(ask(&host, &stand_in.url, "")).filter(|answer| answer.header("x-cache") == "STALE"));
    assert_eq!(stale.status, 200);
    assert_eq!(stale.json()["predictions"], first.json()["predictions"]);
    assert!(stale.json()["warning"].as_str().is_some_and(|warning| warning.contains("cannot be reached")));
    let age = stale.json()["age_seconds"].as_u64().expect("an age");
    assert!((1..30).contains(&age) && stale.header("age") == age.to_string(), "{age}");
    for outage in [Reply::Says(503, String::new()), Reply::Keeps] {
        stand_in.replies(outage);
        assert_eq!(ask(&host, &stand_in.url, "").header("x-cache"), "STALE");
    }
    // These are no outage: the database has something to say about the caller, or about this deployment.
    for (reply, status) in [(Reply::Says(401, String::new()), 502), (Reply::Says(404, String::new()), 503)] {
        stand_in.replies(reply);
        assert_eq!(ask(&host, &stand_in.url, "").status, status);
    }
    stand_in.replies(Reply::Closes);
    let path = format!("/data/predictions/{DEPRESSED}");
    let authorization = format!("Bearer {}", token(&stand_in.url, DEPRESSED));
    assert_eq!(host.request("DELETE", &path, &[("authorization", &authorization)]).status, 200);
    assert_eq!(ask(&host, &stand_in.url, "").status, 503);
}

#[test]
fn without_a_time_for_stale_answers_there_are_none() {
    let stand_in = StandIn::start(vec![Reply::Rows]);
    let state = state();
    let host = Host::of_project(
        &state,
        &stand_in.url,
        &["--variable", "cache_ttl_seconds=1", "--variable", "cache_stale_seconds=0"],
    );
    assert_eq!(ask(&host, &stand_in.url, "").header("x-cache"), "MISS");
    stand_in.replies(Reply::Closes);
    wait_for(|| (ask(&host, &stand_in.url, "").status == 503).then_some(()));
}

#[test]
fn requests_that_need_the_same_at_the_same_time_share_their_questions_to_the_database() {
    let stand_in = StandIn::start(vec![Reply::RowsAfter(Duration::from_millis(500))]);
    let state = state();
    let host = Host::of_project(&state, &stand_in.url, &["--max-instance-concurrent-reuse-count", "64"]);
    let bodies: Vec<Value> = std::thread::scope(|scope| {
        let ask = || scope.spawn(|| ask(&host, &stand_in.url, ""));
        let asked: Vec<_> = (0..12).map(|_| ask()).collect();
        let answers = asked.into_iter().map(|asked| asked.join().expect("an answer"));
        answers
            .map(|answer| {
                assert_eq!(answer.status, 200, "{}", answer.body);
                answer.json()["predictions"].clone()
            })
            .collect()
    });
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    // How many instances there are is the host's affair; that one asks once is what the component's own tests say.
    assert!(stand_in.seen().len() < 12, "{}", stand_in.seen().len());
}

#[test]
fn whoever_asks_after_an_invalidation_does_not_get_what_was_asked_for_before_it() {
    let stand_in = StandIn::start(vec![Reply::RowsAfter(Duration::from_secs(1))]);
    let state = state();
    let host = Host::of_project(&state, &stand_in.url, &[]);
    let authorization = format!("Bearer {}", token(&stand_in.url, DEPRESSED));
    std::thread::scope(|scope| {
        let before = scope.spawn(|| ask(&host, &stand_in.url, ""));
        wait_for(|| (stand_in.seen().len() == 1).then_some(()));
        let path = format!("/data/predictions/{DEPRESSED}");
        assert_eq!(host.request("DELETE", &path, &[("authorization", &authorization)]).status, 200);
        assert_eq!(ask(&host, &stand_in.url, "").status, 200);
        assert_eq!(before.join().expect("an answer").status, 200);
    });
    assert_eq!(stand_in.seen().len(), 2);
}

#[test]
fn nothing_that_a_person_answered_is_in_a_log_and_nothing_but_predictions_in_the_store() {
    let mut rows = rows(DEPRESSED);
    rows[0]["sleep_data"]["hoursSlept"] = json!(6.543_217);
    rows[0]["mood_data"]["depressedMood"] = json!(98_765.5);
    rows[0]["notes"] = json!("a note to nobody");
    let stand_in = StandIn::start(vec![says(&rows)]);
    let state = state();
    let mut host = Host::of_project(&state, &stand_in.url, &[]);
    assert_eq!(ask(&host, &stand_in.url, "?limit_checkins=3").status, 200);
    wait_for(|| (ask(&host, &stand_in.url, "?limit_checkins=3").header("x-cache") == "HIT").then_some(()));
    let posted = |hours: &str| {
        let body = format!(
            r#"{{"checkins":[{{"checkin_date":"2031-01-01","hoursSlept":{hours},"notes":"a note to nobody"}}]}}"#
        );
        let authorization = format!("Bearer {}", token(&stand_in.url, DEPRESSED));
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        host.send("POST", "/data/predictions", &headers, &body)
    };
    assert_eq!(posted("6.543217").status, 200);
    let refused = posted("98765.5");
    assert_eq!(refused.status, 400);
    assert!(!refused.body.contains("98765"), "{}", refused.body);
    host.stop("-TERM");
    let stored = host.stored();
    let stored = String::from_utf8_lossy(&stored);
    assert!(stored.contains("mood_state_v1"));
    for word in ["6.543217", "98765", "a note to nobody", "someone@example.com", "sleep_data"] {
        assert!(!host.log().contains(word), "{word}: {}", host.log());
        assert!(!stored.contains(word), "{word} is in the store");
    }
}
