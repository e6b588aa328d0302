//! A simulation of a deployment: instances, the store that they share, the database, callers and the clock, in one
//! process. One seed decides everything: which task goes on at each step, who asks for what, and when something fails.
//! It asserts promises of SECURITY.md, of whole answers to whole requests.
//!
//! A step lets one task go on to its next operation on the store or the database. `SIMULATION_SEED` chooses the seed; a
//! promise that is broken is told with it.

use crate::fake_platform::Fake;
use crate::platform::{Fetch, FetchError, Fetched};
use crate::time::{MAX_CLOCK_SKEW_MS, clock, now_ms, today};
use crate::{Instance, answer, random};
use features::FIELDS;
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use harness::without_ids;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// An optimized build does a million in some seconds.
const STEPS: usize = if cfg!(debug_assertions) { 20_000 } else { 1_000_000 };
/// Requests under way: of more one is dropped, as with an instance that dies.
const MAX_REQUESTS: usize = 12;
/// Tasks that follow an answer: of more the oldest is dropped, which may wait for a time that does not pass.
const MAX_SPAWNED: usize = 12;
const INSTANCES: usize = 3;
const PEOPLE: [&str; 3] = [
    "00000000-0000-4000-8000-000000000000",
    // They share a slot of 64.
    "00000000-0000-4000-8000-000000000012",
    "33333333-3333-4333-8333-333333333333",
];
const WEBHOOK_SECRET: &str = "a secret of the database's webhook";
/// A caller who sees of people what the database shows to their token.
const THERAPIST: &str = "a-therapists-token";

type Task = LocalBoxFuture<'static, ()>;

/// The facts that the service does not know, and what it has been told of them.
#[derive(Default)]
struct World {
    seed: u64,
    /// The version of each person's check-ins: the id of the latest.
    versions: [Cell<u32>; PEOPLE.len()],
    /// The version that each person's last invalidation or erasure came after, once it was answered.
    told: [Cell<u32>; PEOPLE.len()],
    /// The database shows people to the therapist.
    shows: Cell<bool>,
    /// How often that has changed.
    toggles: Cell<u32>,
    is_database_down: Cell<bool>,
    /// Bodies of answers by question, version and day: the same each time, whoever asked before.
    answers: RefCell<HashMap<(String, u32, String), Value>>,
    /// Locations of jobs, with the person, and whether the therapist has started it.
    jobs: RefCell<Vec<(String, usize, bool)>>,
    served: Cell<usize>,
    outcomes: Cell<usize>,
    invalidated: Cell<usize>,
}

impl World {
    fn assert(&self, is_kept: bool, promise: &str) {
        assert!(is_kept, "{promise}; SIMULATION_SEED={}", self.seed);
    }

    /// The database shows people to the therapist or not, and how often that has changed.
    fn access(&self) -> (bool, u32) {
        (self.shows.get(), self.toggles.get())
    }

    fn was_shown_since(&self, (was_shown, toggles): (bool, u32)) -> bool {
        was_shown || self.toggles.get() != toggles
    }

    /// The database's answer.
    fn rows(&self, fetch: &Fetch) -> Result<Fetched, FetchError> {
        if self.is_database_down.get() {
            return Err(FetchError::Unreachable);
        }
        let person = PEOPLE.iter().position(|person| fetch.url.contains(person)).expect("a person");
        let is_shown = self.shows.get() || !fetch.headers.iter().any(|(_, value)| value.contains(THERAPIST));
        // A few days, so that there is something to predict from and to explain; the latest has the version.
        let row = |day: u8| {
            let answers = FIELDS.iter().map(|field| (field.name.to_owned(), json!(1 + day % 3)));
            let mut row: Map<String, Value> = answers.collect();
            let id = if day == 5 { self.versions[person].get() } else { 0 };
            row.insert("user_id".to_owned(), json!(PEOPLE[person]));
            row.insert("id".to_owned(), json!(id.to_string()));
            row.insert("checkin_date".to_owned(), json!(format!("2026-01-0{day}")));
            Value::from(row)
        };
        let rows: Vec<Value> = (1..=5).rev().filter(|_| is_shown).map(row).collect();
        Ok(Fetched { status: 200, body: Value::from(rows).to_string().into_bytes() })
    }

