//! The schema for a Supabase project, in a real PostgreSQL, and the component reading from it through a stand-in for
//! PostgREST that runs the very query it is asked, as the caller's role.

use demo_project::{Project, THERAPIST, WEBHOOK_SECRET, token};
use harness::{DEPRESSED, Host, MANIC, state, wait_until, without_ids};
use serde_json::Value;
use std::path::Path;

/// A project with two people and a therapist of the first.
fn project() -> Project {
    Project::start(Path::new("."), &[DEPRESSED, MANIC]).expect("a project")
}

fn host(state: &tempfile::TempDir, project: &Project) -> Host {
    let variables = project.variables();
    Host::start(state, &variables.iter().flat_map(|variable| ["--variable", variable]).collect::<Vec<_>>())
}

fn hook(host: &Host, body: &Value) -> harness::Response {
    let headers = [("content-type", "application/json"), ("x-webhook-secret", WEBHOOK_SECRET)];
    host.send("POST", "/hooks/check-ins", &headers, &body.to_string())
}

#[test]
fn row_level_security_decides_and_rows_give_the_predictions_of_the_demo() {
    let project = project();
    let mut database = project.connect().expect("a connection");
    let demo_host = Host::demo();
    let state = state();
    let host = host(&state, &project);
    let ask = |caller: &str, person: &str, query: &str| {
        let authorization = format!("Bearer {}", token(&project.url, caller));
        host.request("GET", &format!("/data/predictions/{person}{query}"), &[("authorization", &authorization)])
    };
    let query = "?window_days=14&explain=true";
    for (caller, person) in [(DEPRESSED, DEPRESSED), (MANIC, MANIC), (THERAPIST, DEPRESSED)] {
        let answer = ask(caller, person, query);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(
            without_ids(answer.json())["predictions"],
            without_ids(demo_host.predictions(person, query).json())["predictions"],
            "{caller}"
        );
    }
    for (caller, person) in [(MANIC, DEPRESSED), (THERAPIST, MANIC)] {
        assert_eq!(ask(caller, person, "").prediction("mood_state")["label"], "insufficient_data", "{caller}");
    }
    // What a person's own token showed is kept until the database's webhook says otherwise; what another's showed never
    // is.
    wait_until(|| ask(DEPRESSED, DEPRESSED, query).header("x-cache") == "HIT");
    database.batch_execute(&format!("delete from check_ins where user_id = '{DEPRESSED}'")).expect("deleted");
    assert_eq!(ask(THERAPIST, DEPRESSED, query).prediction("mood_state")["label"], "insufficient_data");
    assert_eq!(ask(DEPRESSED, DEPRESSED, query).header("x-cache"), "HIT");
    let sent = project.sent().expect("webhooks");
    assert!(sent.len() > 20 && sent.iter().all(|body| body["type"] == "DELETE"), "one a row");
    assert_eq!(hook(&host, &sent[0]).json()["invalidated"], 1);
    assert_eq!(ask(DEPRESSED, DEPRESSED, query).prediction("mood_state")["label"], "insufficient_data");
}

#[test]
fn people_write_their_own_days_only_and_every_change_calls_the_webhook() {
    let project = project();
    let mut person = project.connect().expect("a connection");
    let claims = format!("set role authenticated; set request.jwt.claims = '{{\"sub\":\"{MANIC}\"}}'");
    person.batch_execute(&claims).expect("the role");
    person.batch_execute("insert into check_ins (checkin_date) values ('2031-02-28')").expect("one's own day");
    let others = format!("insert into check_ins (user_id, checkin_date) values ('{DEPRESSED}', '2031-02-28')");
    assert!(person.batch_execute(&others).is_err(), "another's day");
    assert!(person.batch_execute("insert into check_ins (checkin_date) values ('2031-02-28')").is_err(), "a day twice");
    let changed =
        person.execute(&format!("update check_ins set mood_data = '{{}}' where user_id = '{DEPRESSED}'"), &[]);
    assert_eq!(changed.expect("no error, and nothing to see"), 0);
    person.batch_execute("delete from check_ins where checkin_date = '2031-02-28'").expect("one's own day");
    let mut nobody = project.connect().expect("a connection");
    nobody.batch_execute("set role anon").expect("the role");
    assert!(nobody.query("select * from check_ins", &[]).is_err(), "without a token there is no table");

    let sent = project.sent().expect("webhooks");
    let kinds: Vec<&str> = sent.iter().map(|body| body["type"].as_str().expect("text")).collect();
    assert_eq!(kinds, ["INSERT", "DELETE"]);
    let state = state();
    let host = host(&state, &project);
    for body in sent {
        assert_eq!(hook(&host, &body).status, 200, "{body}");
    }
}

#[test]
fn database_errors_have_their_own_problems() {
    let project = project();
    let state = state();
    let host = host(&state, &project);
    let authorization = format!("Bearer {}", token(&project.url, DEPRESSED));
    let ask = || host.request("GET", &format!("/data/predictions/{DEPRESSED}"), &[("authorization", &authorization)]);
    let mut database = project.connect().expect("a connection");
    for (change, status, kind) in [
        ("revoke select on check_ins from authenticated", 502, "source-refused"),
        ("alter table check_ins rename to something_else", 503, "source-without-table"),
    ] {
        database.batch_execute(change).expect("changed");
        let answer = ask();
        assert_eq!(
            (answer.status, answer.json()["type"].as_str()),
            (status, Some(&*format!("urn:bipolar-edge:problem:{kind}")))
        );
    }
}
