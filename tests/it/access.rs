//! Who may ask: access tokens, API keys, attacks on both, and what each caller gets to see.

use harness::supabase::{FakeSupabase, Reply};
use harness::tokens::{
    ANON_KEY, API_KEY, SECRET, SERVICE_KEY, claims, elliptic_point, encode_bytes, encode_part, encode_text, es256,
    hmac_sha256, hs256, key_set, rs256, seconds_from_now, sign_elliptic, sign_token, token,
};
use harness::{DEPRESSED, EUTHYMIC, Host, MANIC, Response, WITHOUT_CHECK_INS, at_once, state, store_file, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

const NOBODY: &str = "77777777-7777-4777-8777-777777777777";

/// A host that reads from a project, configured further by `more` variables.
fn host(state: &TempDir, url: &str, more: &[String]) -> Host {
    let project = [format!("supabase_url={url}"), format!("supabase_anon_key={ANON_KEY}")];
    let variables = project.iter().chain(more).flat_map(|variable| ["--variable", variable]);
    Host::start(state, &variables.collect::<Vec<_>>())
}

/// One that takes tokens under the legacy secret.
fn host_with_secret(state: &TempDir, url: &str) -> Host {
    host(state, url, &[format!("supabase_jwt_secret={SECRET}")])
}

fn bearer(token: &str) -> [(&'static str, String); 1] {
    [("authorization", format!("Bearer {token}"))]
}

fn request(host: &Host, method: &str, path: &str, headers: &[(&'static str, String)]) -> Response {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    host.request(method, path, &headers)
}

fn ask(host: &Host, token: &str, person: &str) -> Response {
    request(host, "GET", &format!("/data/predictions/{person}"), &bearer(token))
}

/// The claims with some in their place.
fn with(claims: &Value, changes: &Value) -> Value {
    let mut claims = claims.clone();
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

#[test]
fn valid_hs256_tokens_are_accepted_and_every_forgery_is_refused() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let state = state();
    let host = host_with_secret(&state, &supabase.url);
    let url = &supabase.url;
    let sound = claims(url, DEPRESSED);
    let ours = |claims: &Value| hs256(claims, SECRET.as_bytes());
    let changed = |changes: Value| ours(&with(&sound, &changes));
    let header = |header: Value| sign_token(&header, &sound, |message| hmac_sha256(SECRET.as_bytes(), message));
    let good = ours(&sound);

    for (what, token) in [
        ("as it should be", good.clone()),
        ("expired within the leeway", changed(json!({ "exp": seconds_from_now(-30) }))),
        ("not yet valid within the leeway", changed(json!({ "nbf": seconds_from_now(30) }))),
        ("with a fraction of a second", changed(json!({ "exp": seconds_from_now(60) as f64 + 0.5 }))),
        ("of several audiences", changed(json!({ "aud": ["another", "authenticated"] }))),
        ("with the person in capitals", changed(json!({ "sub": DEPRESSED.to_uppercase() }))),
        ("with a key id that nothing asks for", header(json!({ "alg": "HS256", "kid": "../../etc/passwd" }))),
    ] {
        let answer = ask(&host, &token, DEPRESSED);
        assert_eq!((answer.status, &answer.prediction("mood_state")["label"]), (200, &json!("depression")), "{what}");
    }

    let believed = supabase.requests().len();
    let unsigned =
        |alg: &str| format!("{}.{}.", encode_part(&json!({ "alg": alg, "typ": "JWT" })), encode_part(&sound));
    let [head, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let tampered = format!("{head}.{}.{signature}", encode_part(&claims(url, MANIC)));
    let far = "https://other.supabase.co/auth/v1";
    let twice = |header: &str, claims: &str| {
        let message = format!("{}.{}", encode_text(header), encode_text(claims));
        let signature = hmac_sha256(SECRET.as_bytes(), message.as_bytes());
        format!("{message}.{}", encode_bytes(&signature))
    };
    let claim_twice = sound.to_string().replacen('{', &format!("{{\"sub\":\"{MANIC}\","), 1);
    for (what, token) in [
        ("no token at all", "nonsense".to_owned()),
        ("without a signature", unsigned("none")),
        ("without a signature, in capitals", unsigned("NONE")),
        ("of the right algorithm without a signature", unsigned("HS256")),
        ("with another's claims", tampered),
        ("under another secret", hs256(&sound, b"another-secret-of-more-than-32-characters")),
        ("under an empty secret", hs256(&sound, b"")),
        ("said to be HS512", header(json!({ "alg": "HS512" }))),
        ("said to be RS256", header(json!({ "alg": "RS256" }))),
        ("said to be ES256", header(json!({ "alg": "ES256", "kid": "1" }))),
        ("really ES256", es256("elliptic", &sound)),
        ("with no algorithm", header(json!({ "typ": "JWT" }))),
        ("with a key in its header", header(json!({ "alg": "HS256x", "jwk": { "kty": "oct", "k": "AAAA" } }))),
        ("a signature too many", format!("{good}.{signature}")),
        ("a part too few", format!("{head}.{payload}")),
        ("cut off", good[..good.len() - 1].to_owned()),
        ("as encrypted ones are", format!("{head}.{payload}.{signature}.{payload}.{signature}")),
        ("not yet valid", changed(json!({ "nbf": seconds_from_now(120) }))),
        ("without an end", changed(json!({ "exp": null }))),
        ("with an end that is text", changed(json!({ "exp": "tomorrow" }))),
        ("with an end before all time", changed(json!({ "exp": -1e300 }))),
        ("of another project", changed(json!({ "iss": far }))),
        ("of a project whose name begins with ours", changed(json!({ "iss": format!("{url}.evil.example/auth/v1") }))),
        ("of nobody's project", changed(json!({ "iss": null }))),
        ("for another audience", changed(json!({ "aud": "another" }))),
        ("for no audience", changed(json!({ "aud": null }))),
        ("of nobody", changed(json!({ "sub": null }))),
        ("of something else than a person", changed(json!({ "sub": "1 or 1=1" }))),
        ("without a role", changed(json!({ "role": null }))),
        ("with an empty role", changed(json!({ "role": "" }))),
        ("anonymous in another way than by yes or no", changed(json!({ "is_anonymous": "true" }))),
        ("with an extension that must be understood", header(json!({ "alg": "HS256", "crit": ["exp"], "exp": 1 }))),
        ("with a key twice in its header", twice("{\"alg\":\"HS256\",\"alg\":\"HS256\"}", &sound.to_string())),
        ("with a claim twice", twice("{\"alg\":\"HS256\"}", &claim_twice)),
        ("the project's anon key", changed(json!({ "role": "anon" }))),
        (
            "a legacy anon key",
            ours(&json!({ "iss": "supabase", "ref": "127", "role": "anon", "exp": seconds_from_now(60) })),
        ),
        (
            "another project's service key",
            ours(&json!({ "iss": "supabase", "ref": "other", "role": "service_role", "exp": seconds_from_now(60) })),
        ),
    ] {
        let answer = ask(&host, &token, DEPRESSED);
        assert_eq!(answer.status, 401, "{what}: {}", answer.body);
        let challenge = answer.header("www-authenticate");
        assert!(challenge.starts_with("Bearer"), "{what}: {challenge}");
        assert_eq!(answer.json()["type"], "urn:bipolar-edge:problem:unauthorized", "{what}");
    }
    let expired = ask(&host, &changed(json!({ "exp": seconds_from_now(-61) })), DEPRESSED);
    assert_eq!((expired.status, &expired.json()["type"]), (401, &json!("urn:bipolar-edge:problem:token-expired")));
    assert_eq!(supabase.requests().len(), believed, "nothing that is not believed reaches the database");
}

#[test]
fn anonymous_users_may_ask_only_where_they_are_allowed() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let anonymous = with(&claims(&supabase.url, DEPRESSED), &json!({ "is_anonymous": true }));
    let anonymous = hs256(&anonymous, SECRET.as_bytes());
    let known = token(&supabase.url, DEPRESSED);
    for (allowed, status) in [(None, 403), (Some("false"), 403), (Some("true"), 200)] {
        let state = state();
        let more = allowed.map(|allowed| format!("allow_anonymous_users={allowed}"));
        let more = [format!("supabase_jwt_secret={SECRET}")].into_iter().chain(more).collect::<Vec<_>>();
        let host = host(&state, &supabase.url, &more);
        let answer = ask(&host, &anonymous, DEPRESSED);
        assert_eq!(answer.status, status, "{allowed:?}: {}", answer.body);
        if status == 403 {
            assert_eq!(answer.json()["type"], "urn:bipolar-edge:problem:forbidden");
            assert!(answer.body.contains("signed in anonymously"), "{}", answer.body);
        }
        assert_eq!(ask(&host, &known, DEPRESSED).status, 200);
    }
}

#[test]
fn keys_of_a_local_project_are_believed_as_supabase_start_signs_them() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let state = state();
    let host = host_with_secret(&state, &supabase.url);
    let of = |role: &str| json!({ "iss": "supabase-demo", "role": role, "exp": seconds_from_now(60) });
    let ask = |claims: &Value| ask(&host, &hs256(claims, SECRET.as_bytes()), DEPRESSED);
    assert_eq!(ask(&of("service_role")).prediction("mood_state")["label"], "depression");
    assert_eq!(ask(&of("anon")).status, 401);
}

#[test]
fn missing_or_malformed_authorization_is_401_and_reaches_no_database() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let state = state();
    let host = host_with_secret(&state, &supabase.url);
    let path = format!("/data/predictions/{DEPRESSED}");
    let long = format!("Bearer {}", "x".repeat(8193));
    let odd = format!("Bearer  {} trailing", token(&supabase.url, DEPRESSED));
    for header in [None, Some("Basic dXNlcg=="), Some("Bearer"), Some("Bearer "), Some("Bearer a b"), Some(&odd)] {
        let headers: Vec<(&str, &str)> = header.map(|value| ("authorization", value)).into_iter().collect();
        for (method, path) in [
            ("GET", path.as_str()),
            ("DELETE", &path),
            ("GET", &format!("/data/prediction_of_day/{DEPRESSED}")),
            ("POST", "/data/predictions"),
            ("POST", "/data/predictions/batch"),
            ("GET", "/models"),
            ("GET", "/models/mood_state"),
        ] {
            let answer = host.request(method, path, &headers);
            assert_eq!(
                (answer.status, answer.header("www-authenticate")),
                (401, "Bearer"),
                "{method} {path} {header:?}"
            );
        }
    }
    for open in ["/", "/health/live", "/health/ready"] {
        assert_eq!(host.get(open).status, 200, "{open}");
    }
    let answer = host.request("GET", &path, &[("authorization", &long)]);
    assert_eq!((answer.status, &answer.json()["detail"]), (401, &json!("A token may have at most 8 KiB.")));
    let challenge = "Bearer error=\"invalid_token\", error_description=\"The token is too long\"";
    assert_eq!(answer.header("www-authenticate"), challenge);
    assert!(supabase.requests().is_empty());
    // Two credentials are one too many to know whose the request is: neither the first nor the last is taken for
    // granted.
    let both = [bearer(&token(&supabase.url, MANIC)), bearer(&token(&supabase.url, DEPRESSED))].concat();
    let answer = request(&host, "GET", &path, &both);
    assert_eq!(answer.status, 401, "{}", answer.body);
}

#[test]
fn published_keys_are_fetched_once_and_stored() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    supabase.set_keys(Reply::Respond(200, key_set("elliptic", "rsa").to_string()));
    let state = state();
    let mut first = host(&state, &supabase.url, &[]);
    let sound = claims(&supabase.url, DEPRESSED);
    for token in [es256("elliptic", &sound), rs256("rsa", &sound), es256("elliptic", &sound)] {
        let answer = ask(&first, &token, DEPRESSED);
        assert_eq!(answer.prediction("mood_state")["label"], "depression", "{}", answer.body);
    }
    // The set was fetched a moment ago: whoever has a new key may come again when it may be fetched again.
    let unknown = ask(&first, &es256("of tomorrow", &sound), DEPRESSED);
    let wait = unknown.header("retry-after").parse::<u32>().ok();
    assert!(unknown.status == 401 && wait.is_some_and(|wait| (1..=60).contains(&wait)), "{:?}", unknown.headers);
    assert_eq!(supabase.key_requests().len(), 1);
    assert!(supabase.key_requests()[0].contains(&format!("apikey: {ANON_KEY}")));

    let secrets = [
        ("the point", elliptic_point()),
        ("a coordinate", elliptic_point()[1..33].to_vec()),
        ("the set itself", key_set("elliptic", "rsa").to_string().into_bytes()),
        ("nothing", Vec::new()),
    ];
    for (what, secret) in secrets {
        // Algorithm confusion: what is public must not be taken for a secret.
        for header in [json!({ "alg": "HS256", "kid": "elliptic" }), json!({ "alg": "HS256" })] {
            let token = sign_token(&header, &sound, |message| hmac_sha256(&secret, message));
            assert_eq!(ask(&first, &token, DEPRESSED).status, 401, "{what}");
        }
    }
    let es256_of = |header: Value| sign_token(&header, &sound, sign_elliptic);
    let own_key = json!({ "kty": "EC", "crv": "P-256", "x": encode_part(&json!(1)), "y": encode_part(&json!(2)) });
    for (what, token) in [
        ("unsigned", format!("{}.{}.", encode_part(&json!({ "alg": "none", "kid": "elliptic" })), encode_part(&sound))),
        ("another key's id", es256_of(json!({ "alg": "ES256", "kid": "rsa" }))),
        ("another algorithm than the key's", es256_of(json!({ "alg": "RS256", "kid": "elliptic" }))),
        ("no key's id", es256_of(json!({ "alg": "ES256" }))),
        ("an id that nobody knows", es256_of(json!({ "alg": "ES256", "kid": "unknown" }))),
        ("an id that is a path", es256_of(json!({ "alg": "ES256", "kid": "../elliptic" }))),
        ("an id that is a statement", es256_of(json!({ "alg": "ES256", "kid": "elliptic' or '1'='1" }))),
        ("an id without end", es256_of(json!({ "alg": "ES256", "kid": "k".repeat(4000) }))),
        ("an id that is no text", es256_of(json!({ "alg": "ES256", "kid": ["elliptic"] }))),
        ("a key of its own", es256_of(json!({ "alg": "ES256", "kid": "mine", "jwk": own_key }))),
        ("a place to look for keys", es256_of(json!({ "alg": "ES256", "kid": "mine", "jku": "https://evil.example" }))),
        ("a signature of zeros", sign_token(&json!({ "alg": "ES256", "kid": "elliptic" }), &sound, |_| vec![0; 64])),
        ("another's claims", es256("elliptic", &claims("https://other.supabase.co", DEPRESSED))),
        ("the legacy secret", token(&supabase.url, DEPRESSED)),
    ] {
        assert_eq!(ask(&first, &token, DEPRESSED).status, 401, "{what}");
    }
    assert_eq!(supabase.key_requests().len(), 1, "never more often than once a minute, whatever the tokens name");

    // Another process of the same deployment needs the project for neither keys nor rows.
    first.stop("-TERM");
    supabase.set_keys(Reply::Respond(500, String::new()));
    let second = host(&state, &supabase.url, &[]);
    let answer = ask(&second, &rs256("rsa", &with(&sound, &json!({ "iat": 1 }))), DEPRESSED);
    assert_eq!((answer.status, answer.header("x-cache")), (200, "HIT"), "{}", answer.body);
    assert_eq!(supabase.key_requests().len(), 1);
}

#[test]
fn key_rotation_is_followed_once_the_key_set_may_be_fetched_again() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    supabase.set_keys(Reply::Respond(200, key_set("old", "rsa").to_string()));
    let state = state();
    let sound = claims(&supabase.url, DEPRESSED);
    let mut first = host(&state, &supabase.url, &[]);
    assert_eq!(ask(&first, &es256("old", &sound), DEPRESSED).status, 200);
    first.stop("-TERM");
    supabase.set_keys(Reply::Respond(200, key_set("new", "rsa").to_string()));

    // As if it had been two minutes ago, which no test waits for.
    let age = |seconds: i64| {
        let store = rusqlite::Connection::open(store_file(&state)).expect("the store is SQLite");
        let read = "SELECT value FROM spin_key_value WHERE key = 'key-set'";
        let bytes: Vec<u8> = store.query_row(read, [], |row| row.get(0)).expect("the key set");
        // The version, and the time at which it is over, come first.
        let (header, record) = bytes.split_at(9);
        let mut record: Value = serde_json::from_slice(record).expect("JSON");
        record["fetched_at"] = json!(seconds_from_now(-seconds));
        record["attempted_at"] = json!(seconds_from_now(-seconds));
        let bytes = [header, record.to_string().as_bytes()].concat();
        store.execute("UPDATE spin_key_value SET value = ?1 WHERE key = 'key-set'", [bytes]).expect("written");
    };
    age(120);
    let mut second = host(&state, &supabase.url, &[]);
    assert_eq!(ask(&second, &rs256("rsa", &sound), DEPRESSED).status, 200);
    assert_eq!(supabase.key_requests().len(), 1, "the set is young enough, and has the key");
    assert_eq!(ask(&second, &es256("new", &sound), DEPRESSED).status, 200);
    assert_eq!(supabase.key_requests().len(), 2);
    // A token that was verified before is remembered; no other under that key is believed.
    let another = with(&sound, &json!({ "exp": seconds_from_now(3000) }));
    assert_eq!(ask(&second, &es256("old", &another), DEPRESSED).status, 401, "it was withdrawn");
    second.stop("-TERM");

    // After ten minutes a set is fetched anew though it has the key; if that fails, it still serves.
    age(660);
    supabase.set_keys(Reply::Disconnect);
    let third = host(&state, &supabase.url, &[]);
    assert_eq!(ask(&third, &es256("new", &another), DEPRESSED).status, 200);
    assert_eq!(supabase.key_requests().len(), 4, "one attempt, and once more as the connection broke");
    assert_eq!(ask(&third, &es256("unknown", &sound), DEPRESSED).status, 401);
    assert_eq!(supabase.key_requests().len(), 4, "a fetch that failed is not repeated at once");
}

