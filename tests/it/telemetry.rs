//! The view of operators: the log's lines, the metrics, and traces.

use harness::supabase::{FakeSupabase, Reply};
use harness::tokens::{ANON_KEY, API_KEY, SECRET, SERVICE_KEY, claims, es256, hs256, key_set, token};
use harness::{DEPRESSED, EUTHYMIC, Host, MANIC, MIXED, TYPES, WITHOUT_CHECK_INS, state, wait_for, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The log's lines of an event.
fn lines(host: &Host, event: &str) -> Vec<Value> {
    let log = host.log();
    let lines = log.lines().filter(|line| line.starts_with('{'));
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    lines.filter(|line| line["event"] == event).collect()
}

/// The line of a request.
fn line(host: &Host, request_id: &str) -> Value {
    wait_for(|| lines(host, "request").into_iter().find(|line| line["request_id"] == request_id))
}

/// Every sample of the metrics, by its name and labels.
fn samples(host: &Host) -> BTreeMap<String, f64> {
    let answer = host.get("/metrics");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let samples = answer.body.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.map(|line| line.rsplit_once(' ').expect("a sample"));
    samples.map(|(series, value)| (series.to_owned(), value.parse().expect("a number"))).collect()
}

#[test]
fn request_line_has_outcome_and_no_personal_data() {
    let host = Host::with_flags(&["--variable", "log_level=debug"]);
    let path = format!("/data/predictions/{DEPRESSED}");
    let ask = |path: &str, headers: &[(&str, &str)]| {
        let answer = host.request("GET", path, headers);
        line(&host, answer.header("x-request-id"))
    };
    let first = ask(&path, &[]);
    host.wait_for_hit(DEPRESSED, "");
    let second = ask(&path, &[]);
    for (field, value) in [
        ("level", "info"),
        ("method", "GET"),
        ("route", "/data/predictions/{user_id}"),
        ("cache", "miss"),
        ("source", "demo"),
    ] {
        assert_eq!(first[field], value, "{first}");
    }
    assert_eq!((&first["status"], &second["cache"]), (&json!(200), &json!("hit")));
    for kind in TYPES {
        assert!(first["inference_ms"][kind].as_f64().is_some_and(|took| took > 0.0), "{first}");
    }
    assert!(second.get("inference_ms").is_none() && second.get("source").is_none(), "{second}");
    assert!(first["deadline_left_ms"].as_f64() > Some(25_000.0) && first["duration_ms"].as_f64() > Some(0.0));
    let user = first["user"].as_str().expect("a hash");
    assert!(user.len() == 12 && user.bytes().all(|byte| byte.is_ascii_hexdigit()) && !DEPRESSED.contains(user));
    assert_eq!(first["user"], second["user"], "a person can be followed");
    assert_ne!(ask(&format!("/data/predictions/{MANIC}"), &[])["user"], first["user"]);

    // The harness searches the log for people and tokens when the host ends.
    let digits = MANIC.replace('-', "");
    for smuggled in [DEPRESSED, &DEPRESSED.replace('-', ""), MANIC, &digits, "eyJhbGciOi.x.y", "someone@example.com"] {
        let line = ask(&path, &[("x-request-id", smuggled)]);
        assert_ne!(line["request_id"], smuggled);
    }
    let trace = format!("00-{}-00f067aa0ba902b7-01", DEPRESSED.replace('-', ""));
    let state = format!("vendor={DEPRESSED}");
    assert_eq!(ask(&path, &[("traceparent", &trace), ("tracestate", &state)])["trace_id"], "withheld");
    let wrong = ask("/data/predictions/x?token=eyJ", &[]);
    assert_eq!((&wrong["status"], &wrong["problem"]), (&json!(400), &json!("invalid-request")));
    let started = &lines(&host, "instance")[0];
    assert_eq!(started["models"].as_array().map(Vec::len), Some(TYPES.len()));
    assert!(started["models"][0]["trees"].as_u64() > Some(0) && started["models"][0]["bytes"].as_u64() > Some(0));
}

#[test]
fn each_prediction_that_is_made_is_recorded_and_a_cached_answer_names_the_record() {
    let host =
        Host::with_flags(&["--variable", "cache_key_secret=a secret of the tests", "--variable", "log_level=info"]);
    let path = format!("/data/predictions/{DEPRESSED}");
    // Predictions are made until the first of them is kept.
    host.wait_for_hit(DEPRESSED, "");
    let [(made, made_line), (kept, kept_line)] = [(), ()].map(|()| {
        let answer = host.get(&path);
        (answer.json(), line(&host, answer.header("x-request-id")))
    });
    assert_eq!(made["predictions"], kept["predictions"], "the id is kept with the prediction");
    assert_eq!((&made_line["cache"], &kept_line["cache"]), (&json!("hit"), &json!("hit")));
    assert_eq!(made_line["decisions"], kept_line["decisions"]);
    let of_all = made_line["decisions"].as_str().and_then(|id| id.strip_suffix("0000")).expect("an id").to_owned();
    let requests = lines(&host, "request").into_iter().filter(|line| line["cache"] == "miss").count();
    let all = lines(&host, "decision");
    assert_eq!(all.len(), requests * TYPES.len(), "none is made of a cached answer");
    let is_this = |record: &Value| record["decision_id"].as_str().is_some_and(|id| id.starts_with(&of_all));
    let records: Vec<Value> = all.into_iter().filter(is_this).collect();
    assert_eq!(records.len(), TYPES.len());
    let inputs = records[0]["inputs"].as_str().expect("a digest");
    assert!(inputs.len() == 32 && inputs.bytes().all(|byte| byte.is_ascii_hexdigit()), "{inputs}");
    for (record, prediction) in records.iter().zip(made["predictions"].as_array().expect("predictions")) {
        for field in ["decision_id", "type", "model_version", "as_of", "label", "probability"] {
            assert_eq!(record[field], prediction[field], "{field}");
        }
        assert_eq!((&record["user"], &record["inputs"]), (&made_line["user"], &records[0]["inputs"]));
        assert_eq!((&record["role"], &record["source"]), (&json!("anyone"), &json!("demo")));
        assert_eq!(record["language"], "en");
        assert_eq!(record["models_fingerprint"].as_str().map(str::len), Some(16));
        let known = [
            "time",
            "level",
            "event",
            "decision_id",
            "type",
            "model_version",
            "models_fingerprint",
            "user",
            "role",
            "language",
            "source",
            "inputs",
            "as_of",
            "label",
            "probability",
        ];
        let unknown = record.as_object().expect("an object").keys().find(|name| !known.contains(&name.as_str()));
        assert_eq!(unknown, None, "nothing else is told");
    }
    // The same check-ins have the same digest, others have another.
    let digest_of = |answer: Value| {
        let id = answer["predictions"][0]["decision_id"].clone();
        wait_for(|| lines(&host, "decision").into_iter().find(|line| line["decision_id"] == id))["inputs"].clone()
    };
    let posted = json!({ "checkins": host.get(&format!("/data/check-ins/{DEPRESSED}")).json()["checkins"] });
    assert_eq!(digest_of(host.post("/data/predictions", &posted).json()), records[0]["inputs"]);
    let wider = digest_of(host.predictions(DEPRESSED, "?window_days=30").json());
    let other = digest_of(host.predictions(MANIC, "").json());
    assert!(wider != records[0]["inputs"] && other != records[0]["inputs"] && wider != other);
}

#[test]
fn predictions_from_a_request_s_own_check_ins_and_rows_are_recorded_too() {
    let host = Host::with_flags(&["--variable", "log_level=error"]);
    let last = |count: usize| {
        let all = wait_for(|| Some(lines(&host, "decision")).filter(|all| all.len() == count));
        all.into_iter().next_back().expect("one")
    };
    let question = json!({ "checkins": [] });
    let posted = host.post("/data/predictions", &question).json();
    let record = last(TYPES.len());
    assert_eq!(record["decision_id"], posted["predictions"][TYPES.len() - 1]["decision_id"]);
    assert_eq!((&record["label"], &record["reason"]), (&json!("insufficient_data"), &json!("no_checkins")));
    assert!(
        record.get("user").is_none() && record.get("inputs").is_none() && record.get("as_of").is_none(),
        "{record}"
    );
    assert_eq!(record["source"], "request");
    let batch = host.post("/data/predictions/batch", &json!({ "items": [question, question] })).json();
    let record = last(3 * TYPES.len());
    assert_eq!(record["decision_id"], batch[1]["predictions"][TYPES.len() - 1]["decision_id"]);
    let width = host.get("/models/mood_state").json()["features"].as_array().map_or(0, Vec::len);
    let rows = vec![0.5; 2 * width];
    let input = json!({ "name": "input", "datatype": "FP64", "shape": [2, width], "data": rows });
    let answer = host.post("/v2/models/mood_state/infer", &json!({ "inputs": [input] })).json();
    let record = last(3 * TYPES.len() + 1);
    assert_eq!(record["decision_id"], answer["parameters"]["decision_id"]);
    assert_eq!(
        (&record["type"], &record["rows"], &record["source"]),
        (&json!("mood_state"), &json!(2), &json!("rows"))
    );
    assert!(record.get("probability").is_none() && record.get("label").is_none(), "{record}");
}

#[test]
fn decisions_are_not_recorded_where_that_is_turned_off() {
    let mut host = Host::with_flags(&["--variable", "decision_log=false"]);
    let prediction = host.predictions(DEPRESSED, "").prediction("mood_state");
    assert_eq!(prediction["decision_id"].as_str().map(str::len), Some(36));
    host.post("/data/predictions", &json!({ "checkins": [] }));
    host.stop("-TERM");
    assert_eq!(lines(&host, "decision"), Vec::<Value>::new());
}

#[test]
fn log_level_and_format_are_configurable() {
    // `last` is in the line of the last request, where there is one.
    let log = |flags: &[&str], last: Option<&str>| {
        let mut host = Host::with_flags(flags);
        host.get("/health/ready");
        host.predictions(DEPRESSED, "");
        host.get("/nothing");
        if let Some(last) = last {
            wait_until(|| host.log().contains(last));
        }
        // It ends when all work is done, that after the responses too.
        host.stop("-TERM");
        host.log()
    };
    let not_found = Some("\"status\":404");
    let info = log(&[], not_found);
    assert!(info.contains("\"event\":\"request\"") && !info.contains("/health/ready"), "{info}");
    let debug = log(&["--variable", "log_level=debug"], not_found);
    assert!(debug.contains("/health/ready"), "{debug}");
    for level in ["warn", "error"] {
        let quiet = log(&["--variable", &format!("log_level={level}")], None);
        assert!(!quiet.contains("request"), "{quiet}");
    }
    let text = log(&["--variable", "log_format=text", "--variable", "log_level=debug"], Some(" 404 not-found "));
    assert!(text.contains(" info: GET /data/predictions/{user_id} 200 miss "), "{text}");
    assert!(text.contains(" info: GET none 404 not-found "), "{text}");
    assert!(text.contains(" debug: an instance serves mood_state_v1 ("), "{text}");
}

#[test]
fn trace_continues_in_the_log_and_the_database_request() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let state = state();
    let host = Host::with_supabase(&state, &supabase.url, &[]);
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let bearer = format!("Bearer {}", token(&supabase.url, DEPRESSED));
    let ask = |more: &[(&str, &str)]| {
        let headers = [&[("authorization", bearer.as_str())], more].concat();
        host.request("GET", &format!("/data/predictions/{DEPRESSED}?window_days={}", 3 + more.len()), &headers)
    };
    let parent = format!("00-{id}-00f067aa0ba902b7-01");
    let answer = ask(&[("traceparent", &parent), ("tracestate", "vendor=x")]);
    let requests = supabase.requests()[0].clone();
    let sent = requests.lines().find_map(|line| line.strip_prefix("traceparent: ")).expect("a trace");
    assert!(sent.starts_with(&format!("00-{id}-")) && sent.ends_with("-01") && sent != parent, "{sent}");
    assert!(requests.contains("tracestate: vendor=x"), "{requests}");
    let traced = line(&host, answer.header("x-request-id"));
    assert_eq!((&traced["trace_id"], &traced["source"]), (&json!(id), &json!("supabase")));
    assert!(traced["upstream_ms"].as_f64() > Some(0.0), "{traced}");
    ask(&[("traceparent", "nonsense")]);
    assert!(!supabase.requests()[1].contains("traceparent"), "{}", supabase.requests()[1]);
}

