//! `cargo xtask simulate`, third part: rate limits that are sampled in a key-value store without counters, with a
//! virtual clock. The code that decides is the service's own.

use anyhow::{Result, ensure};
use bipolar_edge::access::sampled::{OwnCounts, Request, SLOTS, Table, share_of_slot};
use bipolar_edge::quota::{LimitGroup, Rate};
use fastrand::Rng;
use std::collections::VecDeque;
use std::sync::Mutex;

const SEED: u64 = 20_260_131;
const CALLERS: [usize; 5] = [1, 10, 100, 1_000, 10_000];
/// Limits, in requests a minute.
const LIMITS: [u32; 2] = [60, 600];
/// The rates at which callers ask, in parts of their limit.
const LOADS: [f64; 3] = [0.5, 1.0, 2.0];
/// The time by which a read lags behind the writes, in milliseconds.
const LAGS_MS: [i64; 2] = [0, 2_000];
/// The time from the read of a request to its write.
const WRITE_MS: i64 = 5;
/// The writes a second that the limiter may make: nine tenths of the application's 40.
const BUDGET: u32 = 40;
/// The minutes that are simulated. The first one is for those who are not yet known to the store.
const MINUTES: usize = 2;
const MINUTE_MS: i64 = 60_000;
/// The begin of a minute.
const START_MS: i64 = 1_800_000_000_000;
/// The time in which a store that was empty, and lags, learns how many ask.
const LEARNING_MS: i64 = 30_000;
const REUSED_INSTANCES: usize = 4;
const GROUP: LimitGroup = LimitGroup::Predictions;

/// A deployment and those who ask it.
#[derive(Clone, Copy)]
struct Scenario {
    limit: u32,
    reused: bool,
    lag_ms: i64,
    callers: usize,
}

impl Scenario {
    /// Returns true if it is simulated in seconds: 10,000 callers of 600 requests a minute show nothing that 1,000 do
    /// not.
    fn is_short(&self) -> bool {
        self.callers * self.limit as usize <= 600_000
    }
}

/// The result of a scenario with one load and one kind of arrivals.
#[derive(Clone, Copy, Default)]
struct Outcome {
    /// The share of requests that were refused, from the second minute on.
    refused: f64,
    /// Requests let through in a minute of a caller, as parts of the limit: the mean from the second minute on, and the
    /// most of any.
    effective: f64,
    worst: f64,
    /// Writes a second, in the first [`LEARNING_MS`] and after.
    first_writes: f64,
    writes: f64,
    /// Refused requests of callers who had never asked for half of their limit in 60 seconds.
    below_half: usize,
}

pub(crate) fn run() -> Result<()> {
    println!("\n{BUDGET} writes a second, of which the limiter has nine tenths\n");
    println!(
        "| limit | instances | lag | callers | refused at 0.5 x | at 1 x | at 2 x | effective limit at 2 x: mean \
         | worst | writes/s | in the first 30 s | refused below half |"
    );
    println!("|{}", " --- |".repeat(12));
    let mut scenarios = Vec::new();
    for limit in LIMITS {
        for reused in [false, true] {
            for lag_ms in LAGS_MS {
                let scenario = |callers| Scenario { limit, reused, lag_ms, callers };
                scenarios.extend(CALLERS.map(scenario).into_iter().filter(|scenario| scenario.is_short()));
            }
        }
    }
    let rows = in_parallel(&scenarios, |scenario| LOADS.map(|load| both_arrivals(scenario, load)));
    for (scenario, row) in scenarios.iter().zip(&rows) {
        print_row(scenario, row);
    }
    ensure!(
        rows.iter().flatten().all(|outcome| outcome.below_half == 0),
        "somebody below half of their limit was refused"
    );
    let budget = f64::from(BUDGET) * 0.9;
    ensure!(rows.iter().flatten().all(|outcome| outcome.writes <= budget), "more writes than the budget allows");
    Ok(())
}

/// Maps on all cores, in order.
fn in_parallel<T: Copy + Sync, U: Send>(items: &[T], map: impl Fn(T) -> U + Sync) -> Vec<U> {
    let next = Mutex::new(items.iter().enumerate());
    let take = || next.lock().ok().and_then(|mut items| items.next());
    let work = || std::iter::from_fn(take).map(|(place, item)| (place, map(*item))).collect::<Vec<_>>();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut done: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
    });
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, output)| output).collect()
}

fn print_row(scenario: &Scenario, row: &[Outcome; 3]) {
    let Scenario { limit, reused, lag_ms, callers } = scenario;
    let [half, full, double] = row.map(|outcome| outcome.refused);
    let most = |of: fn(&Outcome) -> f64| row.iter().map(of).fold(0.0, f64::max);
    println!(
        "| {limit}/min | {} | {} s | {callers} | {half:.3} | {full:.2} | {double:.2} \
         | {:.2} | {:.2} | {:.1} | {:.0} | {} |",
        if *reused { "4, reused" } else { "one a request" },
        lag_ms / 1_000,
        row[2].effective,
        row[2].worst,
        most(|outcome| outcome.writes),
        most(|outcome| outcome.first_writes),
        row.iter().map(|outcome| outcome.below_half).sum::<usize>(),
    );
}

