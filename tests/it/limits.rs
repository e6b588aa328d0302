//! Rate limits, size limits, CORS, security headers, and encryption at rest.

use harness::supabase::{self, FakeSupabase, Reply};
use harness::tokens::{API_KEY, WEBHOOK_SECRET, token};
use harness::{DEPRESSED, Host, MANIC, Response, state};
use serde_json::json;
use std::time::{Duration, Instant};

/// A host with some variables set. It counts a request before it answers, so that the next one finds it counted.
fn host(state: &tempfile::TempDir, variables: &[&str], flags: &[&str]) -> Host {
    let variables =
        variables.iter().chain(&["work_after_response=false"]).flat_map(|variable| ["--variable", variable]);
    Host::start(state, &variables.chain(flags.iter().copied()).collect::<Vec<_>>())
}

fn predictions(host: &Host) -> Response {
    host.get(&format!("/data/predictions/{DEPRESSED}"))
}

fn number(answer: &Response, header: &str) -> u64 {
    answer.header(header).parse().unwrap_or_else(|_| panic!("{header}: {:?}", answer.headers))
}

#[test]
fn exceeded_limit_is_429_with_retry_after() {
    let state = state();
    let host = host(&state, &["rate_limit_predictions=5/day", "rate_limit_default=3/day"], &[]);
    for left in (0..5).rev() {
        let answer = predictions(&host);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!((number(&answer, "ratelimit-limit"), number(&answer, "ratelimit-remaining")), (5, left));
        assert!((1..=86_400).contains(&number(&answer, "ratelimit-reset")));
        assert_eq!(answer.header("ratelimit-policy"), "\"predictions\";q=5;w=86400");
        assert_eq!(
            answer.header("ratelimit"),
            format!("\"predictions\";r={left};t={}", answer.header("ratelimit-reset"))
        );
    }
    for _ in 0..3 {
        let answer = predictions(&host);
        assert_eq!((answer.status, &answer.json()["status"]), (429, &json!(429)));
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json()["type"], "urn:bipolar-edge:problem:too-many-requests");
        assert_eq!(number(&answer, "ratelimit-remaining"), 0);
        let wait = number(&answer, "retry-after");
        assert!((1..=2 * 86_400).contains(&wait), "{wait}");
        assert_eq!(number(&answer, "ratelimit-reset"), wait.min(86_400), "it is within its window");
        assert_eq!(answer.header("ratelimit-policy"), "\"predictions\";q=5;w=86400");
        assert_eq!(answer.header("ratelimit"), format!("\"predictions\";r=0;t={}", wait.min(86_400)));
    }
    // Each prediction counts, however it is asked for; what is none has a limit of its own.
    assert_eq!(host.get(&format!("/data/prediction_of_day/{MANIC}")).status, 429);
    assert_eq!(host.post("/data/predictions", &json!({ "checkins": [] })).status, 429);
    for path in ["/models", "/", "/models/mood_state"] {
        assert_eq!(host.get(path).status, 200, "{path}");
    }
    let refused = host.get("/models");
    assert_eq!((refused.status, refused.header("ratelimit-policy")), (429, "\"default\";q=3;w=86400"));
    for _ in 0..5 {
        assert_eq!((host.get("/health/live").status, host.get("/health/ready").status), (200, 200));
    }
}

#[test]
fn window_slides_and_retry_after_is_long_enough() {
    let state = state();
    let host = host(&state, &["rate_limit_predictions=4/second"], &[]);
    let start = Instant::now();
    let mut let_in = Vec::new();
    while start.elapsed() < Duration::from_secs(4) {
        let answer = predictions(&host);
        match answer.status {
            200 => let_in.push(start.elapsed()),
            429 => std::thread::sleep(Duration::from_secs(number(&answer, "retry-after"))),
            other => panic!("{other}"),
        }
    }
    // Never more than the limit's double within a second, which is what no window but a fixed one would allow at its
    // edge; the sliding one allows half as much again at the very worst.
    for (index, first) in let_in.iter().enumerate() {
        let within = let_in[index..].iter().take_while(|time| **time - *first < Duration::from_millis(990)).count();
        assert!(within <= 6, "{let_in:?}");
    }
    assert!(let_in.len() >= 6, "who waits is let in: {let_in:?}");
}