/// A published key's signature takes a millisecond or two to check, and each request may have an instance of its own.
#[test]
fn verified_token_is_remembered_for_all_instances_and_for_nobody_elses_use() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    supabase.set_keys(Reply::Respond(200, key_set("elliptic", "rsa").to_string()));
    let state = state();
    let mut host = host(&state, &supabase.url, &["work_after_response=false".to_owned()]);
    let expires = seconds_from_now(2 - 60);
    let sound = with(&claims(&supabase.url, DEPRESSED), &json!({ "exp": expires }));
    let token = es256("elliptic", &sound);
    for _ in 0..3 {
        assert_eq!(ask(&host, &token, DEPRESSED).status, 200);
    }
    assert!(String::from_utf8_lossy(&host.store_bytes()).contains("token:"), "it is remembered");
    let [head, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let other = encode_part(&with(&sound, &json!({ "sub": MANIC })));
    for forged in [format!("{head}.{other}.{signature}"), format!("{head}.{payload}.{}", "A".repeat(signature.len()))] {
        assert_eq!(ask(&host, &forged, DEPRESSED).status, 401);
    }
    // What is remembered is that the signature is valid: the times are looked at each time.
    wait_until(|| ask(&host, &token, DEPRESSED).json()["type"] == "urn:bipolar-edge:problem:token-expired");
    host.stop("-TERM");
}