/// Simulates even and Poisson arrivals. Shares are the mean of both, the worst and the writes the greater.
fn both_arrivals(scenario: Scenario, load: f64) -> Outcome {
    let [even, poisson] = [true, false].map(|even| simulate(scenario, load, even));
    Outcome {
        refused: f64::midpoint(even.refused, poisson.refused),
        effective: f64::midpoint(even.effective, poisson.effective),
        worst: even.worst.max(poisson.worst),
        first_writes: even.first_writes.max(poisson.first_writes),
        writes: even.writes.max(poisson.writes),
        below_half: even.below_half + poisson.below_half,
    }
}

/// A slot of a store: writes land late, replace one another, and are read later still.
struct Slot {
    visible: Table,
    landed: VecDeque<(i64, Vec<u8>)>,
}

impl Slot {
    fn read(&mut self, seen_ms: i64) -> &Table {
        let seen = self.landed.partition_point(|(landed_ms, _)| *landed_ms <= seen_ms);
        if let Some((_, value)) = self.landed.drain(..seen).next_back() {
            self.visible = Table::parse(&value);
        }
        &self.visible
    }
}

/// One caller, as the simulation knows them.
struct Caller {
    tag: u64,
    /// The times of their requests in the last minute, until they were half of the limit.
    times_ms: VecDeque<i64>,
    asked_half: bool,
    /// Requests let through, by minute.
    let_through: [u32; MINUTES],
}

impl Caller {
    fn note(&mut self, now_ms: i64, limit: u32) {
        if self.asked_half {
            return;
        }
        self.times_ms.push_back(now_ms);
        while self.times_ms.front().is_some_and(|time| *time <= now_ms - MINUTE_MS) {
            self.times_ms.pop_front();
        }
        self.asked_half = 2 * self.times_ms.len() >= limit as usize;
        if self.asked_half {
            self.times_ms = VecDeque::new();
        }
    }
}

fn simulate(scenario: Scenario, load: f64, even: bool) -> Outcome {
    let Scenario { limit, reused, lag_ms, callers: count } = scenario;
    let rate = Rate { requests: limit, seconds: 60 };
    let mut random = Rng::with_seed(SEED);
    let caller = |random: &mut Rng| Caller {
        tag: random.u64(..),
        times_ms: VecDeque::new(),
        asked_half: false,
        let_through: [0; MINUTES],
    };
    let mut callers: Vec<_> = (0..count).map(|_| caller(&mut random)).collect();
    let mut slots: [Slot; SLOTS] = std::array::from_fn(|_| Slot { visible: Table::default(), landed: VecDeque::new() });
    let mut instances: [OwnCounts; REUSED_INSTANCES] = Default::default();
    let (mut asked, mut refused, mut writes) = (0_usize, 0_usize, [0_usize; 2]);
    let mut outcome = Outcome::default();
    for (since_ms, who) in
        arrivals(count, load * f64::from(limit) / 60.0, even, MINUTES as i64 * MINUTE_MS, random.fork())
    {
        let (now_ms, minute) = (START_MS + since_ms, (since_ms / MINUTE_MS) as usize);
        let caller = &mut callers[who];
        caller.note(now_ms, limit);
        let mut request = Request { tag: caller.tag, group: GROUP, rate, now_ms, own: Default::default() };
        let instance = &mut instances[random.usize(..REUSED_INSTANCES)];
        if reused {
            request.own = instance.get(caller.tag, GROUP, rate, now_ms);
        }
        let slot = &mut slots[caller.tag as usize % SLOTS];
        let table = slot.read(now_ms - lag_ms);
        asked += usize::from(minute > 0);
        if table.status(&request).is_err() {
            refused += usize::from(minute > 0);
            outcome.below_half += usize::from(!caller.asked_half);
            continue;
        }
        caller.let_through[minute] += 1;
        if reused {
            instance.add(&request, false);
        }
        if let Some(value) = table.count(&request, random.f64(), share_of_slot(BUDGET)) {
            slot.landed.push_back((now_ms + WRITE_MS, value));
            writes[usize::from(since_ms >= LEARNING_MS)] += 1;
        }
    }
    let parts = |range: std::ops::Range<usize>| {
        let counts = callers.iter().flat_map(move |caller| caller.let_through[range.clone()].iter());
        counts.map(|count| f64::from(*count) / f64::from(limit))
    };
    Outcome {
        refused: refused as f64 / asked.max(1) as f64,
        effective: parts(1..MINUTES).sum::<f64>() / (count * (MINUTES - 1)) as f64,
        worst: parts(0..MINUTES).fold(0.0, f64::max),
        first_writes: writes[0] as f64 / (LEARNING_MS / 1_000) as f64,
        writes: writes[1] as f64 / (MINUTES as i64 * 60 - LEARNING_MS / 1_000) as f64,
        ..outcome
    }
}

/// Returns the times of requests, in milliseconds, and who makes them. Each caller makes `rate` requests a second, at
/// even intervals or at random times.
fn arrivals(
    callers: usize,
    rate: f64,
    even: bool,
    duration_ms: i64,
    mut random: Rng,
) -> impl Iterator<Item = (i64, usize)> {
    let mut phases: Vec<_> = (0..callers).map(|caller| (random.f64(), caller)).collect();
    phases.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (mut asked, mut time) = (0, 0.0);
    let next = move || {
        let (phase, in_order) = phases[asked % callers];
        asked += 1;
        if even {
            Some(((((asked - 1) / callers) as f64 + phase) / rate * 1e3, in_order))
        } else {
            time += -(1.0 - random.f64()).ln() / (rate * callers as f64) * 1e3;
            Some((time, random.usize(..callers)))
        }
    };
    std::iter::from_fn(next).map(|(time, who)| (time as i64, who)).take_while(move |(time, _)| *time < duration_ms)
}
