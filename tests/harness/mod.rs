//! Starts a host on a free port with a state of its own, speaks HTTP to it, and stops it.
//!
//! The host is the project's own, or Spin itself when `BIPOLAR_EDGE_HOST` is `spin`. `cargo xtask test` builds what
//! is needed; a test that is run without it says so.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(unreachable_pub, reason = "each test file is a crate of its own")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends there")]

pub mod redis;
pub mod stand_in;
pub mod tokens;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const EUTHYMIC: &str = "11111111-1111-4111-8111-111111111111";
pub const MANIC: &str = "22222222-2222-4222-8222-222222222222";
pub const DEPRESSED: &str = "33333333-3333-4333-8333-333333333333";
pub const MIXED: &str = "44444444-4444-4444-8444-444444444444";
pub const WITHOUT_CHECK_INS: &str = "55555555-5555-4555-8555-555555555555";
pub const TYPES: [&str; 5] =
    ["mood_state", "relapse_risk", "suicidality_risk", "medication_adherence_risk", "sleep_disturbance_risk"];

/// How long anything that must happen may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What may never be found in a log or a store: the people that tests ask about, and every secret that they configure. A
/// token is told by how it begins.
const SECRETS: [&str; 11] = [
    EUTHYMIC,
    MANIC,
    DEPRESSED,
    MIXED,
    WITHOUT_CHECK_INS,
    "eyJ",
    tokens::SECRET,
    tokens::SERVICE_KEY,
    tokens::API_KEY,
    tokens::ANON_KEY,
    tokens::WEBHOOK_SECRET,
];

/// A running host. When it is dropped, its log, its metrics and its store are searched for [`SECRETS`].
pub struct Host {
    process: Child,
    store: PathBuf,
    pub address: String,
    output: Arc<Mutex<String>>,
    agent: ureq::Agent,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// One prediction of a type.
    pub fn prediction(&self, kind: &str) -> serde_json::Value {
        let body = self.json();
        let predictions = body["predictions"].as_array().expect("an array of predictions");
        predictions.iter().find(|prediction| prediction["type"] == kind).expect("that type").clone()
    }
}

/// A folder for a host's state, which outlives the host.
pub fn state() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// The SQLite file of the key-value store.
pub fn store_file(state: &TempDir) -> PathBuf {
    state.path().join("sqlite_key_value.db")
}

impl Host {
    /// The component, on whichever host is asked for.
    pub fn start(state: &TempDir, flags: &[&str]) -> Host {
        Host::start_manifest(Path::new("spin.toml"), state, flags)
    }

    /// The component with a Supabase project, whose tokens are signed with the tests' secret.
    pub fn of_project(state: &TempDir, url: &str, more: &[&str]) -> Host {
        let project = [
            format!("supabase_url={url}"),
            format!("supabase_anon_key={}", tokens::ANON_KEY),
            format!("supabase_jwt_secret={}", tokens::SECRET),
        ];
        let project = project.iter().flat_map(|variable| ["--variable", variable]);
        Host::start(state, &project.chain(more.iter().copied()).collect::<Vec<_>>())
    }

    /// The component, or `None` if the host does not take these flags.
    pub fn try_start(state: &TempDir, flags: &[&str]) -> Option<Host> {
        Host::try_start_manifest(Path::new("spin.toml"), state, flags).ok()
    }

