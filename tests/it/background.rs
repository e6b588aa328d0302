//! Predictions that are made after the answer, and what is told of them until then.

use harness::supabase::{FakeSupabase, Reply};
use harness::tokens::{SERVICE_KEY, WEBHOOK_SECRET, token};
use harness::{DEPRESSED, Host, MANIC, Response, TYPES, WITHOUT_CHECK_INS, state, wait_for, wait_until, without_ids};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;

const ASYNC: (&str, &str) = ("prefer", "respond-async");

/// A host that reads from a database.
fn host(state: &TempDir, url: &str, more: &[&str]) -> Host {
    Host::with_supabase(state, url, &[&["--variable", "inference_timeout_seconds=3"], more].concat())
}

fn begin(host: &Host, authorization: &str, query: &str) -> Response {
    let path = format!("/data/predictions/{DEPRESSED}{query}");
    let answer = host.request("GET", &path, &[("authorization", authorization), ASYNC]);
    assert_eq!(answer.status, 202, "{}", answer.body);
    answer
}

fn look(host: &Host, authorization: &str, location: &str) -> Response {
    host.request("GET", location, &[("authorization", authorization)])
}

/// Looks until the job has ended.
fn ended(host: &Host, authorization: &str, location: &str) -> Value {
    wait_for(|| {
        let answer = look(host, authorization, location);
        assert_eq!(answer.status, 200, "{}", answer.body);
        Some(answer.json()).filter(|job| job["status"] != "running")
    })
}

#[test]
fn prefer_respond_async_gives_a_job_with_the_result_of_a_direct_request() {
    let host = Host::with_flags(&["--variable", "cache_ttl_seconds=0"]);
    let query = "?window_days=7&limit_checkins=2&explain=true&types=mood_state,relapse_risk";
    let path = format!("/data/predictions/{DEPRESSED}{query}");
    let accepted = host.request("GET", &path, &[("prefer", "wait=5, Respond-Async; foo=\"bar\"")]);
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    for (header, value) in
        [("preference-applied", "respond-async"), ("retry-after", "1"), ("cache-control", "private, no-store")]
    {
        assert_eq!(accepted.header(header), value, "{header}");
    }
    let (id, location) = (accepted.json()["id"].clone(), accepted.header("location").to_owned());
    assert_eq!(location, format!("/data/jobs/{}", id.as_str().expect("text")));
    assert_eq!(accepted.json()["status"], "running");

    let job = ended(&host, "", &location);
    assert_eq!((&job["status"], &job["id"], job.get("error")), (&json!("done"), &id, None), "{job}");
    assert!(job["finished_at"].as_str() >= job["created_at"].as_str(), "{job}");
    let mut direct = host.get(&path).json();
    direct["generated_at"] = job["result"]["generated_at"].clone();
    direct.as_object_mut().expect("an object").remove("user_id");
    assert_eq!(without_ids(job["result"].clone()), without_ids(direct), "the same, without whom it is about");
    assert_eq!(look(&host, "", &location).json(), job, "it is still there");
}

#[test]
fn repeated_request_shares_the_running_job_and_later_hits_the_cache() {
    let supabase = FakeSupabase::start(vec![Reply::RowsAfter(Duration::from_secs(1))]);
    let bearer = format!("Bearer {}", token(&supabase.url, DEPRESSED));
    for reuse in ["1", "128"] {
        let state = state();
        let host = host(&state, &supabase.url, &["--max-instance-reuse-count", reuse]);
        let before = supabase.requests().len();
        let first = begin(&host, &bearer, "");
        assert_eq!(look(&host, &bearer, first.header("location")).header("retry-after"), "1");
        assert_eq!(look(&host, &bearer, first.header("location")).json()["status"], "running");
        for query in ["", "?window_days=3", &format!("?types={}", TYPES.join(","))] {
            assert_eq!(begin(&host, &bearer, query).header("location"), first.header("location"), "{query}");
        }
        let other = begin(&host, &bearer, "?window_days=4");
        assert_ne!(other.header("location"), first.header("location"));
        for job in [first, other] {
            let job = ended(&host, &bearer, job.header("location"));
            assert_eq!(job["status"], "done", "{job}");
            assert_eq!(job["result"]["predictions"][0]["label"], "depression");
        }
        assert_eq!(supabase.requests().len() - before, 2, "one question for each job");
        let again = wait_for(|| {
            let headers = [("authorization", bearer.as_str()), ASYNC];
            let answer = host.request("GET", &format!("/data/predictions/{DEPRESSED}"), &headers);
            (answer.status == 200).then_some(answer)
        });
        assert_eq!(again.header("x-cache"), "HIT", "there is nothing to wait for");
    }
}

