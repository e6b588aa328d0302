//! Replies of a Redis server to each command of a few requests. Whatever they are, nothing panics or goes on for ever,
//! an answer is JSON, and predictions are answered.

#![no_main]

use http::{Request, Response};
use request_fuzz::{Choices, Deployment, PERSON, WEBHOOK_SECRET, bundle};
use serde_json::{Value, json};
use std::rc::Rc;
use std::sync::LazyLock;

const MAX_REQUESTS: u8 = 8;
/// The key set of a project, and a token under it.
static KEY_SET_AND_TOKEN: LazyLock<(String, String)> = LazyLock::new(|| {
    let fixture: Value = serde_json::from_str(include_str!("../../fixtures/access/tokens.json")).expect("JSON");
    (fixture["key_set"].to_string(), fixture["tokens"]["es256"].as_str().expect("a token").to_owned())
});
/// The rows of the person.
static ROWS: LazyLock<String> = LazyLock::new(|| {
    let row = |day: u8| {
        json!({
            "user_id": PERSON, "id": day, "checkin_date": format!("2026-01-0{day}"), "hoursSlept": day,
            "depressedMood": 8, "energyLevel": 2, "elevation": 1, "medicationAdherence": true,
        })
    };
    Value::from((1..=5).rev().map(row).collect::<Vec<_>>()).to_string()
});

/// The requests: a method, and a path behind `/data/predictions/{user_id}` or one of its own.
const REQUESTS: [(&str, &str); 14] = [
    ("GET", ""),
    ("GET", "?limit_checkins=3&explain=true&lang=pt-BR"),
    ("GET", "?window_days=7&explain=none"),
    ("GET fhir", ""),
    ("GET fhir", "?limit_checkins=2"),
    ("GET async", ""),
    ("GET async", "?window_days=7"),
    ("GET", "job"),
    ("GET", "/data/prediction_of_day/"),
    ("DELETE", ""),
    ("POST", "/hooks/check-ins"),
    ("GET", "/metrics"),
    ("GET", "/v2/models/stats"),
    ("GET", "/health/ready"),
];

fn variables(has_tokens: bool, is_sealed: bool) -> Vec<(&'static str, &'static str)> {
    let mut variables = vec![
        ("redis_url", "redis://localhost"),
        ("redis_address", "redis://localhost:6379"),
        ("supabase_url", "https://project.supabase.co"),
        ("supabase_anon_key", "the-anon-key-of-the-project"),
        ("supabase_service_key", "the-service-key-of-the-project"),
        ("webhook_secret", WEBHOOK_SECRET),
        ("rate_limit_predictions", "1000/second"),
        // Nothing here takes time: who waits for another gives up soon.
        ("inference_timeout_seconds", "0.05"),
        ("log_level", "error"),
        ("decision_log", "false"),
        ("max_checkin_age_days", "0"),
        ("protect_operations", "false"),
    ];
    variables.push(("auth_mode", if has_tokens { "jwt" } else { "off" }));
    if is_sealed {
        variables.push(("cache_encryption_key", "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00"));
    }
    variables
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let choices = Rc::new(Choices::new(input));
    let modes = choices.byte();
    let (has_tokens, is_sealed) = (modes & 3 == 3, modes & 4 != 0);
    let (key_set, token) = &*KEY_SET_AND_TOKEN;
    let rows = ROWS.clone().into_bytes();
    let mut deployment = Deployment::new(&variables(has_tokens, is_sealed), choices.clone(), rows, key_set);
    let mut job = "/data/jobs/none".to_owned();
    for _ in 0..MAX_REQUESTS {
        let choice = choices.byte();
        let (method, path) = REQUESTS[usize::from(choice & 127) % REQUESTS.len()];
        let (method, preference) = method.split_once(' ').unwrap_or((method, ""));
        let path = match path {
            "job" => job.clone(),
            "/data/prediction_of_day/" => format!("{path}{PERSON}"),
            path if path.starts_with('/') => path.to_owned(),
            query => format!("/data/predictions/{PERSON}{query}"),
        };
        let mut request = Request::builder().method(method).uri(&path).header("content-type", "application/json");
        request = request.header("x-webhook-secret", WEBHOOK_SECRET);
        request = match preference {
            "fhir" => request.header("accept", "application/fhir+json"),
            "async" => request.header("prefer", "respond-async"),
            _ => request,
        };
        if has_tokens {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let hook = json!({ "table": "check_ins", "record": { "user_id": PERSON } }).to_string();
        let body = if path == "/hooks/check-ins" { hook.as_str() } else { "" };
        let response = deployment.send(usize::from(choice >> 7), request.body(body).expect("valid"));
        check((method, &path), preference, has_tokens, &response);
        if let Some(location) = response.headers().get("location").and_then(|location| location.to_str().ok()) {
            job = location.to_owned();
        }
        if choices.is_used_up() {
            break;
        }
    }
});

fn check((method, path): (&str, &str), preference: &str, has_tokens: bool, response: &Response<Vec<u8>>) {
    let (status, body) = (response.status().as_u16(), response.body());
    assert!(status != 500, "{path}: {}", String::from_utf8_lossy(body));
    let is_json = response.headers().get("content-type").is_some_and(|kind| kind.as_bytes().ends_with(b"json"));
    if is_json {
        let _: Value = serde_json::from_slice(body).expect("JSON");
    }
    // A server that counts wrongly refuses people, and one that forges keys locks them out; else there is an answer.
    let is_asked_for = path.starts_with("/data/prediction") && method == "GET";
    if is_asked_for && !has_tokens {
        assert!([200, 202, 429].contains(&status), "{path}: {status}: {}", String::from_utf8_lossy(body));
    }
    if status == 200 && preference == "fhir" {
        bundle::assessments(body);
    }
}
