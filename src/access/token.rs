//! Supabase's access tokens: JSON Web Tokens (RFC 7519) that a project's authentication server signs.

use super::key_set::{FoundKey, KeySetCache};
use super::signature;
use crate::config::Signing;
use crate::deadline::Deadline;
use crate::ids::UserId;
use crate::json;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::store::{Failure, Kind, Store};
use crate::supabase::{Project, Token, is_local};
use crate::time::now;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// This machine's clock and the authentication server's may be so far apart.
const LEEWAY_SECONDS: u64 = 60;
/// The time for which a token's signature is remembered to be valid: a published key's takes a millisecond or two to
/// check, more than everything else of a cached answer. Short, so that a key that the project no longer publishes is
/// not believed for long: no longer than a key set serves.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);
/// The most tokens that an instance remembers.
const MAX_KNOWN: usize = 256;

/// The result of checking a token that is valid.
pub(super) struct Checked {
    pub(super) holder: Holder,
    /// Whoever it is signed in without an address or a password: anyone who has the app can.
    pub(super) is_anonymous: bool,
}

/// The holder of a valid token.
#[derive(Clone, Debug, PartialEq)]
pub enum Holder {
    /// A person who signed in.
    Person(UserId),
    /// Somebody with a role of the project's own making: the rows that they may see are for the database to decide.
    Other(String),
    /// The project's own server, which may see everything.
    Service,
}

/// The tokens that were verified under published keys: those that this instance knows, and in the store those that any
/// has verified. Of a token and of its holder there are keyed hashes. A legacy secret's are cheap to check.
///
/// In the store a holder has one place, for the token that was verified last.
pub(super) struct VerifiedTokens<P: Platform> {
    platform: P,
    store: Rc<Store<P>>,
    /// By their hash, with the time until which they are remembered.
    known: RefCell<HashMap<String, i64>>,
}

/// A token in the store.
#[derive(Deserialize, Serialize)]
struct Verified {
    hash: String,
    /// The hash of its holder.
    holder: String,
    /// Seconds since 1970-01-01 UTC.
    until: i64,
}