/// Those that look before the first has said that it fetches do so too; whoever comes later finds the set.
#[test]
fn instances_find_the_key_set_that_another_fetched() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    supabase.set_keys(Reply::Respond(200, key_set("elliptic", "rsa").to_string()));
    let project = [format!("supabase_url={}", supabase.url), format!("supabase_anon_key={ANON_KEY}")];
    let flags = ["--max-instance-reuse-count", "1", "--variable", &project[0], "--variable", &project[1]];
    let host = Host::with_flags(&flags);
    let token = es256("elliptic", &claims(&supabase.url, DEPRESSED));
    let ask_at_once = || {
        for answer in at_once(16, |_| ask(&host, &token, DEPRESSED)) {
            assert_eq!(answer.status, 200);
        }
        supabase.key_requests().len()
    };
    let fetched = ask_at_once();
    assert!((1..=16).contains(&fetched), "{fetched}");
    assert_eq!(ask_at_once(), fetched);
}

#[test]
fn unavailable_keys_are_503_with_retry_after_and_unusable_keys_401() {
    let nonsense = [
        Reply::Disconnect,
        Reply::Respond(500, String::new()),
        Reply::Respond(200, "<html>".to_owned()),
        Reply::Respond(200, "[]".to_owned()),
        Reply::Respond(200, " ".repeat(70_000)),
    ];
    for reply in nonsense {
        let supabase = FakeSupabase::start(vec![Reply::Rows]);
        supabase.set_keys(reply);
        let state = state();
        let host = host(&state, &supabase.url, &[]);
        let answer = ask(&host, &es256("elliptic", &claims(&supabase.url, DEPRESSED)), DEPRESSED);
        assert_eq!((answer.status, answer.header("retry-after")), (503, "10"), "{}", answer.body);
        assert_eq!(answer.json()["type"], "urn:bipolar-edge:problem:keys-unavailable");
    }
    // Keys that cannot be used are no keys.
    let point = |change: &Value| with(&key_set("elliptic", "rsa")["keys"][0], change);
    let rsa = |change: &Value| with(&key_set("elliptic", "rsa")["keys"][1], change);
    let useless = json!({ "keys": [
        7, {}, { "kty": "oct", "kid": "elliptic", "k": "AAAA", "alg": "HS256" },
        point(&json!({ "use": "enc" })), point(&json!({ "crv": "P-384" })), point(&json!({ "alg": "ES384" })),
        point(&json!({ "x": "AAAA" })), point(&json!({ "kid": null })), point(&json!({ "key_ops": ["sign"] })),
        rsa(&json!({ "key_ops": ["encrypt"] })),
        rsa(&json!({ "n": "AQAB" })), rsa(&json!({ "e": "" })), rsa(&json!({ "alg": "HS256" }))
    ] });
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    supabase.set_keys(Reply::Respond(200, useless.to_string()));
    let state = state();
    let host = host(&state, &supabase.url, &[]);
    let sound = claims(&supabase.url, DEPRESSED);
    for token in [es256("elliptic", &sound), rs256("rsa", &sound)] {
        assert_eq!(ask(&host, &token, DEPRESSED).status, 401);
    }
}

