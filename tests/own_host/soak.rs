//! Mixed traffic while the store errs, the database is slow or silent, instances trap, clients hang up and the host is
//! killed: no wrong answer ever, nothing that grows, no count that is made up. `SOAK_SECONDS` says for how long, `cargo
//! xtask soak` for ten minutes; with `--platform` the host has a platform's quotas too, which this traffic exceeds.

use harness::supabase::{FakeSupabase, Reply};
use harness::tokens::{ANON_KEY, SERVICE_KEY};
use harness::{DEPRESSED, EUTHYMIC, Host, MANIC, MIXED, WITHOUT_CHECK_INS, platform, state, wait_for};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::sync::{Mutex, RwLock};
use std::time::Duration;

const PEOPLE: [&str; 5] = [EUTHYMIC, MANIC, DEPRESSED, MIXED, WITHOUT_CHECK_INS];
const CLIENTS: u64 = 6;
/// The shortest of it, in a test run among others.
const SECONDS: u64 = 22;
/// How much more memory the host may have at the end than after the first calm: its allocators keep what the busiest
/// moment took.
const GROWTH_MIB: f64 = 48.0;

/// A fault that lasts for a while.
struct Phase {
    name: &'static str,
    store: &'static str,
    database: Reply,
    /// The statuses that may be answered beside 200.
    statuses: &'static [u16],
    /// Connections may break.
    breaks: bool,
    /// The counters are looked at: they may have less than the clients, who write them at the same time, and never
    /// more.
    counted: bool,
}

fn phases() -> Vec<Phase> {
    let calm = |name| Phase { name, store: "", database: Reply::Rows, statuses: &[], breaks: false, counted: true };
    let store = |name, store, statuses| Phase { store, statuses, counted: false, ..calm(name) };
    let database = |name, database, statuses| Phase { database, statuses, ..calm(name) };
    vec![
        Phase { breaks: true, counted: false, ..calm(KILLED) },
        calm(CALM),
        store("the store errs", "errors", &[503]),
        store("the store is slow", "slow=20ms", &[503]),
        store("the store loses writes", "loses-writes", &[]),
        Phase { breaks: true, ..store("instances trap", "traps=40", &[500, 503]) },
        database("the database is slow", Reply::RowsAfter(Duration::from_millis(30)), &[]),
        database("the database is out of order", Reply::Respond(500, String::new()), &[503]),
        database("the database is silent", Reply::Hang, &[504]),
        calm("all is well again"),
    ]
}

const KILLED: &str = "the host is killed";
const CALM: &str = "all is well";

/// One question, and the answer that it must have.
struct Question {
    method: &'static str,
    route: &'static str,
    path: String,
    body: Option<String>,
    /// The part of the answer that does not depend on when it is given.
    part: Option<&'static str>,
    expected: Value,
}

/// Every question, with what a host of its own, which nothing disturbs, answers.
fn questions() -> Vec<Question> {
    let host = Host::demo();
    let mut questions = Vec::new();
    let mut add = |method, route, path: String, body: Option<Value>, part: Option<&'static str>| {
        let body = body.map(|body| body.to_string());
        let answer = match &body {
            None => host.request(method, &path, &[]),
            Some(body) => host.post_text(&path, "application/json", body),
        };
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let expected = part.map_or(Value::Null, |part| stable(&answer.json(), part));
        questions.push(Question { method, route, path, body, part, expected });
    };
    for person in PEOPLE {
        for query in ["", "?window_days=7", "?window_days=1&explain=true", "?types=mood_state&limit_checkins=3"] {
            let path = format!("/data/predictions/{person}{query}");
            add("GET", "/data/predictions/{user_id}", path, None, Some("predictions"));
        }
        add(
            "GET",
            "/data/prediction_of_day/{user_id}",
            format!("/data/prediction_of_day/{person}"),
            None,
            Some("label"),
        );
        add("DELETE", "/data/predictions/{user_id}", format!("/data/predictions/{person}"), None, None);
        let path = format!("/data/check-ins/{person}?window_days=7");
        add("GET", "/data/check-ins/{user_id}", path, None, Some("checkins"));
    }
    let checkins = |mood: u64| json!([{ "checkin_date": "2026-01-02", "depressedMood": mood, "energyLevel": 9 - mood, "hoursSlept": 4 + mood }]);
    for mood in 0..6 {
        let body = json!({ "checkins": checkins(mood), "explain": mood == 3, "as_of": "2026-01-02" });
        add("POST", "/data/predictions", "/data/predictions".to_owned(), Some(body), Some("predictions"));
    }
    let items: Vec<Value> = (0..5).map(|mood| json!({ "checkins": checkins(mood), "as_of": "2026-01-02" })).collect();
    let batch = json!({ "items": items });
    add("POST", "/data/predictions/batch", "/data/predictions/batch".to_owned(), Some(batch), Some(""));
    let row = vec![0.5; host.get("/models/mood_state").json()["features"].as_array().expect("features").len()];
    let tensor = json!({ "inputs": [{ "name": "input", "datatype": "FP64", "shape": [1, row.len()], "data": row }] });
    let path = "/v2/models/mood_state/infer".to_owned();
    add("POST", "/v2/models/{name}/infer", path, Some(tensor), Some("outputs"));
    questions
}

