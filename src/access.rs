//! Access: who asks, and what they may see.

pub mod key_set;
pub(crate) mod rate_limit;
pub mod sampled;
mod signature;
pub mod token;

use crate::config::{AuthMode, Settings};
use crate::deadline::Deadline;
use crate::http::headers::{bearer_token, single_header};
use crate::ids::UserId;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::store::{Failure, Store};
use crate::supabase::{Credential, NoToken, Token};
use http::HeaderMap;
use key_set::KeySetCache;
use sha2::{Digest, Sha256};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use subtle::{Choice, ConstantTimeEq};
use token::{Holder, VerifiedTokens};

/// The header that an API key comes in.
const API_KEY_HEADER: &str = "x-api-key";
/// The header in which the database's webhook sends the secret that it shares with this service.
const WEBHOOK_SECRET_HEADER: &str = "x-webhook-secret";

/// The callers that a route lets in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Guard {
    /// Everyone.
    Open,
    /// Those whom `protect_operations` names, and operations.
    Operations,
    /// Operations and the project's servers: what is counted moves with people's requests, so no person is let in.
    Metrics,
    /// Those whom the access mode lets in.
    Data,
    /// Those too, and the store is not told of a token that it does not know.
    Erasure,
    /// The database, with the webhook's secret.
    WebhookSecret,
}

/// The one who asks, as far as this service knows.
pub(crate) struct Caller {
    who: Who,
    token: Option<Token>,
    /// The text that requests are counted by. It names a person: it is hashed before it goes anywhere.
    identity: String,
}

enum Who {
    /// Nobody has to say who they are.
    Anyone,
    Holder(Holder),
    /// A server with one of this deployment's API keys.
    Server,
}

/// The part of a person's data that a caller may see.
pub(crate) struct Visibility<'a> {
    /// Everything: predictions for others who see everything are the same, and are shared.
    pub(crate) is_whole: bool,
    /// The credential for the database.
    pub(crate) credential: Option<Credential<'a>>,
}

/// The access checks of one instance, with the keys and tokens that it knows.
pub(crate) struct Access<P: Platform> {
    platform: P,
    key_set: KeySetCache<P>,
    tokens: VerifiedTokens<P>,
}

impl<P: Platform> Access<P> {
    pub(crate) fn new(platform: P, store: Rc<Store<P>>) -> Access<P> {
        Access {
            key_set: KeySetCache::new(platform.clone(), store.clone()),
            tokens: VerifiedTokens::new(platform.clone(), store),
            platform,
        }
    }

    /// Finds out who asks. Errors if they must say and do not, or not so that it can be believed.
    pub(crate) async fn authenticate(
        &self,
        settings: &Settings,
        guard: Guard,
        headers: &HeaderMap,
        deadline: Deadline,
    ) -> Result<Caller, Problem> {
        let is_open = match guard {
            Guard::Open => true,
            Guard::Operations => !settings.protect_operations,
            Guard::Metrics => !settings.protect_operations && settings.operations_token.is_none(),
            Guard::Data | Guard::Erasure => false,
            Guard::WebhookSecret => {
                check_webhook_secret(settings, headers)?;
                true
            }
        };
        let token = bearer_token(headers);
        let is_for_operations = matches!(guard, Guard::Operations | Guard::Metrics);
        let (who, identity) = match &settings.auth_mode {
            _ if is_open => (Who::Anyone, self.address_identity(settings, headers)),
            _ if is_for_operations && is_operations_token(settings, headers, token.as_ref().ok()) => {
                (Who::Server, "operations".to_owned())
            }
            AuthMode::Off if guard == Guard::Metrics => return Err(Problem::NoToken),
            AuthMode::Off => (Who::Anyone, self.address_identity(settings, headers)),
            AuthMode::ApiKey(keys) => (Who::Server, check_api_key(keys, headers)?),
            AuthMode::Jwt(signing, project) => {
                let token = token.as_ref().map_err(|reason| match reason {
                    NoToken::Missing => Problem::NoToken,
                    NoToken::TooLong => Problem::TokenTooLong,
                })?;
                let is_remembered = guard != Guard::Erasure;
                let token::Checked { holder, is_anonymous } =
                    self.tokens.check(&self.key_set, signing, project, token, is_remembered, deadline).await?;
                if is_anonymous && !settings.allow_anonymous_users {
                    return Err(Problem::AnonymousUser);
                }
                let identity = match &holder {
                    Holder::Person(user_id) => identity_of(*user_id),
                    Holder::Other(subject) => format!("subject:{subject}"),
                    Holder::Service => "service".to_owned(),
                };
                (Who::Holder(holder), identity)
            }
        };
        if guard == Guard::Metrics && matches!(who, Who::Holder(Holder::Person(_) | Holder::Other(_))) {
            return Err(Problem::ForOperations);
        }
        Ok(Caller { who, token: token.ok(), identity })
    }

    /// Deletes what is remembered of a person's tokens under this layout or, where the store's keys are listed, under
    /// the others that those are of; returns how many there were.
    pub(crate) async fn erase(&self, person: UserId, listed: Option<&[String]>) -> Result<usize, Failure> {
        self.tokens.erase(person, listed).await
    }

