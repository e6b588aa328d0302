//! The body of an inference request, whose JSON ends at its first zero byte.

#![no_main]

use bipolar_edge::endpoints::inference_protocol::predict;
use bipolar_edge_models::MODELS;

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let json = body.iter().position(|byte| *byte == 0).unwrap_or(body.len());
    let (json, binary) = body.split_at(json);
    if let Some(model) = MODELS.first() {
        let _ = predict(model, json, binary);
    }
});
