//! The bounds of what the store keeps: a number of keys, forgotten in time, and erased when a person asks.

use crate::manifest;
use harness::supabase::{FakeSupabase, Reply};
use harness::tokens::{ANON_KEY, claims, es256, key_set};
use harness::{DEPRESSED, Host, MANIC, root, state, store_file, wait_for, wait_until};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const WEBHOOK_SECRET: &str = "a webhook secret of this test";

/// The keys of a store with 64 slots for predictions: those, 448 generations, 48 jobs, 64 tokens, 4 tables of limits,
/// the metrics, the key set and the sweep.
const KEYS_OF_64_SLOTS: usize = 64 + 448 + 48 + 64 + 4 + 3;
/// Those whose values are not a short text.
const VALUES_OF_64_SLOTS: usize = KEYS_OF_64_SLOTS - 448;

/// Opens the store of a host, which may be writing to it.
fn open(state: &TempDir) -> Connection {
    let store = Connection::open(store_file(state)).expect("the store");
    store.busy_timeout(Duration::from_secs(5)).expect("set");
    store
}

/// Everything in the store of a host.
fn stored(state: &TempDir) -> BTreeMap<String, Vec<u8>> {
    let store = open(state);
    let mut read = store.prepare("SELECT key, value FROM spin_key_value").expect("a statement");
    let rows = read.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

/// The time at which a value is over, in milliseconds since 1970.
fn over_at(value: &[u8]) -> i64 {
    assert_eq!(value[0], 3, "the version");
    i64::from_le_bytes(value[1..9].try_into().expect("eight bytes"))
}

fn now() -> i64 {
    harness::tokens::seconds_from_now(0) * 1000
}

/// The keys that hold predictions or tokens: those that expire.
fn expiring(state: &TempDir) -> Vec<String> {
    stored(state).into_keys().filter(|key| is_expiring(key)).collect()
}

fn is_expiring(key: &str) -> bool {
    ["predictions:", "job:", "token:"].iter().any(|kind| key.starts_with(kind))
}

fn sweep(host: &Host, slots: u32) -> Value {
    let answer = host.send("POST", &format!("/hooks/sweep?slots={slots}"), &[("x-webhook-secret", WEBHOOK_SECRET)], "");
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// Variables of a component that shows everyone's predictions, whoever they are.
fn open_project(supabase: &FakeSupabase, more: &[&str]) -> Vec<String> {
    let secret = format!("webhook_secret={WEBHOOK_SECRET}");
    supabase.open_to_all(&[&[secret.as_str(), "client_ip_header=x-caller", "log_level=warn"], more].concat())
}

fn person(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// Has so many people, callers and jobs in turn ask, two at a time, or fewer where a time is over before; returns how
/// many asked. Every answer must be right.
fn ask_for_many(host: &Host, people: usize, time: Duration) -> usize {
    let begin = Instant::now();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    if begin.elapsed() >= time {
                        return;
                    }
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= people {
                        return;
                    }
                    let caller = format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255);
                    let mut headers = vec![("x-caller", caller.as_str())];
                    if number.is_multiple_of(4) {
                        headers.push(("prefer", "respond-async"));
                    }
                    let path = format!("/data/predictions/{}", person(number));
                    let answer = host.request("GET", &path, &headers);
                    assert!([200, 202].contains(&answer.status), "{}", answer.body);
                }
            });
        }
    });
    next.into_inner().min(people)
}

