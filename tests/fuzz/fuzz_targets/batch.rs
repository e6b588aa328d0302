//! The body of a batch, and each of its items.

#![no_main]

use bipolar_edge::endpoints::batch;

libfuzzer_sys::fuzz_target!(|body: &[u8]| drop(batch::parse(body)));
