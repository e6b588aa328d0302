//! The store errs, the database is slow or silent, instances trap, clients hang up and the host is killed. On Spin,
//! whose store has no faults to show, the others.

use super::questions::every_question;
use super::time;
use super::traffic::{CLIENTS, Director, Observations, Phase, Target, with_clients};
use harness::supabase::{FakeSupabase, Reply};
use harness::{Host, is_on_spin, state, wait_for};
use std::collections::BTreeMap;
use std::time::Duration;

/// The shortest of it, in a test run among others.
const SECONDS: u64 = 22;
/// How much more memory the host may have at the end than after the first calm: its allocators keep what the busiest
/// moment took.
const GROWTH_MIB: f64 = 48.0;

/// A fault that lasts for a while.
struct Fault {
    phase: Phase,
    store: &'static str,
    database: Reply,
    /// The counters are looked at: they may have less than the clients, who write them at the same time, and never
    /// more.
    counted: bool,
}

const KILLED: &str = "the host is killed";
const CALM: &str = "all is well";

fn faults() -> Vec<Fault> {
    let calm = |name| Fault { phase: Phase::calm(name), store: "", database: Reply::Rows, counted: true };
    let store = |name, store, statuses| {
        let phase = Phase { statuses, ..Phase::calm(name) };
        Fault { phase, store, database: Reply::Rows, counted: false }
    };
    let database = |name, database, statuses| {
        let phase = Phase { statuses, ..Phase::calm(name) };
        Fault { phase, database, store: "", counted: true }
    };
    let breaking = |fault: Fault| Fault { phase: Phase { breaks: true, ..fault.phase }, counted: false, ..fault };
    let faults = vec![
        breaking(calm(KILLED)),
        calm(CALM),
        store("the store errs", "errors", &[503]),
        store("the store is slow", "slow=20ms", &[503]),
        store("the store loses writes", "loses-writes", &[]),
        breaking(store("instances trap", "traps=40", &[500, 503])),
        database("the database is slow", Reply::RowsAfter(Duration::from_millis(30)), &[]),
        database("the database is out of order", Reply::Respond(500, String::new()), &[503]),
        database("the database is silent", Reply::Hang, &[504]),
        calm("all is well again"),
    ];
    faults.into_iter().filter(|fault| fault.store.is_empty() || !is_on_spin()).collect()
}

/// Returns how often each route was answered, by the service's own count.
fn counters(host: &Host) -> BTreeMap<String, u64> {
    // An instance for which the store was too slow leaves it alone for a while.
    let text = wait_for(|| Some(host.get("/metrics")).filter(|answer| answer.status == 200)).body;
    let series = text.lines().filter(|line| line.starts_with("bipolar_edge_http_requests_total{"));
    let series = series.filter_map(|line| line.rsplit_once(' '));
    series.map(|(name, count)| (name.to_owned(), count.parse().expect("a number"))).collect()
}

fn series((route, method, status): &(&str, &str, u16)) -> String {
    format!("bipolar_edge_http_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}}")
}

/// Notes what was counted more often than it was answered.
fn check_counters(
    director: &mut Director<'_>,
    phase: &Phase,
    seen: &Observations,
    [before, after]: [&BTreeMap<String, u64>; 2],
) {
    for (key, answered) in &seen.answers {
        let name = series(key);
        let of = |counts: &BTreeMap<String, u64>| counts.get(&name).copied().unwrap_or(0);
        let counted = of(after) - of(before);
        if counted > *answered {
            director.note(format!("while {}: {counted} counted, {answered} answered: {name}", phase.name));
        }
    }
}

#[test]
fn faults_cause_no_wrong_response_no_growth_and_no_wrong_count() {
    let (questions, faults, state) = (every_question(), faults(), state());
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let lasts = time(SECONDS) / faults.len() as u32;
    let store_fault = state.path().join("fault");
    std::fs::write(&store_fault, "").expect("written");
    let project = supabase.open_to_all(&["cache_ttl_seconds=1", "inference_timeout_seconds=1", "log_level=error"]);
    let from_file = format!("@{}", store_fault.display());
    let faulty: &[&str] = if is_on_spin() { &[] } else { &["--store-fault", &from_file] };
    let flags: Vec<&str> = project.iter().map(String::as_str).chain(faulty.iter().copied()).collect();
    let mut host = Some(Host::start(&state, &flags));
    let target = |host: &Option<Host>| host.iter().map(Target::new).collect::<Vec<_>>();
    let (mut after_calm, mut after) = ((0.0, 0), (0.0, 0));
    with_clients(&questions, |director| {
        let mut is_settled = true;
        for Fault { phase, store, database, counted } in &faults {
            std::fs::write(&store_fault, store).expect("written");
            supabase.set_reply(database.clone());
            if *counted && !is_settled {
                // What instances have counted and could not flush is flushed, or they end. No condition tells: some of
                // these counts are lost for good, and nobody knows how many.
                std::thread::sleep(Duration::from_millis(2500));
            }
            let before = if *counted { host.as_ref().map(counters) } else { None };
            let seen = director.ask_during(phase, target(&host), |ask_others| {
                let times = if phase.name == KILLED { 4 } else { 1 };
                for _ in 0..times {
                    std::thread::sleep(lasts / times);
                    if phase.name == KILLED {
                        // In the middle of whatever it is doing.
                        drop(host.take());
                        host = Some(Host::start(&state, &flags));
                        ask_others(target(&host));
                    }
                }
            });
            // Counts are flushed within a tenth of a second. A condition that is waited for would miss what is counted
            // twice, and memory is measured at rest.
            std::thread::sleep(Duration::from_millis(500));
            let host = host.as_ref().expect("it was started again");
            if let Some(before) = before {
                check_counters(director, phase, &seen, [&before, &counters(host)]);
            }
            is_settled = *counted;
            after = (host.memory_mib(), host.descriptors());
            if phase.name == CALM {
                after_calm = after;
            }
            seen.print(phase, &[host]);
        }
    });
    let figures = format!("MiB and descriptors: {after_calm:?} before, {after:?} after");
    assert!(after.0 - after_calm.0 <= GROWTH_MIB, "{figures}");
    assert!(after.1 <= after_calm.1 + 2 * CLIENTS as usize, "{figures}");
}