#[test]
fn cache_serves_only_callers_who_may_see_all_rows_of_the_person() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let state = state();
    let host = host_with_secret(&state, &supabase.url);
    let own = token(&supabase.url, DEPRESSED);
    let other = token(&supabase.url, MANIC);
    let service = with(&claims(&supabase.url, DEPRESSED), &json!({ "role": "service_role", "sub": null }));
    let service = hs256(&service, SECRET.as_bytes());
    let legacy = json!({ "iss": "supabase", "ref": "127", "role": "service_role", "exp": seconds_from_now(60) });
    let legacy = hs256(&legacy, SECRET.as_bytes());
    let therapist = with(&claims(&supabase.url, DEPRESSED), &json!({ "role": "therapist" }));
    let therapist = hs256(&therapist, SECRET.as_bytes());

    // Poisoning: what another saw of the person, nothing, must not become what the person sees; nor the other way
    // round.
    let answer = ask(&host, &other, DEPRESSED);
    assert_eq!((answer.status, answer.header("x-cache")), (200, "BYPASS"));
    let of_nobody = ask(&host, &other, NOBODY);
    for kind in harness::TYPES {
        let [theirs, nobodys] = [&answer, &of_nobody].map(|answer| harness::without_ids(answer.prediction(kind)));
        assert_eq!(theirs, nobodys, "nothing says that the person exists");
        assert_eq!(answer.prediction(kind)["label"], "insufficient_data");
    }
    let answer = ask(&host, &own, DEPRESSED);
    assert_eq!((answer.header("x-cache"), &answer.prediction("mood_state")["label"]), ("MISS", &json!("depression")));
    wait_until(|| ask(&host, &own, DEPRESSED).header("x-cache") == "HIT");
    assert_eq!(ask(&host, &other, DEPRESSED).prediction("mood_state")["label"], "insufficient_data");
    assert_eq!(
        ask(&host, &therapist, DEPRESSED).header("x-cache"),
        "BYPASS",
        "the database decides about a role of its own"
    );
    for service in [&service, &legacy] {
        assert_eq!(ask(&host, service, DEPRESSED).header("x-cache"), "HIT");
    }
    assert_eq!(ask(&host, &service, MANIC).prediction("mood_state")["label"], "mania");
    wait_until(|| ask(&host, &other, MANIC).header("x-cache") == "HIT");

    // Invalidation: the person's own affair, and says the same of whoever is not known.
    let delete =
        |token: &str, person: &str| request(&host, "DELETE", &format!("/data/predictions/{person}"), &bearer(token));
    let (refused, of_nobody) = (delete(&other, DEPRESSED), delete(&other, NOBODY));
    assert_eq!((refused.status, &refused.body), (403, &of_nobody.body));
    assert_eq!(delete(&therapist, DEPRESSED).status, 403);
    assert_eq!(delete(&own, DEPRESSED).json()["erased"]["predictions"], 1);
    assert_eq!(delete(&service, MANIC).json()["erased"]["predictions"], 1);
    // Whoever is let in may send check-ins of their own.
    let posted =
        json!({ "as_of": "2031-01-01", "checkins": [{ "checkin_date": "2031-01-01", "hoursSlept": 4 }] }).to_string();
    let authorization = format!("Bearer {other}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    assert_eq!(host.send("POST", "/data/predictions", &headers, &posted).status, 200);
    let batch = json!({ "items": [{ "checkins": [] }] }).to_string();
    assert_eq!(host.send("POST", "/data/predictions/batch", &headers, &batch).status, 200);
    assert_eq!(request(&host, "GET", "/models", &bearer(&other)).status, 200);
}

