//! Supabase's access tokens: JSON Web Tokens (RFC 7519) that a project's authentication server signs.

use super::key_set::{self, Found};
use super::signature;
use crate::deadline::Deadline;
use crate::instance::Instance;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::request::{Token, UserId};
use crate::settings::{Settings, Signing, Supabase};
use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How far this machine's clock and the authentication server's may be apart.
const LEEWAY_SECONDS: u64 = 60;
/// How long an instance remembers that a token's signature is sound: ES256 takes most of a millisecond to check. Short, so that a
/// key that the project no longer publishes is not believed for long.
const REMEMBERED: Duration = Duration::from_secs(60);
/// The most tokens that an instance remembers.
const MOST_REMEMBERED: usize = 256;

/// Who a sound token is of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Holder {
    /// A person who signed in.
    Person(UserId),
    /// Somebody with a role of the project's own making: what they may see is the database's affair.
    Other(String),
    /// The project's own server, which may see everything.
    Service,
}

/// The tokens that an instance has checked, by their SHA-256.
pub(crate) type Remembered = HashMap<[u8; 32], Sound>;

/// What is remembered of a sound token.
pub(crate) struct Sound {
    holder: Holder,
    /// Seconds since 1970-01-01 UTC.
    expires_at: f64,
    forgotten_at: Instant,
}

