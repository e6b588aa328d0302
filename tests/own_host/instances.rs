//! An instance that answers many requests at a time. Which request an instance takes is the host's affair: Spin makes
//! one for each that arrives while all are busy, and only Redis can bring those together.

use harness::supabase::{FakeSupabase, Reply};
use harness::tokens::token;
use harness::{DEPRESSED, Host, at_once, state, without_ids};
use std::time::Duration;

#[test]
fn concurrent_requests_of_one_instance_for_the_same_person_are_coalesced() {
    let supabase = FakeSupabase::start(vec![Reply::RowsAfter(Duration::from_millis(500))]);
    let state = state();
    let many_at_a_time = ["--max-instance-concurrent-reuse-count", "64"];
    let host = Host::fast_with_supabase(&state, &supabase.url, &many_at_a_time);
    let authorization = format!("Bearer {}", token(&supabase.url, DEPRESSED));
    let path = format!("/data/predictions/{DEPRESSED}");
    let answers = at_once(12, |_| host.request("GET", &path, &[("authorization", &authorization)]));
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.body);
        let [own, first] = [answer.json(), answers[0].json()].map(without_ids);
        assert_eq!(own["predictions"], first["predictions"]);
    }
    // How many instances there are is the host's affair; that one asks once is what the component's own tests say.
    assert!(supabase.requests().len() < 12, "{}", supabase.requests().len());
}
