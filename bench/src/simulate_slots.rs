//! `cargo xtask simulate`, second part: the share of answers that a cache with a fixed number of slots gives, and the
//! writes that it makes. A person's hash chooses a slot, and whoever shares one replaces the other's entry. It chooses
//! a generation, too, of a fixed number: a check-in of one invalidates the entries of all who share it. Plotted into
//! `docs/plots`.
//!
//! Slots know nothing of each other. So a sixteenth of the people in a sixteenth of the slots meet as often as all do
//! in all, and stand for those who are too many. Each run checks this where both can be simulated.

use crate::PLOTS;
use crate::plot::{Plot, Scale, Series};
use crate::simulate::{DAY, DAYS, Event, HABITS, HOUR, Habits, ONE_REGION, OUTBOUND_AN_HOUR, SEED, events, in_words};
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use std::path::Path;

const PEOPLE: [usize; 6] = [200, 1_000, 5_000, 20_000, 100_000, 1_000_000];
/// The slots of `spin.toml`, for stores of 1,024 keys.
const DEFAULT_SLOTS: usize = 400;
/// The numbers of slots; `None` is Redis, where each person has a key. All can be divided by [`PARTS`].
const SLOTS: [Option<usize>; 4] = [Some(DEFAULT_SLOTS), Some(4_096), Some(65_536), None];
/// The generations that people share where there are few slots, up to a thousand, and where there are more.
const GENERATIONS: [usize; 2] = [448, 65_536];
/// The default time to live, and one for deployments with the webhook.
const TTLS: [f64; 2] = [300.0, DAY];
/// Of more people than this, one in [`PARTS`] is simulated.
const MAX_PEOPLE: usize = 100_000;
const PARTS: usize = 16;
/// Of fewer people, so many towns are simulated that this many live in them.
const MIN_PEOPLE: usize = 20_000;
/// The difference between hit rates of all people and of one in [`PARTS`] that is let pass.
const MAX_DIFFERENCE: f64 = 0.01;
/// One miss in so many sweeps, which is one more write.
const MISSES_PER_SWEEP: f64 = 16.0;

/// The result of a simulation.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    /// The share of answers to people that came from the cache.
    hit_rate: f64,
    /// Writes a second in the busiest hour to a key-value store: entries, generations and the progress of sweeps.
    writes: f64,
    /// Database queries in the busiest hour, clinicians' included.
    queries: f64,
}

pub(crate) fn run() -> Result<()> {
    let name = |slots: Option<usize>| slots.map_or_else(|| "Redis".to_owned(), |slots| format!("{slots} slots"));
    println!("\nThe same people in a cache of so many slots; writes a second are those of the busiest hour\n");
    let stores = SLOTS.map(name);
    let (_, of_key_values) = stores.split_last().context("there are stores")?;
    println!("| time to live | people | {} | writes/s: {} |", stores.join(" | "), of_key_values.join(" | "));
    println!("|{}", " --- |".repeat(2 + stores.len() + of_key_values.len()));
    let mut lines: Vec<Series> = Vec::new();
    for ttl in TTLS {
        let rows = PEOPLE.map(|people| (people, outcomes(HABITS, people, SLOTS, ttl)));
        for (people, outcomes) in &rows {
            let rates = outcomes.map(|outcome| format!("{:.2}", outcome.hit_rate)).join(" | ");
            let writes = outcomes.map(|outcome| format!("{:.2}", outcome.writes));
            let writes = writes[..of_key_values.len()].join(" | ");
            println!("| {} | {people} | {rates} | {writes} |", in_words(ttl));
        }
        for (index, slots) in SLOTS.into_iter().enumerate().filter(|(_, slots)| *slots != Some(4_096)) {
            let line = rows.iter().map(|(people, outcomes)| (*people as f64, outcomes[index].hit_rate));
            lines.push((format!("{}, {}", name(slots), in_words(ttl)), line.collect()));
        }
    }
    for ttl in TTLS {
        let people = people_served(DEFAULT_SLOTS, ttl);
        println!("{DEFAULT_SLOTS} slots, {}: {people} people for {OUTBOUND_AN_HOUR} queries an hour", in_words(ttl));
    }
    println!("\nlargest difference between {MAX_PEOPLE} people and one in {PARTS}: {:.4}", check_parts(MAX_PEOPLE)?);
    let plot = Plot {
        title: "Answers from a cache of so many slots, by its time to live",
        x: ("people", Scale::Logarithmic),
        y: ("share", Scale::Linear),
    };
    plot.draw(&Path::new(PLOTS).join("slots.svg"), &lines)
}

/// Returns the number of people, to ten, whose queries in the busiest hour are as many as the outbound requests that
/// Fermyon Cloud allows.
fn people_served(slots: usize, ttl: f64) -> usize {
    let (mut enough, mut too_many) = (0, 1_000);
    while too_many - enough > 1 {
        let tens = usize::midpoint(enough, too_many);
        let [outcome] = outcomes(HABITS, tens * 10, [Some(slots)], ttl);
        if outcome.queries <= OUTBOUND_AN_HOUR { enough = tens } else { too_many = tens }
    }
    enough * 10
}

