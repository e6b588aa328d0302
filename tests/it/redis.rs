//! Redis as the place of everything that is kept, through Spin's outbound Redis, for both modules.

mod needs_redis {
    use harness::redis::Redis;
    use harness::supabase::{self, FakeSupabase, Reply};
    use harness::tokens::{SECRET, WEBHOOK_SECRET, claims, hs256, token};
    use harness::{
        DEPRESSED, EUTHYMIC, FAST, Host, MANIC, MIXED, PORTABLE, Response, TYPES, at_once, runs_the_fast_module, state,
        wait_until,
    };
    use serde_json::json;
    use std::path::Path;
    use std::time::{Duration, Instant};
    use tempfile::TempDir;

    /// Of two hosts, each with 128 requests in flight of which an instance takes 16, and as many again that took over
    /// from those that had their share of requests.
    const MAX_INSTANCES: usize = 2 * 2 * 128 / 16;

    type Start = fn(&TempDir, &[&str]) -> Host;

    /// The modules that can be tried.
    fn modules() -> Vec<Start> {
        if runs_the_fast_module() { vec![Host::start, Host::start_fast] } else { vec![Host::start] }
    }

    fn host(start: Start, state: &TempDir, redis: &Redis, variables: &[&str]) -> Host {
        let redis = redis.flags();
        let variables = variables.iter().flat_map(|variable| ["--variable", variable]);
        start(state, &redis.iter().map(String::as_str).chain(variables).collect::<Vec<_>>())
    }

    fn predictions(host: &Host) -> Response {
        host.get(&format!("/data/predictions/{DEPRESSED}"))
    }

    #[test]
    fn limit_is_exact_across_concurrent_instances_and_hosts() {
        for start in modules() {
            let (redis, states) = (Redis::start(), [state(), state()]);
            let hosts = states.each_ref().map(|state| host(start, state, &redis, &["rate_limit_predictions=20/day"]));
            assert_eq!(hosts[0].get("/health/ready").json()["counting"], "exact");
            let answers = at_once(60, |turn| predictions(&hosts[turn % 2]));
            // A machine that is out of breath may have a store that is too slow to count: such an answer says no limit.
            let counted = answers.iter().filter(|answer| !answer.header("ratelimit-limit").is_empty());
            let statuses: Vec<u16> = counted.map(|answer| answer.status).collect();
            assert!(statuses.len() > 40, "{statuses:?}");
            // One that took too long was counted too, and is let in by the instance.
            let (let_in, uncounted) = (statuses.iter().filter(|status| **status == 200).count(), 60 - statuses.len());
            assert!(let_in <= 20 && let_in + uncounted >= 20, "{statuses:?}");
            assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
        }
    }

    /// Who asks as fast as they can, from many connections, is let in as often as the limit says in any window, and no
    /// tenth more; a window that begins while they ask gives them no second share.
    #[test]
    fn limit_holds_in_every_window_against_a_flood() {
        for (module, start) in modules().into_iter().enumerate() {
            let (redis, states) = (Redis::start(), [state(), state()]);
            let hosts =
                states.each_ref().map(|state| host(start, state, &redis, &["rate_limit_predictions=30/second"]));
            // The portable module, which is the first, waits for the store as long as it takes: it counts everybody.
            // On a machine that is out of breath the store may be too slow for the other, whose instances then hold
            // callers to their limits by themselves: those are so many times as many.
            let is_counted = |answer: &Response| module == 0 || answer.header("ratelimit-limit") == "30";
            let begin = Instant::now();
            let answers = at_once(256, |turn| {
                let (mut let_in, mut uncounted) = (Vec::new(), 0);
                while begin.elapsed() < Duration::from_secs(3) {
                    let asked = begin.elapsed();
                    let answer = predictions(&hosts[turn % 2]);
                    match answer.status == 200 {
                        true if is_counted(&answer) => let_in.push((asked, begin.elapsed())),
                        true => uncounted += 1,
                        false => assert!([429, 503].contains(&answer.status), "{}", answer.status),
                    }
                }
                (let_in, uncounted)
            });
            let uncounted: usize = answers.iter().map(|(_, uncounted)| uncounted).sum();
            assert!(uncounted <= 4 * 30 * MAX_INSTANCES, "{uncounted} in four windows");
            let mut let_in: Vec<(Duration, Duration)> = answers.into_iter().flat_map(|(let_in, _)| let_in).collect();
            let_in.sort_unstable();
            // Those that were asked and answered within a window were counted within it.
            for (index, (from, _)) in let_in.iter().enumerate() {
                let until = *from + Duration::from_secs(1);
                let within = let_in[index..].iter().filter(|(_, answered)| *answered <= until).count();
                assert!(within <= 33, "{within} within a second");
            }
            assert!(let_in.len() >= 30, "who keeps asking gets what the limit allows: {}", let_in.len());
        }
    }

