//! Access tokens as Supabase's authentication server makes them, and as it never would. Made by hand, not by the
//! library that reads them.

#![allow(clippy::expect_used, reason = "a test ends there")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Signer;
use rsa::traits::PublicKeyParts;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;
use std::time::SystemTime;

pub use demo_project::{ANON_KEY, SECRET, token};

/// The project's key that row-level security does not apply to.
pub const SERVICE_KEY: &str = "sb_secret_of_the_project_that_sees_everything";
/// A key of the service's own, as in the variable `api_keys`.
pub const API_KEY: &str = "key-0123456789abcdef0123456789abcdef";
/// The secret that the database's webhook sends, as in the variable `webhook_secret`.
pub const WEBHOOK_SECRET: &str = "a secret of the webhook's own";

static ELLIPTIC_KEY: LazyLock<p256::ecdsa::SigningKey> =
    LazyLock::new(|| p256::ecdsa::SigningKey::from_slice(&[7; 32]).expect("a scalar"));
static RSA_KEY: LazyLock<rsa::PrivateKey> = LazyLock::new(|| {
    use chacha20poly1305::aead::rand_core::UnwrapErr;
    rsa::PrivateKey::new(&mut UnwrapErr(getrandom::SysRng), 2048).expect("a key")
});

/// Returns the time so many seconds from now, in seconds since 1970-01-01 UTC.
pub fn seconds_from_now(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later").as_secs();
    now as i64 + seconds
}

/// Returns the claims of a signed-in person's token.
pub fn claims(project: &str, person: &str) -> Value {
    json!({
        "iss": format!("{project}/auth/v1"), "aud": "authenticated", "role": "authenticated", "sub": person,
        "exp": seconds_from_now(3600), "iat": seconds_from_now(0), "email": "someone@example.com", "aal": "aal1",
        "session_id": "0e8f4c8a-6a0b-4a4e-9d0a-0d8c3f0c9b1d", "is_anonymous": false,
        "app_metadata": { "provider": "email", "providers": ["email"] }, "user_metadata": {}
    })
}

/// Encodes JSON as a part of a token.
pub fn encode_part(value: &Value) -> String {
    encode_text(&value.to_string())
}

/// Encodes a text as a part of a token, also one that is no JSON.
pub fn encode_text(text: &str) -> String {
    encode_bytes(text.as_bytes())
}

/// Encodes bytes as a part of a token.
pub fn encode_bytes(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Makes a token with any header, signed by whatever.
pub fn sign_token(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", encode_part(header), encode_part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// Signs with HMAC-SHA256.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// Makes a token under a secret.
pub fn hs256(claims: &Value, key: &[u8]) -> String {
    sign_token(&json!({ "alg": "HS256", "typ": "JWT" }), claims, |message| hmac_sha256(key, message))
}

/// Makes a token under the project's elliptic key.
pub fn es256(key_id: &str, claims: &Value) -> String {
    sign_token(&json!({ "alg": "ES256", "typ": "JWT", "kid": key_id }), claims, sign_elliptic)
}

/// Signs with the project's elliptic key.
pub fn sign_elliptic(message: &[u8]) -> Vec<u8> {
    let signature: p256::ecdsa::Signature = ELLIPTIC_KEY.sign(message);
    signature.to_bytes().to_vec()
}

/// Makes a token under the project's RSA key.
pub fn rs256(key_id: &str, claims: &Value) -> String {
    sign_token(&json!({ "alg": "RS256", "typ": "JWT", "kid": key_id }), claims, |message| {
        RSA_KEY.sign(rsa::Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message)).expect("a signature")
    })
}

/// Returns the public half of the elliptic key, as an uncompressed point.
pub fn elliptic_point() -> Vec<u8> {
    ELLIPTIC_KEY.verifying_key().to_sec1_point(false).as_bytes().to_vec()
}

/// Returns the key set that the project publishes: one key of each kind.
pub fn key_set(elliptic_id: &str, rsa_id: &str) -> Value {
    let point = elliptic_point();
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({ "keys": [
        {
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": elliptic_id, "key_ops": ["verify"], "ext": true,
            "x": text(&point[1..33]), "y": text(&point[33..])
        },
        {
            "kty": "RSA", "alg": "RS256", "use": "sig", "kid": rsa_id,
            "n": text(&RSA_KEY.n().to_be_bytes()), "e": text(&RSA_KEY.e().to_be_bytes_trimmed_vartime())
        }
    ] })
}

/// Returns the claims of a token, without a look at its signature.
pub fn unverified_claims(token: &str) -> Option<Value> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}