/// A part of an answer, without the times in it; the whole for no name.
fn stable(body: &Value, part: &str) -> Value {
    let mut part = if part.is_empty() { body.clone() } else { body[part].clone() };
    for item in part.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        item.remove("generated_at");
        item.remove("decision_id");
        let predictions = item.get_mut("predictions").and_then(Value::as_array_mut);
        for prediction in predictions.into_iter().flatten().filter_map(Value::as_object_mut) {
            prediction.remove("decision_id");
        }
    }
    part
}

/// The responses that the clients saw.
#[derive(Default)]
struct Observations {
    wrong: Vec<String>,
    answers: BTreeMap<(&'static str, &'static str, u16), u64>,
    statuses: BTreeMap<u16, u64>,
    caches: BTreeMap<String, u64>,
    broken: u64,
    hung_up: u64,
}

fn ask(agent: &ureq::Agent, address: &str, question: &Question) -> Option<(u16, String, String)> {
    let request = ureq::http::Request::builder()
        .method(question.method)
        .uri(format!("http://{address}{}", question.path))
        .header("content-type", "application/json");
    let body = question.body.clone().unwrap_or_default();
    let mut answer = agent.run(request.body(body).expect("a valid request")).ok()?;
    let cache = answer.headers().get("x-cache").and_then(|cache| cache.to_str().ok()).unwrap_or("").to_owned();
    Some((answer.status().as_u16(), cache, answer.body_mut().read_to_string().ok()?))
}

/// Sends a part of a request, or all of it, and goes away. What it asks is asked by nobody else, so that counts stay
/// what they are.
fn hang_up(address: &str, at: usize) {
    let request = "POST /models HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    if let Ok(mut stream) = TcpStream::connect(address) {
        let _ = stream.write_all(&request.as_bytes()[..1 + at % request.len()]);
    }
}

/// Returns how often each route was answered, by the service's own count.
fn counters(host: &Host) -> BTreeMap<String, u64> {
    // An instance for which the store was too slow leaves it alone for a while.
    let text = wait_for(|| Some(host.get("/metrics")).filter(|answer| answer.status == 200)).body;
    let series = text.lines().filter(|line| line.starts_with("bipolar_edge_http_requests_total{"));
    let series = series.filter_map(|line| line.rsplit_once(' '));
    series.map(|(name, count)| (name.to_owned(), count.parse().expect("a number"))).collect()
}

fn series((route, method, status): &(&str, &str, u16)) -> String {
    format!("bipolar_edge_http_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}}")
}

/// The questions of clients, and whom they ask, while they hold it to read; whoever holds it to write has silence.
struct Traffic<'a> {
    phase: &'a Phase,
    address: String,
    over: bool,
}

/// Ends the clients when it is dropped, by a failure too.
struct EndTraffic<'a, 'b>(&'a RwLock<Traffic<'b>>);

impl Drop for EndTraffic<'_, '_> {
    fn drop(&mut self) {
        if let Ok(mut now) = self.0.write() {
            now.over = true;
        }
    }
}

