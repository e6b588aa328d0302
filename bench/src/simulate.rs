//! `cargo xtask simulate`: the share of answers that a cache gives people who check in once a day and open the app now
//! and then, and the number of database queries in the busiest hour. Plotted into `docs/plots`.
//!
//! Nothing here is measured on people: how often they open the app is an assumption, stated in [`Habits`], and the
//! table shows how much depends on it.

use crate::PLOTS;
use crate::plot::{Plot, Scale, Series};
use anyhow::Result;
use fastrand::Rng;
use std::path::Path;

const PEOPLE: usize = 5_000;
pub(crate) const DAYS: usize = 7;
pub(crate) const DAY: f64 = 86_400.0;
pub(crate) const HOUR: f64 = 3_600.0;
pub(crate) const SEED: u64 = 20_260_131;
/// Times to live of an entry in the cache, in seconds.
const TTLS: [f64; 8] = [60.0, 300.0, 900.0, 3_600.0, 4.0 * HOUR, 12.0 * HOUR, DAY, 7.0 * DAY];
/// The outbound requests that Fermyon Cloud allows an application in an hour.
pub(crate) const OUTBOUND_AN_HOUR: f64 = 500.0;

/// The habits of people and their clinicians.
#[derive(Clone, Copy)]
pub(crate) struct Habits {
    /// Times a day that somebody opens the app beside checking in, from 7 to 23 o'clock.
    pub(crate) opens: f64,
    /// Requests of each visit: the app asks again when a view is opened.
    pub(crate) requests: usize,
    /// Times a week that a clinician looks at somebody, with a token of their own, which is answered past the cache.
    pub(crate) clinicians: f64,
    /// People check in, which removes their predictions from the cache.
    pub(crate) check_in: bool,
}

pub(crate) const HABITS: Habits = Habits { opens: 3.0, requests: 2, clinicians: 1.0, check_in: true };

/// The regions that answer, and their stores.
#[derive(Clone, Copy)]
pub(crate) struct Stores {
    regions: usize,
    /// All regions have one store.
    shared: bool,
}

pub(crate) const ONE_REGION: Stores = Stores { regions: 1, shared: true };
/// The deployments of the table.
const DEPLOYMENTS: [(&str, Stores); 3] = [
    ("1 region", ONE_REGION),
    ("3 regions, own stores", Stores { regions: 3, shared: false }),
    ("3 regions, one store", Stores { regions: 3, shared: true }),
];
/// The share of somebody's requests that reach their own region.
const AT_HOME: f64 = 0.95;

/// The result of a simulation.
struct Outcome {
    /// The share of answers to people that came from the cache.
    hit_rate: f64,
    /// Database queries for one person, in a mean day and in the busiest hour of one.
    upstream_a_day: f64,
    upstream_in_busiest_hour: f64,
    /// Requests for one person in the busiest hour.
    requests_in_busiest_hour: f64,
}