/// `SOAK_PEOPLE` says how many people ask, and `SOAK_SECONDS` for how long: `cargo xtask soak` a hundred thousand, or
/// as many as its time allows.
#[test]
fn the_store_stays_small_and_forgets() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let people = number("SOAK_PEOPLE").unwrap_or(10_000);
    let time = number("SOAK_SECONDS").map_or(Duration::MAX, |seconds| Duration::from_secs(seconds as u64));
    let supabase = FakeSupabase::start(vec![Reply::RowsOfAnyone]);
    let variables = open_project(
        &supabase,
        &[
            "cache_slots=64",
            "cache_ttl_seconds=2",
            "cache_stale_seconds=0",
            "job_ttl_seconds=1",
            "inference_timeout_seconds=1",
        ],
    );
    let state = state();
    let host = Host::start(&state, &variables.iter().map(String::as_str).collect::<Vec<_>>());
    let people = ask_for_many(&host, people, time);
    println!("{people} people asked");
    for number in 0..200 {
        let path = format!("/data/predictions/{}", person(number));
        assert_eq!(host.request("DELETE", &path, &[]).status, 200);
    }
    let kept = stored(&state);
    assert!(kept.len() <= KEYS_OF_64_SLOTS, "{} keys", kept.len());
    let bytes: usize = kept.values().map(Vec::len).sum();
    assert!(bytes < VALUES_OF_64_SLOTS * 16_384, "{bytes} bytes");
    assert!(std::fs::metadata(store_file(&state)).expect("a file").len() < 16 << 20);
    assert!(!host.log().contains("not_written") && !host.log().contains("not_limited"), "{}", host.log());

    // What is over goes with the traffic that follows: as many misses as there are slots are far more than are needed.
    let over = || {
        let kept = stored(&state).into_iter().filter(|(key, _)| is_expiring(key));
        kept.partition::<Vec<_>, _>(|(_, value)| over_at(value) <= now())
    };
    wait_until(|| over().1.is_empty());
    let before = over().0.len();
    let mut asked = people;
    wait_until(|| {
        ask_for_one_more(&host, &mut asked);
        over().0.len() < before / 4 + 8
    });
    assert!(asked - people <= 64 + 48 + 64, "{} misses", asked - people);

    // And without traffic with a sweep that a scheduler asks for.
    wait_until(|| {
        let swept = sweep(&host, 10_000);
        assert_eq!(swept["slots"], 64 + 48 + 64, "{swept}");
        expiring(&state).is_empty()
    });
    for (key, value) in stored(&state) {
        // Metrics name what was predicted, and of nobody.
        assert!(key == "metrics" || !String::from_utf8_lossy(&value).contains("mood_state"), "{key}");
    }
}

fn ask_for_one_more(host: &Host, asked: &mut usize) {
    let answer = host.predictions(&person(*asked), "");
    assert_eq!(answer.header("x-cache"), "MISS", "{}", answer.body);
    *asked += 1;
}

#[test]
fn five_thousand_people_on_fermyon_cloud_have_not_one_key_refused() {
    let supabase = FakeSupabase::start(vec![Reply::RowsOfAnyone]);
    let state = state();
    // The cloud's own limits, but for requests to a database, which this test makes more of than an hour allows.
    let cloud = manifest::platform("fermyon-cloud");
    assert!(cloud.contains("keys = 1024"), "{cloud}");
    let more = cloud.replacen("outbound_requests_per_hour = 500", "outbound_requests_per_hour = 1000000", 1);
    let file = state.path().join("platforms.toml");
    std::fs::write(&file, more).expect("written");
    let mut flags = open_project(&supabase, &["metrics_sampling=16"]);
    flags.extend(["--platform".to_owned(), format!("@{}", file.display())]);
    let host = Host::start(&state, &flags.iter().map(String::as_str).collect::<Vec<_>>());
    ask_for_many(&host, 5_000, Duration::MAX);
    let kept = stored(&state).len();
    assert!((400..1_000).contains(&kept), "{kept} keys");
    assert!(!host.log().contains("\"level\":\"warn\""), "{}", host.log());
}

