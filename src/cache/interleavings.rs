//! Every order in which requests, late writers and invalidators can do their operations on the store, tried one by one:
//! none of them serves an answer from check-ins that an invalidation had come after.
//!
//! Operations wait at a [`Gate`]. A run lets them pass one at a time, in an order that a list of choices says; the next
//! run has the next list, until there is none.

use super::{Lookup, PredictionCache, PredictionSet};
use crate::cache::Entry;
use crate::config::Settings;
use crate::fake_platform::Fake;
use crate::ids::UserId;
use crate::predict::PredictionsAt;
use crate::request::PredictionRequest;
use crate::store::Kind;
use futures::FutureExt;
use futures::executor::block_on;
use futures::future::LocalBoxFuture;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// Where operations wait.
#[derive(Default)]
struct Gate {
    waiting: RefCell<Vec<u64>>,
    let_through: Cell<Option<u64>>,
    next: Cell<u64>,
}

impl Gate {
    async fn pass(self: Rc<Self>) {
        let own = self.next.replace(self.next.get() + 1);
        self.waiting.borrow_mut().push(own);
        std::future::poll_fn(|_| match self.let_through.get() == Some(own) {
            true => {
                self.let_through.take();
                Poll::Ready(())
            }
            false => Poll::Pending,
        })
        .await;
    }
}

type Task = LocalBoxFuture<'static, ()>;

/// The choices of one run: at each step one of so many operations that wait.
#[derive(Default)]
struct Choices {
    made: Vec<(usize, usize)>,
    at: usize,
}

impl Choices {
    fn choose(&mut self, among: usize) -> usize {
        if self.at == self.made.len() {
            self.made.push((0, among));
        }
        let (choice, known) = self.made[self.at];
        assert_eq!(known, among, "a run is the same if its choices are");
        self.at += 1;
        choice
    }

    /// Goes on to the next list; returns false if this was the last.
    fn advance(&mut self) -> bool {
        self.at = 0;
        while let Some((choice, among)) = self.made.pop() {
            if choice + 1 < among {
                self.made.push((choice + 1, among));
                return true;
            }
        }
        false
    }
}

/// A region: a store, and a cache that uses it.
#[derive(Clone)]
struct Region {
    fake: Fake,
    cache: Rc<PredictionCache<Fake>>,
    settings: Rc<Settings>,
    gate: Rc<Gate>,
    /// The version of everyone's check-ins that this region has been told of by an invalidation, by person.
    told: Rc<RefCell<HashMap<String, u32>>>,
}

/// The database: the version of everyone's check-ins.
type Rows = Rc<Cell<u32>>;

impl Region {
    fn new(gate: &Rc<Gate>) -> Region {
        let (mut fake, settings) = (Fake::default(), with_slots("64"));
        let own = gate.clone();
        fake.before_operation = Some(Rc::new(move || own.clone().pass().boxed_local()));
        Region::of(fake, settings, gate)
    }

    fn of(fake: Fake, settings: Rc<Settings>, gate: &Rc<Gate>) -> Region {
        let store = fake.store(&settings);
        let cache = Rc::new(PredictionCache::new(fake.clone(), store));
        Region { fake, cache, settings, gate: gate.clone(), told: Rc::default() }
    }

    /// Has what is written here arrive in another region some time later, in the order in which it was written: of a
    /// key the latest stays.
    fn replicate_to(&mut self, other: &Region, clock: &Rc<Cell<u64>>, written: &Rc<RefCell<HashMap<String, u64>>>) {
        let (gate, other, clock, written) = (self.gate.clone(), other.clone(), clock.clone(), written.clone());
        let fake = self.fake.clone();
        let person = UserId::parse(PEOPLE[0]).expect("an id");
        let generation = other.cache.store.key(Kind::Generation, &other.cache.store.hash_person(person));
        self.fake.on_write = Some(Rc::new(move |key, value| {
            let at = clock.replace(clock.get() + 1);
            let (gate, other, written) = (gate.clone(), other.clone(), written.clone());
            let (key, value) = (key.to_owned(), value.map(<[u8]>::to_vec));
            let is_generation = key == generation;
            // Told once the new generation has arrived.
            let version = VERSION_WRITTEN.get();
            let deliver = async move {
                gate.pass().await;
                let mut written = written.borrow_mut();
                if written.get(&key).is_none_or(|before| *before <= at) {
                    written.insert(key.clone(), at);
                    let mut stored = other.fake.stored.borrow_mut();
                    match value {
                        Some(value) => drop(stored.insert(key, value)),
                        None => drop(stored.remove(&key)),
                    }
                    if is_generation {
                        other.told.borrow_mut().insert(PEOPLE[0].to_owned(), version);
                    }
                }
            };
            let mut deliver = deliver.boxed_local();
            if (&mut deliver).now_or_never().is_none() {
                fake.spawned.borrow_mut().push(deliver);
            }
        }));
        *self = Region::of(self.fake.clone(), self.settings.clone(), &self.gate);
    }