/// Every metric that the dashboard and the alerts ask for is one that the service has.
#[test]
fn dashboard_and_alerts_use_existing_metrics() {
    let host = Host::demo();
    let text = host.get("/metrics").body;
    let there: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for file in ["tests/load/grafana.json", "tests/load/alerts.yml"] {
        let asked = std::fs::read_to_string(file).expect(file);
        let mut names = 0;
        for part in asked.split("bipolar_edge_").skip(1) {
            let end = part.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_').unwrap_or(part.len());
            let name = format!("bipolar_edge_{}", &part[..end]);
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|ending| name.strip_suffix(ending));
            assert!(there.contains(&family.unwrap_or(&name)), "{file}: {name}");
            names += 1;
        }
        assert!(names > 4, "{file}");
    }
    serde_json::from_str::<Value>(&std::fs::read_to_string("tests/load/grafana.json").expect("it")).expect("JSON");
}

/// A person's token opens no metrics, with a legacy secret or with published keys; operations have their own.
#[test]
fn metrics_are_open_to_operations_and_to_no_person() {
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    supabase.set_keys(Reply::Respond(200, key_set("elliptic", "rsa").to_string()));
    let operations = "operations-token-of-forty-bytes-or-more==";
    for signing in [Some(format!("supabase_jwt_secret={SECRET}")), None] {
        let state = state();
        let variables = [
            Some(format!("supabase_url={}", supabase.url)),
            Some(format!("supabase_anon_key={ANON_KEY}")),
            Some(format!("supabase_service_key={SERVICE_KEY}")),
            Some(format!("operations_token={operations}")),
            signing.clone(),
        ];
        let flags: Vec<&str> = variables.iter().flatten().flat_map(|variable| ["--variable", variable]).collect();
        let host = Host::start(&state, &flags);
        let ask = |token: &str, path: &str| {
            host.request("GET", path, &[("authorization", &format!("Bearer {token}"))]).status
        };
        let own = claims(&supabase.url, DEPRESSED);
        let mut server = own.clone();
        server["role"] = json!("service_role");
        let sign = |claims: &Value| match &signing {
            Some(_) => hs256(claims, SECRET.as_bytes()),
            None => es256("elliptic", claims),
        };
        assert_eq!((ask(&sign(&own), "/metrics"), ask(&sign(&own), "/models")), (403, 200));
        // Statistics of models are of the same kind.
        for path in ["/metrics", "/v2/models/stats", "/v2/models/mood_state/stats"] {
            assert_eq!(ask(&sign(&own), path), 403, "{path}");
            for token in [operations, SERVICE_KEY, &sign(&server)] {
                assert_eq!(ask(token, path), 200, "{path}");
            }
        }
        assert_eq!(ask(operations, "/models"), 200);
        assert_eq!(ask(operations, &format!("/data/predictions/{DEPRESSED}")), 401, "they see nobody");
        for guess in ["operations-token-of-forty-bytes-or-more=", "x", ANON_KEY] {
            assert_eq!(ask(guess, "/metrics"), 401, "{guess}");
        }
        assert_eq!(host.get("/metrics").status, 401);
    }
    let demo = Host::with_flags(&["--variable", &format!("operations_token={operations}")]);
    assert_eq!((demo.get("/metrics").status, demo.get("/models").status), (401, 200));
}

