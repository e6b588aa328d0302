//! Starts a host on a free port with a state of its own, speaks HTTP to it, and stops it.
//!
//! The host is the project's own, or Spin itself when `BIPOLAR_EDGE_HOST` is `spin`. The project's own is as strict as
//! the platform that `BIPOLAR_EDGE_PLATFORM` names. `cargo xtask test` builds what
//! is needed; a test that is run without it says so.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

use crate::people::{DEPRESSED, EUTHYMIC, MANIC, MIXED, WITHOUT_CHECK_INS};
use crate::process::{self, Launch, Output, Process};
use crate::{supabase, tokens};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// The longest time that anything that must happen may take before a test gives up on it.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The manifest of the module that runs everywhere.
pub const PORTABLE: &str = "spin.toml";
/// The manifest of the module for Spin 4.1.
pub const FAST: &str = "spin-4.1.toml";

/// Texts that may never be found in a log or a store: the people that tests ask about, and every secret that they
/// configure. A token is told by how it begins.
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

/// A running host. When it is dropped, its log, its metrics and its store are searched for secrets and people.
#[derive(Debug)]
pub struct Host {
    process: Process,
    store: PathBuf,
    /// Where it listens: a host and a port.
    pub address: String,
    agent: ureq::Agent,
    /// Its state, where that ends with it.
    own_state: Option<TempDir>,
}

/// A response, read to its end.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, by their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, which is text.
    pub body: String,
}

impl Response {
    /// Returns a header's value, or nothing where it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }

    /// Parses the body, which must be JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Returns the prediction of a type.
    pub fn prediction(&self, kind: &str) -> serde_json::Value {
        let body = self.json();
        let predictions = body["predictions"].as_array().expect("an array of predictions");
        predictions.iter().find(|prediction| prediction["type"] == kind).expect("that type").clone()
    }
}

/// Makes a folder for the state of one or several hosts.
pub fn state() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Returns the SQLite file of the key-value store.
pub fn store_file(state: &TempDir) -> PathBuf {
    state.path().join("sqlite_key_value.db")
}

impl Host {
    /// Starts the component as it ships: it serves the demo people, and its state ends with it.
    pub fn demo() -> Host {
        Host::with_flags(&[])
    }

    /// Starts the component with flags of the host's and a state that ends with it.
    pub fn with_flags(flags: &[&str]) -> Host {
        let state = state();
        let mut host = Host::start(&state, flags);
        host.own_state = Some(state);
        host
    }

    /// Starts the component with a state that other hosts may go on with: the portable module, or the one that
    /// `BIPOLAR_EDGE_MANIFEST` names.
    pub fn start(state: &TempDir, flags: &[&str]) -> Host {
        Host::start_manifest(Path::new(&manifest()), state, flags)
    }

    /// Starts the module for Spin 4.1 with a state that other hosts may go on with.
    pub fn start_fast(state: &TempDir, flags: &[&str]) -> Host {
        Host::start_manifest(Path::new(FAST), state, flags)
    }

    /// Starts the component with a Supabase project, whose tokens are signed with the tests' secret.
    pub fn with_supabase(state: &TempDir, url: &str, more: &[&str]) -> Host {
        Host::manifest_with_supabase(Path::new(&manifest()), state, url, more)
    }

    /// Starts the module for Spin 4.1 with such a project.
    pub fn fast_with_supabase(state: &TempDir, url: &str, more: &[&str]) -> Host {
        Host::manifest_with_supabase(Path::new(FAST), state, url, more)
    }

    fn manifest_with_supabase(manifest: &Path, state: &TempDir, url: &str, more: &[&str]) -> Host {
        let project = supabase::variables(url);
        let project = project.iter().flat_map(|variable| ["--variable", variable]);
        Host::start_manifest(manifest, state, &project.chain(more.iter().copied()).collect::<Vec<_>>())
    }

    /// Starts the component; returns `None` if the host does not take these flags.
    pub fn try_start(state: &TempDir, flags: &[&str]) -> Option<Host> {
        Host::try_start_manifest(Path::new(&manifest()), state, flags).ok()
    }