    /// A request: it asks the cache, else the database, and writes its entry after the answer. Fails the test if its
    /// answer is older than what the region had been told when it began.
    fn request(&self, rows: &Rows, person: &'static str, query: &'static str) -> Task {
        let (own, rows) = (self.clone(), rows.clone());
        let task = async move {
            own.gate.clone().pass().await;
            let least = own.told.borrow().get(person).copied().unwrap_or(0);
            let asked = PredictionRequest::parse(person, query).expect("valid");
            let version = match own.cache.look_up(&own.settings, &asked, None).await {
                Lookup::Hit(entry) => entry.generated_at.parse().expect("a version"),
                Lookup::Miss(slot) => {
                    own.gate.clone().pass().await;
                    let version = rows.get();
                    let latest = PredictionsAt::of_nothing();
                    let set = PredictionSet { latest, ..PredictionSet::default() };
                    let mut entry = Entry::new(Some(&slot), Duration::from_secs(60), &asked.options, set);
                    entry.generated_at = version.to_string();
                    own.cache.write_later(&own.settings, &slot, &entry);
                    version
                }
                Lookup::Bypass => panic!("the store is there"),
            };
            assert!(version >= least, "version {version} was served after an invalidation said {least}");
        };
        task.boxed_local()
    }

    /// An erasure of a person, which invalidates first, as a change of their check-ins does.
    fn erase(&self, rows: &Rows, person: &'static str) -> Task {
        let (own, change) = (self.clone(), self.change(rows, person));
        let task = async move {
            change.await;
            own.cache.erase(UserId::parse(person).expect("an id"), None).await.expect("deleted");
        };
        task.boxed_local()
    }

    /// A region with the same store, whose instances were given another number of slots.
    fn with_slots(&self, slots: &str) -> Region {
        Region { told: self.told.clone(), ..Region::of(self.fake.clone(), with_slots(slots), &self.gate) }
    }

    /// A change of a person's check-ins, and the invalidation that follows it.
    fn change(&self, rows: &Rows, person: &'static str) -> Task {
        let (own, rows) = (self.clone(), rows.clone());
        let task = async move {
            own.gate.clone().pass().await;
            let version = rows.get() + 1;
            rows.set(version);
            VERSION_WRITTEN.set(version);
            own.cache.invalidate(UserId::parse(person).expect("an id")).await.expect("written");
            own.told.borrow_mut().insert(person.to_owned(), version);
        };
        task.boxed_local()
    }
}

/// Returns the settings with a number of slots: the same ones in a hundred thousand runs.
fn with_slots(slots: &str) -> Rc<Settings> {
    SETTINGS.with_borrow_mut(|known| {
        let read = || Rc::new(block_on(Settings::read(&Fake::with_variable("cache_slots", slots))).expect("valid"));
        known.entry(slots.to_owned()).or_insert_with(read).clone()
    })
}

thread_local! {
    static SETTINGS: RefCell<HashMap<String, Rc<Settings>>> = RefCell::default();
    /// The version that the latest change has made.
    static VERSION_WRITTEN: Cell<u32> = const { Cell::new(0) };
}

/// Two people who share a slot of 64 and a generation, as `neighbours_share_a_slot` holds.
const PEOPLE: [&str; 2] = ["00000000-0000-4000-8000-000000000000", "00000000-0000-4000-8000-000000000012"];

/// Tries every order of the operations of tasks, and of what they spawn. `set_up` makes the tasks of a run anew, and
/// what follows when all of them have ended. Returns the number of runs.
fn in_every_order(set_up: impl Fn(&Rc<Gate>) -> (Vec<Task>, Vec<Region>, Vec<Task>)) -> usize {
    let (mut choices, mut runs) = (Choices::default(), 0);
    loop {
        let gate = Rc::new(Gate::default());
        let (tasks, regions, then) = set_up(&gate);
        run(tasks, &regions, &gate, |among| choices.choose(among));
        run(then, &regions, &gate, |_| 0);
        runs += 1;
        if !choices.advance() {
            return runs;
        }
    }
}

fn run(mut tasks: Vec<Task>, regions: &[Region], gate: &Gate, mut choose: impl FnMut(usize) -> usize) {
    loop {
        // Whoever is polled goes on to its next operation.
        tasks.retain_mut(|task| task.now_or_never().is_none());
        tasks.extend(regions.iter().flat_map(|region| region.fake.spawned.take()));
        let mut waiting = gate.waiting.borrow_mut();
        if waiting.is_empty() {
            assert!(tasks.is_empty(), "a task waits for nothing");
            return;
        }
        let chosen = choose(waiting.len());
        gate.let_through.set(Some(waiting.remove(chosen)));
    }
}

