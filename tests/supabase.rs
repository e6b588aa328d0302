//! Check-ins from a database, through a stand-in for PostgREST that says what a test has it say.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

mod harness;

use features::FIELDS;
use harness::{Answer, DEPRESSED, Host, MANIC, demo, read_head, reply, state, store_file};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";
const ANON_KEY: &str = "the-anon-key";

/// What the stand-in does with a connection.
#[derive(Clone)]
enum Reply {
    /// A status and a body.
    Says(u16, String),
    /// One byte of an answer now and then.
    Drips,
    /// Nothing, and the connection stays open.
    Keeps,
    /// Nothing, and the connection ends.
    Closes,
}

/// A server, and the heads of the requests that reached it.
struct StandIn {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    /// Replies in turn, the last one for ever.
    fn start(replies: Vec<Reply>) -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let (log, replies) = (log.clone(), replies.clone());
                std::thread::spawn(move || {
                    let head = read_head(&mut stream);
                    let turn = {
                        let mut log = log.lock().expect("no test failed here");
                        log.push(head);
                        log.len() - 1
                    };
                    match &replies[turn.min(replies.len() - 1)] {
                        Reply::Says(status, body) => reply(&mut stream, *status, body),
                        Reply::Drips => {
                            let _ = stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 1000\r\n\r\n");
                            while stream.write_all(b" ").is_ok() {
                                std::thread::sleep(Duration::from_millis(100));
                            }
                        }
                        Reply::Keeps => std::thread::sleep(Duration::from_secs(20)),
                        Reply::Closes => {}
                    }
                });
            }
        });
        StandIn { port, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no test failed here").clone()
    }
}

fn host(state: &tempfile::TempDir, url: &str, more: &[&str]) -> Host {
    let (url, key) = (format!("supabase_url={url}"), format!("supabase_anon_key={ANON_KEY}"));
    Host::start(state, &[&["--variable", &url, "--variable", &key], more].concat())
}

fn ask(host: &Host, path: &str) -> Answer {
    host.request("GET", path, &[("authorization", &format!("Bearer {TOKEN}"))])
}

/// A demo person's check-ins as rows of the table, latest first, with its nested columns.
fn rows(user_id: &str) -> Vec<Value> {
    let row = |cells: Vec<(String, String)>| {
        let mut row = Map::new();
        for (name, cell) in cells {
            match FIELDS.iter().find(|field| field.name == name) {
                Some(field) => {
                    let group = row.entry(field.group).or_insert_with(|| json!({}));
                    group[name] = json!(cell.parse::<f64>().expect("a number"));
                }
                None => drop(row.insert(name, json!(cell))),
            }
        }
        row.insert("created_at".to_owned(), json!("2026-01-31T08:00:00.123456+00:00"));
        Value::Object(row)
    };
    let mut rows: Vec<Value> = demo(user_id).into_iter().map(row).collect();
    rows.reverse();
    rows
}

fn says(rows: &[Value]) -> Reply {
    Reply::Says(200, Value::from(rows.to_vec()).to_string())
}

#[test]
fn rows_of_the_database_are_answered_as_the_same_check_ins_are_from_the_other_sources() {
    let demo_state = state();
    let demo_host = Host::start(&demo_state, &[]);
    let rows = rows(DEPRESSED);
    let stand_in = StandIn::start(vec![says(&rows[..34.min(rows.len())])]);
    let state = state();
    let mut host = host(&state, &format!("http://127.0.0.1:{}", stand_in.port), &[]);
    let query = "?window_days=7&limit_checkins=9&explain=true";
    let ours = ask(&host, &format!("/data/predictions/{DEPRESSED}{query}"));
    assert_eq!(ours.status, 200, "{}", ours.body);
    assert_eq!(ours.header("x-cache"), "BYPASS");
    let mut theirs = demo_host.predictions(DEPRESSED, query).json();
    theirs["generated_at"] = ours.json()["generated_at"].clone();
    assert_eq!(ours.json(), theirs);
    assert_eq!(host.get("/").json()["demo_people"], json!([]), "the demo people are nobody here");
    let day = ask(&host, &format!("/data/prediction_of_day/{DEPRESSED}")).json();
    assert_eq!(day["label"], "depression");

    let seen = stand_in.seen();
    let path = format!("/rest/v1/check_ins?select=*&user_id=eq.{DEPRESSED}&order=checkin_date.desc&limit=34 ");
    assert!(seen[0].starts_with(&format!("GET {path}")), "{}", seen[0]);
    for header in
        ["accept: application/json", &format!("apikey: {ANON_KEY}"), &format!("authorization: Bearer {TOKEN}")]
    {
        assert!(seen[0].contains(header), "{header}: {}", seen[0]);
    }
    assert_eq!(seen.len(), 2, "one request an answer, and none from a cache that others share");
    host.stop("-TERM");
    let store = std::fs::read(store_file(&state)).unwrap_or_default();
    for word in [TOKEN, ANON_KEY, DEPRESSED] {
        assert!(!host.log().contains(word), "{}", host.log());
        assert!(!store.windows(word.len()).any(|bytes| bytes == word.as_bytes()), "{word} is in the store");
    }
}

