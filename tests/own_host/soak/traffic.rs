//! Clients who ask without a pause while a phase lasts, and are silent between two phases.

use super::questions::{Answer, Question};
use harness::Host;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::ops::RangeInclusive;
use std::sync::{Mutex, RwLock, RwLockWriteGuard};
use std::time::Duration;

pub(super) const CLIENTS: u64 = 6;

/// A time in which something is wrong, or nothing.
#[derive(Clone, Default)]
pub(super) struct Phase {
    pub(super) name: &'static str,
    /// The statuses that may be answered beside 200.
    pub(super) statuses: &'static [u16],
    /// Connections may break.
    pub(super) breaks: bool,
}

impl Phase {
    /// A phase in which everything is answered.
    pub(super) fn calm(name: &'static str) -> Phase {
        Phase { name, ..Phase::default() }
    }
}

/// A host that is asked, and the versions of check-ins that it may answer from, where those are looked at.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) address: String,
    pub(super) versions: Option<RangeInclusive<u64>>,
}

impl Target {
    pub(super) fn new(host: &Host) -> Target {
        Target { address: host.address.clone(), versions: None }
    }

    pub(super) fn with_versions(host: &Host, versions: RangeInclusive<u64>) -> Target {
        Target { versions: Some(versions), ..Target::new(host) }
    }
}

/// The responses that the clients saw.
#[derive(Default)]
pub(super) struct Observations {
    wrong: Vec<String>,
    /// By route, method and status.
    pub(super) answers: BTreeMap<(&'static str, &'static str, u16), u64>,
    statuses: BTreeMap<u16, u64>,
    caches: BTreeMap<String, u64>,
    broken: u64,
    hung_up: u64,
}

/// The hosts and the phase, which clients hold to read while they ask; whoever holds them to write has silence.
#[derive(Default)]
struct Traffic {
    phase: Phase,
    targets: Vec<Target>,
    is_over: bool,
}

/// Decides when clients ask, and whom; they end with this value, by a failure too.
pub(super) struct Director<'a> {
    traffic: &'a RwLock<Traffic>,
    seen: &'a Mutex<Observations>,
    silence: Option<RwLockWriteGuard<'a, Traffic>>,
    wrong: Vec<String>,
}

impl Drop for Director<'_> {
    fn drop(&mut self) {
        let silence = self.silence.take().or_else(|| self.traffic.write().ok());
        if let Some(mut traffic) = silence {
            traffic.is_over = true;
        }
    }
}

/// Has clients ask these questions when `direct` says so. No answer may be wrong.
pub(super) fn with_clients(questions: &[Question], direct: impl FnOnce(&mut Director<'_>)) {
    let (traffic, seen) = (RwLock::default(), Mutex::default());
    println!("\n| while | answers | by status | broken | hung up | by cache | memory MiB | descriptors |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let wrong = std::thread::scope(|scope| {
        let silence = Some(traffic.write().expect("nobody failed"));
        let mut director = Director { traffic: &traffic, seen: &seen, silence, wrong: Vec::new() };
        for number in 1..=CLIENTS {
            let (traffic, seen) = (&traffic, &seen);
            scope.spawn(move || client(traffic, questions, number.wrapping_mul(0x9e37_79b9_7f4a_7c15), seen));
        }
        direct(&mut director);
        std::mem::take(&mut director.wrong)
    });
    assert!(wrong.is_empty(), "{} wrong, among them:\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
}

impl Director<'_> {
    /// Has the clients ask these hosts while `work` is done, which is given a function that has them ask others;
    /// returns what they saw.
    pub(super) fn ask_during(
        &mut self,
        phase: &Phase,
        targets: Vec<Target>,
        work: impl FnOnce(&dyn Fn(Vec<Target>)),
    ) -> Observations {
        if let Some(mut silence) = self.silence.take() {
            (silence.phase, silence.targets) = (phase.clone(), targets);
        }
        work(&|targets| self.traffic.write().expect("nobody failed").targets = targets);
        self.silence = Some(self.traffic.write().expect("nobody failed"));
        let mut seen = std::mem::take(&mut *self.seen.lock().expect("nobody failed"));
        self.wrong.append(&mut seen.wrong);
        seen
    }

    /// Notes something that is wrong.
    pub(super) fn note(&mut self, wrong: String) {
        self.wrong.push(wrong);
    }
}