    #[test]
    fn cache_is_shared_and_invalidated_for_all_hosts_and_everything_expires() {
        for start in modules() {
            let (redis, states) = (Redis::start(), [state(), state()]);
            let hosts = states.each_ref().map(|state| host(start, state, &redis, &["rate_limit_predictions=100/day"]));
            let first = hosts[0].wait_for_hit(DEPRESSED, "").json();
            assert_eq!(hosts[1].wait_for_hit(DEPRESSED, "").json(), first);
            let invalidated = hosts[1].request("DELETE", &format!("/data/predictions/{DEPRESSED}"), &[]);
            assert_eq!(
                invalidated.json()["erased"],
                json!({ "predictions": 1, "jobs": 0, "tokens": 0, "counters": 0 })
            );
            // On a machine that is out of breath the store may be too slow to be asked.
            let anew = hosts[0].predictions(DEPRESSED, "");
            assert!(["MISS", "BYPASS"].contains(&anew.header("x-cache")), "{:?}", anew.headers);
            let job = hosts[0].request("GET", &format!("/data/predictions/{MANIC}"), &[("prefer", "respond-async")]);
            assert_eq!(job.status, 202, "{}", job.body);
            wait_until(|| hosts[1].get(job.header("location")).json()["status"] == "done");
            let kept = redis.evaluate(
                "local n = {0, 0} for _, key in ipairs(redis.call('KEYS', '*')) do n[1] = n[1] + 1 \
                 if redis.call('PTTL', key) < 0 then n[2] = n[2] + 1 end end return n[1] .. ' keys, for ever ' .. n[2]",
            );
            assert!(kept.contains(" keys, for ever 0") && !kept.contains("\n0 keys"), "{kept}");
            let contents = redis.contents();
            assert!(contents.contains("rate:predictions:") && contents.contains("probabilities"), "{contents}");
            assert!(!contents.contains(DEPRESSED) && !contents.contains("127.0.0.1"), "{contents}");
        }
    }

