//! Access tokens as the project's authentication server would sign them under its legacy secret.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::SystemTime;

/// Secret that tokens are signed with: the one of Supabase's own local development, which everybody knows.
pub const SECRET: &str = "super-secret-jwt-token-with-at-least-32-characters-long";

/// Returns the claims of a signed-in person's token, valid for an hour.
pub fn claims(project: &str, person: &str) -> Value {
    json!({
        "iss": format!("{project}/auth/v1"), "aud": "authenticated", "role": "authenticated", "sub": person,
        "iat": now(), "exp": now() + 3600
    })
}

/// Returns a signed-in person's token.
pub fn token(project: &str, person: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(&json!({ "alg": "HS256", "typ": "JWT" })), part(&claims(project, person)));
    let signature = URL_SAFE_NO_PAD.encode(mac(&message).finalize().into_bytes());
    format!("{message}.{signature}")
}

/// Reason why a token is refused, in PostgREST's terms.
#[derive(Debug, PartialEq)]
pub(crate) enum TokenError {
    Signature,
    Expired,
}

/// Verifies a token and returns its claims.
pub(crate) fn read(token: &str) -> Result<Value, TokenError> {
    let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Signature)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Signature)?;
    mac(message).verify_slice(&signature).map_err(|_| TokenError::Signature)?;
    let payload = message.split_once('.').and_then(|(_, payload)| URL_SAFE_NO_PAD.decode(payload).ok());
    let claims: Value =
        payload.and_then(|payload| serde_json::from_slice(&payload).ok()).ok_or(TokenError::Signature)?;
    match claims["exp"].as_u64() {
        Some(end) if end < now() => Err(TokenError::Expired),
        _ => Ok(claims),
    }
}

fn mac(message: &str) -> Hmac<Sha256> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(SECRET.as_bytes()).unwrap_or_else(|_| unreachable!());
    mac.update(message.as_bytes());
    mac
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
