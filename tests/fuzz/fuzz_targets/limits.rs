//! A value of the store: the table that requests are counted in.

#![no_main]

use bipolar_edge::access::sampled::{Counts, Request, Table};
use bipolar_edge::quota::{LimitGroup, Rate};

libfuzzer_sys::fuzz_target!(|value: &[u8]| {
    let rate = Rate { requests: 60, seconds: 60 };
    let request = Request { tag: 1, group: LimitGroup::Predictions, rate, now_ms: 1_900_000_000_000, own: Counts::default() };
    let table = Table::parse(value);
    let _ = table.status(&request);
    if let Some(counted) = table.count(&request, 0.0, 10.0) {
        let _ = Table::parse(&counted).status(&request);
    }
});