#[test]
fn callers_are_counted_by_address_api_key_or_person() {
    let state_of_addresses = state();
    let variables = ["rate_limit_predictions=1/day", "client_ip_header=x-forwarded-for"];
    let by_address = host(&state_of_addresses, &variables, &[]);
    let from = |addresses: &str| {
        let path = format!("/data/predictions/{DEPRESSED}");
        by_address.request("GET", &path, &[("x-forwarded-for", addresses)]).status
    };
    assert_eq!((from("198.51.100.1"), from("198.51.100.1"), from("198.51.100.2")), (200, 429, 200));
    assert_eq!(from("203.0.113.9, 198.51.100.1"), 429, "what stands before is the caller's own word");
    assert_eq!(from("::ffff:198.51.100.1"), 429, "the same address, written otherwise");
    assert_eq!((from("2001:db8:1:2::3"), from("2001:db8:1:2:ffff::4"), from("2001:db8:1:3::3")), (200, 429, 200));
    assert_eq!((from("nonsense"), from("other nonsense"), from("")), (200, 429, 429), "together, whoever they are");

    let state_of_keys = state();
    let second = "key-fedcba9876543210fedcba9876543210";
    let keys = format!("api_keys={API_KEY},{second}");
    let by_key = host(&state_of_keys, &["auth_mode=api_key", &keys, "rate_limit_predictions=1/day"], &[]);
    let with =
        |key: &str| by_key.request("GET", &format!("/data/predictions/{DEPRESSED}"), &[("x-api-key", key)]).status;
    assert_eq!((with(API_KEY), with(API_KEY), with(second)), (200, 429, 200));

    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let state_of_people = state();
    let project = supabase::variables(&supabase.url);
    let variables: Vec<&str> = project.iter().map(String::as_str).chain(["rate_limit_predictions=1/day"]).collect();
    let by_person = host(&state_of_people, &variables, &[]);
    let of = |person: &str| {
        let authorization = format!("Bearer {}", token(&supabase.url, person));
        by_person.request("GET", &format!("/data/predictions/{DEPRESSED}"), &[("authorization", &authorization)]).status
    };
    assert_eq!((of(DEPRESSED), of(DEPRESSED), of(MANIC)), (200, 429, 200));
}

#[test]
fn failed_authentication_is_counted_by_true_client_address() {
    let state = state();
    let keys = format!("api_keys={API_KEY}");
    let host = host(&state, &["auth_mode=api_key", &keys, "rate_limit_default=4/day"], &[]);
    let guess = |number: usize| {
        let headers = [("x-api-key", "a guess"), ("spin-client-addr", &format!("198.51.100.{number}:80"))];
        host.request("GET", &format!("/data/predictions/{DEPRESSED}"), &headers).status
    };
    let statuses: Vec<u16> = (0..6).map(guess).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 429, 429]);
    let answer = host.request("GET", &format!("/data/predictions/{DEPRESSED}"), &[("x-api-key", API_KEY)]);
    assert_eq!(answer.status, 200, "the key is counted apart");
}

#[test]
fn webhook_is_not_limited_and_guesses_at_its_secret_are() {
    let state = state();
    let secret = format!("webhook_secret={WEBHOOK_SECRET}");
    let host = host(&state, &[&secret, "rate_limit_default=3/day"], &[]);
    let hook = |secret: &str| {
        let headers = [("content-type", "application/json"), ("x-webhook-secret", secret)];
        let body = json!({ "table": "check_ins", "record": { "user_id": DEPRESSED } }).to_string();
        host.send("POST", "/hooks/check-ins", &headers, &body).status
    };
    for _ in 0..10 {
        assert_eq!(hook(WEBHOOK_SECRET), 200);
    }
    let guesses: Vec<u16> = (0..5).map(|guess| hook(&format!("a guess at sixteen bytes {guess}"))).collect();
    assert_eq!(guesses, [401, 401, 401, 429, 429]);
    assert_eq!(hook(WEBHOOK_SECRET), 200);
}

