//! The prediction cache, as a caller sees it.

use harness::tokens::WEBHOOK_SECRET;
use harness::{DEPRESSED, Host, MANIC, MIXED, TYPES, WITHOUT_CHECK_INS, state, store_file, wait_until, without_ids};
use rusqlite::Connection;
use std::time::Duration;
use tempfile::TempDir;

/// A host that writes before it answers: what comes after an answer could undo what a test has just done.
fn start(state: &TempDir, flags: &[&str]) -> Host {
    Host::start(state, &[flags, &["--variable", "work_after_response=false"]].concat())
}

/// One whose state ends with it.
fn demo(flags: &[&str]) -> Host {
    Host::with_flags(&[flags, &["--variable", "work_after_response=false"]].concat())
}

fn cache_state(host: &Host, query: &str) -> String {
    host.predictions(DEPRESSED, query).header("x-cache").to_owned()
}

fn store(state: &TempDir) -> Connection {
    let store = Connection::open(store_file(state)).expect("the store is SQLite");
    store.busy_timeout(Duration::from_secs(5)).expect("a time-out");
    store
}

#[test]
fn second_response_is_a_hit_and_byte_identical() {
    let host = demo(&[]);
    let first = host.predictions(DEPRESSED, "");
    assert_eq!(first.header("x-cache"), "MISS");
    let second = host.wait_for_hit(DEPRESSED, "");
    assert_eq!(first.body, second.body);
    let timing = second.header("server-timing");
    assert!(timing.contains("cache;dur=") && !timing.contains("inference"), "{timing}");
}

#[test]
fn subset_of_types_is_a_hit_and_another_window_or_person_a_miss() {
    let host = demo(&[]);
    host.predictions(DEPRESSED, "?types=sleep_disturbance_risk");
    host.wait_for_hit(DEPRESSED, "?types=sleep_disturbance_risk");
    for kind in TYPES {
        let answer = host.predictions(DEPRESSED, &format!("?types={kind}"));
        assert_eq!(answer.header("x-cache"), "HIT");
        assert_eq!(answer.json()["predictions"][0]["type"], kind);
    }
    assert_eq!(host.get(&format!("/data/prediction_of_day/{DEPRESSED}")).header("x-cache"), "HIT");
    assert_eq!(cache_state(&host, "?window_days=4"), "MISS");
    assert_eq!(host.predictions(MANIC, "").header("x-cache"), "MISS");
}

#[test]
fn entry_serves_no_more_check_ins_or_contributions_than_it_holds() {
    let host = demo(&[]);
    host.predictions(DEPRESSED, "");
    host.wait_for_hit(DEPRESSED, "");
    assert_eq!(cache_state(&host, "?limit_checkins=2&explain=true"), "MISS");
    let fewer = host.wait_for_hit(DEPRESSED, "?limit_checkins=1&explain=true");
    assert_eq!(fewer.json()["per_checkin"].as_array().map(Vec::len), Some(1));
    assert_eq!(cache_state(&host, "?limit_checkins=3"), "MISS");
}

#[test]
fn entry_expires_after_its_ttl() {
    let host = demo(&["--variable", "cache_ttl_seconds=1"]);
    host.predictions(DEPRESSED, "");
    host.wait_for_hit(DEPRESSED, "");
    wait_until(|| cache_state(&host, "") == "MISS");
}

#[test]
fn ttl_of_zero_turns_the_cache_off() {
    let host = demo(&["--variable", "cache_ttl_seconds=0"]);
    for _ in 0..3 {
        assert_eq!(cache_state(&host, ""), "BYPASS");
    }
}

#[test]
fn insufficient_data_is_not_cached() {
    let host = demo(&[]);
    for _ in 0..3 {
        assert_eq!(host.predictions(WITHOUT_CHECK_INS, "").header("x-cache"), "MISS");
    }
}

#[test]
fn corrupt_truncated_or_foreign_entry_is_a_miss_and_replaced() {
    let state = state();
    let host = start(&state, &[]);
    let store = store(&state);
    // No key names a person: the one that is new is theirs.
    let entries = || -> Vec<(String, Vec<u8>)> {
        let read = "SELECT key, value FROM spin_key_value WHERE store = 'default' AND key LIKE 'predictions:%'";
        let mut read = store.prepare(read).expect("a statement");
        let rows = read.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
        rows.map(|row| row.expect("a row")).collect()
    };
    let right = host.predictions(DEPRESSED, "");
    host.wait_for_hit(DEPRESSED, "");
    let (key, own) = entries().pop().expect("an entry");
    host.predictions(MANIC, "");
    host.wait_for_hit(MANIC, "");
    let (_, foreign) = entries().into_iter().find(|(other, _)| *other != key).expect("another entry");
    let changed = |from: &str, to: &str| {
        let at = own.windows(from.len()).position(|part| part == from.as_bytes()).expect("a part of it");
        [&own[..at], to.as_bytes(), &own[at + from.len()..]].concat()
    };
    for bad in [
        b"".to_vec(),
        b"null".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        b"{}".to_vec(),
        own[..own.len() / 2].to_vec(),
        vec![b'['; 100_000],
        vec![b' '; 2 << 20],
        foreign,
        changed("\"predictions\":[", "\"prediction_\":["),
        changed("\"fingerprint\":\"", "\"fingerprint\":\"0"),
        // A neighbour in the slot, and a value that is over.
        [&own[..9], &b"0123456789abcdef0123456789abcdef"[..], &own[41..]].concat(),
        [&own[..1], &1_i64.to_le_bytes(), &own[9..]].concat(),
    ] {
        let changed = store.execute("UPDATE spin_key_value SET value = ?1 WHERE key = ?2", (&bad, &key));
        assert_eq!(changed.expect("the store is written"), 1);
        let answer = host.predictions(DEPRESSED, "");
        assert_eq!(answer.header("x-cache"), "MISS", "{} bytes", bad.len());
        assert_eq!(without_ids(answer.json())["predictions"], without_ids(right.json())["predictions"]);
        host.wait_for_hit(DEPRESSED, "");
    }
}