#[test]
fn no_order_of_requests_and_an_invalidation_serves_what_came_before_it() {
    let runs = in_every_order(|gate| {
        let (region, rows) = (Region::new(gate), Rows::default());
        let request = || region.request(&rows, PEOPLE[0], "");
        let tasks = vec![request(), request(), region.change(&rows, PEOPLE[0])];
        (tasks, vec![region.clone()], vec![request(), request()])
    });
    assert!(runs > 10_000, "{runs}");
}

#[test]
fn no_order_of_two_windows_serves_what_came_before_an_invalidation() {
    let runs = in_every_order(|gate| {
        let (region, rows) = (Region::new(gate), Rows::default());
        let request = |query| region.request(&rows, PEOPLE[0], query);
        let tasks = vec![request(""), request("window_days=7"), region.change(&rows, PEOPLE[0])];
        (tasks, vec![region.clone()], vec![request(""), request("window_days=7"), request("")])
    });
    assert!(runs > 10_000, "{runs}");
}

#[test]
fn no_order_with_a_neighbour_in_the_slot_serves_what_came_before_an_invalidation() {
    let runs = in_every_order(|gate| {
        let (region, rows) = (Region::new(gate), Rows::default());
        let request = |person| region.request(&rows, person, "");
        let tasks = vec![request(PEOPLE[0]), request(PEOPLE[1]), region.change(&rows, PEOPLE[0])];
        (tasks, vec![region.clone()], vec![request(PEOPLE[1]), request(PEOPLE[0]), request(PEOPLE[1])])
    });
    assert!(runs > 10_000, "{runs}");
}

#[test]
fn no_order_of_two_invalidations_serves_what_came_before_either() {
    let runs = in_every_order(|gate| {
        let (region, rows) = (Region::new(gate), Rows::default());
        let request = || region.request(&rows, PEOPLE[0], "");
        let tasks = vec![request(), region.change(&rows, PEOPLE[0]), region.change(&rows, PEOPLE[0])];
        (tasks, vec![region.clone()], vec![request(), request()])
    });
    assert!(runs > 100, "{runs}");
}

#[test]
fn no_order_with_an_erasure_serves_what_came_before_it() {
    let runs = in_every_order(|gate| {
        let (region, rows) = (Region::new(gate), Rows::default());
        let request = || region.request(&rows, PEOPLE[0], "");
        let tasks = vec![request(), region.erase(&rows, PEOPLE[0])];
        (tasks, vec![region.clone()], vec![request(), request()])
    });
    assert!(runs > 100, "{runs}");
}

/// Instances with other numbers of slots use one store, as while the number changes or changes back.
#[test]
fn no_order_of_two_layouts_serves_what_came_before_an_invalidation() {
    for other in ["65", "0"] {
        let runs = in_every_order(|gate| {
            let (region, rows) = (Region::new(gate), Rows::default());
            let other = region.with_slots(other);
            let request = || region.request(&rows, PEOPLE[0], "");
            let tasks = vec![request(), request(), other.change(&rows, PEOPLE[0])];
            (tasks, vec![region.clone(), other.clone()], vec![request(), request()])
        });
        assert!(runs > 10_000, "{runs}");
    }
}

/// A region that lags behind serves old answers until it has the new generation, and none from then on, whatever else
/// arrives late.
#[test]
fn no_order_serves_what_came_before_an_invalidation_that_has_arrived() {
    let with_requests_in = |requested: [bool; 2]| {
        in_every_order(|gate| {
            let (mut near, far, rows) = (Region::new(gate), Region::new(gate), Rows::default());
            let (clock, written) = (Rc::default(), Rc::default());
            near.replicate_to(&far, &clock, &written);
            let mut tasks = vec![near.change(&rows, PEOPLE[0])];
            let regions = [&near, &far].into_iter().zip(requested).filter(|(_, requested)| *requested);
            tasks.extend(regions.map(|(region, _)| region.request(&rows, PEOPLE[0], "")));
            let then = vec![far.request(&rows, PEOPLE[0], ""), far.request(&rows, PEOPLE[0], "")];
            (tasks, vec![near, far], then)
        })
    };
    let runs = [[true, false], [false, true]].map(with_requests_in);
    assert!(runs.iter().all(|runs| *runs > 50), "{runs:?}");
}

#[test]
fn neighbours_share_a_slot() {
    let region = Region::new(&Rc::new(Gate::default()));
    let key = |person| {
        let asked = PredictionRequest::parse(person, "").expect("valid");
        region.cache.keys(&region.settings, &asked).expect("the cache is on")
    };
    assert_eq!(key(PEOPLE[0]), key(PEOPLE[1]));
}