/// Every answer is counted, those too that no endpoint gave.
#[test]
fn options_unknown_paths_and_methods_are_counted() {
    let host = Host::with_flags(&["--variable", "metrics_sampling=1", "--variable", "counting_writes_per_second=0"]);
    let path = format!("/data/predictions/{DEPRESSED}");
    let asked = [("OPTIONS", path.as_str()), ("GET", "/nothing"), ("POST", "/models"), ("PATCH", "/models")];
    for (method, path) in asked {
        host.request(method, path, &[]);
    }
    let counted = [
        "route=\"/data/predictions/{user_id}\",method=\"OPTIONS\",status=\"204\"",
        "route=\"none\",method=\"GET\",status=\"404\"",
        "route=\"/models\",method=\"POST\",status=\"405\"",
        "route=\"/models\",method=\"other\",status=\"405\"",
    ];
    wait_until(|| {
        let samples = samples(&host);
        counted.iter().all(|labels| samples.contains_key(&format!("bipolar_edge_http_requests_total{{{labels}}}")))
    });
}

#[test]
fn metrics_require_an_api_key() {
    let keys = ["--variable", "auth_mode=api_key", "--variable", &format!("api_keys={API_KEY}")];
    let host = Host::with_flags(&keys);
    assert_eq!(host.get("/metrics").status, 401);
    assert_eq!(host.request("GET", "/metrics", &[("x-api-key", API_KEY)]).status, 200);
}