#[test]
fn erasure_leaves_nothing_about_a_person_and_says_what_it_took() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    supabase.set_keys(Reply::Respond(200, key_set("elliptic", "rsa").to_string()));
    for start in [Host::start as fn(&TempDir, &[&str]) -> Host, Host::start_fast] {
        let state = state();
        let variables = [
            format!("supabase_url={}", supabase.url),
            format!("supabase_anon_key={ANON_KEY}"),
            "cache_key_secret=a secret that keys are hashed with".to_owned(),
            // Every request is counted.
            "rate_limit_predictions=4/day".to_owned(),
            "rate_limit_default=1000/day".to_owned(),
            "counting_writes_per_second=0".to_owned(),
            // A write that is still under way after its answer would come after the erasure.
            "work_after_response=false".to_owned(),
        ];
        let host = start(&state, &variables.iter().flat_map(|variable| ["--variable", variable]).collect::<Vec<_>>());
        let authorization = format!("Bearer {}", es256("elliptic", &claims(&supabase.url, DEPRESSED)));
        let ask = |method: &str, query: &str, more: &[(&str, &str)]| {
            let headers = [&[("authorization", authorization.as_str())][..], more].concat();
            host.request(method, &format!("/data/predictions/{DEPRESSED}{query}"), &headers)
        };
        for query in ["", "?window_days=7"] {
            assert_eq!(ask("GET", query, &[]).status, 200);
        }
        let accepted = ask("GET", "?window_days=14", &[("prefer", "respond-async")]);
        assert_eq!(accepted.status, 202, "{}", accepted.body);
        let job = accepted.header("location").to_owned();
        let bearer = [("authorization", authorization.as_str())];
        wait_for(|| (host.request("GET", &job, &bearer).json()["status"] == "done").then_some(()));
        wait_until(|| {
            let limits: Vec<_> = stored(&state).into_iter().filter(|(key, _)| key.starts_with("limits:")).collect();
            limits.iter().any(|(_, value)| value.len() > 50)
        });

        let answer = ask("DELETE", "", &[]);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let receipt = answer.json();
        let erased = &receipt["erased"];
        let kinds = (&erased["predictions"], &erased["jobs"], &erased["tokens"]);
        assert_eq!(kinds, (&json!(3), &json!(1), &json!(1)), "{receipt}");
        // The counts of today go with an erasure that a server asks for.
        assert_eq!(erased["counters"], 0, "{receipt}");
        assert_eq!(receipt["request_id"], answer.header("x-request-id"));
        assert!(receipt["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{receipt}");
        // Nobody else has asked: what is left is about nobody, but for the counts.
        wait_until(|| host.log().contains("\"event\":\"erased\""));
        let left = stored(&state);
        assert!(expiring(&state).is_empty(), "{:?}", left.keys());
        // The token was forgotten, and is not remembered for a request that erases.
        let again = ask("DELETE", "", &[]).json();
        assert_eq!((&again["erased"]["predictions"], &again["erased"]["tokens"]), (&json!(0), &json!(0)), "{again}");
        wait_until(|| host.log().lines().filter(|line| line.contains("\"event\":\"erased\"")).count() == 2);
        assert!(expiring(&state).is_empty(), "{:?}", stored(&state).keys());
        assert_eq!(host.request("GET", &job, &bearer).status, 404);
        let line = host.log().lines().find(|line| line.contains("\"event\":\"erased\"")).map(str::to_owned);
        let line: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        assert!(line["user"].as_str().is_some_and(|user| user.len() == 12), "{line}");
        // Whoever may erase themselves cannot pass their limit by it.
        wait_until(|| ask("GET", "", &[]).status == 429);
        assert_eq!(ask("DELETE", "", &[]).status, 200);
        assert_eq!(ask("GET", "", &[]).status, 429);
        let mut claims = claims(&supabase.url, DEPRESSED);
        claims["role"] = json!("service_role");
        let service = format!("Bearer {}", es256("elliptic", &claims));
        let path = format!("/data/predictions/{DEPRESSED}");
        let by_server = host.request("DELETE", &path, &[("authorization", &service)]);
        assert_eq!(by_server.status, 200, "{}", by_server.body);
        assert!(by_server.json()["erased"]["counters"].as_u64().is_some_and(|counters| counters >= 1));
    }
}

