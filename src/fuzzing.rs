//! The parsers that meet bytes from outside, for the fuzz targets of `tests/fuzz`. None of them may panic, whatever it is given.

#![allow(missing_docs, reason = "named for what they parse")]

use crate::request::{PostedRequest, PredictionRequest};
use std::str::from_utf8;

pub fn query(bytes: &[u8]) {
    if let Ok(text) = from_utf8(bytes) {
        let (user_id, query) = text.split_once('?').unwrap_or((text, ""));
        let _ = PredictionRequest::parse(user_id, query);
        let _ = crate::route::find(&http::Method::GET, text);
    }
}

pub fn body(bytes: &[u8]) {
    let _ = PostedRequest::parse(bytes);
}

pub fn batch(bytes: &[u8]) {
    crate::endpoints::fuzz_batch(bytes);
}

pub fn inference(bytes: &[u8]) {
    crate::endpoints::fuzz_inference(bytes);
}

pub fn rows(bytes: &[u8]) {
    crate::checkins::fuzz(bytes);
}

pub fn cache_entry(bytes: &[u8]) {
    crate::cache::fuzz(bytes);
    crate::jobs::fuzz(bytes);
}

/// A token, a zero byte, a key set.
pub fn token(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (token, key_set) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if let Ok(token) = from_utf8(token) {
        crate::access::fuzz(token, key_set);
    }
}