impl Observations {
    /// Adds those of another phase.
    pub(super) fn add(&mut self, other: Observations) {
        for (answer, count) in other.answers {
            *self.answers.entry(answer).or_default() += count;
        }
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (cache, count) in other.caches {
            *self.caches.entry(cache).or_default() += count;
        }
        self.broken += other.broken;
        self.hung_up += other.hung_up;
    }

    /// Prints a row of the table, with the memory and the descriptors of the hosts.
    pub(super) fn print(&self, phase: &Phase, hosts: &[&Host]) {
        let answers: u64 = self.statuses.values().sum();
        let memory: f64 = hosts.iter().map(|host| host.memory_mib()).sum();
        let descriptors: usize = hosts.iter().map(|host| host.descriptors()).sum();
        println!(
            "| {} | {answers} | {:?} | {} | {} | {:?} | {memory:.0} | {descriptors} |",
            phase.name, self.statuses, self.broken, self.hung_up, self.caches
        );
    }
}

/// One client, until it is over. `random` is where its choices start.
fn client(traffic: &RwLock<Traffic>, questions: &[Question], mut random: u64, seen: &Mutex<Observations>) {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    let agent = ureq::Agent::from(config.timeout_global(Some(Duration::from_secs(10))).build());
    loop {
        let now = traffic.read().expect("nobody failed");
        if now.is_over {
            return;
        }
        // Marsaglia's xorshift.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let target = &now.targets[(random >> 40) as usize % now.targets.len()];
        if random.is_multiple_of(16) {
            hang_up(&target.address, (random >> 8) as usize);
            seen.lock().expect("nobody failed").hung_up += 1;
            continue;
        }
        let question = &questions[(random >> 16) as usize % questions.len()];
        let answer = ask(&agent, &target.address, question);
        let mut seen = seen.lock().expect("nobody failed");
        if let Some(fault) = question.fault(&now.phase, target.versions.as_ref(), answer.as_ref()) {
            seen.wrong.push(format!("while {}: {} {}: {fault}", now.phase.name, question.method, question.path));
        }
        match answer {
            Some(Answer { status, cache, .. }) => {
                *seen.answers.entry((question.route, question.method, status)).or_default() += 1;
                *seen.statuses.entry(status).or_default() += 1;
                *seen.caches.entry(cache).or_default() += 1;
            }
            None => {
                seen.broken += 1;
                drop((seen, now));
                // A host that was killed is not asked as fast as it refuses.
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

fn ask(agent: &ureq::Agent, address: &str, question: &Question) -> Option<Answer> {
    let request = ureq::http::Request::builder()
        .method(question.method)
        .uri(format!("http://{address}{}", question.path))
        .header("content-type", "application/json");
    let body = question.body.clone().unwrap_or_default();
    let mut answer = agent.run(request.body(body).expect("a valid request")).ok()?;
    let cache = answer.headers().get("x-cache").and_then(|cache| cache.to_str().ok()).unwrap_or("").to_owned();
    Some(Answer { status: answer.status().as_u16(), cache, body: answer.body_mut().read_to_string().ok()? })
}

/// Sends a part of a request, or all of it, and goes away. What it asks is asked by nobody else, so that counts stay
/// what they are.
fn hang_up(address: &str, at: usize) {
    let request = "POST /models HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    if let Ok(mut stream) = TcpStream::connect(address) {
        let _ = stream.write_all(&request.as_bytes()[..1 + at % request.len()]);
    }
}