    /// Another manifest.
    pub fn start_manifest(manifest: &Path, state: &TempDir, flags: &[&str]) -> Host {
        Host::try_start_manifest(manifest, state, flags).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until the host answers. Errors with what it said if it ends first.
    pub fn try_start_manifest(manifest: &Path, state: &TempDir, flags: &[&str]) -> Result<Host, String> {
        let on_spin = std::env::var("BIPOLAR_EDGE_HOST").is_ok_and(|host| host == "spin");
        let mut command = if on_spin {
            let mut spin = Command::new("spin");
            spin.args(["up", "--listen", &format!("127.0.0.1:{}", free_port())]);
            spin
        } else {
            let host = built("native/edge-host");
            let mut own = Command::new(&host);
            own.args(["--listen", "127.0.0.1:0"]);
            // The component is compiled once, rather than once a test.
            own.arg("--cache-dir").arg(host.with_file_name("edge-host-cache"));
            own
        };
        command.arg("--from").arg(manifest).arg("--state-dir").arg(state.path());
        // Tests ask more often than a person does; those of the limits set their own.
        if manifest == Path::new("spin.toml") && !flags.iter().any(|flag| flag.starts_with("rate_limit_")) {
            let off = ["rate_limit_predictions=off", "rate_limit_default=off"];
            command.args(off.iter().flat_map(|limit| ["--variable", limit]));
        }
        command.args(flags);
        let mut process = command
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the host starts");
        let output = Arc::new(Mutex::new(String::new()));
        collect(process.stderr.take().expect("piped"), output.clone());
        collect(process.stdout.take().expect("piped"), output.clone());
        let address = wait_for(|| {
            if let Some(status) = process.try_wait().expect("the host can be asked") {
                return Some(Err(format!("the host ended with {status}: {}", output.lock().unwrap())));
            }
            let output = output.lock().unwrap();
            let line = output.lines().find(|line| line.contains("http://127.0.0.1:"))?.to_owned();
            Some(Ok(line.split_once("http://")?.1.split(['/', ' ']).next()?.to_owned()))
        })?;
        let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        Ok(Host { process, store: store_file(state), address, output, agent: agent.into() })
    }

    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[])
    }

    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a valid request");
        self.answer(path, self.agent.run(request))
    }

    /// Posts JSON.
    pub fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        self.post_text(path, "application/json", &body.to_string())
    }

    pub fn post_text(&self, path: &str, content_type: &str, body: &str) -> Answer {
        self.send("POST", path, &[("content-type", content_type)], body)
    }

    /// A request with a body.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.answer(path, self.agent.run(request.body(body.to_owned()).expect("a valid request")))
    }

    fn answer(&self, path: &str, response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
        let mut response = response.unwrap_or_else(|error| panic!("{path}: {error}: {}", self.log()));
        Answer {
            status: response.status().as_u16(),
            headers: response
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned()))
                .collect(),
            body: response.body_mut().with_config().limit(1 << 28).read_to_string().expect("a body"),
        }
    }

    /// Predictions about a person, which must be answered.
    pub fn predictions(&self, user_id: &str, query: &str) -> Answer {
        let answer = self.get(&format!("/data/predictions/{user_id}{query}"));
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer
    }

    /// Asks until the cache answers: writing it happens after the response.
    pub fn until_hit(&self, user_id: &str, query: &str) -> Answer {
        wait_for(|| Some(self.predictions(user_id, query)).filter(|answer| answer.header("x-cache") == "HIT"))
    }

    /// Everything that the host and the component have printed.
    pub fn log(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Every byte of the store. What SQLite has not yet moved into its file stands beside it.
    pub fn stored(&self) -> Vec<u8> {
        let part = |suffix: &&str| std::fs::read(format!("{}{suffix}", self.store.display())).unwrap_or_default();
        ["", "-wal"].iter().flat_map(part).collect()
    }

    /// How much memory the host has, in MiB: what it shares with other processes in parts.
    pub fn memory_mib(&self) -> f64 {
        let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.process.id())).expect("Linux");
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB"));
        pss.expect("a size").trim().parse::<f64>().expect("a number") / 1024.0
    }

    /// How many files and connections it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).expect("Linux").count()
    }

    /// Sends a signal and waits for the end; gives the exit code.
    pub fn stop(&mut self, signal: &str) -> Option<i32> {
        let id = self.process.id().to_string();
        Command::new("kill").args([signal, &id]).status().expect("kill is there");
        wait_for(|| self.process.try_wait().expect("the host can be asked")).code()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Where they are not open, or the host is gone, there is nothing to search.
        let metrics = self.agent.get(format!("http://{}/metrics", self.address)).call();
        let metrics = metrics.and_then(|mut answer| answer.body_mut().read_to_string()).unwrap_or_default();
        // Killing the host at once could lose a write that the next host of the same state should find: tests that
        // need it stop the host themselves.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            return;
        }
        let log = self.log();
        let stored = self.stored();
        for secret in SECRETS {
            assert!(!log.contains(secret), "{secret} is in the log: {log}");
            assert!(!metrics.contains(secret), "{secret} is in the metrics: {metrics}");
            let found = stored.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
            assert!(!found, "{secret} is in the store");
        }
    }
}

/// The check-ins of a demo person, oldest first: the columns that have something in them, by name.
pub fn demo(user_id: &str) -> Vec<Vec<(String, String)>> {
    let text = std::fs::read_to_string("src/checkins/demo.csv").expect("the demo cohort");
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let row = |line: &str| {
        let cells = header.iter().zip(line.split(',')).filter(|(_, cell)| !cell.is_empty());
        cells.map(|(name, cell)| ((*name).to_owned(), cell.to_owned())).collect()
    };
    lines.filter(|line| line.starts_with(user_id)).map(row).collect()
}

/// Asks again and again until there is an answer.
pub fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "what was waited for did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Something that `cargo xtask test` builds.
pub fn built(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join(name);
    assert!(file.is_file(), "{} is not there: run `cargo xtask test`, which builds it", file.display());
    file
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn collect(stream: impl Read + Send + 'static, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut into = into.lock().unwrap();
            into.push_str(&line);
            into.push('\n');
        }
    });
}
