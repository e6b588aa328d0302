#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bipolar_edge::fuzzing::inference(bytes));