    /// Starts the application of another manifest.
    pub fn start_manifest(manifest: &Path, state: &TempDir, flags: &[&str]) -> Host {
        Host::try_start_manifest(manifest, state, flags).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Starts the application of a manifest and waits until it listens. Errors with the host's output if it ends first.
    pub fn try_start_manifest(manifest: &Path, state: &TempDir, flags: &[&str]) -> Result<Host> {
        Host::start_launch(Host::launch(manifest, state, flags)?, state)
    }

    /// Starts the module of a manifest on a machine that trusts the certificate authorities of a file, and no others.
    pub fn start_trusting(authorities: &Path, manifest: &Path, state: &TempDir, flags: &[&str]) -> Host {
        let launch = Host::launch(manifest, state, flags).map(|launch| launch.env("SSL_CERT_FILE", authorities));
        launch.and_then(|launch| Host::start_launch(launch, state)).unwrap_or_else(|error| panic!("{error:#}"))
    }

    fn launch(manifest: &Path, state: &TempDir, flags: &[&str]) -> Result<Launch> {
        let on_spin = is_on_spin();
        let launch = if on_spin {
            Launch::spin()?
        } else {
            let host = built("native/edge-host");
            // The component is compiled once, rather than once a test.
            let cache = host.with_file_name("edge-host-cache");
            Launch::own_host(host).args(["--cache-dir".as_ref(), cache.as_os_str()])
        };
        let mut launch = launch.manifest(manifest).state_dir(state.path());
        if [PORTABLE, FAST].map(Path::new).contains(&manifest) {
            launch = launch.variables(own_variables(flags));
        }
        if let Some(platform) = platform().filter(|_| !on_spin && manifest == Path::new(PORTABLE)) {
            launch = launch.args(["--platform", &platform]);
        }
        let flags = if on_spin { known_to_spin(flags) } else { flags.to_vec() };
        Ok(launch.args(flags).current_dir(root()).stderr(Output::Collect).start_timeout(TIMEOUT))
    }

    fn start_launch(launch: Launch, state: &TempDir) -> Result<Host> {
        let process = launch.start()?;
        let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).build();
        let address = process.address().to_owned();
        Ok(Host { process, store: store_file(state), address, agent: agent.into(), own_state: None })
    }

    /// Sends a GET.
    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[])
    }

    /// Sends a request without a body.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a valid request");
        self.answer(path, self.agent.run(request))
    }

    /// Posts JSON.
    pub fn post(&self, path: &str, body: &serde_json::Value) -> Response {
        self.post_text(path, "application/json", &body.to_string())
    }

    /// Posts text of a content type.
    pub fn post_text(&self, path: &str, content_type: &str, body: &str) -> Response {
        self.send("POST", path, &[("content-type", content_type)], body)
    }

    /// Sends a request with a body.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.answer(path, self.agent.run(request.body(body.to_owned()).expect("a valid request")))
    }

    fn answer(&self, path: &str, response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Response {
        let mut response = response.unwrap_or_else(|error| panic!("{path}: {error}: {}", self.log()));
        Response {
            status: response.status().as_u16(),
            headers: response
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned()))
                .collect(),
            body: response.body_mut().with_config().limit(1 << 28).read_to_string().expect("a body"),
        }
    }

    /// Asks for predictions about a person, which must be answered.
    pub fn predictions(&self, user_id: &str, query: &str) -> Response {
        let answer = self.get(&format!("/data/predictions/{user_id}{query}"));
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer
    }

    /// Asks until the cache answers: writing it happens after the response.
    pub fn wait_for_hit(&self, user_id: &str, query: &str) -> Response {
        wait_for(|| Some(self.predictions(user_id, query)).filter(|answer| answer.header("x-cache") == "HIT"))
    }

    /// Returns everything that the host and the component have printed.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Returns every byte of the store. What SQLite has not yet moved into its file stands beside it.
    pub fn store_bytes(&self) -> Vec<u8> {
        let part = |suffix: &&str| std::fs::read(format!("{}{suffix}", self.store.display())).unwrap_or_default();
        ["", "-wal"].iter().flat_map(part).collect()
    }

    /// Returns how much memory the host has, in MiB: what it shares with other processes in parts.
    pub fn memory_mib(&self) -> f64 {
        self.process.memory_mib().expect("Linux")
    }

    /// Returns how many files and connections the host has open.
    pub fn descriptors(&self) -> usize {
        self.process.descriptors().expect("Linux")
    }

    /// Sends a signal and waits for the end; returns the exit code.
    pub fn stop(&mut self, signal: &str) -> Option<i32> {
        self.process.stop(signal, TIMEOUT).expect("the host ends").code()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Where they are not open, or the host is gone, there is nothing to search.
        let metrics = self.agent.get(format!("http://{}/metrics", self.address)).call();
        let metrics = metrics.and_then(|mut answer| answer.body_mut().read_to_string()).unwrap_or_default();
        // Killing the host at once could lose a write that the next host of the same state should find: tests that
        // need it stop the host themselves.
        self.process.kill();
        if std::thread::panicking() {
            return;
        }
        let log = self.log();
        let stored = self.store_bytes();
        for secret in SECRETS {
            assert!(!log.contains(secret), "{secret} is in the log: {log}");
            assert!(!metrics.contains(secret), "{secret} is in the metrics: {metrics}");
            let found = stored.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
            assert!(!found, "{secret} is in the store");
        }
        for person in [EUTHYMIC, MANIC, DEPRESSED, MIXED, WITHOUT_CHECK_INS] {
            let digits = person.replace('-', "");
            assert!(!log.contains(&digits), "{person} is in the log without hyphens: {log}");
        }
    }
}