mod needs_redis {
    use super::*;
    use std::sync::Mutex;

    /// An hour's traffic in less than a minute.
    #[test]
    fn counters_equal_the_clients_counts_across_short_lived_instances() {
        let redis = harness::redis::Redis::start();
        let redis_flags = redis.flags();
        let flags = redis_flags.iter().map(String::as_str).chain(["--max-instance-reuse-count", "4"]);
        let host = Host::with_flags(&flags.collect::<Vec<_>>());
        let counted: Mutex<BTreeMap<(&str, &str, u16), f64>> = Mutex::default();
        let caches: Mutex<BTreeMap<String, f64>> = Mutex::default();
        let count = |route: &'static str, method: &'static str, answer: &harness::Response| {
            *counted.lock().expect("no client failed").entry((route, method, answer.status)).or_default() += 1.0;
            let cache = answer.header("x-cache").to_lowercase();
            if !cache.is_empty() {
                *caches.lock().expect("no client failed").entry(cache).or_default() += 1.0;
            }
        };
        let people = [EUTHYMIC, MANIC, DEPRESSED, MIXED, WITHOUT_CHECK_INS];
        std::thread::scope(|scope| {
            for client in 0..8_usize {
                let (host, count) = (&host, &count);
                scope.spawn(move || {
                    for turn in 0..50_usize {
                        let person = people[(client + turn) % people.len()];
                        let path = format!("/data/predictions/{person}");
                        match turn % 10 {
                            0 => count("/data/predictions/{user_id}", "DELETE", &host.request("DELETE", &path, &[])),
                            1 => count(
                                "/data/prediction_of_day/{user_id}",
                                "GET",
                                &host.get(&format!("/data/prediction_of_day/{person}")),
                            ),
                            2 => count("/data/predictions/{user_id}", "GET", &host.get("/data/predictions/x")),
                            3 => count("none", "GET", &host.get("/nothing")),
                            4 => {
                                let body =
                                    json!({ "checkins": [{ "checkin_date": "2026-01-01", "depressedMood": turn % 12 }] });
                                count("/data/predictions", "POST", &host.post("/data/predictions", &body));
                            }
                            5 => count(
                                "/data/predictions/{user_id}",
                                "GET",
                                &host.request("GET", &path, &[("prefer", "respond-async")]),
                            ),
                            6 => count("/models", "POST", &host.request("POST", "/models", &[])),
                            _ => count(
                                "/data/predictions/{user_id}",
                                "GET",
                                &host.get(&format!("{path}?window_days={}", 1 + turn % 3)),
                            ),
                        }
                    }
                });
            }
        });
        let (counted, caches) =
            (counted.into_inner().expect("no client failed"), caches.into_inner().expect("no client failed"));
        let answered: f64 = counted.values().sum();
        let sum = |samples: &BTreeMap<String, f64>, prefix: &str| {
            // Without the questions below.
            let asked = samples.iter().filter(|(series, _)| !series.contains("route=\"/metrics\""));
            asked.filter(|(series, _)| series.starts_with(prefix)).map(|(_, count)| count).sum::<f64>()
        };
        let jobs = |samples: &BTreeMap<String, f64>, outcome: &str| {
            samples.get(&format!("bipolar_edge_jobs_total{{outcome=\"{outcome}\"}}")).copied()
        };
        // Counts are flushed after the answer, those of the questions too: the pauses between them grow.
        let (mut questions, mut pause) = (0.0, Duration::from_millis(50));
        let samples = wait_for(|| {
            std::thread::sleep(pause);
            pause *= 2;
            questions += 1.0;
            let samples = samples(&host);
            let complete = sum(&samples, "bipolar_edge_http_requests_total{") >= answered
                && sum(&samples, "bipolar_edge_http_request_duration_seconds_count{") >= answered
                && sum(&samples, "bipolar_edge_cache_answers_total{") >= caches.values().sum()
                && jobs(&samples, "started") == jobs(&samples, "done")
                && samples["bipolar_edge_http_requests_in_flight"] <= 1.0
                && sum(&samples, "bipolar_edge_predictions_total{type=\"mood_state\"")
                    == sum(&samples, "bipolar_edge_inference_duration_seconds_count{type=\"mood_state\"}");
            complete.then_some(samples)
        });
        let own = samples.get("bipolar_edge_http_requests_total{route=\"/metrics\",method=\"GET\",status=\"200\"}");
        assert!(own.is_none_or(|own| *own < questions), "{own:?} of {questions}");
        for ((route, method, status), count) in &counted {
            let series = format!(
                "bipolar_edge_http_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}}"
            );
            assert_eq!(samples.get(&series), Some(count), "{series}");
        }
        for (cache, count) in &caches {
            assert_eq!(
                samples.get(&format!("bipolar_edge_cache_answers_total{{outcome=\"{cache}\"}}")),
                Some(count),
                "{cache}"
            );
        }
        let sum = |prefix: &str| sum(&samples, prefix);
        assert_eq!(sum("bipolar_edge_http_requests_total{"), answered);
        assert_eq!(sum("bipolar_edge_http_request_duration_seconds_count{"), answered);
        assert_eq!(samples["bipolar_edge_http_requests_in_flight"], 1.0, "the one that asks");
        assert!(samples["bipolar_edge_instances_started_total"] > 50.0, "{samples:?}");
        assert_eq!(jobs(&samples, "started"), jobs(&samples, "done"));
        // Each row of features was predicted by every model.
        let made: f64 = sum("bipolar_edge_predictions_total{type=\"mood_state\"");
        let inferred = samples["bipolar_edge_inference_duration_seconds_count{type=\"mood_state\"}"];
        assert!(made == inferred && made > 0.0, "{made} {inferred}");
    }
}

mod needs_promtool {
    use super::*;

    /// Debian's `prometheus` has it.
    #[test]
    fn metrics_and_alerts_pass_promtool() {
        let host = Host::demo();
        host.predictions(DEPRESSED, "?limit_checkins=3&explain=true");
        host.predictions(WITHOUT_CHECK_INS, "");
        host.get("/data/predictions/x");
        let text = host.get("/metrics");
        assert_eq!(text.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool is there");
        promtool.stdin.take().expect("piped").write_all(text.body.as_bytes()).expect("written");
        let output = promtool.wait_with_output().expect("it ends");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && printed.is_empty(), "{printed}");
        let rules =
            Command::new("promtool").args(["check", "rules", "tests/load/alerts.yml"]).output().expect("it runs");
        assert!(rules.status.success(), "{}", String::from_utf8_lossy(&rules.stdout));

        let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
        let open = host.request("GET", "/metrics", &[("accept", accept)]);
        assert_eq!(open.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
        assert!(open.body.ends_with("# EOF\n") && open.body.contains("# TYPE bipolar_edge_http_requests counter"));
    }
}
