//! Validation: invalid requests and configurations are refused with the reason.

use harness::tokens::WEBHOOK_SECRET;
use harness::{EUTHYMIC, Host, TYPES};
use serde_json::json;

/// Status, content type and the fields named, in order.
fn refused(host: &Host, path: &str) -> Vec<String> {
    let answer = host.get(path);
    assert_eq!(answer.status, 400, "{path}: {}", answer.body);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.json()["status"], 400);
    let body = answer.json();
    let errors = body["errors"].as_array().expect("errors");
    errors.iter().map(|error| error["field"].as_str().expect("a field").to_owned()).collect()
}

#[test]
fn invalid_parameter_is_named_with_its_range() {
    let host = Host::demo();
    let at = |query: &str| format!("/data/predictions/{EUTHYMIC}?{query}");
    let types = format!("must be a comma-separated list of {}", TYPES.join(", "));
    for (query, field, message) in [
        ("window_days=0", "window_days", "must be a whole number from 1 to 30"),
        ("window_days=31", "window_days", "must be a whole number from 1 to 30"),
        ("window_days=", "window_days", "must be a whole number from 1 to 30"),
        ("window_days=3.5", "window_days", "must be a whole number from 1 to 30"),
        ("window_days=%2B3", "window_days", "must be a whole number from 1 to 30"),
        ("limit_checkins=11", "limit_checkins", "must be a whole number from 0 to 10"),
        ("limit_checkins=-1", "limit_checkins", "must be a whole number from 0 to 10"),
        ("explain=yes", "explain", "must be true, false or none"),
        ("window_days=3&window_days=4", "window_days", "is given more than once"),
        ("types=mood", "types", &types),
        ("types=", "types", &types),
        ("lang=de", "lang", "must be en or pt-BR"),
        ("window=3", "window", "is not a parameter; types, window_days, limit_checkins, explain and lang are"),
    ] {
        let body = host.get(&at(query)).json();
        assert_eq!(body["errors"], json!([{ "field": field, "message": message }]), "{query}");
        assert_eq!(body["title"], "Invalid request");
    }
}

#[test]
fn all_errors_are_named_at_once() {
    let host = Host::demo();
    let fields = refused(&host, "/data/predictions/someone?types=x&window_days=x&limit_checkins=x&explain=x");
    assert_eq!(fields, ["user_id", "types", "window_days", "limit_checkins", "explain"]);
    assert_eq!(refused(&host, "/data/prediction_of_day/someone?window_days=3"), ["user_id", "window_days"]);
}

#[test]
fn only_hyphenated_uuids_are_user_ids() {
    let host = Host::demo();
    for user_id in [
        "11111111111141118111111111111111",
        "%7B11111111-1111-4111-8111-111111111111%7D",
        "urn:uuid:11111111-1111-4111-8111-111111111111",
        "11111111-1111-4111-8111-11111111111g",
        "11111111-1111-4111-8111-111111111111%20",
        "%31%31111111-1111-4111-8111-111111111111",
    ] {
        assert_eq!(refused(&host, &format!("/data/predictions/{user_id}")), ["user_id"], "{user_id}");
    }
    let upper = host.predictions("ABCDEFAB-1111-4111-8111-111111111111", "");
    assert_eq!(upper.json()["user_id"], "abcdefab-1111-4111-8111-111111111111");
}