#[test]
fn without_a_token_nothing_is_asked() {
    let stand_in = StandIn::start(vec![says(&[])]);
    let state = state();
    let host = host(&state, &format!("http://127.0.0.1:{}", stand_in.port), &[]);
    let path = format!("/data/predictions/{DEPRESSED}");
    let long = format!("Bearer {}", "x".repeat(8193));
    for header in
        [None, Some("Basic dXNlcg=="), Some("Bearer"), Some("Bearer "), Some("Bearer a b"), Some(long.as_str())]
    {
        let headers: Vec<(&str, &str)> = header.map(|value| ("authorization", value)).into_iter().collect();
        let answer = host.request("GET", &path, &headers);
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"), "{header:?}");
    }
    assert_eq!(host.request("DELETE", &path, &[]).status, 503);
    assert!(stand_in.seen().is_empty());
    assert_eq!(ask(&host, &path).prediction("mood_state")["label"], "insufficient_data", "nobody, or nobody to see");
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
    ];
    for (reply, status, kind, requests) in cases {
        let stand_in = StandIn::start(vec![reply]);
        let state = state();
        let url = format!("http://127.0.0.1:{}", stand_in.port);
        let host = host(&state, &url, &["--variable", "inference_timeout_seconds=1.5"]);
        let answer = ask(&host, &format!("/data/predictions/{DEPRESSED}"));
        assert_eq!(answer.json()["type"], format!("urn:bipolar-edge:problem:{kind}"), "{}", answer.body);
        assert_eq!((answer.status, &answer.json()["status"]), (status, &json!(status)));
        assert_eq!(stand_in.seen().len(), requests, "{kind}");
        for word in ["secret_table", "127.0.0.1", MANIC, DEPRESSED, TOKEN] {
            assert!(!answer.body.contains(word), "{word}: {}", answer.body);
        }
        for word in ["secret_table", DEPRESSED, MANIC, TOKEN] {
            assert!(!host.log().contains(word), "{word}: {}", host.log());
        }
    }
}

#[test]
fn a_database_that_cannot_be_reached_or_not_securely_says_so() {
    let plain = StandIn::start(vec![Reply::Says(400, String::new())]);
    let closed = harness::free_port();
    for (url, status, kind) in [
        (format!("http://127.0.0.1:{closed}"), 503, "source-unreachable"),
        (format!("https://127.0.0.1:{}", plain.port), 502, "source-tls"),
    ] {
        let state = state();
        let host = host(&state, &url, &[]);
        let answer = ask(&host, &format!("/data/predictions/{DEPRESSED}"));
        assert_eq!(answer.json()["type"], format!("urn:bipolar-edge:problem:{kind}"), "{}", answer.body);
        assert_eq!(answer.status, status);
    }
}

#[test]
fn a_connection_that_breaks_is_tried_once_more() {
    let stand_in = StandIn::start(vec![Reply::Closes, says(&rows(DEPRESSED))]);
    let state = state();
    let host = host(&state, &format!("http://127.0.0.1:{}", stand_in.port), &[]);
    let answer = ask(&host, &format!("/data/predictions/{DEPRESSED}"));
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
    let host = host(&state, &format!("http://127.0.0.1:{}", stand_in.port), &[]);
    let answer = ask(&host, &format!("/data/predictions/{DEPRESSED}?limit_checkins=10&explain=true"));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let days: Vec<Value> = answer.json()["per_checkin"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|day| day["checkin_date"].clone())
        .collect();
    assert!(days.contains(&rows[0]["checkin_date"]) && days.len() == 10, "{days:?}");
    // One scale, the six fields of a group, one row.
    harness::wait_for(|| host.log().contains("without a date: 8").then_some(()));
}
