//! Predictions that are made after the answer, and what is told of them until then.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

mod harness;

use harness::stand_in::{Reply, StandIn};
use harness::tokens::{SERVICE_KEY, token};
use harness::{Answer, DEPRESSED, Host, MANIC, TYPES, WITHOUT_CHECK_INS, state, wait_for};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;

const ASYNC: (&str, &str) = ("prefer", "respond-async");

/// A host that reads from a database.
fn host(state: &TempDir, url: &str, more: &[&str]) -> Host {
    Host::of_project(state, url, &[&["--variable", "inference_timeout_seconds=3"], more].concat())
}

fn begin(host: &Host, authorization: &str, query: &str) -> Answer {
    let path = format!("/data/predictions/{DEPRESSED}{query}");
    let answer = host.request("GET", &path, &[("authorization", authorization), ASYNC]);
    assert_eq!(answer.status, 202, "{}", answer.body);
    answer
}

fn look(host: &Host, authorization: &str, location: &str) -> Answer {
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
fn who_prefers_not_to_wait_is_told_where_to_look_and_finds_what_the_answer_would_have_been() {
    let state = state();
    let host = Host::start(&state, &["--variable", "cache_ttl_seconds=0"]);
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
    assert_eq!(job["result"], direct, "the same, without whom it is about");
    assert_eq!(look(&host, "", &location).json(), job, "it is still there");
}

#[test]
fn asking_again_while_one_runs_gives_the_same_job_and_afterwards_the_cache_answers() {
    let stand_in = StandIn::start(vec![Reply::RowsAfter(Duration::from_secs(1))]);
    let bearer = format!("Bearer {}", token(&stand_in.url, DEPRESSED));
    for reuse in ["1", "128"] {
        let state = state();
        let host = host(&state, &stand_in.url, &["--max-instance-reuse-count", reuse]);
        let before = stand_in.seen().len();
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
        assert_eq!(stand_in.seen().len() - before, 2, "one question for each job");
        let again = wait_for(|| {
            let headers = [("authorization", bearer.as_str()), ASYNC];
            let answer = host.request("GET", &format!("/data/predictions/{DEPRESSED}"), &headers);
            (answer.status == 200).then_some(answer)
        });
        assert_eq!(again.header("x-cache"), "HIT", "there is nothing to wait for");
    }
}

#[test]
fn a_job_is_there_for_who_started_it_alone() {
    let stand_in = StandIn::start(vec![Reply::Rows]);
    let state = state();
    let host = host(&state, &stand_in.url, &["--variable", &format!("supabase_service_key={SERVICE_KEY}")]);
    let bearer = |person| format!("Bearer {}", token(&stand_in.url, person));
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
fn a_deployment_can_predict_in_the_background_whatever_is_asked() {
    let state = state();
    let host = Host::start(&state, &["--variable", "use_background_inference=true"]);
    let accepted = host.get(&format!("/data/predictions/{DEPRESSED}"));
    assert_eq!((accepted.status, &accepted.json()["status"]), (202, &json!("running")));
    assert_eq!(ended(&host, "", accepted.header("location"))["status"], "done");
    wait_for(|| (host.get(&format!("/data/predictions/{DEPRESSED}")).status == 200).then_some(()));
    let day = host.get(&format!("/data/prediction_of_day/{MANIC}"));
    assert_eq!((day.status, &day.json()["label"]), (200, &json!("mania")), "three fields are answered at once");
    assert_eq!(host.get("/data/predictions/nobody").status, 400, "what is wrong is told at once");
}

#[test]
fn a_job_that_fails_tells_the_problem_that_the_answer_would_have_been() {
    let stand_in = StandIn::start(vec![Reply::Says(500, "secret".to_owned())]);
    let bearer = format!("Bearer {}", token(&stand_in.url, DEPRESSED));
    let state = state();
    let host = host(&state, &stand_in.url, &[]);
    let job = ended(&host, &bearer, begin(&host, &bearer, "").header("location"));
    assert_eq!((&job["status"], job.get("result")), (&json!("failed"), None), "{job}");
    assert_eq!(job["error"]["type"], "urn:bipolar-edge:problem:source-failing", "{job}");
    stand_in.replies(Reply::Keeps);
    let job = ended(&host, &bearer, begin(&host, &bearer, "").header("location"));
    assert_eq!(job["error"]["type"], "urn:bipolar-edge:problem:source-slow", "{job}");
    stand_in.replies(Reply::Rows);
    let job = ended(&host, &bearer, begin(&host, &bearer, "").header("location"));
    assert_eq!(job["status"], "done", "asking again makes it anew");
}

#[test]
fn a_job_whose_host_was_killed_has_failed_once_its_time_is_over() {
    let stand_in = StandIn::start(vec![Reply::Keeps]);
    let bearer = format!("Bearer {}", token(&stand_in.url, DEPRESSED));
    let state = state();
    let mut killed = host(&state, &stand_in.url, &[]);
    let accepted = begin(&killed, &bearer, "");
    let location = accepted.header("location");
    killed.stop("-KILL");
    let host = host(&state, &stand_in.url, &[]);
    assert_eq!(look(&host, &bearer, location).json()["status"], "running", "nobody can know yet");
    let job = ended(&host, &bearer, location);
    assert_eq!(job["error"]["type"], "urn:bipolar-edge:problem:job-lost", "{job}");
    assert_eq!(job["status"], "failed");
    stand_in.replies(Reply::Rows);
    assert_eq!(begin(&host, &bearer, "").header("location"), location);
    assert_eq!(ended(&host, &bearer, location)["status"], "done");
}

#[test]
fn a_job_is_forgotten_when_its_time_is_over() {
    let state = state();
    let host = Host::start(&state, &["--variable", "job_ttl_seconds=1", "--variable", "cache_ttl_seconds=0"]);
    let accepted = host.request("GET", &format!("/data/predictions/{DEPRESSED}"), &[ASYNC]);
    let location = accepted.header("location");
    ended(&host, "", location);
    wait_for(|| (host.get(location).status == 404).then_some(()));
}

#[test]
fn what_a_job_found_can_be_encrypted_in_the_store() {
    let state = state();
    let key = format!("cache_encryption_key={}", "5a".repeat(32));
    let host = Host::start(&state, &["--variable", &key]);
    let accepted = host.request("GET", &format!("/data/predictions/{DEPRESSED}"), &[ASYNC]);
    assert_eq!(ended(&host, "", accepted.header("location"))["result"]["predictions"][0]["label"], "depression");
    let stored = host.stored();
    assert!(!stored.windows(10).any(|bytes| bytes == b"depression"), "it is in the clear");
}