#[test]
fn oversized_urls_headers_and_nesting_are_refused() {
    let host = Host::demo();
    let path = format!("/data/predictions/{DEPRESSED}");
    let long = host.get(&format!("{path}?types={}", "x".repeat(5000)));
    assert_eq!((long.status, &long.json()["type"]), (414, &json!("urn:bipolar-edge:problem:url-too-long")));
    let value = "x".repeat(7000);
    let headers: Vec<(String, &str)> = (0..6).map(|index| (format!("x-header-{index}"), value.as_str())).collect();
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(host.request("GET", &path, &headers).status, 431);
    let many: Vec<String> = (0..120).map(|index| format!("x-header-{index}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(host.request("GET", &path, &many).status, 431);
    for body in ["[".repeat(10_000), format!("{}1{}", r#"{"checkins":"#.repeat(500), "}".repeat(500))] {
        let answer = host.post_text("/data/predictions", "application/json", &body);
        assert_eq!((answer.status, &answer.json()["errors"][0]["field"]), (400, &json!("body")), "{}", answer.body);
    }
    assert_eq!(host.get(&path).status, 200);
}

#[test]
fn cors_allows_configured_origins_only() {
    let state_of_named = state();
    let named = host(&state_of_named, &["cors_origins=https://app.example, http://localhost:5173"], &[]);
    let path = format!("/data/predictions/{DEPRESSED}");
    let preflight = |host: &Host, path: &str, origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "authorization"),
        ];
        host.request("OPTIONS", path, &headers)
    };
    for origin in ["https://app.example", "http://localhost:5173"] {
        let answer = preflight(&named, &path, origin);
        assert_eq!(
            (answer.status, answer.body.as_str(), answer.header("access-control-allow-origin")),
            (204, "", origin)
        );
        assert_eq!(answer.header("access-control-allow-methods"), "GET, HEAD, DELETE, OPTIONS");
        let allowed: Vec<&str> = answer.header("access-control-allow-headers").split(", ").collect();
        for read in [
            "authorization",
            "content-encoding",
            "content-type",
            "if-none-match",
            "inference-header-content-length",
            "prefer",
            "traceparent",
            "tracestate",
            "x-api-key",
            "x-request-id",
        ] {
            assert!(allowed.contains(&read), "{read}: {allowed:?}");
        }
        assert_eq!(answer.header("vary"), "origin");
        let answer = named.request("GET", &path, &[("origin", origin)]);
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, origin));
        for exposed in ["x-cache", "ratelimit-policy", "ratelimit,", "inference-header-content-length", "warning"] {
            assert!(answer.header("access-control-expose-headers").contains(exposed), "{exposed}");
        }
        let problem = named.request("GET", "/nothing", &[("origin", origin)]);
        assert_eq!(
            (problem.status, problem.header("access-control-allow-origin")),
            (404, origin),
            "a page may read why"
        );
    }
    let others = ["https://evil.example", "https://app.example.evil.example", "https://APP.example", "null", "*", ""];
    for origin in others {
        for answer in [preflight(&named, &path, origin), named.request("GET", &path, &[("origin", origin)])] {
            assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
            assert!(answer.header("vary").split(", ").any(|name| name == "origin"), "{:?}", answer.headers);
        }
    }
    assert_eq!(preflight(&named, "/nothing", "https://app.example").status, 404);
    let state_of_any = state();
    let any = host(&state_of_any, &["cors_origins=*"], &[]);
    assert_eq!(preflight(&any, &path, "https://anyone.example").header("access-control-allow-origin"), "*");
    let state_of_none = state();
    let none = host(&state_of_none, &[], &[]);
    let answer = preflight(&none, &path, "https://app.example");
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, ""));
    for host in [&named, &any, &none] {
        let answer = preflight(host, &path, "https://app.example");
        assert_eq!(answer.header("access-control-allow-credentials"), "", "no cookie is ever asked for");
    }
    // A preflight is no request about anyone: it needs no credential, which browsers do not send with it.
    let state = state();
    let keys = format!("api_keys={API_KEY}");
    let guarded = host(&state, &["cors_origins=https://app.example", "auth_mode=api_key", &keys], &[]);
    assert_eq!(preflight(&guarded, &path, "https://app.example").status, 204);
    let refused = guarded.request("GET", &path, &[("origin", "https://app.example")]);
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, "https://app.example"));
}

#[test]
fn every_response_has_security_headers() {
    let host = Host::demo();
    let path = format!("/data/predictions/{DEPRESSED}");
    for (path, cache) in [
        (path.as_str(), "private, no-store"),
        ("/models", "private, no-cache"),
        ("/health/live", "no-store"),
        ("/nothing", "no-store"),
        ("/data/predictions/me", "no-store"),
    ] {
        let answer = host.get(path);
        for (name, value) in [
            ("cache-control", cache),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("strict-transport-security", ""),
        ] {
            assert_eq!(answer.header(name), value, "{path} {name}");
        }
        assert!(!answer.header("x-request-id").is_empty());
    }
    let secure = host.request("GET", &path, &[("x-forwarded-proto", "https")]);
    assert!(secure.header("strict-transport-security").starts_with("max-age="));
}

#[test]
fn entries_are_encrypted_under_the_configured_key_and_unreadable_under_another() {
    let state = state();
    let key = |digit: &str| format!("cache_encryption_key={}", digit.repeat(64));
    let stored = || {
        let store = rusqlite::Connection::open(harness::store_file(&state)).expect("the store is SQLite");
        let mut read = store.prepare("SELECT key, value FROM spin_key_value").expect("a statement");
        let rows = read.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?))).expect("rows");
        rows.map(|row| row.expect("a row")).collect::<Vec<_>>()
    };
    let entries = |rows: &[(String, Vec<u8>)]| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let entries = rows.iter().filter(|(key, _)| key.starts_with("predictions:"));
        entries.map(|(_, value)| text(value)).collect::<Vec<_>>()
    };
    let secret = "cache_key_secret=a secret of sixteen bytes or more";
    let mut plain = host(&state, &[secret], &[]);
    plain.predictions(DEPRESSED, "");
    plain.wait_for_hit(DEPRESSED, "");
    plain.stop("-TERM");
    assert!(entries(&stored()).iter().any(|entry| entry.contains("\"probabilities\":[")));
    for digit in ["a", "b"] {
        let mut sealed = host(&state, &[secret, &key(digit)], &[]);
        let answer = sealed.predictions(DEPRESSED, "");
        assert_eq!(answer.header("x-cache"), "MISS", "what is there was not sealed with this key");
        sealed.wait_for_hit(DEPRESSED, "");
        sealed.stop("-TERM");
        let mut again = host(&state, &[secret, &key(digit)], &[]);
        assert_eq!(again.predictions(DEPRESSED, "").header("x-cache"), "HIT");
        again.stop("-TERM");
    }
    let entries = entries(&stored());
    assert!(
        !entries.is_empty() && !entries.iter().any(|entry| entry.contains("\"probabilities\":[")),
        "all were replaced"
    );
}
