//! The path and the query of a question about a person.

#![no_main]

use bipolar_edge::request::PredictionRequest;
use bipolar_edge::routes::match_template;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (user_id, query) = text.split_once('?').unwrap_or((text, ""));
    let _ = PredictionRequest::parse(user_id, query);
    let _ = match_template("/v2/models/{name}/versions/{version}/infer", text);
});
