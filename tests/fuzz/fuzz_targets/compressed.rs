//! A compressed body, behind a byte that says how: it becomes no more than it may.

#![no_main]

use bipolar_edge::decompress;
use http::{HeaderMap, HeaderValue, header::CONTENT_ENCODING};

const LIMIT: usize = 64 << 10;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((first, body)) = bytes.split_first() else { return };
    let encoding = if *first == b'g' { "gzip" } else { "deflate" };
    let headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(encoding))]);
    if let Ok(decompressed) = decompress(&headers, body.to_vec(), LIMIT) {
        assert!(decompressed.len() <= LIMIT);
    }
});
