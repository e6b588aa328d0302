//! Check-ins that come with the question: one, or a batch of them.

use features::FIELDS;
use harness::{DEPRESSED, EUTHYMIC, Host, MANIC, MIXED, TYPES, demo_check_ins, state, store_file, without_ids};
use serde_json::{Map, Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The latest check-ins of a demo person, oldest first, flat.
fn checkins(user_id: &str, count: usize) -> Vec<Value> {
    let checkin = |row: Vec<(String, String)>| {
        let cells = row.into_iter().map(|(name, cell)| match name.as_str() {
            "user_id" | "id" | "checkin_date" => (name, json!(cell)),
            _ => (name, json!(cell.parse::<f64>().expect("a number"))),
        });
        Value::Object(cells.collect())
    };
    let mut all: Vec<Value> = demo_check_ins(user_id).into_iter().map(checkin).collect();
    all.split_off(all.len().saturating_sub(count))
}

/// Rewrites a check-in with its fields in their groups, numbers as text and the time of day.
fn nested(checkin: &Value) -> Value {
    let mut out = Map::new();
    for (name, value) in checkin.as_object().expect("an object") {
        match FIELDS.iter().find(|field| field.name == name) {
            Some(field) => {
                let group = out.entry(field.group).or_insert_with(|| json!({}));
                group[name] = json!(value.to_string());
            }
            None => drop(out.insert(name.clone(), value.clone())),
        }
    }
    out["checkin_date"] = json!(format!("{}T21:15:00-03:00", checkin["checkin_date"].as_str().expect("a date")));
    out.insert("created_at".to_owned(), json!("a column that no check-in has"));
    Value::Object(out)
}

#[test]
fn posted_check_ins_get_the_predictions_of_stored_ones() {
    let host = Host::demo();
    for user_id in [EUTHYMIC, MANIC, DEPRESSED, MIXED] {
        let theirs = host.predictions(user_id, "?limit_checkins=3&explain=true&window_days=7").json();
        let flat = checkins(user_id, 40);
        let mut shuffled: Vec<Value> = flat.iter().map(nested).collect();
        shuffled.reverse();
        shuffled.rotate_left(17);
        for checkins in [flat, shuffled] {
            let question = json!({ "checkins": checkins, "limit_checkins": 3, "explain": true, "window_days": 7, "user_id": user_id });
            let answer = host.post("/data/predictions", &question);
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert_eq!(answer.header("x-cache"), "BYPASS");
            assert_eq!(answer.header("cache-control"), "private, no-store");
            let mut ours = answer.json();
            ours["generated_at"] = theirs["generated_at"].clone();
            assert_eq!(without_ids(ours), without_ids(theirs.clone()), "{user_id}");
        }
    }
}

#[test]
fn types_may_be_an_array_or_text_and_defaults_match_the_query() {
    let host = Host::demo();
    let checkins = checkins(MANIC, 10);
    let kinds = |question: Value| -> Vec<String> {
        let body = host.post("/data/predictions", &question).json();
        let predictions = body["predictions"].as_array().unwrap_or_else(|| panic!("{body}"));
        assert_eq!(body["window_days"], 3);
        assert!(body.get("per_checkin").is_none() && body.get("user_id").is_none() && body.get("warnings").is_none());
        predictions.iter().map(|prediction| prediction["type"].as_str().expect("a type").to_owned()).collect()
    };
    assert_eq!(kinds(json!({ "checkins": checkins })), TYPES);
    let two = ["mood_state", "relapse_risk"];
    assert_eq!(kinds(json!({ "checkins": checkins, "types": ["relapse_risk", "mood_state"] })), two);
    assert_eq!(kinds(json!({ "checkins": checkins, "types": "mood_state,relapse_risk" })), two);
    let nobody = host.post("/data/predictions", &json!({ "checkins": [] }));
    assert_eq!(nobody.prediction("mood_state")["label"], "insufficient_data");
}

#[test]
fn later_check_in_of_a_day_counts_with_a_warning() {
    let host = Host::demo();
    let mut checkins = checkins(EUTHYMIC, 5);
    let mut later = checkins[4].clone();
    let day = later["checkin_date"].as_str().expect("a date").to_owned();
    checkins[4]["checkin_date"] = json!(format!("{day}T08:00:00Z"));
    later["checkin_date"] = json!(format!("{day}T20:00:00Z"));
    later["depressedMood"] = json!(9);
    checkins.insert(0, later);
    let body =
        host.post("/data/predictions", &json!({ "checkins": checkins, "limit_checkins": 10, "explain": true })).json();
    let warning = format!("checkins[5] and checkins[0] are of the same day, {day}: the later one, checkins[0], counts");
    assert_eq!(body["warnings"], json!([warning]));
    assert_eq!(body["per_checkin"].as_array().expect("an array").len(), 5);
    let contributions = body["predictions"][0]["contributions"].as_array().expect("contributions").clone();
    let mood = contributions.iter().find(|contribution| contribution["feature"] == "depressedMood");
    assert_eq!(mood.expect("the feature")["value"], 9.0);
}

#[test]
fn body_errors_are_all_named_with_their_path() {
    let host = Host::demo();
    let refused = |question: Value| {
        let answer = host.post("/data/predictions", &question);
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        answer.json()["errors"].clone()
    };
    let errors = refused(json!({
        "checkins": [
            { "checkin_date": "2026-01-30", "hoursSlept": 25, "user_id": EUTHYMIC },
            { "checkin_date": "soon", "mood_data": { "energyLevel": "high" }, "user_id": EUTHYMIC },
            { "checkin_date": "2026-01-31", "user_id": MANIC },
            { "checkin_date": "2026-01-29", "user_id": MIXED },
        ],
        "types": ["mood"], "window_days": 31, "limit_checkins": "3", "explain": "true", "user_id": "me", "windowdays": 3
    }));
    let fields: Vec<&str> =
        errors.as_array().expect("errors").iter().map(|e| e["field"].as_str().expect("text")).collect();
    let expected = [
        "checkins[0].hoursSlept",
        "checkins[1].checkin_date",
        "checkins[1].mood_data.energyLevel",
        "explain",
        "limit_checkins",
        "types",
        "user_id",
        "window_days",
        "windowdays",
        "checkins[3].user_id",
    ];
    assert_eq!(fields, expected);
    assert_eq!(errors[0]["message"], "must be a number from 0 to 24");
    let many: Vec<Value> = (0..61).map(|_| json!({ "checkin_date": "2026-01-01" })).collect();
    assert_eq!(refused(json!({ "checkins": many }))[0]["message"], "has 61 check-ins; 60 may be sent");
    assert_eq!(refused(json!({}))[0]["message"], "is missing: an array of up to 60 check-ins");
    assert_eq!(refused(json!([]))[0]["message"], "must be an object with checkins");
    for text in ["", "{", "{\"checkins\": [}", "\u{0}", "{\"checkins\":[{\"hoursSlept\":1e999}]}"] {
        let answer = host.post_text("/data/predictions", "application/json", text);
        assert_eq!(answer.status, 400, "{text}");
        assert_eq!(answer.json()["errors"][0]["field"], "body", "{text}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(host.post_text("/data/predictions", "application/json", &deep).status, 400, "nested too deep");
}

#[test]
fn wrong_content_type_or_oversized_body_is_refused_before_it_is_read() {
    let host = Host::demo();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
        let answer = host.post_text("/data/predictions", content_type, "{}");
        assert_eq!((answer.status, answer.json()["status"].clone()), (415, json!(415)), "{content_type}");
    }
    let accepted = host.post_text("/data/predictions", "Application/JSON; charset=utf-8", "{\"checkins\":[]}");
    assert_eq!(accepted.status, 200);
    for path in ["/data/predictions", "/data/predictions/batch"] {
        let answer = host.get(path);
        assert_eq!((answer.status, answer.header("allow")), (405, "POST"));
    }
    // The head alone is enough where it says the length; else reading stops at the limit.
    let (small, batch) = (256 << 10, 4 << 20);
    for (path, limit) in [("/data/predictions", small), ("/data/predictions/batch", batch)] {
        let head = format!("content-length: {}\r\n\r\n", limit + 1);
        assert!(raw(&host, path, &head, b"").starts_with("HTTP/1.1 413"), "{path}");
        let piece = format!("{limit:x}\r\n{}\r\n", " ".repeat(limit));
        let body = [piece.as_bytes(), b"10\r\n                \r\n"].concat();
        assert!(raw(&host, path, "transfer-encoding: chunked\r\n\r\n", &body).starts_with("HTTP/1.1 413"), "{path}");
    }
    let padded = format!("{}{}", json!({ "checkins": [] }), " ".repeat(small - 20));
    assert_eq!(host.post_text("/data/predictions", "application/json", &padded).status, 200, "just below the limit");
}

/// Sends a request by hand and returns the response; the connection stays open behind it.
fn raw(host: &Host, path: &str, rest_of_head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(&host.address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{rest_of_head}");
    stream.write_all(head.as_bytes()).expect("the head is sent");
    // The host may close before it has read everything.
    let _ = stream.write_all(body);
    let mut answer = vec![0; 64 << 10];
    let read = stream.read(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[test]
fn incomplete_body_is_408_at_the_deadline() {
    let host = Host::with_flags(&["--variable", "inference_timeout_seconds=0.3"]);
    let answer = raw(&host, "/data/predictions", "content-length: 100\r\n\r\n", b"{\"checkins\":");
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("urn:bipolar-edge:problem:request-timeout"), "{answer}");
}

#[test]
fn batch_is_answered_in_order_and_an_invalid_item_fails_alone() {
    let host = Host::demo();
    let question = |user_id: &str| json!({ "checkins": checkins(user_id, 20), "user_id": user_id });
    let alone: Vec<Value> =
        [DEPRESSED, MANIC].map(|id| without_ids(host.post("/data/predictions", &question(id)).json())).into();
    let large = json!({ "checkins": [], "types": " ".repeat(257 << 10) });
    let items = json!([question(DEPRESSED), { "checkins": [{}] }, question(MANIC), 7, large, question(DEPRESSED)]);
    let answer = host.post("/data/predictions/batch", &json!({ "items": items }));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answers = without_ids(answer.json());
    assert_eq!(answers.as_array().expect("an array").len(), 6);
    for (index, alone) in [(0, &alone[0]), (2, &alone[1]), (5, &alone[0])] {
        assert_eq!(answers[index]["predictions"], alone["predictions"], "{index}");
        assert_eq!(answers[index]["user_id"], alone["user_id"]);
    }
    assert_eq!(answers[1]["errors"][0]["field"], "checkins[0].checkin_date");
    assert_eq!(
        (&answers[1]["status"], &answers[3]["status"], &answers[4]["status"]),
        (&json!(400), &json!(400), &json!(413))
    );
    assert_eq!(host.post("/data/predictions/batch", &json!({ "items": [] })).json(), json!([]));
}

#[test]
fn batch_size_is_bounded() {
    let host = Host::demo();
    let refused = |body: Value| {
        let answer = host.post("/data/predictions/batch", &body);
        assert_eq!(answer.status, 400, "{}", answer.body);
        answer.json()["errors"][0]["message"].as_str().expect("text").to_owned()
    };
    let empty = json!({ "checkins": [] });
    assert_eq!(refused(json!({ "items": vec![&empty; 257] })), "has more than 256 items");
    let shape = "must be an object with nothing but items, an array of up to 256";
    for wrong in
        [json!([]), json!({}), json!({ "items": {} }), json!({ "items": [], "types": "mood_state" }), json!(null)]
    {
        assert_eq!(refused(wrong.clone()), shape, "{wrong}");
    }
    let greedy = json!({ "checkins": checkins(MANIC, 10), "limit_checkins": 10 });
    let answers = host.post("/data/predictions/batch", &json!({ "items": vec![&greedy; 100] })).json();
    assert!(answers[92]["predictions"].is_array(), "93 times 11 check-ins are 1,023");
    assert_eq!(answers[93]["errors"][0]["field"], "limit_checkins");
}

#[test]
fn batch_beyond_its_deadline_keeps_what_it_has_and_labels_the_rest_timeout() {
    let item = json!({ "checkins": checkins(MIXED, 3), "limit_checkins": 3, "explain": true, "window_days": 30 });
    let batch = json!({ "items": vec![&item; 256] });
    // How much of the batch a machine can do in how long is its own affair: one of these is enough for the body and the
    // first item, and not for the last.
    let answers = ["0.05", "0.1", "0.2", "0.4"].iter().find_map(|seconds| {
        let host = Host::with_flags(&["--variable", &format!("inference_timeout_seconds={seconds}")]);
        let answer = host.post("/data/predictions/batch", &batch);
        let first =
            if answer.status == 200 { answer.json()[0]["predictions"][0]["label"].clone() } else { Value::Null };
        (first == "mixed").then(|| answer.json())
    });
    let answers = answers.expect("the first item was answered in time");
    assert_eq!(answers.as_array().expect("an array").len(), 256, "an answer an item");
    let last = &answers[255]["predictions"];
    for prediction in last.as_array().expect("predictions") {
        assert_eq!((&prediction["label"], &prediction["source"]), (&json!("timeout"), &json!("error")), "{prediction}");
        assert!(prediction["probability"].is_null());
        assert_eq!(prediction["risk_level"], "unknown");
    }
    assert!(last[2]["resources"].is_array(), "where to find help is said all the same");
}

#[test]
fn body_is_neither_stored_nor_logged() {
    let state = state();
    let mut host = Host::start(&state, &[]);
    let secret = "7f1d9c60-2b6e-4d57-9a53-0c4f2f0e9b11";
    let good = json!({ "checkins": [{ "id": "sesame", "checkin_date": "1999-12-31", "hoursSlept": 3.25 }], "user_id": secret });
    assert_eq!(host.post("/data/predictions", &good).status, 200);
    let bad = json!({ "checkins": [{ "id": "sesame", "checkin_date": "1999-12-31", "hoursSlept": 325.25 }], "user_id": secret });
    let refused = host.post("/data/predictions", &bad);
    assert_eq!(refused.status, 400);
    assert!(!refused.body.contains("325.25"), "an error does not quote an answer: {}", refused.body);
    host.stop("-TERM");
    for word in [secret, "sesame", "1999-12-31", "325.25"] {
        // The record of decisions has the day of the latest check-in.
        let log = host.log().replace("\"as_of\":\"1999-12-31\"", "");
        assert!(!log.contains(word), "{word} is in the log: {log}");
        let store = std::fs::read(store_file(&state)).unwrap_or_default();
        assert!(!store.windows(word.len()).any(|bytes| bytes == word.as_bytes()), "{word} is in the store");
    }
}

#[test]
fn check_ins_that_are_too_old_make_no_number() {
    let host = Host::with_flags(&["--variable", "max_checkin_age_days=7"]);
    let ask = |day: &str, as_of: Option<&str>| {
        let mut body = json!({ "checkins": [{ "checkin_date": day, "hoursSlept": 7, "energyLevel": 5,
            "depressedMood": 3, "elevation": 3, "anxietyStress": 3, "activation": 3, "medicationAdherence": 1 }] });
        if let Some(as_of) = as_of {
            body["as_of"] = json!(as_of);
        }
        let answer = host.post("/data/predictions", &body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    let mood = |answer: &Value| answer["predictions"][0].clone();
    let stale = mood(&ask("2019-01-31", None));
    assert_eq!((&stale["label"], &stale["probability"]), (&json!("insufficient_data"), &Value::Null));
    assert_eq!(stale["as_of"], "2019-01-31");
    assert_eq!(stale["reason"]["code"], "stale");
    assert_eq!(stale["reason"]["detail"], "The latest check-in is of 31 January 2019, more than 7 days ago.");
    for (as_of, is_stale) in [("2019-01-31", false), ("2019-02-07", false), ("2019-02-08", true)] {
        let mood = mood(&ask("2019-01-31", Some(as_of)));
        assert_eq!(mood["probability"].is_null(), is_stale, "{as_of}: {mood}");
    }
    let earlier = ask("2019-01-31", Some("2019-01-30"));
    assert_eq!(earlier["warnings"], json!(["1 of the check-ins are later than 2019-01-30, and were left out"]));
    assert_eq!(mood(&earlier)["reason"]["code"], "no_checkins");
    let to_come = ask("2062-01-31", None);
    assert_eq!(mood(&to_come)["reason"]["code"], "no_checkins", "what is to come would never be too old");
    assert!(to_come["warnings"][0].as_str().is_some_and(|text| text.starts_with("1 of the check-ins are later than ")));
    // No way of asking makes a number of it: not at each check-in, and not in a batch, where each item has its own day.
    let old = json!({ "checkin_date": "2019-01-31", "hoursSlept": 7, "energyLevel": 5, "depressedMood": 3 });
    let item = |as_of: Option<&str>| match as_of {
        Some(as_of) => json!({ "checkins": [old], "limit_checkins": 1, "as_of": as_of }),
        None => json!({ "checkins": [old], "limit_checkins": 1 }),
    };
    let batch =
        host.post("/data/predictions/batch", &json!({ "items": [item(None), item(Some("2019-02-01"))] })).json();
    for (answer, is_stale) in batch.as_array().expect("both").iter().zip([true, false]) {
        for mood in [&answer["predictions"][0], &answer["per_checkin"][0]["predictions"][0]] {
            assert_eq!(mood["reason"]["code"] == "stale", is_stale, "{mood}");
            assert_eq!((mood["probability"].is_null(), &mood["as_of"]), (is_stale, &json!("2019-01-31")));
        }
    }
    let refused = host.post("/data/predictions", &json!({ "checkins": [], "as_of": "yesterday" }));
    assert_eq!(refused.status, 400, "{}", refused.body);
    // The demo cohort's check-ins move with the calendar, and the bound is the same for it.
    assert!(host.predictions(DEPRESSED, "").prediction("mood_state")["probability"].is_number());
}

#[test]
fn a_card_may_ask_for_newer_check_ins_than_the_service_does() {
    let checkin = json!({ "checkin_date": "2019-01-31", "hoursSlept": 7, "sleepQuality": 5, "energyLevel": 5, "depressedMood": 3 });
    let ask = |host: &Host, as_of: &str| {
        let body = json!({ "checkins": [checkin], "as_of": as_of, "types": ["mood_state", "sleep_disturbance_risk"] });
        let answer = host.post("/data/predictions", &body).json();
        ["mood_state", "sleep_disturbance_risk"].map(|kind| {
            let all = answer["predictions"].as_array().expect("an array");
            let one = all.iter().find(|one| one["type"] == kind).expect("asked for");
            (
                one["reason"]["code"].as_str().unwrap_or("none").to_owned(),
                one["data"]["age_days"].as_i64().expect("an age"),
            )
        })
    };
    let says = |code: &str, age: i64| (code.to_owned(), age);
    let host = Host::demo();
    assert_eq!(ask(&host, "2019-02-03"), [says("none", 3), says("none", 3)]);
    assert_eq!(ask(&host, "2019-02-04"), [says("none", 4), says("stale", 4)]);
    assert_eq!(ask(&host, "2019-02-08"), [says("stale", 8), says("stale", 8)]);
    let without = Host::with_flags(&["--variable", "max_checkin_age_days=0"]);
    assert_eq!(ask(&without, "2019-03-08"), [says("none", 36), says("stale", 36)], "a card's own bound holds");
    let lower = Host::with_flags(&["--variable", "max_checkin_age_days=1"]);
    assert_eq!(ask(&lower, "2019-02-02"), [says("stale", 2), says("stale", 2)], "a lower one holds for every model");
}
