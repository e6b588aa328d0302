//! The body of a question that comes with its check-ins.

#![no_main]

use bipolar_edge::request::PostedRequest;

libfuzzer_sys::fuzz_target!(|body: &[u8]| drop(PostedRequest::parse(body)));