#[test]
fn api_keys_read_with_the_service_key() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let state = state();
    let second = "key-fedcba9876543210fedcba9876543210";
    let keys = format!("api_keys={API_KEY}, {second}");
    let service_key = format!("supabase_service_key={SERVICE_KEY}");
    let host = host(&state, &supabase.url, &["auth_mode=api_key".to_owned(), keys, service_key]);
    let path = format!("/data/predictions/{DEPRESSED}");
    let with_key = |key: &str| host.request("GET", &path, &[("x-api-key", key)]);
    let answer = with_key(API_KEY);
    assert_eq!((answer.header("x-cache"), &answer.prediction("mood_state")["label"]), ("MISS", &json!("depression")));
    wait_until(|| with_key(second).header("x-cache") == "HIT");
    let requests = supabase.requests();
    assert!(requests[0].contains(&format!("authorization: Bearer {SERVICE_KEY}")), "{}", requests[0]);
    assert!(requests[0].contains(&format!("apikey: {SERVICE_KEY}")), "{}", requests[0]);
    let joined = format!("{API_KEY}, {second}");
    for wrong in ["", "key", &API_KEY[1..], &format!("{API_KEY}0"), &API_KEY.to_uppercase(), &joined, SERVICE_KEY] {
        let answer = with_key(wrong);
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, "ApiKey header=\"x-api-key\""), "{wrong}");
    }
    let own = token(&supabase.url, DEPRESSED);
    assert_eq!(ask(&host, &own, DEPRESSED).status, 401, "another mode's credential");
    assert_eq!(host.get("/models").status, 401);
    assert_eq!(host.request("GET", "/models", &[("x-api-key", second)]).status, 200);
    assert_eq!(host.request("DELETE", &path, &[("x-api-key", second)]).json()["erased"]["predictions"], 1);
}