    /// Checks an answer's predictions, of which those who asked knew that they may not be older than `least`.
    fn check(&self, question: &str, body: &Value, least: u32, is_shown: bool) {
        let Some(version) = body["per_checkin"][0]["checkin_id"].as_str() else { return };
        let version: u32 = version.parse().expect("a version");
        self.assert(version >= least, "nothing from before an invalidation is served");
        self.assert(is_shown, "nobody is answered from rows that they may not see");
        let made_at: Timestamp = body["generated_at"].as_str().expect("a time").parse().expect("a time");
        let is_past = made_at.as_millisecond() <= now_ms() + MAX_CLOCK_SKEW_MS;
        self.assert(is_past, "nothing from the future is served");
        let mut body = without_ids(body.clone());
        let fields = body.as_object_mut().expect("an object");
        for differs in ["generated_at", "age_seconds", "warning", "user_id"] {
            fields.remove(differs);
        }
        let key = (question.to_owned(), version, today().to_string());
        let mut answers = self.answers.borrow_mut();
        let first = answers.entry(key).or_insert_with(|| body.clone());
        self.assert(*first == body, "an answer does not depend on who asked before");
        self.served.set(self.served.get() + 1);
    }
}

/// A simulation under way.
struct Simulation {
    world: Rc<World>,
    random: u64,
    fake: Fake,
    instances: Vec<Rc<Instance<Fake>>>,
    requests: Vec<Task>,
    spawned: Vec<Task>,
}

impl Simulation {
    fn new(seed: u64) -> Simulation {
        clock::stop();
        random::seed(seed);
        let world = Rc::new(World { seed, ..World::default() });
        world.shows.set(true);
        let mut fake = Fake::with_variable("cache_slots", "64");
        for (name, value) in [
            ("supabase_url", "https://project.supabase.co"),
            ("supabase_anon_key", "anon"),
            ("supabase_service_key", "service"),
            ("auth_mode", "off"),
            ("webhook_secret", WEBHOOK_SECRET),
            ("max_checkin_age_days", "0"),
            ("rate_limit_predictions", "off"),
            ("rate_limit_default", "off"),
            ("inference_timeout_seconds", "120"),
            ("log_level", "error"),
        ] {
            fake.set_variable(name, value);
        }
        let database = world.clone();
        fake.on_fetch = Some(Rc::new(move |fetch| database.rows(fetch)));
        let turns = fake.clone();
        fake.before_operation = Some(Rc::new(move || {
            let turns = turns.clone();
            async move { crate::platform::Tasks::yield_now(&turns).await }.boxed_local()
        }));
        let instances = (0..INSTANCES).map(|_| Rc::new(Instance::new(fake.clone()))).collect();
        Simulation { world, random: seed, fake, instances, requests: Vec::new(), spawned: Vec::new() }
    }

    /// A number below another (SplitMix64).
    fn below(&mut self, end: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % end as u64) as usize
    }

    fn step(&mut self) {
        if self.requests.len() > MAX_REQUESTS {
            let dropped = self.below(self.requests.len());
            drop(self.requests.swap_remove(dropped));
        }
        let surplus = self.spawned.len().saturating_sub(MAX_SPAWNED);
        drop(self.spawned.drain(..surplus));
        if self.requests.is_empty() || self.below(8) == 0 {
            self.begin();
        }
        if self.below(200) == 0 {
            self.fail_or_recover();
        }
        let is_request = self.spawned.is_empty() || self.below(2) == 0;
        let among = if is_request { self.requests.len() } else { self.spawned.len() };
        if among > 0 {
            let chosen = self.below(among);
            let tasks = if is_request { &mut self.requests } else { &mut self.spawned };
            if (&mut tasks[chosen]).now_or_never().is_some() {
                drop(tasks.remove(chosen));
            }
        }
        self.spawned.extend(self.fake.spawned.take());
    }

    /// Begins something.
    fn begin(&mut self) {
        let person = self.below(PEOPLE.len());
        let chosen = self.below(INSTANCES);
        let (world, instance) = (self.world.clone(), self.instances[chosen].clone());
        let is_therapist = self.below(4) == 0;
        let query = ["", "&window_days=7", "&explain=true", "&explain=none"][self.below(4)];
        let task = match self.below(40) {
            0 => change(world, instance, person).boxed_local(),
            1 => erase(world, instance, person).boxed_local(),
            2..=9 => ask(world, instance, person, query, is_therapist, true).boxed_local(),
            10..=17 => {
                let jobs = world.jobs.borrow().len();
                if jobs == 0 {
                    return;
                }
                let job = world.jobs.borrow()[self.below(jobs.min(8)) + jobs.saturating_sub(8)].clone();
                read_job(world, instance, job).boxed_local()
            }
            _ => ask(world, instance, person, query, is_therapist, false).boxed_local(),
        };
        self.requests.push(task);
    }

    /// Lets time pass, or something fail or come back.
    fn fail_or_recover(&mut self) {
        match self.below(8) {
            0 => self.world.is_database_down.set(!self.world.is_database_down.get()),
            1 => {
                self.world.shows.set(!self.world.shows.get());
                self.world.toggles.set(self.world.toggles.get() + 1);
            }
            2 => {
                let chosen = self.below(INSTANCES);
                self.instances[chosen] = Rc::new(Instance::new(self.fake.clone()));
            }
            // Who is under way while a store is full may write once there is room: SECURITY.md excepts them.
            3 if self.fake.full.get() => {
                self.requests.clear();
                self.spawned.clear();
                self.fake.full.set(false);
            }
            3 => self.fake.full.set(true),
            4 => {
                let hours = self.below(5) as i64 - 2;
                clock::set_ahead(hours * 3_600_000);
            }
            _ => clock::pass(Duration::from_secs(self.below(100) as u64)),
        }
    }
}

