//! A value of the store: an entry of the prediction cache, or the record of a background prediction.

#![no_main]

use bipolar_edge::cache::{Entry, Slot};
use bipolar_edge::jobs::Job;

libfuzzer_sys::fuzz_target!(|value: &[u8]| {
    if let Some(entry) = Entry::parse(value, "k", "g") {
        let _ = (entry.expired_for(), entry.age());
    }
    if let Some(slot) = Slot::parse(value) {
        for (_, entry) in &slot.entries {
            let _ = Entry::parse(entry, "k", "g");
        }
        assert!(Slot::render(slot.person, &slot.entries) == value);
    }
    if let Some(job) = Job::parse(value) {
        let _ = job.render();
    }
});