/// Returns the platform that the project's own host is to be as strict as, if there is one.
pub fn platform() -> Option<String> {
    std::env::var("BIPOLAR_EDGE_PLATFORM").ok().filter(|platform| !platform.is_empty())
}

/// Returns whether the host can run the module for Spin 4.1.
pub fn runs_the_fast_module() -> bool {
    platform().is_none() && (!is_on_spin() || spin_release() >= (4, 1))
}

/// Returns whether the host is Spin, which has no faults of its own to show.
pub fn is_on_spin() -> bool {
    std::env::var("BIPOLAR_EDGE_HOST").is_ok_and(|host| host == "spin")
}

/// Returns the release of the `spin` that is on the path.
fn spin_release() -> (u32, u32) {
    let output = Command::new("spin").arg("--version").output().expect("spin is on the path");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = text.split_whitespace().nth(1).unwrap_or_default().split('.').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => panic!("spin --version says {text:?}"),
    }
}

/// Returns flags without those on the reuse of instances where Spin reuses none.
fn known_to_spin<'a>(flags: &[&'a str]) -> Vec<&'a str> {
    if spin_release() >= (4, 1) {
        return flags.to_vec();
    }
    let mut known = Vec::new();
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        if flag.contains("-instance-") {
            flags.next();
        } else {
            known.push(*flag);
        }
    }
    known
}

/// Returns the manifest that is to be tested.
fn manifest() -> String {
    std::env::var("BIPOLAR_EDGE_MANIFEST").unwrap_or_else(|_| PORTABLE.to_owned())
}

/// Returns variables that tests need where their own flags do not set them. They ask more often than a person does, and
/// every request counts, as often as there is one.
fn own_variables(flags: &[&str]) -> Vec<&'static str> {
    // Where a second has few writes, each is wanted for something else than counts.
    let has_few_writes = platform().is_some_and(|platform| platform == "akamai-functions");
    let sampling = if has_few_writes { "metrics_sampling=1000000" } else { "metrics_sampling=1" };
    let mut defaults = vec!["counting_writes_per_second=0", sampling];
    if !flags.iter().any(|flag| flag.starts_with("rate_limit_")) {
        defaults.extend(["rate_limit_predictions=off", "rate_limit_default=off"]);
    }
    if has_few_writes {
        defaults.push("client_ip_header=true-client-ip");
    }
    let name = |variable: &str| variable.split('=').next().map(|name| format!("{name}="));
    let is_set = |variable: &str| name(variable).is_some_and(|name| flags.iter().any(|flag| flag.starts_with(&name)));
    defaults.into_iter().filter(|variable| !is_set(variable)).collect()
}

/// Asks again and again until there is an answer.
pub fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    // Each line of a log ends a wait: there would be more questions a second than a cloud's store has reads.
    let pause = platform().map_or(Duration::ZERO, |_| Duration::from_millis(20));
    let ask = || {
        std::thread::sleep(pause);
        Ok(ask())
    };
    process::poll("a test's condition", TIMEOUT, ask).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Asks again and again until it is so.
pub fn wait_until(mut is_so: impl FnMut() -> bool) {
    wait_for(|| is_so().then_some(()));
}

/// Asks so many times at once, each with its number; returns the answers in that order.
pub fn at_once<T: Send>(count: usize, ask: impl Fn(usize) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let ask = &ask;
        let asked: Vec<_> = (0..count).map(|turn| scope.spawn(move || ask(turn))).collect();
        asked.into_iter().map(|asked| asked.join().expect("an answer")).collect()
    })
}

/// Returns the repository's folder.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Returns a file below `target/` that `cargo xtask test` builds or installs.
pub fn built(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let file = root().join(target).join(name);
    assert!(file.is_file(), "{} is not there: run `cargo xtask test`, which builds it", file.display());
    file
}

/// Returns a port of 127.0.0.1 that nobody listened on a moment ago.
pub fn free_port() -> u16 {
    process::free_port().expect("a port")
}
