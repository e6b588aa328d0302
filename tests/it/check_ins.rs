//! A person's check-ins, as predictions are made from them.

use harness::supabase::{FakeSupabase, Reply};
use harness::tokens::token;
use harness::{DEPRESSED, Host, MANIC, WITHOUT_CHECK_INS, demo_check_ins, state, without_ids};
use serde_json::json;

#[test]
fn check_ins_returned_are_those_that_predictions_are_made_from() {
    let host = Host::demo();
    let answer = host.get(&format!("/data/check-ins/{DEPRESSED}"));
    assert_eq!((answer.status, answer.header("cache-control")), (200, "private, no-store"));
    let body = answer.json();
    assert_eq!((&body["user_id"], &body["window_days"]), (&json!(DEPRESSED), &json!(30)));
    let shown = body["checkins"].as_array().expect("check-ins");
    let cohort = demo_check_ins(DEPRESSED);
    let latest = cohort.last().expect("a check-in");
    for (name, cell) in latest.iter().filter(|(name, _)| name != "user_id") {
        let cell = cell.parse::<f64>().map_or(json!(cell), |number| json!(number));
        assert_eq!(shown[0][name], cell, "{name}");
    }
    assert_eq!(shown[0].as_object().map(serde_json::Map::len), Some(latest.len() - 1), "nothing else is shown");
    for window in [1, 3, 30] {
        let shown = host.get(&format!("/data/check-ins/{DEPRESSED}?window_days={window}")).json()["checkins"].clone();
        let posted =
            host.post("/data/predictions", &json!({ "checkins": shown, "window_days": window, "explain": true }));
        let own = host.predictions(DEPRESSED, &format!("?window_days={window}&explain=true"));
        let [posted, own] = [posted.json(), own.json()].map(without_ids);
        assert_eq!(posted["predictions"], own["predictions"], "{window}");
    }
    assert_eq!(host.get(&format!("/data/check-ins/{WITHOUT_CHECK_INS}")).json()["checkins"], json!([]));
}

#[test]
fn invalid_parameters_are_named() {
    let host = Host::demo();
    let answer = host.get("/data/check-ins/me?window_days=31&types=mood_state");
    assert_eq!(answer.status, 400);
    let errors = answer.json()["errors"].clone();
    assert_eq!(errors[0], json!({ "field": "user_id", "message": "is not a UUID" }));
    assert_eq!(errors[1], json!({ "field": "window_days", "message": "must be a whole number from 1 to 30" }));
    assert_eq!(errors[2], json!({ "field": "types", "message": "is not a parameter; window_days and lang are" }));
    let post = host.post(&format!("/data/check-ins/{DEPRESSED}"), &json!({}));
    assert_eq!((post.status, post.header("allow")), (405, "GET, HEAD"));
}

#[test]
fn row_level_security_decides_who_sees_check_ins() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let state = state();
    let host = Host::with_supabase(&state, &supabase.url, &[]);
    let path = format!("/data/check-ins/{DEPRESSED}?window_days=7");
    assert_eq!(host.get(&path).status, 401);
    let shown = |person: &str| {
        let authorization = format!("Bearer {}", token(&supabase.url, person));
        let answer = host.request("GET", &path, &[("authorization", &authorization)]);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["checkins"].as_array().expect("check-ins").len()
    };
    assert!((2..=8).contains(&shown(DEPRESSED)), "{}", shown(DEPRESSED));
    assert_eq!(shown(MANIC), 0, "as for a person whom nobody knows");
    supabase.set_reply(Reply::Respond(500, String::new()));
    let authorization = format!("Bearer {}", token(&supabase.url, DEPRESSED));
    assert_eq!(host.request("GET", &path, &[("authorization", &authorization)]).status, 503);
}