#[test]
fn api_keys_guard_demo_data_too() {
    let keys = format!("api_keys={API_KEY}");
    let host = Host::with_flags(&["--variable", "auth_mode=api_key", "--variable", &keys]);
    let path = format!("/data/predictions/{EUTHYMIC}");
    assert_eq!(host.get(&path).status, 401);
    assert_eq!(host.request("GET", &path, &[("x-api-key", API_KEY)]).prediction("mood_state")["label"], "euthymia");
}

#[test]
fn auth_mode_off_must_be_explicit_and_every_response_warns() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let state_without = state();
    let without_key = host(&state_without, &supabase.url, &["auth_mode=off".to_owned()]);
    let path = format!("/data/predictions/{DEPRESSED}");
    assert_eq!(without_key.get(&path).status, 401, "there is nothing to ask the database with");
    let own = token(&supabase.url, DEPRESSED);
    let answer = ask(&without_key, &own, DEPRESSED);
    assert_eq!((answer.header("x-cache"), &answer.prediction("mood_state")["label"]), ("BYPASS", &json!("depression")));
    let state = state();
    let key = format!("supabase_service_key={SERVICE_KEY}");
    let with_key = host(&state, &supabase.url, &["auth_mode=off".to_owned(), key]);
    assert_eq!(with_key.get(&path).prediction("mood_state")["label"], "depression");
    for (host, path) in
        [(&with_key, path.as_str()), (&with_key, "/health/ready"), (&without_key, &path), (&with_key, "/none")]
    {
        assert!(host.get(path).header("warning").contains("auth_mode is off"), "{path}");
    }
    assert_eq!(with_key.get("/models").status, 200, "there is nobody to protect it for");
}