    /// Names the address that a request comes from, for those who do not say who they are: the host's word, or a
    /// proxy's where the configuration names its header. Of an IPv6 address the network counts, of which a caller has
    /// all addresses.
    pub(crate) fn address_identity(&self, settings: &Settings, headers: &HeaderMap) -> String {
        let last = |name: &str| headers.get_all(name).iter().next_back().and_then(|value| value.to_str().ok());
        let given = match &settings.client_ip_header {
            // A proxy adds the address that it saw at the end; everything before it is the caller's own word.
            Some(name) => last(name.as_str()).and_then(|addresses| addresses.rsplit(',').next()).map(str::trim),
            None => self.platform.client_address(headers),
        };
        let given = given.unwrap_or_default();
        let address = given.parse().ok().or_else(|| given.parse().ok().map(|socket: SocketAddr| socket.ip()));
        match address.map(|address: IpAddr| address.to_canonical()) {
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                format!("address:{a:x}:{b:x}:{c:x}:{d:x}")
            }
            Some(address) => format!("address:{address}"),
            None => "address:unknown".to_owned(),
        }
    }
}

/// The identity of a person who says who they are.
fn identity_of(person: UserId) -> String {
    format!("subject:{person}")
}

/// Errors if the request has not one of this deployment's API keys; else returns the caller's identity.
fn check_api_key(keys: &[[u8; 32]], headers: &HeaderMap) -> Result<String, Problem> {
    let given = single_header(headers, API_KEY_HEADER).ok_or(Problem::NoApiKey)?;
    let digest = Sha256::digest(given.as_bytes());
    // Every key is looked at, so that the time says nothing of which it was.
    let known = keys.iter().fold(Choice::from(0), |known, key| known | key.ct_eq(digest.as_slice()));
    if bool::from(known) { Ok(format!("key:{digest:x?}")) } else { Err(Problem::NoApiKey) }
}

/// Returns true if a request has a credential of operations: the token that is configured for them, or the project's
/// service key, as a bearer token or in the header for API keys. Neither comparison says how much of it was right.
fn is_operations_token(settings: &Settings, headers: &HeaderMap, token: Option<&Token>) -> bool {
    let key = single_header(headers, API_KEY_HEADER).map(|key| key.as_bytes());
    let given = [token.map(|token| token.as_str().as_bytes()), key].into_iter().flatten();
    let service_key = settings.supabase.as_ref().and_then(|project| project.service_key.as_deref());
    let known: Vec<&str> = settings.operations_token.as_deref().into_iter().chain(service_key).collect();
    let is_one = |given: &[u8]| known.iter().fold(Choice::from(0), |one, known| one | known.as_bytes().ct_eq(given));
    given.into_iter().fold(false, |found, given| found | bool::from(is_one(given)))
}

fn check_webhook_secret(settings: &Settings, headers: &HeaderMap) -> Result<(), Problem> {
    let secret = settings.webhook_secret.as_ref().ok_or_else(|| {
        Problem::not_configured("The variable webhook_secret is not set, so no webhook can be believed.")
    })?;
    let given = single_header(headers, WEBHOOK_SECRET_HEADER).map_or(&[][..], |value| value.as_bytes());
    if bool::from(given.ct_eq(secret.as_bytes())) { Ok(()) } else { Err(Problem::BadWebhookSecret) }
}

impl Caller {
    /// The part that the caller plays in a question about a person, which tells nobody who they are.
    pub(crate) fn role(&self, person: Option<UserId>) -> &'static str {
        match &self.who {
            Who::Anyone if self.token.is_some() => "unchecked_token",
            Who::Anyone => "anyone",
            Who::Server => "api_key",
            Who::Holder(Holder::Service) => "service_role",
            Who::Holder(Holder::Person(own)) if Some(*own) == person => "self",
            Who::Holder(Holder::Person(_)) => "other_person",
            Who::Holder(Holder::Other(_)) => "other_role",
        }
    }

    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// The person who asks, if it is one who signed in.
    pub(crate) fn person(&self) -> Option<UserId> {
        match &self.who {
            Who::Holder(Holder::Person(person)) => Some(*person),
            Who::Holder(Holder::Other(subject)) => UserId::parse(subject),
            _ => None,
        }
    }

    /// The part of a person's data that the caller may see. With a database, whoever is neither the person nor a server
    /// sees the rows that the database shows to their token.
    pub(crate) fn visibility<'a>(&'a self, settings: &'a Settings, person: UserId) -> Result<Visibility<'a>, Problem> {
        let own_token = self.token.as_ref().map(Credential::Token);
        let Some(project) = &settings.supabase else {
            // The demo cohort has no row-level security to ask: `auth_mode` is off, or a server asks.
            return Ok(Visibility { is_whole: true, credential: None });
        };
        let service_key = project.service_key.as_deref().map(Credential::ServiceKey);
        let (is_whole, credential) = match &self.who {
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
        Ok(Visibility { is_whole, credential })
    }

    /// Returns true if the caller is a person who signed in, and not a server.
    pub(crate) fn is_signed_in(&self) -> bool {
        matches!(&self.who, Who::Holder(Holder::Person(_) | Holder::Other(_)))
    }

    /// Errors if the caller may not have a person's predictions dropped: the same of a person that nobody knows.
    pub(crate) fn check_may_invalidate(&self, person: UserId) -> Result<(), Problem> {
        match &self.who {
            Who::Anyone | Who::Server | Who::Holder(Holder::Service) => Ok(()),
            Who::Holder(Holder::Person(own)) if *own == person => Ok(()),
            Who::Holder(Holder::Person(_) | Holder::Other(_)) => Err(Problem::Forbidden),
        }
    }
}
