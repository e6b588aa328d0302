//! A token, a zero byte, and a key set: the token under every key of the set, and under a secret.

#![no_main]

use bipolar_edge::access::{key_set, token};
use jsonwebtoken::{Algorithm, DecodingKey};

const ORIGIN: &str = "https://project.supabase.co";

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (text, set) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(text) = std::str::from_utf8(text) else { return };
    let _ = token::key_id(text);
    let keys = key_set::parse(set).unwrap_or_default();
    let keys = keys.iter().filter_map(|key| key_set::parse_key(key.get())).map(|(_, key)| key);
    for key in keys.chain([DecodingKey::from_secret(b"secret")]) {
        for algorithm in [Algorithm::HS256, Algorithm::ES256, Algorithm::RS256] {
            let _ = token::verify(text, algorithm, &key, ORIGIN);
        }
    }
});