#[test]
fn erasure_reaches_what_is_over_and_is_not_swept_yet() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let more = ["cache_ttl_seconds=1", "cache_stale_seconds=0", "job_ttl_seconds=1", "inference_timeout_seconds=1"];
    let variables = open_project(&supabase, &more);
    let state = state();
    let host = Host::start(&state, &variables.iter().map(String::as_str).collect::<Vec<_>>());
    let path = format!("/data/predictions/{DEPRESSED}");
    assert_eq!(host.request("GET", &path, &[]).status, 200);
    assert_eq!(host.request("GET", &format!("{path}?window_days=9"), &[("prefer", "respond-async")]).status, 202);
    let kinds = || expiring(&state).into_iter().map(|key| key.split(':').next().map(str::to_owned)).collect::<Vec<_>>();
    wait_until(|| kinds().len() == 2);
    wait_until(|| stored(&state).iter().all(|(key, value)| !is_expiring(key) || over_at(value) <= now()));
    assert_eq!(kinds().len(), 2, "nothing has swept them");
    let receipt = host.request("DELETE", &path, &[]).json();
    assert!(expiring(&state).is_empty(), "{receipt}");
    assert_eq!(receipt["erased"]["jobs"], 1, "{receipt}");
    assert!(receipt["erased"]["predictions"].as_u64().is_some_and(|windows| windows >= 1), "{receipt}");
}

/// Without a cache, jobs and tokens are kept all the same.
#[test]
fn store_forgets_without_a_cache() {
    let supabase = FakeSupabase::start(vec![Reply::RowsOfAnyone]);
    for off in ["cache_ttl_seconds=0", "cache_slots=0"] {
        let more = [off, "job_ttl_seconds=1", "inference_timeout_seconds=1"];
        let variables = open_project(&supabase, &more);
        let state = state();
        let host = Host::start(&state, &variables.iter().map(String::as_str).collect::<Vec<_>>());
        let path = format!("/data/predictions/{}", person(1));
        assert_eq!(host.request("GET", &path, &[("prefer", "respond-async")]).status, 202);
        wait_until(|| expiring(&state).iter().any(|key| key.starts_with("job:")));
        wait_until(|| {
            let asked = host.request("GET", &format!("/data/predictions/{}", person(2)), &[]);
            assert_eq!((asked.status, asked.header("x-cache")), (200, "BYPASS"), "{off}");
            expiring(&state).is_empty()
        });
    }
}

