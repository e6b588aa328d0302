//! Who asks, and what they may.

mod key_set;
pub(crate) mod rate_limit;
mod signature;
mod token;

use crate::deadline::Deadline;
use crate::instance::Instance;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::request::{Token, UserId, only};
use crate::settings::{AuthMode, Settings};
use http::HeaderMap;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use token::Holder;

pub(crate) use key_set::KeySet;
pub(crate) use token::Remembered;

/// The header that an API key comes in.
const API_KEY_HEADER: &str = "x-api-key";

/// Who must be let in where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Guard {
    /// Everyone.
    Open,
    /// Whoever `protect_operations` says.
    Operations,
    /// Whoever the access mode says.
    Data,
    /// The endpoint looks at a secret of its own.
    OwnSecret,
}

/// Who asks, as far as this service knows.
pub(crate) struct Caller {
    who: Who,
    token: Option<Token>,
    /// What requests are counted by. It names a person: it is hashed before it goes anywhere.
    identity: String,
}

enum Who {
    /// Nobody has to say who they are.
    Anyone,
    Holder(Holder),
    /// A server with one of this deployment's API keys.
    Server,
}

/// How a caller may see what there is about a person.
pub(crate) struct Sight<'a> {
    /// Everything there is: what was predicted for others who see everything is the same, and is shared.
    pub(crate) whole: bool,
    /// What the database is asked with.
    pub(crate) credential: Option<Credential<'a>>,
}

/// What the database judges by.
#[derive(Clone, Copy)]
pub(crate) enum Credential<'a> {
    /// The caller's own token.
    Token(&'a Token),
    /// This deployment's service key, which sees everything.
    ServiceKey(&'a str),
}

/// Finds out who asks. Errors if they must say and do not, or not so that it can be believed.
pub(crate) async fn caller<P: Platform>(
    instance: &Instance<P>,
    settings: &Settings,
    guard: Guard,
    headers: &HeaderMap,
    deadline: Deadline,
) -> Result<Caller, Problem> {
    let open = match guard {
        Guard::Open | Guard::OwnSecret => true,
        Guard::Operations => !settings.protect_operations,
        Guard::Data => false,
    };
    let token = Token::of(headers);
    let (who, identity) = match &settings.auth_mode {
        _ if open => (Who::Anyone, address(settings, headers)),
        AuthMode::Off => (Who::Anyone, address(settings, headers)),
        AuthMode::ApiKey(keys) => {
            let given = only(headers, API_KEY_HEADER).ok_or(Problem::NoApiKey)?;
            let digest = Sha256::digest(given.as_bytes());
            // Every key is looked at, so that the time says nothing of which it was.
            let known = keys.iter().fold(subtle::Choice::from(0), |known, key| known | key.ct_eq(digest.as_slice()));
            if !bool::from(known) {
                return Err(Problem::NoApiKey);
            }
            (Who::Server, format!("key:{digest:x?}"))
        }
        AuthMode::Jwt(signing, supabase) => {
            let token = token.as_ref().ok_or(Problem::NoToken)?;
            let holder = token::check(instance, settings, signing, supabase, token, deadline).await?;
            let identity = match &holder {
                Holder::Person(user_id) => format!("subject:{user_id}"),
                Holder::Other(subject) => format!("subject:{subject}"),
                Holder::Service => "service".to_owned(),
            };
            (Who::Holder(holder), identity)
        }
    };
    Ok(Caller { who, token, identity })
}

/// Where a request comes from, for those who do not say who they are: the host's word, or a proxy's where the configuration
/// names its header. Of an IPv6 address the network counts, of which a caller has all addresses.
pub(crate) fn address(settings: &Settings, headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get_all(name).iter().next_back().and_then(|value| value.to_str().ok());
    let said = match &settings.client_ip_header {
        // A proxy adds what it saw at the end; what stands before is the caller's own word.
        Some(name) => text(name.as_str()).and_then(|addresses| addresses.rsplit(',').next()).map(str::trim),
        None => text("spin-client-addr"),
    };
    let said = said.unwrap_or_default();
    let address = said.parse().ok().or_else(|| said.parse().ok().map(|socket: std::net::SocketAddr| socket.ip()));
    match address.map(|address: std::net::IpAddr| address.to_canonical()) {
        Some(std::net::IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("address:{a:x}:{b:x}:{c:x}:{d:x}")
        }
        Some(address) => format!("address:{address}"),
        None => "address:unknown".to_owned(),
    }
}

impl Caller {
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// How the caller may see what there is about a person. With a database, whoever is neither the person nor a server sees
    /// what the database shows to their token.
    pub(crate) fn sight<'a>(&'a self, settings: &'a Settings, person: UserId) -> Result<Sight<'a>, Problem> {
        let own_token = self.token.as_ref().map(Credential::Token);
        let Some(supabase) = &settings.supabase else {
            // The demo cohort has no row-level security to ask: `auth_mode` is off, or a server asks.
            return Ok(Sight { whole: true, credential: None });
        };
        let service_key = supabase.service_key.as_deref().map(Credential::ServiceKey);
        let (whole, credential) = match &self.who {
            Who::Anyone if own_token.is_some() => (false, own_token),
            Who::Anyone => (true, service_key),
            Who::Server => (true, service_key),
            Who::Holder(Holder::Service) => (true, own_token),
            Who::Holder(Holder::Person(own)) => (*own == person, own_token),
            Who::Holder(Holder::Other(_)) => (false, own_token),
        };
        if credential.is_none() {
            return Err(Problem::NoToken);
        }
        Ok(Sight { whole, credential })
    }

    /// Errors if the caller may not have a person's predictions dropped. It says the same of a person that nobody knows.
    pub(crate) fn may_invalidate(&self, person: UserId) -> Result<(), Problem> {
        match &self.who {
            Who::Anyone | Who::Server | Who::Holder(Holder::Service) => Ok(()),
            Who::Holder(Holder::Person(own)) if *own == person => Ok(()),
            Who::Holder(Holder::Person(_) | Holder::Other(_)) => Err(Problem::Forbidden),
        }
    }
}

/// What the fuzzer calls: a token under every key of a set, and under a secret.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(token: &str, key_set: &[u8]) {
    token::fuzz(token, &jsonwebtoken::DecodingKey::from_secret(b"secret"));
    for key in key_set::read(key_set).unwrap_or_default() {
        if let Some((_, key)) = key_set::usable(key.get()) {
            token::fuzz(token, &key);
        }
    }
}