    #[test]
    fn erasure_reaches_everything_about_a_person() {
        for start in modules() {
            let (redis, state) = (Redis::start(), state());
            let supabase = FakeSupabase::start(vec![Reply::Rows]);
            let project = supabase::variables(&supabase.url);
            let limits = ["rate_limit_predictions=100/day", "rate_limit_default=100/day"];
            let variables: Vec<&str> = project.iter().map(String::as_str).chain(limits).collect();
            let host = host(start, &state, &redis, &variables);
            let bearer = format!("Bearer {}", token(&supabase.url, DEPRESSED));
            let path = format!("/data/predictions/{DEPRESSED}");
            let ask = |method: &str, path: &str, more: &[(&str, &str)]| {
                host.request(method, path, &[&[("authorization", bearer.as_str())][..], more].concat())
            };
            wait_until(|| ask("GET", &path, &[]).header("x-cache") == "HIT");
            let accepted = ask("GET", &format!("{path}?window_days=9"), &[("prefer", "respond-async")]);
            assert_eq!(accepted.status, 202, "{}", accepted.body);
            wait_until(|| ask("GET", accepted.header("location"), &[]).json()["status"] == "done");
            let receipt = ask("DELETE", &path, &[]).json();
            let erased = &receipt["erased"];
            assert!(erased["predictions"].as_u64().is_some_and(|windows| windows >= 1), "{receipt}");
            assert_eq!((&erased["jobs"], &erased["counters"]), (&json!(1), &json!(0)), "{receipt}");
            let keys = || redis.evaluate("return table.concat(redis.call('KEYS', '*'), ' ')");
            let left = keys();
            assert!(!["}:predictions:", "}:job:", "}:token:"].iter().any(|kind| left.contains(kind)), "{left}");
            // Who erases themselves keeps the counts of their limits; a server leaves none of theirs.
            assert!(left.contains("rate:"), "{left}");
            let mut claims = claims(&supabase.url, DEPRESSED);
            claims["role"] = json!("service_role");
            let server = format!("Bearer {}", hs256(&claims, SECRET.as_bytes()));
            let receipt = host.request("DELETE", &path, &[("authorization", &server)]).json();
            assert_eq!(receipt["erased"]["counters"], 2, "{receipt}");
            let left = keys();
            assert_eq!(left.matches("}:rate:").count(), 1, "the server's own: {left}");
            assert!(left.contains("generation:"), "{left}");
        }
    }

    #[test]
    fn misses_about_one_person_share_one_request_to_the_database() {
        for start in modules() {
            let (redis, state) = (Redis::start(), state());
            let supabase = FakeSupabase::start(vec![Reply::RowsAfter(Duration::from_millis(700))]);
            let project = supabase::variables(&supabase.url);
            let host = host(start, &state, &redis, &project.each_ref().map(String::as_str));
            let requests_about = |person: &str| {
                let bearer = format!("Bearer {}", token(&supabase.url, person));
                let path = format!("/data/predictions/{person}");
                let answers = at_once(12, |_| host.request("GET", &path, &[("authorization", &bearer)]));
                assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
                supabase.requests().iter().filter(|request| request.contains(person)).count()
            };
            // On a busy machine Redis can be too slow for an instance, which then asks the database itself.
            let is_shared = |person: &&str| {
                let requests = requests_about(person);
                assert!(requests == 1 || host.log().contains("too slow"), "{requests} requests");
                requests == 1 || {
                    wait_until(|| host.get("/health/ready").json()["store"] != "unavailable");
                    false
                }
            };
            assert!([DEPRESSED, EUTHYMIC, MANIC, MIXED].iter().any(is_shared));
        }
    }

    #[test]
    fn redis_that_dies_fails_no_answer_and_is_used_again() {
        for start in modules() {
            let (mut redis, state) = (Redis::start(), state());
            let host =
                host(start, &state, &redis, &["rate_limit_predictions=100000/day", "rate_limit_default=100000/day"]);
            host.wait_for_hit(EUTHYMIC, "");
            redis.kill();
            for _ in 0..3 {
                let answer = host.predictions(EUTHYMIC, "");
                assert_eq!((answer.header("x-cache"), answer.header("ratelimit-limit")), ("BYPASS", ""));
                assert_eq!(answer.json()["predictions"].as_array().map(Vec::len), Some(TYPES.len()));
            }
            assert_eq!(host.request("DELETE", &format!("/data/predictions/{EUTHYMIC}"), &[]).status, 503);
            assert_eq!(host.get("/health/ready").json()["store"], "unavailable");
            wait_until(|| host.log().contains("requests cannot be counted"));
            redis.restart();
            host.wait_for_hit(EUTHYMIC, "");
            wait_until(|| host.get("/health/ready").json()["counting"] == "exact");
            // On a machine that is out of breath one may go uncounted.
            wait_until(|| {
                let left = || host.predictions(EUTHYMIC, "").header("ratelimit-remaining").parse::<u32>().ok();
                let left = [left(), left(), left()];
                left[0].is_some_and(|first| left == [Some(first), Some(first - 1), Some(first - 2)])
            });
        }
    }

