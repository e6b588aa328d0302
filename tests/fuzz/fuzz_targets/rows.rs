//! The rows of a person, whose id the corpus has.

#![no_main]

use bipolar_edge::checkins::parse_rows;
use bipolar_edge::ids::UserId;

libfuzzer_sys::fuzz_target!(|rows: &[u8]| {
    let user_id = UserId::parse("11111111-1111-4111-8111-111111111111").expect("a UUID");
    let _ = parse_rows(rows, user_id);
});
