//! A simulation of a deployment: instances, the store that they share, the database, callers and the clock, in one
//! process. One seed decides everything: which task goes on at each step, who asks for what, and when something fails.
//! It asserts promises of SECURITY.md, of whole answers to whole requests.
//!
//! A step lets one task go on to its next operation on the store or the database. `SIMULATION_SEED` chooses the seed,
//! from which the time of day follows too, and `SIMULATION_STEPS` the number of steps; both are printed, and a promise
//! that is broken is told with the seed.

use crate::cache::Slot;
use crate::config::Settings;
use crate::fake_platform::{Fake, Operation};
use crate::ids::UserId;
use crate::platform::{Fetch, FetchError, Fetched};
use crate::store::{Kind, Store};
use crate::telemetry::log;
use crate::time::{DAY_MS, MAX_CLOCK_SKEW_MS, clock, now_ms, today};
use crate::{Instance, answer, random};
use features::FIELDS;
use futures::FutureExt;
use futures::executor::block_on;
use futures::future::LocalBoxFuture;
use harness::without_ids;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

/// They take most of a minute of one core in a build that is not optimized.
const STEPS: usize = 1_000_000;
/// Requests under way: of more one is dropped, as with an instance that dies.
const MAX_REQUESTS: usize = 12;
/// Tasks that follow an answer: of more the oldest is dropped, which may wait for a time that does not pass.
const MAX_SPAWNED: usize = 12;
/// The first day that a simulation may begin on, 2026-02-01.
const START_DAY_MS: i64 = 20_485 * DAY_MS;
const INSTANCES: usize = 3;
const PEOPLE: [&str; 3] = [
    "00000000-0000-4000-8000-000000000000",
    // They share a slot of 64.
    "00000000-0000-4000-8000-000000000012",
    "33333333-3333-4333-8333-333333333333",
];
/// One operation in so many fails while the store errs.
const OPERATIONS_PER_FAILURE: f64 = 8.0;
/// Words that stand in values about a person, none of which may be read in the store.
const PLAIN_WORDS: [&str; 4] = ["mood_state", "checkin_date", "probabilities", "2026-01-0"];
/// A deployment goes on for so many steps: then another begins, with the next seed.
const STEPS_OF_ONE: usize = 50_000;
/// One value in so many is looked through, as that takes its time.
const WRITES_PER_LOOK: u64 = 16;
const ENCRYPTION_KEY: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";
const WEBHOOK_SECRET: &str = "a secret of the database's webhook";
/// A caller who sees of people what the database shows to their token.
const THERAPIST: &str = "a-therapists-token";

type Task = LocalBoxFuture<'static, ()>;

/// Cryptography takes longer than everything else in a build that is not optimized: one deployment in twenty seals.
fn is_sealed(seed: u64) -> bool {
    seed.is_multiple_of(20)
}

/// The operations that fail now and then.
#[derive(Clone, Copy, Default, PartialEq)]
enum StoreFault {
    #[default]
    None,
    Reads,
    /// Deletions too.
    Writes,
    All,
}

/// The facts that the service does not know, and what it has been told of them.
struct World {
    seed: u64,
    /// A view of the store that no instance has.
    store: Rc<Store<Fake>>,
    stored: Rc<RefCell<BTreeMap<String, Vec<u8>>>>,
    /// When each key was written last, counted in writes.
    written: RefCell<HashMap<String, u64>>,
    writes: Cell<u64>,
    store_fault: Cell<StoreFault>,
    /// The operations that have failed.
    failures: Cell<u64>,
    /// The version of each person's check-ins: the id of the latest.
    versions: [Cell<u32>; PEOPLE.len()],
    /// The version that each person's last invalidation or erasure came after, once it was answered.
    told: [Cell<u32>; PEOPLE.len()],
    /// The database shows people to the therapist.
    shows: Cell<bool>,
    /// How often that has changed.
    toggles: Cell<u32>,
    /// How often the clock was set.
    clock_steps: Cell<u32>,
    is_database_down: Cell<bool>,
    /// Bodies of answers by question, version and day: the same each time, whoever asked before.
    answers: RefCell<HashMap<(String, u32, String), Value>>,
    /// Locations of jobs, with the person, and whether the therapist has started it.
    jobs: RefCell<Vec<(String, usize, bool)>>,
    served: Cell<usize>,
    outcomes: Cell<usize>,
    invalidated: Cell<usize>,
    erased: Cell<usize>,
}

