//! The wall clock is set ahead and back, each time by more than a prediction is kept, while people's check-ins change
//! and nobody says so.

use super::questions::questions_with_versions;
use super::time;
use super::traffic::{Phase, Target, with_clients};
use harness::supabase::{FakeSupabase, Reply};
use harness::{Host, state};

/// The shortest of it, in a test run among others.
const SECONDS: u64 = 3;
/// The time for which a prediction is kept, in seconds.
const TTL: u64 = 300;
/// No two of these times are near each other: what was kept at one is over at the next, or from the future.
const STEPS: [(i64, &str); 6] = [
    (0, "the clock is right"),
    (1, "the clock was set ahead"),
    (-1, "the clock was set back"),
    (2, "the clock was set ahead again"),
    (-2, "the clock was set back again"),
    (3, "the clock was set ahead once more"),
];

#[test]
fn clock_that_is_set_ahead_or_back_serves_nothing_old_as_new() {
    let (questions, state) = (questions_with_versions(), state());
    let supabase = FakeSupabase::start(vec![Reply::RowsOfVersion(1)]);
    let clock = state.path().join("clock");
    std::fs::write(&clock, "").expect("written");
    let project = supabase.open_to_all(&[
        &format!("cache_ttl_seconds={TTL}"),
        // Nothing old stands in where a platform allows no more requests to the database.
        "cache_stale_seconds=0",
        "log_level=error",
    ]);
    let offset = format!("@{}", clock.display());
    let flags: Vec<&str> = project.iter().map(String::as_str).chain(["--clock-offset", &offset]).collect();
    let host = Host::start(&state, &flags);
    let all = time(SECONDS);
    let step = 2 * TTL + all.as_secs();
    with_clients(&questions, |director| {
        for (version, (steps, name)) in (1..).zip(STEPS) {
            std::fs::write(&clock, (steps * step as i64).to_string()).expect("written");
            supabase.set_reply(Reply::RowsOfVersion(version));
            let (phase, version) = (Phase::calm(name), u64::from(version));
            let seen = director.ask_during(&phase, vec![Target::with_versions(&host, version..=version)], |_| {
                std::thread::sleep(all / STEPS.len() as u32);
            });
            seen.print(&phase, &[&host]);
        }
    });
}
