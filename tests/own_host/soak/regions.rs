//! Two hosts share a store, in which each sees late what the other writes, while people's check-ins change.

use super::questions::{PEOPLE, questions_with_versions};
use super::time;
use super::traffic::{Observations, Phase, Target, with_clients};
use harness::supabase::{FakeSupabase, Reply};
use harness::{Host, platform, state, wait_until};
use std::time::{Duration, Instant};

/// The shortest of it, in a test run among others.
const SECONDS: u64 = 4;
const LAG: Duration = Duration::from_secs(2);
/// The changes of check-ins on a platform at most: after each they are asked for again, and a platform allows few
/// requests to the database.
const MAX_CHANGES_OF_A_PLATFORM: u64 = 4;

#[test]
fn regions_answer_from_the_newest_check_ins_once_their_store_shows_that_they_changed() {
    let (questions, state) = (questions_with_versions(), state());
    let supabase = FakeSupabase::start(vec![Reply::RowsOfVersion(1)]);
    let project = supabase.open_to_all(&["cache_key_secret=a secret that every region has", "log_level=error"]);
    let lag = format!("{}s", LAG.as_secs());
    let flags: Vec<&str> = project.iter().map(String::as_str).chain(["--replica-lag", &lag]).collect();
    let [near, far] = [Host::start(&state, &flags), Host::start(&state, &flags)];
    let targets =
        |near_has, far_has| vec![Target::with_versions(&near, near_has), Target::with_versions(&far, far_has)];
    let max_changes = if platform().is_some() { MAX_CHANGES_OF_A_PLATFORM } else { u64::MAX };
    let phases = [
        "both regions have the newest",
        "check-ins change, and one region is told",
        "the other region does not see it yet",
    ];
    let [calm, told, late] = phases.map(Phase::calm);
    // A change takes seconds: rows of the table are sums.
    let mut seen: [Observations; 3] = Default::default();
    let begin = Instant::now();
    with_clients(&questions, |director| {
        for version in 1..=max_changes {
            let all_new = targets(version..=version, version..=version);
            seen[0].add(director.ask_during(&calm, all_new, |_| std::thread::sleep(LAG / 2)));
            if version > 1 && begin.elapsed() >= time(SECONDS) {
                break;
            }
            let next = version + 1;
            supabase.set_reply(Reply::RowsOfVersion(u32::try_from(next).expect("a few")));
            seen[1].add(director.ask_during(&told, targets(version..=next, version..=next), |_| {
                for person in PEOPLE {
                    let path = format!("/data/predictions/{person}");
                    // A platform's writes of this second may be used up.
                    wait_until(|| near.request("DELETE", &path, &[]).status == 200);
                }
            }));
            let one_new = targets(next..=next, version..=next);
            seen[2].add(director.ask_during(&late, one_new, |_| std::thread::sleep(LAG)));
        }
    });
    for (seen, phase) in seen.iter().zip([&calm, &told, &late]) {
        seen.print(phase, &[&near, &far]);
    }
}