    #[test]
    fn full_redis_is_read_invalidated_and_erased() {
        for start in modules() {
            let (redis, state) = (Redis::start(), state());
            let supabase = FakeSupabase::start(vec![Reply::Rows]);
            let [url, anon, jwt] = supabase::variables(&supabase.url);
            let secret = format!("webhook_secret={WEBHOOK_SECRET}");
            let limits = ["rate_limit_predictions=1000/day", "rate_limit_default=1000/day"];
            let host = host(start, &state, &redis, &[&url, &anon, &jwt, &secret, limits[0], limits[1]]);
            let path = format!("/data/predictions/{DEPRESSED}");
            let person = format!("Bearer {}", token(&supabase.url, DEPRESSED));
            let mut claims = claims(&supabase.url, DEPRESSED);
            claims["role"] = json!("service_role");
            let server = format!("Bearer {}", hs256(&claims, SECRET.as_bytes()));
            let ask = |method: &str, bearer: &str| host.request(method, &path, &[("authorization", bearer)]);
            wait_until(|| ask("GET", &person).header("x-cache") == "HIT");
            redis.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
            redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
            wait_until(|| host.get("/health/ready").json()["store"] == "read_only");
            assert_ne!(host.get("/health/ready").json()["counting"], "exact");
            // No request can be counted; that leaves the cache as it is, request by request.
            wait_until(|| (0..5).all(|_| ask("GET", &person).header("x-cache") == "HIT"));
            let receipt = ask("DELETE", &person);
            assert_eq!(receipt.status, 200, "{}", receipt.body);
            assert!(receipt.json()["erased"]["predictions"].as_u64() >= Some(1), "{}", receipt.body);
            assert_eq!(ask("GET", &person).header("x-cache"), "MISS");
            let receipt = ask("DELETE", &server);
            assert_eq!(receipt.status, 200, "{}", receipt.body);
            assert!(receipt.json()["erased"]["counters"].as_u64() >= Some(1), "{}", receipt.body);
            let changed = json!({ "table": "check_ins", "record": { "user_id": DEPRESSED } }).to_string();
            let headers = [("content-type", "application/json"), ("x-webhook-secret", WEBHOOK_SECRET)];
            let answer = host.send("POST", "/hooks/check-ins", &headers, &changed);
            assert_eq!(answer.status, 200, "{}", answer.body);
            redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
            wait_until(|| host.get("/health/ready").json()["counting"] == "exact");
            wait_until(|| ask("GET", &person).header("x-cache") == "HIT");
        }
    }

    #[test]
    fn redis_that_runs_no_scripts_does_not_count_and_that_is_said() {
        for start in modules() {
            let (redis, state) = (Redis::start(), state());
            let host = host(start, &state, &redis, &["rate_limit_predictions=100/day"]);
            wait_until(|| host.get("/health/ready").json()["counting"] == "exact");
            redis.command(&["ACL", "SETUSER", "default", "-eval"]);
            let ready = host.get("/health/ready").json();
            assert_eq!(ready["store"], "ok", "{ready}");
            assert!(["instance", "off"].iter().any(|counting| ready["counting"] == *counting), "{ready}");
        }
    }