#[test]
fn demo_data_alone_is_open_and_without_warning() {
    let host = Host::demo();
    for path in [format!("/data/predictions/{WITHOUT_CHECK_INS}"), "/models".to_owned()] {
        let answer = host.get(&path);
        assert_eq!((answer.status, answer.header("warning")), (200, ""));
    }
    // A token that nobody asked for is nobody's business.
    assert_eq!(ask(&host, "nonsense", EUTHYMIC).prediction("mood_state")["label"], "euthymia");
}

#[test]
fn inventory_is_open_or_closed_as_configured() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let state_open = state();
    let jwt_secret = format!("supabase_jwt_secret={SECRET}");
    let open = host(&state_open, &supabase.url, &["protect_operations=false".to_owned(), jwt_secret]);
    assert_eq!(open.get("/models").status, 200);
    assert_eq!(open.get(&format!("/data/predictions/{DEPRESSED}")).status, 401);
    let keys = format!("api_keys={API_KEY}");
    let closed = Host::with_flags(&["--variable", "auth_mode=api_key", "--variable", &keys]);
    assert_eq!(closed.get("/models").status, 401);
}

#[test]
fn path_tricks_reach_nobody_elses_data() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let state = state();
    let host = host_with_secret(&state, &supabase.url);
    let own = token(&supabase.url, DEPRESSED);
    for path in [
        format!("/data/predictions/{DEPRESSED}/../{MANIC}"),
        format!("/data/predictions/%2e%2e/predictions/{MANIC}"),
        format!("//data/predictions/{MANIC}"),
        format!("/data//predictions/{MANIC}"),
        format!("/data/predictions/{MANIC}."),
        format!("/data/predictions/{MANIC}/"),
        format!("/data/predictions/{MANIC}%00"),
        format!("/data/predictions/{MANIC};{DEPRESSED}"),
        format!("/data/predictions/{}", MANIC.replace('2', "%32")),
        format!("/data/predictions/{}", MANIC.replace('-', "")),
        format!("/data/predictions/{{{MANIC}}}"),
        format!("/DATA/predictions/{MANIC}"),
        format!("/data/predictions/{DEPRESSED}?user_id={MANIC}"),
        "/models/../data/predictions/batch".to_owned(),
        "/models%2f..".to_owned(),
    ] {
        for answer in [request(&host, "GET", &path, &bearer(&own)), host.get(&path)] {
            assert!([400, 401, 404].contains(&answer.status), "{path}: {} {}", answer.status, answer.body);
        }
    }
    assert!(supabase.requests().is_empty());
    // The same person, however they write themselves.
    assert_eq!(ask(&host, &own, &DEPRESSED.to_uppercase()).header("x-cache"), "MISS");
    wait_until(|| ask(&host, &own, DEPRESSED).header("x-cache") == "HIT");
}