pub(crate) fn run() -> Result<()> {
    std::fs::create_dir_all(PLOTS)?;
    println!(
        "{PEOPLE} people for {DAYS} days; each checks in once a day (7 of 10 about 21 o'clock, the others about 8), opens the app {} times \
         more, {} requests each time, and is looked at by a clinician {} time a week\n",
        HABITS.opens, HABITS.requests, HABITS.clinicians
    );
    println!(
        "| time to live | hit rate | 3 regions, own stores | 3 regions, one store | database, a person a day | in the busiest hour | people \
         for {OUTBOUND_AN_HOUR} outbound requests an hour | requests/s of 100,000 people, busiest hour |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut rates: Vec<Series> = DEPLOYMENTS.iter().map(|(name, _)| ((*name).to_owned(), Vec::new())).collect();
    for ttl in TTLS {
        let outcomes = DEPLOYMENTS.map(|(_, stores)| simulate(HABITS, stores, ttl));
        for ((_, points), outcome) in rates.iter_mut().zip(&outcomes) {
            points.push((ttl, outcome.hit_rate));
        }
        print_row(ttl, &outcomes);
    }
    let plot = Plot {
        title: "Answers from the cache",
        x: ("time to live, s", Scale::Logarithmic),
        y: ("share", Scale::Linear),
    };
    plot.draw(&Path::new(PLOTS).join("hit-rate.svg"), &rates)?;
    plot_people_served()
}

fn print_row(ttl: f64, [one, own, shared]: &[Outcome; 3]) {
    println!(
        "| {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.3} | {:.0} | {:.0} |",
        in_words(ttl),
        one.hit_rate,
        own.hit_rate,
        shared.hit_rate,
        one.upstream_a_day,
        one.upstream_in_busiest_hour,
        OUTBOUND_AN_HOUR / one.upstream_in_busiest_hour,
        one.requests_in_busiest_hour * 100_000.0 / HOUR,
    );
}

/// Plots the number of people that the allowed outbound requests serve, by how often they open the app.
fn plot_people_served() -> Result<()> {
    let served = [1.0, 3.0, 10.0].map(|opens| {
        let people = TTLS.map(|ttl| {
            let outcome = simulate(Habits { opens, ..HABITS }, ONE_REGION, ttl);
            (ttl, OUTBOUND_AN_HOUR / outcome.upstream_in_busiest_hour)
        });
        (format!("{opens:.0} times a day"), people.to_vec())
    });
    let plot = Plot {
        title: "People whom 500 outbound requests an hour serve, by how often they look in",
        x: ("time to live, s", Scale::Logarithmic),
        y: ("people", Scale::Linear),
    };
    plot.draw(&Path::new(PLOTS).join("people-served.svg"), &served)
}

/// Formats a time to live in its largest unit.
pub(crate) fn in_words(ttl: f64) -> String {
    match ttl {
        ttl if ttl < HOUR => format!("{:.0} min", ttl / 60.0),
        ttl if ttl < DAY => format!("{:.0} h", ttl / HOUR),
        ttl => format!("{:.0} d", ttl / DAY),
    }
}

/// An event in a person's week.
pub(crate) enum Event {
    /// A request of theirs through a region.
    Request(usize),
    /// A check-in; the database's webhook reaches every region.
    CheckIn,
    /// A clinician's request.
    Clinician,
}

/// Simulates a week of all people with a cache that keeps answers for `ttl` seconds.
fn simulate(habits: Habits, stores: Stores, ttl: f64) -> Outcome {
    let mut random = Rng::with_seed(SEED);
    let (mut requests, mut hits, mut upstream) = (0_usize, 0_usize, 0_usize);
    let (mut upstream_by_hour, mut requests_by_hour) = ([0_usize; 24], [0_usize; 24]);
    for _ in 0..PEOPLE {
        let home = random.usize(..stores.regions);
        let mut events = events(habits, stores, home, &mut random);
        events.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let mut expires = vec![f64::MIN; if stores.shared { 1 } else { stores.regions }];
        for (time, event) in events {
            let hour = (time / HOUR) as usize % 24;
            let store = match event {
                Event::CheckIn => {
                    expires.fill(f64::MIN);
                    continue;
                }
                Event::Clinician => None,
                Event::Request(region) => Some(if stores.shared { 0 } else { region }),
            };
            requests_by_hour[hour] += 1;
            if let Some(store) = store {
                requests += 1;
                if expires[store] > time {
                    hits += 1;
                    continue;
                }
                expires[store] = time + ttl;
            }
            upstream += 1;
            upstream_by_hour[hour] += 1;
        }
    }
    let per_person_day = |count: usize| count as f64 / (PEOPLE * DAYS) as f64;
    Outcome {
        hit_rate: hits as f64 / requests as f64,
        upstream_a_day: per_person_day(upstream),
        upstream_in_busiest_hour: per_person_day(upstream_by_hour.into_iter().max().unwrap_or(0)),
        requests_in_busiest_hour: per_person_day(requests_by_hour.into_iter().max().unwrap_or(0)),
    }
}

/// Returns the events of one person's week, in no order.
pub(crate) fn events(habits: Habits, stores: Stores, home: usize, random: &mut Rng) -> Vec<(f64, Event)> {
    let mut events = Vec::new();
    for day in 0..DAYS {
        let midnight = day as f64 * DAY;
        let mut visits = Vec::new();
        if habits.check_in {
            let (about, spread) = if random.f64() < 0.7 { (21.0, 1.5) } else { (8.0, 1.0) };
            // The sum of twelve uniform numbers is as good as a normal one here.
            let normal = (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
            let time = midnight + (about + spread * normal).clamp(0.0, 23.9) * HOUR;
            events.push((time, Event::CheckIn));
            visits.push(time + 10.0);
        }
        let mut next = 7.0 * HOUR;
        loop {
            next += -(1.0 - random.f64()).ln() * 16.0 * HOUR / habits.opens;
            if next > 23.0 * HOUR {
                break;
            }
            visits.push(midnight + next);
        }
        for visit in visits {
            let region = if random.f64() < AT_HOME { home } else { random.usize(..stores.regions) };
            events.extend((0..habits.requests).map(|request| (visit + 5.0 * request as f64, Event::Request(region))));
        }
        if random.f64() < habits.clinicians / 7.0 {
            events.push((midnight + (8.0 + 10.0 * random.f64()) * HOUR, Event::Clinician));
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With questions at random times at a rate r and nothing that forgets, a share r T / (1 + r T) is answered from a
    /// cache that keeps an answer for T: of the questions that a miss begins, r T come within T.
    #[test]
    fn the_hit_rate_of_random_questions_is_what_theory_says() {
        for ttl in [HOUR, 2.0 * HOUR] {
            let habits = Habits { opens: 12.0, requests: 1, clinicians: 0.0, check_in: false };
            let expected = 12.0 / (16.0 * HOUR) * ttl;
            let expected = expected / (1.0 + expected);
            let found = simulate(habits, ONE_REGION, ttl).hit_rate;
            // The night, which ends before the first question, forgets a little.
            assert!((found - expected).abs() < 0.04, "{found} is not {expected}");
        }
    }

    #[test]
    fn a_shared_store_is_worth_more_than_one_a_region_and_an_endless_one_misses_after_check_ins_only() {
        let three = Stores { regions: 3, shared: false };
        let shared = simulate(HABITS, Stores { shared: true, ..three }, DAY);
        assert!(shared.hit_rate > simulate(HABITS, three, DAY).hit_rate);
        let endless = simulate(Habits { clinicians: 0.0, ..HABITS }, ONE_REGION, 1e9);
        assert!((1.0..1.2).contains(&endless.upstream_a_day), "{}", endless.upstream_a_day);
    }
}
