//! No bytes make the importer panic, hang or allocate without bound, and what it reads can be predicted with.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(model) = forest::import::read_onnx(bytes) {
        for value in [0.0, -0.5, f64::NAN, f64::INFINITY, 3e7] {
            let row = vec![value; model.forests.features()];
            let _ = model.predict(&row);
            for output in 0..model.forests.len().min(4) {
                let _ = model.forests.contributions(output, &row);
            }
        }
    }
});