    #[test]
    fn sealed_redis_counts_predictions_without_what_they_were() {
        for start in modules() {
            let (redis, state) = (Redis::start(), state());
            let key = format!("cache_encryption_key={}", "5a".repeat(32));
            let host = host(start, &state, &redis, &[&key]);
            let labels = |person: &str| host.predictions(person, "").json()["predictions"].clone();
            assert_ne!(labels(DEPRESSED), labels(EUTHYMIC));
            let counted = || {
                let metrics = host.get("/metrics").body;
                metrics.lines().filter(|line| line.starts_with("bipolar_edge_predictions_total")).collect::<String>()
            };
            wait_until(|| counted().contains("type=\"mood_state\""));
            let counted = counted();
            assert!(counted.contains("label=\"\",risk_level=\"\""), "{counted}");
            assert_eq!(counted.matches("type=").count(), TYPES.len(), "{counted}");
            let contents = redis.contents();
            assert!(!["depression", "euthymia", "elevated"].iter().any(|word| contents.contains(word)), "{contents}");
        }
    }

    #[test]
    fn tls_is_spoken_where_the_certificate_is_trusted() {
        let (folder, other_folder) = (state(), state());
        let (redis, port, certificate) = Redis::start_with_tls(&folder);
        let (_other, _, of_another) = Redis::start_with_tls(&other_folder);
        let address = format!("rediss://localhost:{port}");
        let variables = [
            format!("redis_url={address}/1"),
            format!("redis_address={address}"),
            "rate_limit_predictions=1000/day".into(),
        ];
        let flags: Vec<&str> = variables.iter().flat_map(|variable| ["--variable", variable]).collect();
        for manifest in if runs_the_fast_module() { &[PORTABLE, FAST][..] } else { &[PORTABLE] } {
            let (trusting, suspicious) = (state(), state());
            let host = Host::start_trusting(&certificate, Path::new(manifest), &trusting, &flags);
            // Where a handshake took too long, nothing was counted.
            wait_until(|| {
                let answer = predictions(&host);
                (answer.header("x-cache"), answer.header("ratelimit-limit")) == ("HIT", "1000")
            });
            assert_eq!(host.get("/health/ready").json()["counting"], "exact", "{manifest}");
            drop(host);
            assert!(redis.contents().contains("rate:predictions:"), "{manifest}");

            redis.evaluate("redis.call('FLUSHDB')");
            let host = Host::start_trusting(&of_another, Path::new(manifest), &suspicious, &flags);
            let answer = predictions(&host);
            assert_eq!((answer.status, answer.header("x-cache")), (200, "BYPASS"), "{manifest}");
            assert_eq!(host.get("/health/ready").json()["store"], "unavailable", "{manifest}");
            drop(host);
            assert!(!redis.contents().contains("rate:"), "{manifest}");
        }
    }

    #[test]
    fn password_is_given_and_an_address_that_does_not_fit_is_named() {
        for start in modules() {
            let redis = Redis::start_with(&["--requirepass", "a password"]);
            let address = format!("redis://127.0.0.1:{}", redis.port);
            let with = |url: &str, address: &str| {
                let state = state();
                let variables = [format!("redis_url={url}"), format!("redis_address={address}")];
                let flags = variables.iter().flat_map(|variable| ["--variable", variable]);
                let host = start(&state, &flags.collect::<Vec<_>>());
                (host.get(&format!("/data/predictions/{DEPRESSED}")), host.get("/health/ready"))
            };
            let right = format!("redis://:a%20password@127.0.0.1:{}/1", redis.port);
            let (answer, ready) = with(&right, &address);
            assert_eq!((answer.header("x-cache"), &ready.json()["store"]), ("MISS", &json!("ok")), "{}", answer.body);
            let (answer, ready) = with(&format!("{address}/1"), &address);
            assert_eq!((answer.header("x-cache"), &ready.json()["store"]), ("BYPASS", &json!("unavailable")));
            let (answer, _) = with(&right, "redis://unset.invalid:6379");
            assert_eq!(answer.status, 503);
            assert!(answer.body.contains("The variable redis_address must be redis://127.0.0.1"), "{}", answer.body);
            assert!(!answer.body.contains("password"), "{}", answer.body);
        }
    }
}