#[test]
fn unknown_paths_are_404_and_other_methods_405() {
    let host = Host::demo();
    for path in
        ["/data", "/data/prediction", "/data/predictions/", "/health", "/models/", "/models/mood", "/etc/passwd"]
    {
        let answer = host.get(path);
        assert!([400, 404].contains(&answer.status), "{path}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    assert_eq!(host.get("/models/mood").json()["type"], "urn:bipolar-edge:problem:no-such-model");
    assert_eq!(host.get("/nothing").json()["type"], "urn:bipolar-edge:problem:not-found");
    for method in ["DELETE", "PUT", "TRACE"] {
        let answer = host.request(method, "/models", &[]);
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{method}");
    }
}

#[test]
fn key_that_is_there_twice_is_refused_everywhere() {
    let host = Host::with_flags(&["--variable", &format!("webhook_secret={WEBHOOK_SECRET}")]);
    let day = r#""checkin_date":"2031-01-01""#;
    let tensor = |more: &str| format!(r#"{{"inputs":[{{"name":"input","shape":[1,1],"datatype":"FP64"{more}}}]}}"#);
    for (path, body) in [
        ("/data/predictions", format!(r#"{{"checkins":[],"checkins":[{{{day}}}]}}"#)),
        ("/data/predictions", format!(r#"{{"checkins":[{{{day},"hoursSlept":1,"hoursSlept":9}}]}}"#)),
        ("/data/predictions", format!(r#"{{"checkins":[{{{day},"mood_data":{{"elevation":1,"elevation":1}}}}]}}"#)),
        ("/data/predictions", format!(r#"{{"checkins":[{{{day},"other":{{"a":1,"a":2}}}}]}}"#)),
        ("/data/predictions/batch", r#"{"items":[],"items":[]}"#.to_owned()),
        ("/v2/models/mood_state/infer", tensor(r#","data":[1],"data":[2]"#)),
        ("/v2/models/mood_state/infer", r#"{"inputs":[],"inputs":[]}"#.to_owned()),
        ("/v2/models/mood_state/infer", tensor(r#","parameters":{"binary_data_size":8,"binary_data_size":8}"#)),
        // Keys that nothing reads, one of them in another spelling.
        ("/v2/models/mood_state/infer", tensor(r#","data":[1]}],"other":[{"a":1,"\u0061":2"#)),
        ("/hooks/check-ins", format!(r#"{{"table":"check_ins","record":{{"user_id":"{EUTHYMIC}","user_id":"x"}}}}"#)),
        ("/hooks/check-ins", r#"{"table":"check_ins","record":null,"record":{}}"#.to_owned()),
        ("/hooks/check-ins", format!(r#"{{"table":"check_ins","x":1,"x":2,"record":{{"user_id":"{EUTHYMIC}"}}}}"#)),
    ] {
        let headers = [("content-type", "application/json"), ("x-webhook-secret", WEBHOOK_SECRET)];
        let answer = host.send("POST", path, &headers, &body);
        assert_eq!(answer.status, 400, "{path} {body}: {}", answer.body);
        assert!(
            answer.body.contains("has a key twice in one object: line 1, column "),
            "{path} {body}: {}",
            answer.body
        );
    }
    // An item of a batch that is wrong spoils no other.
    let items = format!(r#"{{"items":[{{"checkins":[],"explain":true,"explain":false}},{{"checkins":[{{{day}}}]}}]}}"#);
    let answer = host.send("POST", "/data/predictions/batch", &[("content-type", "application/json")], &items);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answers = answer.json();
    assert!(answers[0]["errors"][0]["message"].as_str().is_some_and(|text| text.starts_with("has a key twice")));
    assert!(answers[1]["predictions"].is_array(), "{answers}");
}

#[test]
fn request_id_is_always_the_services_own() {
    let host = Host::demo();
    let id =
        |given: &str| host.request("GET", "/health/live", &[("x-request-id", given)]).header("x-request-id").to_owned();
    let given = ["", "two words", "mine", "4bf92f3577b34da6a3ce929d0e0e4736", EUTHYMIC, &EUTHYMIC.replace('-', "")];
    let mut ids: Vec<String> = given.into_iter().map(id).collect();
    // Errors carry one too.
    ids.push(host.request("GET", "/nothing", &[("x-request-id", "mine")]).header("x-request-id").to_owned());
    for id in &ids {
        assert!(id.len() == 36 && !given.contains(&id.as_str()), "{id}");
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), given.len() + 1, "none twice");
}

#[test]
fn invalid_configuration_is_503_naming_the_variable() {
    for (variable, names) in [
        ("cache_ttl_seconds=soon", "cache_ttl_seconds"),
        ("crisis_resources=", "crisis_resources"),
        ("supabase_url=https://project.supabase.co", "supabase_url"),
    ] {
        let host = Host::with_flags(&["--variable", variable]);
        for path in ["/health/ready", &format!("/data/predictions/{EUTHYMIC}")] {
            let answer = host.get(path);
            assert_eq!(answer.status, 503, "{path}");
            let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
            assert!(detail.contains(names) && !detail.contains("supabase.co"), "{detail}");
        }
        assert_eq!(host.get("/health/live").status, 200);
    }
}