#[test]
fn question_after_an_invalidation_does_not_join_a_job_from_before_it() {
    let supabase = FakeSupabase::start(vec![Reply::RowsAfter(Duration::from_secs(1))]);
    let bearer = format!("Bearer {}", token(&supabase.url, DEPRESSED));
    let secret = format!("webhook_secret={WEBHOOK_SECRET}");
    for cache in ["cache_ttl_seconds=300", "cache_ttl_seconds=0", "cache_slots=0"] {
        let state = state();
        let host = host(&state, &supabase.url, &["--variable", &secret, "--variable", cache]);
        let before = supabase.requests().len();
        begin(&host, &bearer, "");
        begin(&host, &bearer, "");
        let changed = json!({ "table": "check_ins", "record": { "user_id": DEPRESSED } }).to_string();
        let headers = [("content-type", "application/json"), ("x-webhook-secret", WEBHOOK_SECRET)];
        assert_eq!(host.send("POST", "/hooks/check-ins", &headers, &changed).status, 200);
        let after = begin(&host, &bearer, "");
        assert_eq!(ended(&host, &bearer, after.header("location"))["status"], "done");
        wait_until(|| supabase.requests().len() == before + 2);
    }
}

#[test]
fn outcome_from_before_an_invalidation_is_not_read() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let bearer = format!("Bearer {}", token(&supabase.url, DEPRESSED));
    let secret = format!("webhook_secret={WEBHOOK_SECRET}");
    for cache in ["cache_ttl_seconds=300", "cache_ttl_seconds=0"] {
        let state = state();
        let host = host(&state, &supabase.url, &["--variable", &secret, "--variable", cache]);
        let accepted = begin(&host, &bearer, "");
        let location = accepted.header("location");
        assert!(!location.contains(DEPRESSED) && !location.contains(&DEPRESSED.replace('-', "")), "{location}");
        assert_eq!(ended(&host, &bearer, location)["status"], "done");
        let changed = json!({ "table": "check_ins", "record": { "user_id": DEPRESSED } }).to_string();
        let headers = [("content-type", "application/json"), ("x-webhook-secret", WEBHOOK_SECRET)];
        assert_eq!(host.send("POST", "/hooks/check-ins", &headers, &changed).status, 200);
        let outdated = look(&host, &bearer, location).json();
        assert_eq!((&outdated["status"], outdated.get("result")), (&json!("failed"), None), "{outdated}");
        assert_eq!(outdated["error"]["type"], "urn:bipolar-edge:problem:job-outdated", "{outdated}");
        assert_eq!(begin(&host, &bearer, "").header("location"), location, "asking again makes it anew");
        assert_eq!(ended(&host, &bearer, location)["status"], "done");
    }
}

#[test]
fn outcome_is_not_read_by_a_caller_who_sees_the_person_no_more() {
    let supabase = FakeSupabase::start(vec![Reply::RowsOfAnyone]);
    let state = state();
    let host = host(&state, &supabase.url, &[]);
    let therapist = format!("Bearer {}", token(&supabase.url, WITHOUT_CHECK_INS));
    let accepted = begin(&host, &therapist, "?window_days=7&limit_checkins=2");
    let location = accepted.header("location");
    let job = ended(&host, &therapist, location);
    assert_eq!(job["result"]["per_checkin"].as_array().map(Vec::len), Some(2), "{job}");
    assert_eq!(look(&host, &therapist, location).json(), job, "nothing has changed");
    // Removed from the care team, the therapist is shown no row any more.
    supabase.set_reply(Reply::Rows);
    let outdated = look(&host, &therapist, location).json();
    assert_eq!(outdated["error"]["type"], "urn:bipolar-edge:problem:job-outdated", "{outdated}");
    assert!(outdated.get("result").is_none(), "{outdated}");
    supabase.set_reply(Reply::Respond(503, String::new()));
    let unknown = look(&host, &therapist, location);
    assert_eq!((unknown.status, unknown.json().get("result")), (503, None), "nobody can say: {}", unknown.body);
    supabase.set_reply(Reply::RowsOfAnyone);
    assert_eq!(look(&host, &therapist, location).json(), job);
}