#[test]
fn cache_survives_a_restart() {
    let state = state();
    let mut host = start(&state, &[]);
    let first = host.predictions(DEPRESSED, "");
    host.wait_for_hit(DEPRESSED, "");
    host.stop("-TERM");
    let host = start(&state, &[]);
    let again = host.predictions(DEPRESSED, "");
    assert_eq!(again.header("x-cache"), "HIT");
    assert_eq!(first.body, again.body);
}

fn invalidated(host: &Host, user_id: &str) -> u64 {
    let answer = host.request("DELETE", &format!("/data/predictions/{user_id}"), &[]);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["erased"]["predictions"].as_u64().expect("a number")
}

#[test]
fn invalidation_drops_all_entries_of_one_person_only() {
    let host = demo(&[]);
    for window in ["", "?window_days=7", "?window_days=30"] {
        host.predictions(DEPRESSED, window);
        host.wait_for_hit(DEPRESSED, window);
    }
    host.predictions(MANIC, "");
    host.wait_for_hit(MANIC, "");
    assert_eq!(invalidated(&host, DEPRESSED), 3);
    assert_eq!(cache_state(&host, "?window_days=7"), "MISS");
    assert_eq!(host.predictions(MANIC, "").header("x-cache"), "HIT");
    host.wait_for_hit(DEPRESSED, "?window_days=7");
    assert_eq!(invalidated(&host, DEPRESSED), 1);
    assert_eq!(invalidated(&host, DEPRESSED), 0, "there is nothing left to drop");
    assert_eq!(host.request("DELETE", "/data/predictions/me", &[]).status, 400);
    let other = host.request("PUT", &format!("/data/predictions/{DEPRESSED}"), &[]);
    assert_eq!((other.status, other.header("allow")), (405, "GET, HEAD, DELETE"));
}

#[test]
fn entry_older_than_an_invalidation_is_not_served_even_if_written_after_it() {
    let state = state();
    let host = start(&state, &[]);
    host.predictions(DEPRESSED, "");
    host.wait_for_hit(DEPRESSED, "");
    let entry: (String, Vec<u8>) = store(&state)
        .query_row("SELECT key, value FROM spin_key_value WHERE key LIKE 'predictions:%'", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("one entry");
    assert_eq!(invalidated(&host, DEPRESSED), 1);
    // As a write would that another instance began before.
    store(&state)
        .execute("INSERT INTO spin_key_value (store, key, value) VALUES ('default', ?, ?)", (entry.0, entry.1))
        .expect("written");
    assert_eq!(cache_state(&host, ""), "MISS");
    host.wait_for_hit(DEPRESSED, "");
}

#[test]
fn webhook_invalidates_the_old_and_the_new_owner_of_a_row() {
    let secret = WEBHOOK_SECRET;
    let host = demo(&["--variable", &format!("webhook_secret={secret}")]);
    let hook = |secret: &str, body: &str| {
        let headers = [("content-type", "application/json"), ("x-webhook-secret", secret)];
        host.send("POST", "/hooks/check-ins", &headers, body)
    };
    for user_id in [DEPRESSED, MANIC] {
        host.predictions(user_id, "");
        host.wait_for_hit(user_id, "");
    }
    let change = serde_json::json!({
        "type": "UPDATE", "table": "check_ins", "schema": "public",
        "record": { "user_id": DEPRESSED, "hoursSlept": 3 }, "old_record": { "user_id": MANIC.to_uppercase() }
    });
    for wrong in ["", "another", &secret[1..], &format!("{secret} ")[1..]] {
        let answer = hook(wrong, &change.to_string());
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Webhook-Secret"), "{wrong}");
    }
    assert_eq!(cache_state(&host, ""), "HIT", "what is not believed changes nothing");
    let answer = hook(secret, &change.to_string());
    assert_eq!((answer.status, answer.json()), (200, serde_json::json!({ "invalidated": 2 })), "{}", answer.body);
    assert_eq!(cache_state(&host, ""), "MISS");
    assert_eq!(host.predictions(MANIC, "").header("x-cache"), "MISS");
    let removed = serde_json::json!({ "type": "DELETE", "table": "check_ins", "record": null, "old_record": { "user_id": MIXED } });
    assert_eq!(hook(secret, &removed.to_string()).json()["invalidated"], 1, "one person, whether known or not");
    for (body, field) in [
        (r#"{"table":"check_ins","record":{"user_id":"me"}}"#, "record.user_id"),
        (r#"{"table":"check_ins"}"#, "record.user_id"),
        (r#"{"table":"users","record":{"user_id":"me"}}"#, "table"),
        (r#"{"record":{}}"#, "body"),
        ("[", "body"),
    ] {
        let answer = hook(secret, body);
        assert_eq!((answer.status, &answer.json()["errors"][0]["field"]), (400, &serde_json::json!(field)), "{body}");
    }
    assert!(!host.log().contains(secret) && !host.log().contains(DEPRESSED), "{}", host.log());
}

#[test]
fn webhook_without_a_configured_secret_is_503() {
    let host = demo(&[]);
    let answer = host.send("POST", "/hooks/check-ins", &[("x-webhook-secret", "")], "{}");
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("webhook_secret"), "{}", answer.body);
}