impl Verified {
    fn parse(value: &[u8]) -> Option<Verified> {
        serde_json::from_slice(value).ok()
    }
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
    /// Somebody who signed in without saying who they are.
    #[serde(default)]
    is_anonymous: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl<P: Platform> VerifiedTokens<P> {
    pub(super) fn new(platform: P, store: Rc<Store<P>>) -> VerifiedTokens<P> {
        VerifiedTokens { platform, store, known: RefCell::default() }
    }

    /// Checks a token: signature under the configured algorithm, times, issuer, audience, role. The store learns of one
    /// that it does not know if `is_remembered`.
    pub(super) async fn check(
        &self,
        key_set: &KeySetCache<P>,
        signing: &Signing,
        project: &Project,
        token: &Token,
        is_remembered: bool,
        deadline: Deadline,
    ) -> Result<Checked, Problem> {
        let claims = match signing {
            Signing::Secret(key) => claims(token.as_str(), Algorithm::HS256, key)?,
            Signing::KeySet => {
                self.claims_under_published_keys(key_set, project, token.as_str(), is_remembered, deadline).await?
            }
        };
        let holder = holder(&claims, &project.origin).ok_or(Problem::BadToken)?;
        Ok(Checked { holder, is_anonymous: claims.is_anonymous })
    }

    async fn claims_under_published_keys(
        &self,
        key_set: &KeySetCache<P>,
        project: &Project,
        token: &str,
        is_remembered: bool,
        deadline: Deadline,
    ) -> Result<Claims, Problem> {
        let id = key_id(token).ok_or(Problem::BadToken)?;
        // Not believed yet: they say where the token may be remembered.
        let unverified: Claims = insecure_decode_claims(token).map_err(|_| Problem::BadToken)?;
        let place = self.place(unverified.sub.as_deref().unwrap_or_default());
        // The project is part of what it was verified for.
        let hash = self.store.hash(&format!("token:{} {token}", project.origin));
        if self.is_known(&hash, &place.1).await {
            return unexpired(unverified);
        }
        let (algorithm, key) = match key_set.find(project, &id, deadline).await {
            FoundKey::Key(algorithm, key) => (algorithm, key),
            FoundKey::NoSuchKey(retry_after) => return Err(Problem::UnknownKey { retry_after }),
            FoundKey::Unavailable => return Err(Problem::KeysUnavailable),
        };
        let claims = claims(token, algorithm, &key)?;
        if is_remembered {
            self.remember(hash, place);
        }
        Ok(claims)
    }

    /// The holder's hash, and the key in the store that it has.
    fn place(&self, subject: &str) -> (String, String) {
        // A person's id is written in lower case.
        let subject = UserId::parse(subject).map_or_else(|| subject.to_owned(), |person| person.to_string());
        let holder = self.store.hash(&format!("holder:{subject}"));
        let key = self.store.key(Kind::Token, &holder);
        (holder, key)
    }

    /// Deletes the token of a person that is remembered under this layout or, where the store's keys are listed, under
    /// the others that those are of; returns how many there were.
    pub(super) async fn erase(&self, person: UserId, listed: Option<&[String]>) -> Result<usize, Failure> {
        let (holder, _) = self.place(&person.to_string());
        let keys = self.store.keys_to_erase(listed, Kind::Token, &holder);
        let is_theirs = |verified: Verified| usize::from(verified.holder == holder);
        self.store.erase(&keys, |value| Verified::parse(value).map(is_theirs)).await
    }

    async fn is_known(&self, hash: &str, key: &str) -> bool {
        let known = self.known.borrow().get(hash).copied();
        if known.is_some_and(is_ahead) {
            return true;
        }
        // Without a store every token is checked.
        let Ok(stored) = self.store.get_sealed(key, REMEMBERED_FOR).await else { return false };
        let verified = stored.and_then(|stored| Verified::parse(&stored));
        let Some(verified) = verified.filter(|stored| stored.hash == hash && is_ahead(stored.until)) else {
            return false;
        };
        self.insert(verified.hash, verified.until);
        true
    }

    fn insert(&self, hash: String, until: i64) {
        let mut known = self.known.borrow_mut();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(hash, until);
    }

    /// Remembers a token here, and in the store after the answer.
    fn remember(&self, hash: String, (holder, key): (String, String)) {
        let until = now().as_second() + REMEMBERED_FOR.as_secs() as i64;
        self.insert(hash.clone(), until);
        let store = self.store.clone();
        // Texts and numbers can always be serialized.
        let bytes = serde_json::to_vec(&Verified { hash, holder, until }).unwrap_or_default();
        self.platform.spawn(async move {
            if let Err(failure) = store.set_sealed(&key, &bytes, REMEMBERED_FOR).await {
                failure.warn("token_not_remembered", "a verified token could not be remembered");
            }
        });
    }
}

/// Returns true if a time is yet to come, and not by the word of a clock that was set back since.
fn is_ahead(until: i64) -> bool {
    let left = until.saturating_sub(now().as_second());
    (1..=REMEMBERED_FOR.as_secs() as i64).contains(&left)
}

/// Verifies a token under a key, and returns its holder in a project. For the fuzzer, which has no key set to look in.
pub fn verify(token: &str, algorithm: Algorithm, key: &DecodingKey, origin: &str) -> Option<Holder> {
    holder(&claims(token, algorithm, key).ok()?, origin)
}

/// Parses the id of the key that a token names, if it is of an algorithm whose keys are published. It is not believed
/// yet: it only says where to look.
pub fn key_id(token: &str) -> Option<String> {
    signature::install();
    let header = decode_header(token).ok()?;
    let published = matches!(header.alg, Algorithm::ES256 | Algorithm::RS256);
    header.kid.filter(|id| published && id.len() <= 128)
}

/// Errors if the JSON of a token's header or claims has a key twice, which another reader may take for the other of the
/// two (RFC 7519, section 4), or if the header asks for an extension to be understood: none is here (RFC 7515, section
/// 4.1.11).
fn check_form(token: &str) -> Result<(), Problem> {
    let part = |text: &str| URL_SAFE_NO_PAD.decode(text).ok().and_then(|json| json::parse(&json).ok());
    let mut parts = token.split('.').take(2).map(part);
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(Value::Object(header)), Some(Value::Object(_))) if !header.contains_key("crit") => Ok(()),
        _ => Err(Problem::BadToken),
    }
}

/// Verifies a token's form, signature and times, and returns its claims.
fn claims(token: &str, algorithm: Algorithm, key: &DecodingKey) -> Result<Claims, Problem> {
    check_form(token)?;
    signature::install();
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    // The right audience and issuer depend on the role: `holder` checks them.
    validation.validate_aud = false;
    match decode::<Claims>(token, key, &validation) {
        Ok(token) => Ok(token.claims),
        Err(error) if *error.kind() == ErrorKind::ExpiredSignature => Err(Problem::ExpiredToken),
        Err(_) => Err(Problem::BadToken),
    }
}

/// Returns the claims of a token that was verified before, if it has not expired since.
fn unexpired(claims: Claims) -> Result<Claims, Problem> {
    let now = now().as_second() as f64;
    if claims.exp + LEEWAY_SECONDS as f64 > now { Ok(claims) } else { Err(Problem::ExpiredToken) }
}

