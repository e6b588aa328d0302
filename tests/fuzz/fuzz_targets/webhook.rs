//! The body of a database's webhook.

#![no_main]

use bipolar_edge::endpoints::check_ins_hook::people;

libfuzzer_sys::fuzz_target!(|body: &[u8]| drop(people(body)));