#[test]
fn webhook_replay_invalidates_again_and_nothing_more() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let state = state();
    let secret = format!("webhook_secret={}", harness::tokens::WEBHOOK_SECRET);
    let host = host(&state, &supabase.url, &[format!("supabase_jwt_secret={SECRET}"), secret]);
    let own = token(&supabase.url, DEPRESSED);
    let body = json!({ "type": "INSERT", "table": "check_ins", "record": { "user_id": DEPRESSED } }).to_string();
    let hook = |secret: &str| {
        let headers = [("content-type", "application/json"), ("x-webhook-secret", secret)];
        host.send("POST", "/hooks/check-ins", &headers, &body)
    };
    for _ in 0..3 {
        assert_eq!(hook(harness::tokens::WEBHOOK_SECRET).status, 200);
        assert_eq!(ask(&host, &own, DEPRESSED).header("x-cache"), "MISS");
        wait_until(|| ask(&host, &own, DEPRESSED).header("x-cache") == "HIT");
    }
    // A person's token is no webhook's secret.
    assert_eq!(hook(&own).status, 401);
    assert_eq!(hook("").status, 401);
}

#[test]
fn supabase_url_and_redirects_reach_no_other_server() {
    let secret = format!("supabase_jwt_secret={SECRET}");
    for url in [
        "http://169.254.169.254",
        "https://user:word@project.supabase.co",
        "https://project.supabase.co@evil.example",
        "https://project.supabase.co/rest/v1?x=",
        "https://project.supabase.co#.evil.example",
        "http://localhost.evil.example",
    ] {
        let state = state();
        let variables = [format!("supabase_url={url}"), format!("supabase_anon_key={ANON_KEY}"), secret.clone()];
        let flags: Vec<&str> = variables.iter().flat_map(|variable| ["--variable", variable]).collect();
        // The host may refuse to allow such a place to be called, before the component says so.
        let Some(host) = Host::try_start(&state, &flags) else { continue };
        let answer = ask(&host, &token(url, DEPRESSED), DEPRESSED);
        assert_eq!(answer.status, 503, "{url}: {}", answer.body);
        assert!(answer.body.contains("supabase_url"), "{url}: {}", answer.body);
    }
    // Where the database says to go instead is not gone to.
    let supabase = FakeSupabase::start(vec![Reply::Respond(302, String::new())]);
    let state = state();
    let host = host_with_secret(&state, &supabase.url);
    assert_eq!(ask(&host, &token(&supabase.url, DEPRESSED), DEPRESSED).status, 502);
    assert_eq!(supabase.requests().len(), 1);
}