/// Returns the largest difference between the hit rates of all people and of one in [`PARTS`] in as large a part of the
/// slots. Errors if it is too large.
fn check_parts(people: usize) -> Result<f64> {
    let mut largest = 0.0_f64;
    for ttl in TTLS {
        let all = simulate(HABITS, people, SLOTS, ttl, 1, SEED);
        let slots = SLOTS.map(|slots| slots.map(|slots| slots / PARTS));
        let some = simulate(HABITS, people / PARTS, slots, ttl, PARTS, SEED + 1);
        for (all, some) in all.into_iter().zip(some) {
            largest = largest.max((all.hit_rate - some.hit_rate).abs());
        }
    }
    ensure!(largest <= MAX_DIFFERENCE, "one person in {PARTS} does not stand for all: {largest}");
    Ok(largest)
}

/// Simulates so many people, or fewer who stand for them, or several times as many.
fn outcomes<const N: usize>(habits: Habits, people: usize, slots: [Option<usize>; N], ttl: f64) -> [Outcome; N] {
    let parts = if people > MAX_PEOPLE { PARTS } else { 1 };
    let slots = slots.map(|slots| slots.map(|slots| slots / parts));
    let towns = MIN_PEOPLE.div_ceil(people);
    let mut mean = [Outcome::default(); N];
    for town in 0..towns {
        for (mean, outcome) in
            mean.iter_mut().zip(simulate(habits, people / parts, slots, ttl, parts, SEED + town as u64))
        {
            mean.hit_rate += outcome.hit_rate / towns as f64;
            mean.writes += outcome.writes * parts as f64 / towns as f64;
            mean.queries += outcome.queries * parts as f64 / towns as f64;
        }
    }
    mean
}

/// Simulates a week of people with caches of so many slots, and one of so many parts of the generations.
fn simulate<const N: usize>(
    habits: Habits,
    people: usize,
    slots: [Option<usize>; N],
    ttl: f64,
    parts: usize,
    seed: u64,
) -> [Outcome; N] {
    let mut random = Rng::with_seed(seed);
    let mut all: Vec<(f64, u32, Event)> = Vec::new();
    let hashes: Vec<u64> = (0..people).map(|_| random.u64(..)).collect();
    for person in 0..people as u32 {
        let events = events(habits, ONE_REGION, 0, &mut random).into_iter();
        all.extend(events.map(|(time, event)| (time, person, event)));
    }
    all.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let generations = |slots: usize| GENERATIONS[usize::from(slots * parts > 1_000)] / parts;
    slots.map(|slots| replay(&all, &hashes, slots.map(|slots| (slots, generations(slots))), ttl))
}

/// The entry in a slot.
#[derive(Clone, Copy)]
struct Entry {
    person: u32,
    made: f64,
}

/// Replays what people do, in order, with one cache of so many slots and generations: with `None` each has their own.
fn replay(all: &[(f64, u32, Event)], hashes: &[u64], numbers: Option<(usize, usize)>, ttl: f64) -> Outcome {
    let (slots, generations) = numbers.unwrap_or((hashes.len(), hashes.len()));
    let mut entries = vec![Entry { person: 0, made: f64::MIN }; slots];
    let mut invalidated = vec![f64::MIN; generations];
    let (mut requests, mut hits) = (0_usize, 0_usize);
    let (mut writes, mut queries) = ([0.0_f64; 24], [0.0_f64; 24]);
    for (time, person, event) in all {
        let place = |of: usize| numbers.map_or(*person as usize, |_| (hashes[*person as usize] % of as u64) as usize);
        let (entry, invalidated) = (&mut entries[place(slots)], &mut invalidated[place(generations)]);
        let hour = (time / HOUR) as usize % 24;
        match event {
            Event::CheckIn => {
                *invalidated = *time;
                writes[hour] += 1.0;
            }
            Event::Clinician => queries[hour] += 1.0,
            Event::Request(_) => {
                requests += 1;
                if entry.person == *person && entry.made > invalidated.max(*time - ttl) {
                    hits += 1;
                    continue;
                }
                *entry = Entry { person: *person, made: *time };
                writes[hour] += 1.0 + 1.0 / MISSES_PER_SWEEP;
                queries[hour] += 1.0;
            }
        }
    }
    let busiest = |by_hour: [f64; 24]| by_hour.into_iter().fold(0.0, f64::max) / DAYS as f64;
    Outcome { hit_rate: hits as f64 / requests as f64, writes: busiest(writes) / HOUR, queries: busiest(queries) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of people in one slot who ask at random times the latest is served: one in as many as there are.
    #[test]
    fn who_shares_a_slot_is_served_as_often_as_they_were_the_last_to_ask() {
        let habits = Habits { opens: 12.0, requests: 1, clinicians: 0.0, check_in: false };
        for people in [2, 4, 10] {
            let weeks: Vec<_> =
                (0..100).map(|seed| simulate(habits, people, [Some(1)], 1e9, 1, seed)[0].hit_rate).collect();
            let found = weeks.iter().sum::<f64>() / weeks.len() as f64;
            let expected = 1.0 / people as f64;
            assert!((found - expected).abs() < 0.02, "{people}: {found} is not {expected}");
        }
    }

    #[test]
    fn more_slots_serve_more_and_none_as_much_as_a_key_for_each_person() {
        for ttl in TTLS {
            let rates = outcomes(HABITS, 5_000, SLOTS, ttl).map(|outcome| outcome.hit_rate);
            assert!(rates.is_sorted(), "{rates:?}");
        }
    }

    #[test]
    fn a_part_of_the_people_in_as_large_a_part_of_the_slots_stands_for_all() {
        assert!(check_parts(MIN_PEOPLE).is_ok());
    }
}