#[derive(Deserialize)]
struct Claims {
    exp: f64,
    iss: Option<String>,
    aud: Option<Audience>,
    role: Option<String>,
    sub: Option<String>,
    /// The project, in the keys that Supabase signs with the legacy secret.
    #[serde(rename = "ref")]
    project: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Checks a token: signature under the configured algorithm, times, issuer, audience, role.
pub(super) async fn check<P: Platform>(
    instance: &Instance<P>,
    settings: &Settings,
    signing: &Signing,
    supabase: &Supabase,
    token: &Token,
    deadline: Deadline,
) -> Result<Holder, Problem> {
    let digest: [u8; 32] = Sha256::digest(token.as_str()).into();
    if let Some(sound) = instance.tokens.borrow().get(&digest)
        && Instant::now() < sound.forgotten_at
        && (Timestamp::now().as_second() as f64) < sound.expires_at + LEEWAY_SECONDS as f64
    {
        return Ok(sound.holder.clone());
    }
    signature::install();
    let (algorithm, key) = match signing {
        Signing::Secret(key) => (Algorithm::HS256, key.clone()),
        Signing::KeySet => {
            let id = key_id(token.as_str()).ok_or(Problem::BadToken)?;
            match key_set::find(instance, settings, supabase, &id, deadline).await {
                Found::Key(algorithm, key) => (algorithm, key),
                Found::NoSuchKey => return Err(Problem::BadToken),
                Found::Unavailable => return Err(Problem::KeysUnavailable),
            }
        }
    };
    let claims = claims(token.as_str(), algorithm, &key)?;
    let holder = holder(&claims, &supabase.origin).ok_or(Problem::BadToken)?;
    let mut tokens = instance.tokens.borrow_mut();
    if tokens.len() >= MOST_REMEMBERED {
        tokens.clear();
    }
    let sound = Sound { holder: holder.clone(), expires_at: claims.exp, forgotten_at: Instant::now() + REMEMBERED };
    tokens.insert(digest, sound);
    Ok(holder)
}

/// The key that a token names, if it is of an algorithm whose keys are published. Not yet believed: it only says where to look.
fn key_id(token: &str) -> Option<String> {
    let header = decode_header(token).ok()?;
    let published = matches!(header.alg, Algorithm::ES256 | Algorithm::RS256);
    header.kid.filter(|id| published && id.len() <= 128)
}

/// The claims of a token whose signature and times are sound.
fn claims(token: &str, algorithm: Algorithm, key: &DecodingKey) -> Result<Claims, Problem> {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    // Which audience and issuer are right depends on the role: `holder` looks at them.
    validation.validate_aud = false;
    match decode::<Claims>(token, key, &validation) {
        Ok(sound) => Ok(sound.claims),
        Err(error) if *error.kind() == ErrorKind::ExpiredSignature => Err(Problem::ExpiredToken),
        Err(_) => Err(Problem::BadToken),
    }
}

/// Who claims are of, or `None` if they are not meant for this project or this use of it.
fn holder(claims: &Claims, origin: &str) -> Option<Holder> {
    let from_authentication = claims.iss.as_deref() == Some(&format!("{origin}/auth/v1"));
    let for_the_signed_in = match &claims.aud {
        Some(Audience::One(audience)) => audience == "authenticated",
        Some(Audience::Several(all)) => all.iter().any(|audience| audience == "authenticated"),
        None => false,
    };
    // The keys that Supabase signs with the legacy secret name no audience, and the project in a way of their own.
    let project = origin.split("://").nth(1).and_then(|host| host.split('.').next());
    let from_supabase = claims.iss.as_deref() == Some("supabase")
        && claims.aud.is_none()
        && claims.project.as_deref().is_none_or(|claimed| Some(claimed) == project);
    match claims.role.as_deref() {
        Some("service_role") if from_supabase || from_authentication && for_the_signed_in => Some(Holder::Service),
        None | Some("anon" | "service_role") => None,
        Some(_) if !(from_authentication && for_the_signed_in) => None,
        Some("authenticated") => claims.sub.as_deref().and_then(UserId::parse).map(Holder::Person),
        Some(_) => claims.sub.clone().filter(|subject| !subject.is_empty()).map(Holder::Other),
    }
}

/// What the fuzzer calls: a token of any text, under a key of each kind.
#[cfg(feature = "fuzzing")]
pub(super) fn fuzz(token: &str, key: &DecodingKey) {
    signature::install();
    let _ = key_id(token);
    for algorithm in [Algorithm::HS256, Algorithm::ES256, Algorithm::RS256] {
        if let Ok(claims) = claims(token, algorithm, key) {
            let _ = holder(&claims, "https://project.supabase.co");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PERSON: &str = "11111111-1111-4111-8111-111111111111";

    /// Tokens that another implementation made; `make.py` stands beside them.
    #[test]
    fn recorded_tokens_are_read_under_their_own_key_and_algorithm_and_no_other() {
        signature::install();
        let fixture: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/fixtures/access/tokens.json")).expect("JSON");
        let published = key_set::read(fixture["key_set"].to_string().as_bytes()).expect("a key set");
        let published: Vec<_> = published.iter().filter_map(|key| key_set::usable(key.get())).collect();
        let secret = DecodingKey::from_secret(fixture["secret"].as_str().expect("text").as_bytes());
        let [(Algorithm::ES256, elliptic), (Algorithm::RS256, rsa)] = published.as_slice() else { panic!("two keys") };
        let person = UserId::parse(PERSON).map(Holder::Person);
        for (name, token) in fixture["tokens"].as_object().expect("an object") {
            let token = token.as_str().expect("text");
            for (algorithm, key) in [(Algorithm::HS256, &secret), (Algorithm::ES256, elliptic), (Algorithm::RS256, rsa)]
            {
                let read = claims(token, algorithm, key).map(|claims| holder(&claims, "https://project.supabase.co"));
                let expected = match (name.as_str(), algorithm) {
                    ("hs256", Algorithm::HS256) | ("es256", Algorithm::ES256) | ("rs256", Algorithm::RS256) => {
                        Ok(person.clone())
                    }
                    ("hs256_service", Algorithm::HS256) => Ok(Some(Holder::Service)),
                    ("hs256_expired", Algorithm::HS256) => Err(Problem::ExpiredToken),
                    _ => Err(Problem::BadToken),
                };
                assert_eq!(read, expected, "{name} as {algorithm:?}");
            }
            // A key of one kind under an algorithm of another.
            for (algorithm, key) in [(Algorithm::HS256, elliptic), (Algorithm::HS256, rsa), (Algorithm::RS256, &secret)]
            {
                assert_eq!(claims(token, algorithm, key).err(), Some(Problem::BadToken), "{name}");
            }
        }
        assert_eq!(key_id(fixture["tokens"]["rs256"].as_str().expect("text")).as_deref(), Some("rsa"));
        assert_eq!(key_id(fixture["tokens"]["hs256"].as_str().expect("text")), None);
        assert_eq!(key_id(fixture["tokens"]["none"].as_str().expect("text")), None);
    }

    fn of(claims: serde_json::Value) -> Option<Holder> {
        holder(&serde_json::from_value(claims).expect("claims"), "https://project.supabase.co")
    }

    #[test]
    fn a_role_says_who_and_needs_its_own_issuer_and_audience() {
        let own = "https://project.supabase.co/auth/v1";
        let person = UserId::parse(PERSON).map(Holder::Person);
        assert!(person.is_some());
        let claims = json!({ "exp": 1, "iss": own, "aud": "authenticated", "role": "authenticated", "sub": PERSON });
        let with = |name: &str, value: serde_json::Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            of(claims)
        };
        assert_eq!(of(claims.clone()), person);
        assert_eq!(with("aud", json!(["other", "authenticated"])), person);
        assert_eq!(with("sub", json!(PERSON.to_uppercase())), person);
        assert_eq!(with("role", json!("therapist")), Some(Holder::Other(PERSON.to_owned())));
        assert_eq!(with("role", json!("service_role")), Some(Holder::Service));
        for (name, value) in [
            ("iss", json!("https://other.supabase.co/auth/v1")),
            ("iss", json!("supabase")),
            ("iss", json!(null)),
            ("aud", json!("anon")),
            ("aud", json!([])),
            ("aud", json!(null)),
            ("role", json!("anon")),
            ("role", json!(null)),
            ("sub", json!("me")),
            ("sub", json!(null)),
        ] {
            assert_eq!(with(name, value.clone()), None, "{name}: {value}");
        }
        let service = json!({ "exp": 1, "iss": "supabase", "ref": "project", "role": "service_role" });
        assert_eq!(of(service.clone()), Some(Holder::Service));
        for (name, value) in [("ref", json!("other")), ("role", json!("anon")), ("aud", json!("other"))] {
            let mut service = service.clone();
            service[name] = value.clone();
            assert_eq!(of(service), None, "{name}: {value}");
        }
    }
}