/// One client, until it is over. `random` is where its choices start.
fn client(now: &RwLock<Traffic<'_>>, questions: &[Question], mut random: u64, tally: &Mutex<Observations>) {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    let agent = ureq::Agent::from(config.timeout_global(Some(Duration::from_secs(10))).build());
    loop {
        let now = now.read().expect("nobody failed");
        if now.over {
            return;
        }
        // Marsaglia's xorshift.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if random.is_multiple_of(16) {
            hang_up(&now.address, (random >> 8) as usize);
            tally.lock().expect("nobody failed").hung_up += 1;
            continue;
        }
        let question = &questions[(random >> 16) as usize % questions.len()];
        let answer = ask(&agent, &now.address, question);
        let mut tally = tally.lock().expect("nobody failed");
        if let Some(fault) = fault(now.phase, question, answer.as_ref()) {
            tally.wrong.push(format!("while {}: {} {}: {fault}", now.phase.name, question.method, question.path));
        }
        match answer {
            Some((status, cache, _)) => {
                *tally.answers.entry((question.route, question.method, status)).or_default() += 1;
                *tally.statuses.entry(status).or_default() += 1;
                *tally.caches.entry(cache).or_default() += 1;
            }
            None => {
                tally.broken += 1;
                drop((tally, now));
                // A host that was killed is not asked as fast as it refuses.
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// Returns the fault of an answer, if it has one.
fn fault(phase: &Phase, question: &Question, answer: Option<&(u16, String, String)>) -> Option<String> {
    match answer {
        None => (!phase.breaks).then(|| "no answer".to_owned()),
        Some((200, _, body)) => question.part.and_then(|part| {
            let is = stable(&serde_json::from_str(body).unwrap_or_default(), part);
            (is != question.expected).then(|| format!("{is} is not {}", question.expected))
        }),
        Some((status, ..)) if phase.statuses.contains(status) => None,
        // The platform's writes of this second, or its requests to the database of this hour, are used up.
        Some((503, ..)) if platform().is_some() => None,
        Some((status, _, body)) => Some(format!("{status}: {body}")),
    }
}

#[test]
fn faults_cause_no_wrong_response_no_growth_and_no_wrong_count() {
    let seconds = std::env::var("SOAK_SECONDS").map_or(SECONDS, |seconds| seconds.parse().expect("whole seconds"));
    let (questions, phases, state, supabase) = (questions(), phases(), state(), FakeSupabase::start(vec![Reply::Rows]));
    let lasts = Duration::from_secs(seconds) / phases.len() as u32;
    let faults = state.path().join("fault");
    std::fs::write(&faults, "").expect("written");
    let variables = [
        format!("supabase_url={}", supabase.url),
        format!("supabase_anon_key={ANON_KEY}"),
        format!("supabase_service_key={SERVICE_KEY}"),
        "auth_mode=off".to_owned(),
        "cache_ttl_seconds=1".to_owned(),
        "inference_timeout_seconds=1".to_owned(),
        "log_level=error".to_owned(),
    ];
    let store_fault = format!("@{}", faults.display());
    let flags = variables.iter().flat_map(|variable| ["--variable", variable.as_str()]);
    let flags: Vec<&str> = flags.chain(["--store-fault", store_fault.as_str()]).collect();
    let mut host = Some(Host::start(&state, &flags));
    let address = |host: &Option<Host>| host.as_ref().map(|host| host.address.clone()).unwrap_or_default();
    let now = RwLock::new(Traffic { phase: &phases[0], address: address(&host), over: false });
    let (tally, mut wrong, mut after_calm, mut after) =
        (Mutex::new(Observations::default()), Vec::new(), (0.0, 0), (0.0, 0));
    println!("| while | answers | by status | broken | hung up | by cache | memory MiB | descriptors |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    std::thread::scope(|scope| {
        for number in 1..=CLIENTS {
            let (now, tally, questions) = (&now, &tally, &questions);
            scope.spawn(move || client(now, questions, number.wrapping_mul(0x9e37_79b9_7f4a_7c15), tally));
        }
        let _over = EndTraffic(&now);
        let mut settled = true;
        let mut silence = now.write().expect("nobody failed");
        for phase in &phases {
            silence.phase = phase;
            std::fs::write(&faults, phase.store).expect("written");
            supabase.set_reply(phase.database.clone());
            if phase.counted && !settled {
                // What instances have counted and could not flush is flushed, or they end. No condition tells: some of
                // these counts are lost for good, and nobody knows how many.
                std::thread::sleep(Duration::from_millis(2500));
            }
            let before = if phase.counted { host.as_ref().map(counters) } else { None };
            drop(silence);
            if phase.name == KILLED {
                for _ in 0..4 {
                    std::thread::sleep(lasts / 4);
                    // In the middle of whatever it is doing.
                    drop(host.take());
                    host = Some(Host::start(&state, &flags));
                    now.write().expect("nobody failed").address = address(&host);
                }
            } else {
                std::thread::sleep(lasts);
            }
            silence = now.write().expect("nobody failed");
            // Counts are flushed within a tenth of a second. A condition that is waited for would miss what is counted
            // twice, and memory is measured at rest.
            std::thread::sleep(Duration::from_millis(500));
            let tally = std::mem::take(&mut *tally.lock().expect("nobody failed"));
            wrong.extend(tally.wrong);
            let host = host.as_ref().expect("it was started again");
            for (key, answered) in tally.answers.iter().filter(|_| phase.counted) {
                let (name, counts) = (series(key), counters(host));
                let of = |counts: &BTreeMap<String, u64>| counts.get(&name).copied().unwrap_or(0);
                let counted = of(&counts) - before.as_ref().map_or(0, of);
                if counted > *answered {
                    wrong.push(format!("while {}: {counted} counted, {answered} answered: {name}", phase.name));
                }
            }
            settled = phase.counted;
            after = (host.memory_mib(), host.descriptors());
            if phase.name == CALM {
                after_calm = after;
            }
            let answers: u64 = tally.statuses.values().sum();
            println!(
                "| {} | {answers} | {:?} | {} | {} | {:?} | {:.0} | {} |",
                phase.name, tally.statuses, tally.broken, tally.hung_up, tally.caches, after.0, after.1
            );
        }
    });
    assert!(wrong.is_empty(), "{} wrong, among them:\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
    assert!(after.0 - after_calm.0 <= GROWTH_MIB, "MiB and descriptors: {after_calm:?} before, {after:?} after");
    assert!(
        after.1 <= after_calm.1 + 2 * CLIENTS as usize,
        "MiB and descriptors: {after_calm:?} before, {after:?} after"
    );
}