#[test]
fn job_is_visible_only_to_the_caller_who_started_it() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let state = state();
    let host = host(&state, &supabase.url, &["--variable", &format!("supabase_service_key={SERVICE_KEY}")]);
    let bearer = |person| format!("Bearer {}", token(&supabase.url, person));
    let job = begin(&host, &bearer(DEPRESSED), "");
    let location = job.header("location");
    assert_eq!(ended(&host, &bearer(DEPRESSED), location)["status"], "done");
    let nobodys = "/data/jobs/00000000000000000000000000000000";
    let unknown = look(&host, &bearer(DEPRESSED), nobodys);
    assert_eq!(unknown.status, 404);
    let foreign = look(&host, &bearer(MANIC), location);
    assert_eq!((foreign.status, &foreign.body), (404, &unknown.body), "nothing tells them apart");
    assert_eq!(look(&host, "", location).status, 401);
    for path in ["/data/jobs/x", &location.to_uppercase().replace("DATA/JOBS", "data/jobs"), "/data/jobs/%2e%2e"] {
        assert_eq!(look(&host, &bearer(DEPRESSED), path).status, 404, "{path}");
    }
    assert_eq!(look(&host, &bearer(DEPRESSED), &format!("{location}?x=1")).status, 400);
    assert_eq!(host.request("POST", location, &[]).header("allow"), "GET, HEAD");
    // A therapist's question about a person is theirs, and shows what the database shows them.
    let theirs = host.request(
        "GET",
        &format!("/data/predictions/{DEPRESSED}"),
        &[("authorization", &bearer(WITHOUT_CHECK_INS)), ASYNC],
    );
    let seen = ended(&host, &bearer(WITHOUT_CHECK_INS), theirs.header("location"));
    assert_eq!(seen["result"]["predictions"][0]["label"], "insufficient_data", "{seen}");
}

#[test]
fn use_background_inference_makes_every_prediction_a_job() {
    let host = Host::with_flags(&["--variable", "use_background_inference=true"]);
    let accepted = host.get(&format!("/data/predictions/{DEPRESSED}"));
    assert_eq!((accepted.status, &accepted.json()["status"]), (202, &json!("running")));
    assert_eq!(ended(&host, "", accepted.header("location"))["status"], "done");
    wait_until(|| host.get(&format!("/data/predictions/{DEPRESSED}")).status == 200);
    let day = host.get(&format!("/data/prediction_of_day/{MANIC}"));
    assert_eq!((day.status, &day.json()["label"]), (200, &json!("mania")), "three fields are answered at once");
    assert_eq!(host.get("/data/predictions/nobody").status, 400, "what is wrong is told at once");
}

#[test]
fn failed_job_has_the_problem_of_a_direct_request() {
    let supabase = FakeSupabase::start(vec![Reply::Respond(500, "secret".to_owned())]);
    let bearer = format!("Bearer {}", token(&supabase.url, DEPRESSED));
    let state = state();
    let host = host(&state, &supabase.url, &[]);
    let job = ended(&host, &bearer, begin(&host, &bearer, "").header("location"));
    assert_eq!((&job["status"], job.get("result")), (&json!("failed"), None), "{job}");
    assert_eq!(job["error"]["type"], "urn:bipolar-edge:problem:source-failing", "{job}");
    supabase.set_reply(Reply::Hang);
    let job = ended(&host, &bearer, begin(&host, &bearer, "").header("location"));
    assert_eq!(job["error"]["type"], "urn:bipolar-edge:problem:source-slow", "{job}");
    supabase.set_reply(Reply::Rows);
    let job = ended(&host, &bearer, begin(&host, &bearer, "").header("location"));
    assert_eq!(job["status"], "done", "asking again makes it anew");
}

#[test]
fn job_of_a_killed_host_is_lost_after_its_deadline() {
    let supabase = FakeSupabase::start(vec![Reply::Hang]);
    let bearer = format!("Bearer {}", token(&supabase.url, DEPRESSED));
    let state = state();
    let mut killed = host(&state, &supabase.url, &[]);
    let accepted = begin(&killed, &bearer, "");
    let location = accepted.header("location");
    killed.stop("-KILL");
    let host = host(&state, &supabase.url, &[]);
    assert_eq!(look(&host, &bearer, location).json()["status"], "running", "nobody can know yet");
    let job = ended(&host, &bearer, location);
    assert_eq!(job["error"]["type"], "urn:bipolar-edge:problem:job-lost", "{job}");
    assert_eq!(job["status"], "failed");
    supabase.set_reply(Reply::Rows);
    assert_eq!(begin(&host, &bearer, "").header("location"), location);
    assert_eq!(ended(&host, &bearer, location)["status"], "done");
}

#[test]
fn job_expires_after_its_ttl() {
    let host = Host::with_flags(&["--variable", "job_ttl_seconds=1", "--variable", "cache_ttl_seconds=0"]);
    let accepted = host.request("GET", &format!("/data/predictions/{DEPRESSED}"), &[ASYNC]);
    let location = accepted.header("location");
    ended(&host, "", location);
    wait_until(|| host.get(location).status == 404);
}

#[test]
fn job_result_is_encrypted_in_the_store() {
    let key = format!("cache_encryption_key={}", "5a".repeat(32));
    let host = Host::with_flags(&["--variable", &key, "--variable", "metrics_sampling=1"]);
    let accepted = host.request("GET", &format!("/data/predictions/{DEPRESSED}"), &[ASYNC]);
    assert_eq!(ended(&host, "", accepted.header("location"))["result"]["predictions"][0]["label"], "depression");
    let stored = host.store_bytes();
    assert!(!stored.windows(10).any(|bytes| bytes == b"depression"), "it is in the clear");
}