/// Sends a request to an instance; returns the status, the header `location` and the body.
async fn send(
    instance: &Rc<Instance<Fake>>,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> (u16, String, Value) {
    let request = http::Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let (parts, ()) = request.body(()).expect("a request").into_parts();
    let response = answer(instance, &parts, body).await.into_http();
    let location = response.headers().get("location").map(|value| value.to_str().expect("text").to_owned());
    let body = serde_json::from_slice(response.body()).unwrap_or_default();
    (response.status().as_u16(), location.unwrap_or_default(), body)
}

fn headers(is_therapist: bool, is_asynchronous: bool) -> Vec<(&'static str, &'static str)> {
    let token = is_therapist.then_some(("authorization", "Bearer a-therapists-token"));
    token.into_iter().chain(is_asynchronous.then_some(("prefer", "respond-async"))).collect()
}

async fn ask(
    world: Rc<World>,
    instance: Rc<Instance<Fake>>,
    person: usize,
    query: &'static str,
    is_therapist: bool,
    is_asynchronous: bool,
) {
    let (least, access) = (world.told[person].get(), world.access());
    let question = format!("/data/predictions/{}?limit_checkins=1&types=mood_state{query}", PEOPLE[person]);
    let headers = headers(is_therapist, is_asynchronous);
    let (status, location, body) = send(&instance, "GET", &question, &headers, Vec::new()).await;
    match status {
        200 => world.check(&question, &body, least, !is_therapist || world.was_shown_since(access)),
        202 => world.jobs.borrow_mut().push((location, person, is_therapist)),
        _ => {}
    }
}

async fn read_job(
    world: Rc<World>,
    instance: Rc<Instance<Fake>>,
    (location, person, is_therapist): (String, usize, bool),
) {
    let (least, access) = (world.told[person].get(), world.access());
    let (_, _, body) = send(&instance, "GET", &location, &headers(is_therapist, false), Vec::new()).await;
    if body["status"] == "done" {
        world.outcomes.set(world.outcomes.get() + 1);
        world.check(&location, &body["result"], least, !is_therapist || world.was_shown_since(access));
    }
}

/// A person checks in, and the database says so.
async fn change(world: Rc<World>, instance: Rc<Instance<Fake>>, person: usize) {
    let version = world.versions[person].get() + 1;
    world.versions[person].set(version);
    let body = json!({ "table": "check_ins", "record": { "user_id": PEOPLE[person] } }).to_string();
    let headers = [("content-type", "application/json"), ("x-webhook-secret", WEBHOOK_SECRET)];
    let (status, _, _) = send(&instance, "POST", "/hooks/check-ins", &headers, body.into_bytes()).await;
    tell(&world, person, version, status);
}

async fn erase(world: Rc<World>, instance: Rc<Instance<Fake>>, person: usize) {
    let version = world.versions[person].get();
    let path = format!("/data/predictions/{}", PEOPLE[person]);
    let (status, _, _) = send(&instance, "DELETE", &path, &[], Vec::new()).await;
    tell(&world, person, version, status);
}

fn tell(world: &World, person: usize, version: u32, status: u16) {
    // Nothing here makes the store fail: a full one is invalidated and erased too.
    world.assert(status == 200, "a store that lets go of what it has can be invalidated and erased");
    world.told[person].set(world.told[person].get().max(version));
    world.invalidated.set(world.invalidated.get() + 1);
}

#[test]
fn no_promise_is_broken_in_a_million_steps() {
    let seed = std::env::var("SIMULATION_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| Timestamp::now().as_millisecond().unsigned_abs());
    let mut simulation = Simulation::new(seed);
    for _ in 0..STEPS {
        simulation.step();
    }
    let world = &simulation.world;
    let counts = [&world.served, &world.outcomes, &world.invalidated].map(Cell::get);
    assert!(counts.iter().all(|count| *count >= STEPS / 10_000), "little was done: {counts:?}; SIMULATION_SEED={seed}");
}