impl World {
    fn new(seed: u64, fake: &Fake) -> World {
        let settings = block_on(Settings::read(fake)).expect("valid");
        World {
            seed,
            store: fake.store(&settings),
            stored: fake.stored.clone(),
            written: RefCell::default(),
            writes: Cell::default(),
            store_fault: Cell::default(),
            failures: Cell::default(),
            versions: Default::default(),
            told: Default::default(),
            shows: Cell::new(true),
            toggles: Cell::default(),
            clock_steps: Cell::default(),
            is_database_down: Cell::default(),
            answers: RefCell::default(),
            jobs: RefCell::default(),
            served: Cell::default(),
            outcomes: Cell::default(),
            invalidated: Cell::default(),
            erased: Cell::default(),
        }
    }

    fn assert(&self, is_kept: bool, promise: &str) {
        assert!(is_kept, "{promise}; SIMULATION_SEED={}", self.seed);
    }

    /// The promises to whoever asks now.
    fn asked(&self, person: usize, is_therapist: bool) -> Asked {
        Asked {
            least: self.told[person].get(),
            may_see: !is_therapist || self.shows.get(),
            toggles: self.toggles.get(),
            clock_steps: self.clock_steps.get(),
        }
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

    /// Decides if an operation on the store fails.
    fn fails(&self, operation: Operation) -> bool {
        let may_fail = match self.store_fault.get() {
            StoreFault::None => false,
            StoreFault::Reads => operation == Operation::Read,
            StoreFault::Writes => operation != Operation::Read,
            StoreFault::All => true,
        };
        let fails = may_fail && random::chance(1.0 / OPERATIONS_PER_FAILURE);
        self.failures.set(self.failures.get() + u64::from(fails));
        fails
    }

    /// Looks at a value that is written.
    fn note_write(&self, key: &str, value: &[u8]) {
        self.writes.set(self.writes.get() + 1);
        self.written.borrow_mut().insert(key.to_owned(), self.writes.get());
        let holds = |text: &[u8], part: &[u8]| text.windows(part.len()).any(|window| window == part);
        for person in PEOPLE {
            let plain = person.replace('-', "");
            let is_named = [person.as_bytes(), plain.as_bytes()].iter().any(|id| holds(key.as_bytes(), id));
            self.assert(!is_named, "no key names a person");
        }
        // Of generations and counts there is nothing to seal.
        if self.writes.get().is_multiple_of(WRITES_PER_LOOK) {
            let words: &[&str] = if is_sealed(self.seed) { &PLAIN_WORDS } else { &[] };
            let read = PEOPLE.iter().chain(words).find(|word| holds(value, word.as_bytes()));
            self.assert(read.is_none(), "nothing about a person is read in the store");
        }
    }

    /// Checks that nothing about a person is in the store that was there after so many writes.
    fn check_erased(&self, person: usize, writes: u64) {
        let person = UserId::parse(PEOPLE[person]).expect("an id");
        let hash = self.store.hash_person(person);
        let stored = self.stored.borrow();
        let is_old = |key: &String| self.written.borrow().get(key).is_some_and(|written| *written <= writes);
        let value = |key: &String| self.store.unseal(key, stored.get(key).filter(|_| is_old(key))?.clone());
        let predictions = value(&self.store.key(Kind::Predictions, &hash));
        let are_theirs = predictions.is_some_and(|value| Slot::parse(&value).is_none_or(|slot| slot.person == hash));
        let jobs = self.store.job_keys(&hash[..hash.len() / 2]);
        let is_theirs = |job: Vec<u8>| {
            let job: Value = serde_json::from_slice(&job).expect("JSON");
            job["id"].as_str().is_none_or(|id| id[..id.len() / 2] == hash[..hash.len() / 2])
        };
        let is_left = are_theirs || jobs.iter().filter_map(value).any(is_theirs);
        self.assert(!is_left, "an erasure leaves nothing about a person");
        self.erased.set(self.erased.get() + 1);
    }

    /// The generation of a person in the store.
    fn generation(&self, person: usize) -> Option<Vec<u8>> {
        let person = UserId::parse(PEOPLE[person]).expect("an id");
        let key = self.store.key(Kind::Generation, &self.store.hash_person(person));
        self.stored.borrow().get(&key).cloned()
    }

    /// Checks an answer's predictions.
    fn check(&self, question: &str, body: &Value, asked: &Asked) {
        let Some(version) = body["per_checkin"][0]["checkin_id"].as_str() else { return };
        let version: u32 = version.parse().expect("a version");
        self.assert(version >= asked.least, "nothing from before an invalidation is served");
        // What changed while they asked may have been seen before or after it.
        let is_shown = asked.may_see || self.toggles.get() != asked.toggles;
        self.assert(is_shown, "nobody is answered from rows that they may not see");
        let made_at: Timestamp = body["generated_at"].as_str().expect("a time").parse().expect("a time");
        let is_past = made_at.as_millisecond() <= now_ms() + MAX_CLOCK_SKEW_MS;
        let is_past = is_past || self.clock_steps.get() != asked.clock_steps;
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

/// The promises to a caller from the moment at which they ask.
struct Asked {
    /// The version that their answer is at least of.
    least: u32,
    may_see: bool,
    toggles: u32,
    clock_steps: u32,
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
        let day = START_DAY_MS + i64::try_from(seed % 3_650).expect("few") * DAY_MS;
        clock::stop_at(Timestamp::from_millisecond(day + (seed / 3_650) as i64 % DAY_MS).expect("a time"));
        random::seed(seed);
        log::silence();
        let mut fake = Fake::with_variable("cache_slots", "64");
        for (name, value) in [
            ("supabase_url", "https://project.supabase.co"),
            ("supabase_anon_key", "anon"),
            ("supabase_service_key", "service"),
            ("auth_mode", "off"),
            ("webhook_secret", WEBHOOK_SECRET),
            ("cache_encryption_key", if is_sealed(seed) { ENCRYPTION_KEY } else { "" }),
            ("max_checkin_age_days", "0"),
            ("rate_limit_predictions", "off"),
            ("rate_limit_default", "off"),
            ("inference_timeout_seconds", "120"),
            ("log_level", "error"),
            ("decision_log", "false"),
        ] {
            fake.set_variable(name, value);
        }
        let world = Rc::new(World::new(seed, &fake));
        let (database, failing, watching) = (world.clone(), world.clone(), world.clone());
        fake.fails = Some(Rc::new(move |operation| failing.fails(operation)));
        fake.on_write = Some(Rc::new(move |key, value| {
            if let Some(value) = value {
                watching.note_write(key, value);
            }
        }));
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
        match self.below(10) {
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
                self.world.clock_steps.set(self.world.clock_steps.get() + 1);
            }
            5 | 6 => {
                let faults = [StoreFault::Reads, StoreFault::Writes, StoreFault::All];
                let is_well = self.world.store_fault.get() == StoreFault::None;
                let fault = if is_well { faults[self.below(faults.len())] } else { StoreFault::None };
                self.world.store_fault.set(fault);
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
    let asked = world.asked(person, is_therapist);
    let question = format!("/data/predictions/{}?limit_checkins=1&types=mood_state{query}", PEOPLE[person]);
    let headers = headers(is_therapist, is_asynchronous);
    let (status, location, body) = send(&instance, "GET", &question, &headers, Vec::new()).await;
    match status {
        200 => world.check(&question, &body, &asked),
        202 => world.jobs.borrow_mut().push((location, person, is_therapist)),
        _ => {}
    }
}

async fn read_job(
    world: Rc<World>,
    instance: Rc<Instance<Fake>>,
    (location, person, is_therapist): (String, usize, bool),
) {
    let asked = world.asked(person, is_therapist);
    let (_, _, body) = send(&instance, "GET", &location, &headers(is_therapist, false), Vec::new()).await;
    if body["status"] == "done" {
        world.outcomes.set(world.outcomes.get() + 1);
        world.check(&location, &body["result"], &asked);
    }
}

/// A person checks in, and the database says so.
async fn change(world: Rc<World>, instance: Rc<Instance<Fake>>, person: usize) {
    let version = world.versions[person].get() + 1;
    world.versions[person].set(version);
    let before = Before::of(&world, person);
    let body = json!({ "table": "check_ins", "record": { "user_id": PEOPLE[person] } }).to_string();
    let headers = [("content-type", "application/json"), ("x-webhook-secret", WEBHOOK_SECRET)];
    let (status, _, _) = send(&instance, "POST", "/hooks/check-ins", &headers, body.into_bytes()).await;
    before.tell(&world, version, status);
}

async fn erase(world: Rc<World>, instance: Rc<Instance<Fake>>, person: usize) {
    let version = world.versions[person].get();
    let before = Before::of(&world, person);
    let path = format!("/data/predictions/{}", PEOPLE[person]);
    let (status, _, _) = send(&instance, "DELETE", &path, &[], Vec::new()).await;
    if status == 200 {
        world.check_erased(person, before.writes);
    }
    before.tell(&world, version, status);
}

/// The store as it was before an invalidation or erasure.
struct Before {
    person: usize,
    writes: u64,
    failures: u64,
    generation: Option<Vec<u8>>,
}

impl Before {
    fn of(world: &World, person: usize) -> Before {
        let (writes, failures) = (world.writes.get(), world.failures.get());
        Before { person, writes, failures, generation: world.generation(person) }
    }

    /// Has the world know what was promised to whoever invalidated or erased.
    fn tell(self, world: &World, version: u32, status: u16) {
        // A full store is invalidated and erased too.
        let nothing_failed = world.failures.get() == self.failures;
        world.assert(
            status == 200 || status == 503 && !nothing_failed,
            "a store that lets go of what it has can be invalidated and erased",
        );
        // Where no generation could be written who is under way may write an entry: SECURITY.md excepts them.
        if status == 200 && (nothing_failed || world.generation(self.person) != self.generation) {
            world.told[self.person].set(world.told[self.person].get().max(version));
            world.invalidated.set(world.invalidated.get() + 1);
        }
    }
}

/// Simulates so many steps, and returns what was done, with the keys that were written and how often.
fn simulate(seed: u64, steps: usize) -> ([usize; 4], BTreeMap<String, u64>) {
    let mut simulation = Simulation::new(seed);
    for _ in 0..steps {
        simulation.step();
    }
    let world = &simulation.world;
    let counts = [&world.served, &world.outcomes, &world.invalidated, &world.erased].map(Cell::get);
    let written = world.written.borrow().clone().into_iter().collect();
    (counts, written)
}

/// A number that the environment may say.
fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().expect("a number"))
}

#[test]
fn no_promise_is_broken_in_a_million_steps() {
    let now = || Timestamp::now().as_millisecond().unsigned_abs();
    let seed = from_environment("SIMULATION_SEED").unwrap_or_else(now);
    let steps = from_environment("SIMULATION_STEPS").map_or(STEPS, |steps| steps as usize);
    let mut sums = [0; 4];
    for (begun, seed) in (0..steps).step_by(STEPS_OF_ONE).zip(seed..) {
        let (counts, _) = simulate(seed, STEPS_OF_ONE.min(steps - begun));
        sums = std::array::from_fn(|index| sums[index] + counts[index]);
    }
    let [served, outcomes, invalidated, erased] = sums;
    println!(
        "{steps} steps from SIMULATION_SEED={seed} on: {served} answers and {outcomes} outcomes of background \
         predictions were checked, after {invalidated} invalidations and {erased} erasures"
    );
    let least = served.min(outcomes).min(invalidated);
    assert!(least >= steps / 10_000 && erased > 0, "little was done; SIMULATION_SEED={seed}");
}

#[test]
fn a_seed_replays() {
    assert_eq!(simulate(20, 2_000), simulate(20, 2_000));
}
