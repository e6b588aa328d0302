//! Many clients at once, on instances that are used again.

use harness::{DEPRESSED, EUTHYMIC, Host, MANIC, MIXED, without_ids};
use std::collections::HashMap;

const CLIENTS: usize = 64;
const REQUESTS_EACH: usize = 25;

#[test]
fn concurrent_clients_over_reused_instances_get_their_own_responses() {
    let people = [EUTHYMIC, MANIC, DEPRESSED, MIXED];
    for flags in [&[][..], &["--max-instance-reuse-count", "1"], &["--max-instance-concurrent-reuse-count", "1"]] {
        let host = Host::with_flags(flags);
        let expected: HashMap<&str, serde_json::Value> = people
            .map(|person| (person, without_ids(host.predictions(person, "").json())["predictions"].take()))
            .into();
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (host, expected) = (&host, &expected);
                scope.spawn(move || {
                    for request in 0..REQUESTS_EACH {
                        let person = people[(client + request) % people.len()];
                        let path = format!("/data/predictions/{person}");
                        let answer = host.get(&path);
                        assert_eq!(answer.status, 200);
                        assert_eq!(answer.json()["user_id"], person);
                        assert_eq!(without_ids(answer.json())["predictions"], expected[person]);
                    }
                });
            }
        });
    }
}