/// The holder of a token with these claims, or `None` if they are not meant for this project or this use of it.
fn holder(claims: &Claims, origin: &str) -> Option<Holder> {
    let from_authentication = claims.iss.as_deref() == Some(&format!("{origin}/auth/v1"));
    let for_the_signed_in = match &claims.aud {
        Some(Audience::One(audience)) => audience == "authenticated",
        Some(Audience::Several(all)) => all.iter().any(|audience| audience == "authenticated"),
        None => false,
    };
    // The keys that Supabase signs with the legacy secret name no audience, and the project in a way of their own.
    let project = origin.split("://").nth(1).and_then(|host| host.split('.').next());
    // On a developer's own machine they are everyone's: `supabase start` signs them under a secret that is published.
    let is_issuer = |issuer| issuer == "supabase" || issuer == "supabase-demo" && is_local(origin);
    let from_supabase = claims.iss.as_deref().is_some_and(is_issuer)
        && claims.aud.is_none()
        && claims.project.as_deref().is_none_or(|claimed| Some(claimed) == project);
    match claims.role.as_deref() {
        Some("service_role") if from_supabase || from_authentication && for_the_signed_in => Some(Holder::Service),
        None | Some("" | "anon" | "service_role") => None,
        Some(_) if !(from_authentication && for_the_signed_in) => None,
        Some("authenticated") => claims.sub.as_deref().and_then(UserId::parse).map(Holder::Person),
        Some(_) => claims.sub.clone().filter(|subject| !subject.is_empty()).map(Holder::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::key_set;
    use serde_json::json;

    const PERSON: &str = "11111111-1111-4111-8111-111111111111";

    /// Tokens that another implementation made; `make.py` stands beside them.
    #[test]
    fn recorded_tokens_are_read_under_their_own_key_and_algorithm_and_no_other() {
        let fixture: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/fixtures/access/tokens.json")).expect("JSON");
        let published = key_set::parse(fixture["key_set"].to_string().as_bytes()).expect("a key set");
        let published: Vec<_> = published.iter().filter_map(|key| key_set::parse_key(key.get())).collect();
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

    fn of_project(claims: serde_json::Value, origin: &str) -> Option<Holder> {
        holder(&serde_json::from_value(claims).expect("claims"), origin)
    }

    fn of(claims: serde_json::Value) -> Option<Holder> {
        of_project(claims, "https://project.supabase.co")
    }

    #[test]
    fn a_key_twice_or_an_extension_that_must_be_understood_is_refused() {
        let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let form = |header: &str, claims: &str| check_form(&format!("{}.{}.x", part(header), part(claims)));
        let (header, claims) = (r#"{"alg":"HS256","kid":"1"}"#, r#"{"exp":1,"aud":["a"]}"#);
        assert_eq!(form(header, claims), Ok(()));
        for (header, claims) in [
            (r#"{"alg":"HS256","alg":"HS256"}"#, claims),
            (r#"{"alg":"HS256","x":1,"x":1}"#, claims),
            (header, r#"{"exp":1,"exp":1}"#),
            (header, r#"{"exp":1,"email":"a","email":"b"}"#),
            (header, r#"{"exp":1,"app_metadata":{"a":1,"a":2}}"#),
            (r#"{"alg":"HS256","crit":["exp"]}"#, claims),
            (r#"{"alg":"HS256","crit":[]}"#, claims),
            (r#"{"alg":"HS256","crit":null}"#, claims),
            (r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, claims),
            ("[]", claims),
            (header, "1"),
        ] {
            assert_eq!(form(header, claims), Err(Problem::BadToken), "{header} {claims}");
        }
        assert_eq!(check_form("x"), Err(Problem::BadToken));
    }

    #[test]
    fn the_published_demo_keys_are_believed_on_ones_own_machine_alone() {
        let claims = json!({ "exp": 1, "iss": "supabase-demo", "role": "service_role" });
        for local in ["http://127.0.0.1:54321", "http://localhost:54321", "http://[::1]:54321", "http://localhost"] {
            assert_eq!(of_project(claims.clone(), local), Some(Holder::Service), "{local}");
            assert_eq!(of_project(json!({ "exp": 1, "iss": "supabase-demo", "role": "anon" }), local), None);
        }
        for other in [
            "https://project.supabase.co",
            "https://localhost.example",
            "http://127.0.0.1.example:54321",
            "https://127.0.0.11",
            "http://supabase.internal",
        ] {
            assert_eq!(of_project(claims.clone(), other), None, "{other}");
        }
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
            ("role", json!("")),
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
