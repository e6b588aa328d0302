//! Redis falls silent, dies, comes back with nothing in it, and is full.

use super::questions::every_question;
use super::time;
use super::traffic::{Phase, Target, with_clients};
use harness::redis::Redis;
use harness::supabase::{FakeSupabase, Reply};
use harness::{EUTHYMIC, Host, platform, runs_the_fast_module, state, wait_until};

/// The shortest of it, in a test run among others.
const SECONDS: u64 = 6;

/// A state of Redis. Each begins in the middle of its phase's traffic.
#[derive(Clone, Copy, PartialEq)]
enum Condition {
    Well,
    Silent,
    Dead,
    BackAndEmpty,
    Full,
}

fn phases() -> [(Condition, Phase); 6] {
    let phase = |name, statuses| Phase { statuses, ..Phase::calm(name) };
    // The portable module waits for its store as long as the host does, which may be longer than a client waits.
    let silent = Phase { breaks: !runs_the_fast_module(), ..phase("Redis is silent", &[503]) };
    [
        (Condition::Well, phase("Redis is well", &[])),
        (Condition::Silent, silent),
        (Condition::Dead, phase("Redis is killed", &[503])),
        (Condition::BackAndEmpty, phase("Redis is back, and empty", &[503])),
        (Condition::Full, phase("Redis is full", &[])),
        (Condition::Well, phase("Redis is well again", &[])),
    ]
}

impl Condition {
    fn begin(self, redis: &mut Redis) {
        match self {
            Condition::Well => {}
            Condition::Silent => redis.signal("-STOP"),
            Condition::Dead => redis.kill(),
            Condition::BackAndEmpty => redis.restart(),
            Condition::Full => {
                redis.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
                redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
            }
        }
    }

    fn end(self, redis: &Redis) {
        match self {
            Condition::Silent => redis.signal("-CONT"),
            Condition::Full => drop(redis.command(&["CONFIG", "SET", "maxmemory", "0"])),
            Condition::Well | Condition::Dead | Condition::BackAndEmpty => {}
        }
    }
}

#[test]
fn redis_in_trouble_causes_no_wrong_response() {
    let (questions, phases, state, mut redis) = (every_question(), phases(), state(), Redis::start());
    let supabase = FakeSupabase::start(vec![Reply::Rows]);
    let lasts = time(SECONDS) / phases.len() as u32;
    let project = supabase.open_to_all(&[
        "cache_ttl_seconds=1",
        // Everything is counted, and nothing refused.
        "rate_limit_predictions=1000000000/day",
        "rate_limit_default=1000000000/day",
        "log_level=error",
    ]);
    let of_redis = redis.flags();
    let flags: Vec<&str> = project.iter().chain(&of_redis).map(String::as_str).collect();
    let start = if runs_the_fast_module() { Host::start_fast } else { Host::start };
    let host = start(&state, &flags);
    with_clients(&questions, |director| {
        for (condition, phase) in &phases {
            let seen = director.ask_during(phase, vec![Target::new(&host)], |_| {
                std::thread::sleep(lasts / 2);
                condition.begin(&mut redis);
                std::thread::sleep(lasts / 2);
                condition.end(&redis);
            });
            seen.print(phase, &[&host]);
        }
    });
    // A platform's requests to the database of this hour are used up.
    if platform().is_none() {
        host.wait_for_hit(EUTHYMIC, "");
    }
    wait_until(|| host.get("/health/ready").json()["counting"] == "exact");
}