#[test]
fn what_is_kept_is_what_the_table_says() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    supabase.set_keys(Reply::Respond(200, key_set("elliptic", "rsa").to_string()));
    let state = state();
    let key = "0123456789abcdef".repeat(4);
    let variables = [
        format!("supabase_url={}", supabase.url),
        format!("supabase_anon_key={ANON_KEY}"),
        format!("webhook_secret={WEBHOOK_SECRET}"),
        format!("cache_encryption_key={key}"),
        "counting_writes_per_second=0".to_owned(),
        "rate_limit_predictions=4/day".to_owned(),
        "metrics_sampling=1".to_owned(),
    ];
    let host = Host::start(&state, &variables.iter().flat_map(|variable| ["--variable", variable]).collect::<Vec<_>>());
    for (person, more) in [(DEPRESSED, ""), (MANIC, "?window_days=14")] {
        let authorization = format!("Bearer {}", es256("elliptic", &claims(&supabase.url, person)));
        let headers = [("authorization", authorization.as_str()), ("prefer", "respond-async")];
        let asked = host.request("GET", &format!("/data/predictions/{person}{more}"), &headers);
        assert_eq!(asked.status, 202, "{}", asked.body);
        let job = asked.header("location").to_owned();
        wait_until(|| host.request("GET", &job, &headers[..1]).json()["status"] == "done");
    }
    let body = json!({ "table": "check_ins", "record": { "user_id": MANIC } }).to_string();
    let headers = [("content-type", "application/json"), ("x-webhook-secret", WEBHOOK_SECRET)];
    assert_eq!(host.send("POST", "/hooks/check-ins", &headers, &body).status, 200);
    sweep(&host, 100);
    assert_eq!(host.get("/health/ready").json()["store"], "ok");
    // The kinds of SECURITY.md's table, and the seconds for which each is kept at most.
    let kinds = [
        ("predictions", Some(300 + 3_600)),
        ("job", Some(30 + 5 + 600)),
        ("token", Some(300)),
        ("generation", None),
        ("limits", None),
        ("metrics", None),
        ("key-set", Some(86_400)),
        ("sweep", None),
        ("ready", None),
    ];
    let table = std::fs::read_to_string(root().join("SECURITY.md")).expect("the promises");
    wait_until(|| {
        let kept = stored(&state);
        kinds.iter().all(|(kind, _)| kept.keys().any(|key| key.split(':').next() == Some(kind)))
    });
    for (key, value) in stored(&state) {
        let kind = key.split(':').next().expect("a kind");
        let (_, seconds) = kinds.iter().find(|(known, _)| *known == kind).unwrap_or_else(|| panic!("{key} is unknown"));
        assert!(table.contains(&format!("`{kind}")), "SECURITY.md has no row for {kind}");
        if let Some(seconds) = seconds {
            let left = over_at(&value) - now();
            assert!((1..=(seconds + 2) * 1000).contains(&left), "{key} is kept for {left} ms");
        }
        let text = format!("{key} {}", String::from_utf8_lossy(&value));
        let secret = ["eyJ", DEPRESSED, MANIC, "127.0.0.1", "mood_state_v1", "depression", "probabilities", ANON_KEY];
        assert!(!secret.iter().any(|secret| text.contains(secret)), "{key} has something in clear");
    }
}

#[test]
fn keys_of_another_layout_go_and_those_of_others_stay() {
    let state = state();
    let secret = format!("webhook_secret={WEBHOOK_SECRET}");
    let start =
        |slots: &str| Host::start(&state, &["--variable", &secret, "--variable", &format!("cache_slots={slots}")]);
    let hash = "0123456789abcdef0123456789abcdef";
    let old = [
        format!("predictions:{hash}:3:0123456789abcdef"),
        format!("generation:{hash}"),
        format!("job:{hash}"),
        format!("rate:predictions:{hash}:29384"),
        "metrics:note:7".to_owned(),
        "key-secret".to_owned(),
    ];
    // Two have the form of this service's keys, and no value of its.
    let others =
        ["another-apps", "predictions", "job:mine", "job:12345", "token:64", "claim:order:7", "rate:default:x"];
    let host = start("1000");
    host.wait_for_hit(DEPRESSED, "");
    let store = open(&state);
    for key in old.iter().map(String::as_str).chain(others) {
        store
            .execute("INSERT OR REPLACE INTO spin_key_value (store, key, value) VALUES ('default', ?, x'7b7d')", [key])
            .expect("written");
    }
    drop(host);
    let host = start("64");
    let swept = sweep(&host, 1);
    assert!(swept["left_over"].as_u64().is_some_and(|gone| gone >= old.len() as u64), "{swept}");
    let kept = stored(&state);
    assert!(!old.iter().any(|key| kept.contains_key(key)), "{:?}", kept.keys());
    assert!(others.iter().all(|key| kept.contains_key(*key)), "{:?}", kept.keys());
    assert_eq!(sweep(&host, 1)["left_over"], 0);
    for (headers, status) in [(&[][..], 401), (&[("x-webhook-secret", "wrong")][..], 401)] {
        assert_eq!(host.send("POST", "/hooks/sweep", headers, "").status, status);
    }
    let wrong = host.send("POST", "/hooks/sweep?slots=0", &[("x-webhook-secret", WEBHOOK_SECRET)], "");
    assert_eq!(wrong.status, 400, "{}", wrong.body);
}
