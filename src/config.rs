//! The configuration: the variables of `spin.toml`, checked. A value that cannot be used is an error, never replaced by
//! a default in silence.
//!
//! To read a variable is a call to the host, and an instance that answers one request makes all of them anew. So the
//! manifest puts the application's variables into one of the component's, [`COMBINED`], a line each.

use crate::limits::CACHE_SLOTS;
use crate::platform::Variables;
use crate::problem::Problem;
use crate::quota::Rate;
use crate::redis::RedisUrl;
use crate::sealing::{Cipher, KeyedHash, StoreSecrets};
use crate::supabase::{Project, Token, is_local};
use crate::telemetry::log::{LogFormat, LogLevel};
use bipolar_edge_models::Model;
use http::HeaderName;
use jsonwebtoken::DecodingKey;
use sha2::{Digest, Sha256};
use std::fmt;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;
use url::Url;

/// The configuration of a deployment.
pub(crate) struct Settings {
    /// People who signed in anonymously may ask as others do.
    pub(crate) allow_anonymous_users: bool,
    /// The way in which callers say who they are.
    pub(crate) auth_mode: AuthMode,
    /// The time for which an expired prediction may stand in for one that cannot be made; zero for never.
    pub(crate) cache_stale: Duration,
    /// The time for which an instance answers from what it has read of the cache before it reads again; zero for never.
    pub(crate) cache_memory: Duration,
    /// The slots that a key-value store has for predictions; 0 keeps none there.
    pub(crate) cache_slots: u32,
    /// The time for which a prediction is served from the cache; `None` turns the cache off.
    pub(crate) cache_ttl: Option<Duration>,
    /// The header in which a proxy gives the caller's address; `None` believes the host.
    pub(crate) client_ip_header: Option<HeaderName>,
    /// The origins whose pages may call this service from a browser.
    pub(crate) cors_origins: CorsOrigins,
    /// The most writes a second that counting may make in the key-value store; 0 for no bound.
    pub(crate) counting_writes: u32,
    /// Places where someone in a crisis finds help, shown with sensitive predictions.
    pub(crate) crisis_resources: Vec<String>,
    /// Each prediction that is made is recorded in the log.
    pub(crate) decision_log: bool,
    /// The time that an answer may take in all.
    pub(crate) inference_timeout: Duration,
    /// The time for which the outcome of a background prediction is kept.
    pub(crate) job_ttl: Duration,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: LogLevel,
    /// The days after which a latest check-in is too old to predict from, 0 for no bound; `None` if it is not set.
    /// [`Settings::max_checkin_age`] has what holds for a model.
    max_checkin_age: Option<u32>,
    /// One request in so many is counted in the key-value store's metrics.
    pub(crate) metrics_sampling: u32,
    /// The credential of operations, which opens the metrics and the inventory; `None` if there is none.
    pub(crate) operations_token: Option<String>,
    /// The inventory is for those who may ask for predictions, and the metrics for servers.
    pub(crate) protect_operations: bool,
    /// The limit on everything but predictions; `None` for none.
    pub(crate) rate_limit_default: Option<Rate>,
    /// The limit on predictions; `None` for none.
    pub(crate) rate_limit_predictions: Option<Rate>,
    /// The Redis server that everything is kept in; `None` for the key-value store.
    pub(crate) redis: Option<RedisUrl>,
    pub(crate) store_secrets: StoreSecrets,
    /// The project that check-ins come from; `None` for the demo cohort.
    pub(crate) supabase: Option<Rc<Project>>,
    /// Predictions that are not in the cache are made in the background, even if the caller did not ask for that.
    pub(crate) use_background_inference: bool,
    /// The secret that a webhook must send; `None` if none is configured.
    pub(crate) webhook_secret: Option<String>,
    /// An instance that answers one request goes on working after its answer.
    pub(crate) work_after_response: bool,
}

/// The way in which callers say who they are.
pub(crate) enum AuthMode {
    /// They do not.
    Off,
    /// With one of these keys, of which the SHA-256 is here.
    ApiKey(Vec<[u8; 32]>),
    /// With an access token of this Supabase project.
    Jwt(Signing, Rc<Project>),
}

impl AuthMode {
    /// The variable's value.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            AuthMode::Off => "off",
            AuthMode::ApiKey(_) => "api_key",
            AuthMode::Jwt(..) => "jwt",
        }
    }
}

/// The way in which a project signs its tokens. One or the other: a token does not get to choose.
pub(crate) enum Signing {
    /// HS256 under the project's legacy secret.
    Secret(DecodingKey),
    /// ES256 or RS256 under the keys that the project publishes.
    KeySet,
}

/// The origins whose pages may call this service from a browser.
#[derive(Debug, PartialEq)]
pub(crate) enum CorsOrigins {
    Any,
    Only(Vec<String>),
}

/// A derived `Debug` would show the secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Settings { .. }")
    }
}

/// A shorter secret can be guessed.
const MIN_SECRET_BYTES: usize = 16;
/// An API key opens everything: it must not be a word.
const MIN_API_KEY_BYTES: usize = 24;
/// RFC 7518 wants a key as long as the hash.
const MIN_JWT_SECRET_BYTES: usize = 32;

/// A day: longer, and a person would be shown the mood of yesterday.
const MAX_CACHE_SECONDS: u64 = 86_400;
/// For longer no invalidation should go unseen.
const MAX_MEMORY_SECONDS: u64 = 60;
/// Somebody's state of more than a week ago says little of today's.
const MAX_CHECKIN_AGE: u32 = 7;
/// Ten years.
const MAX_AGE_DAYS: u32 = 3650;
/// Below it nothing could be answered, above it no host waits.
const TIMEOUT_SECONDS: RangeInclusive<f64> = 0.05..=120.0;

/// Every variable with its default, as `spin.toml` has it and the documentation says. Where the default depends on
/// others it is empty; `crisis_resources` and `supabase_url` have one in the manifest alone.
pub(crate) const VARIABLES: [(&str, &str); 33] = [
    ("auth_mode", ""),
    ("supabase_jwt_secret", ""),
    ("allow_anonymous_users", "false"),
    ("api_keys", ""),
    ("protect_operations", ""),
    ("operations_token", ""),
    ("rate_limit_predictions", ""),
    ("rate_limit_default", ""),
    ("client_ip_header", ""),
    ("cors_origins", ""),
    ("max_checkin_age_days", ""),
    ("cache_ttl_seconds", "300"),
    ("cache_stale_seconds", "3600"),
    ("cache_memory_seconds", "0"),
    ("cache_slots", "400"),
    ("cache_key_secret", ""),
    ("cache_encryption_key", ""),
    ("inference_timeout_seconds", "30"),
    ("use_background_inference", "false"),
    ("job_ttl_seconds", "600"),
    ("log_level", "info"),
    ("log_format", "json"),
    ("decision_log", "true"),
    ("crisis_resources", ""),
    ("supabase_url", ""),
    ("supabase_anon_key", ""),
    ("supabase_service_key", ""),
    ("webhook_secret", ""),
    ("redis_url", ""),
    ("redis_address", "redis://unset.invalid:6379"),
    ("counting_writes_per_second", "40"),
    ("metrics_sampling", "16"),
    ("work_after_response", "true"),
];

/// Secrets that the one for keys can be derived from, in this order. The last is no secret, as every app has it.
const KEY_SECRETS: [&str; 6] = [
    "cache_encryption_key",
    "supabase_service_key",
    "supabase_jwt_secret",
    "webhook_secret",
    "api_keys",
    "supabase_anon_key",
];

/// The component's one variable: a line `name=value` for each of [`VARIABLES`], in their order.
pub(crate) const COMBINED: &str = "settings";

impl Settings {
    /// Reads every variable.
    pub(crate) async fn read(platform: &impl Variables) -> Result<Settings, Problem> {
        let combined = platform.variable(COMBINED).await.ok_or_else(|| {
            Problem::not_configured(format!("The component's variable {COMBINED} is missing: spin.toml has it."))
        })?;
        let variables = Reader::read(&combined)?;
        let cache_ttl = variables.seconds("cache_ttl_seconds", 0..=MAX_CACHE_SECONDS, "no cache")?;
        let cache_stale = variables.seconds("cache_stale_seconds", 0..=MAX_CACHE_SECONDS, "never")?;
        let cache_memory = variables.seconds("cache_memory_seconds", 0..=MAX_MEMORY_SECONDS, "never")?;
        let cache_slots = variables.cache_slots()?;
        let job_ttl = variables.seconds("job_ttl_seconds", 1..=MAX_CACHE_SECONDS, "")?;
        let inference_timeout = variables.timeout("inference_timeout_seconds", TIMEOUT_SECONDS)?;
        let supabase = variables.project()?;
        let auth_mode = variables.auth_mode(supabase.as_ref())?;
        let protect_operations = variables.protect_operations(&auth_mode)?;
        let is_demo = supabase.is_none() && matches!(auth_mode, AuthMode::Off);
        let [rate_limit_predictions, rate_limit_default] = variables.rates(is_demo)?;
        let max_checkin_age = variables.max_checkin_age()?;
        let client_ip_header = variables.client_ip_header()?;
        let cors_origins = variables.cors_origins()?;
        let (log_level, log_format) = variables.log()?;
        let webhook_secret = variables.secret("webhook_secret")?.map(str::to_owned);
        let store_secrets = variables.store_secrets()?;
        let redis = variables.redis()?;
        let counting_writes = variables.number("counting_writes_per_second", 0..=100_000, "no bound")?;
        let metrics_sampling = variables.number("metrics_sampling", 1..=1_000_000, "every request")?;
        let work_after_response = variables.flag("work_after_response")?;
        Ok(Settings {
            allow_anonymous_users: variables.flag("allow_anonymous_users")?,
            auth_mode,
            cache_memory,
            cache_slots,
            cache_stale,
            cache_ttl: Some(cache_ttl).filter(|ttl| !ttl.is_zero()),
            client_ip_header,
            cors_origins,
            counting_writes,
            crisis_resources: variables.crisis_resources()?,
            decision_log: variables.flag("decision_log")?,
            inference_timeout,
            job_ttl,
            log_format,
            log_level,
            max_checkin_age,
            metrics_sampling,
            operations_token: variables.operations_token()?,
            protect_operations,
            rate_limit_default,
            rate_limit_predictions,
            redis,
            store_secrets,
            supabase,
            use_background_inference: variables.flag("use_background_inference")?,
            webhook_secret,
            work_after_response,
        })
    }

    /// People's own check-ins are served to whoever asks, because this deployment asked for that by name.
    pub(crate) fn is_unprotected(&self) -> bool {
        self.supabase.is_some() && matches!(self.auth_mode, AuthMode::Off)
    }
}

/// A variable that cannot be used.
fn invalid(name: &str, rule: &str) -> Problem {
    Problem::not_configured(format!("The variable {name} {rule}"))
}

impl Settings {
    /// The days after which a latest check-in is too old for a model; `None` for no bound. A card's own bound is in
    /// place of the default, and a lower one that is set holds for every model.
    pub(crate) fn max_checkin_age(&self, model: &Model) -> Option<u32> {
        max_checkin_age(model.max_checkin_age_days, self.max_checkin_age)
    }

    /// The bound that is set, for answers that depend on it.
    pub(crate) fn max_checkin_age_set(&self) -> Option<u32> {
        self.max_checkin_age
    }
}

fn max_checkin_age(own: Option<u32>, set: Option<u32>) -> Option<u32> {
    let set_bound = set.filter(|days| *days > 0);
    match own {
        Some(own) => Some(set_bound.map_or(own, |days| days.min(own))),
        None if set.is_none() => Some(MAX_CHECKIN_AGE),
        None => set_bound,
    }
}

/// A variable that another one contradicts or lacks.
fn contradiction(detail: &'static str) -> Problem {
    Problem::not_configured(detail)
}

/// The variables' values, without the blanks around them. Holds them to their ranges.
struct Reader<'a>(Vec<&'a str>);

impl<'a> Reader<'a> {
    /// Reads the header of the caller's address, if one is named.
    fn client_ip_header(&self) -> Result<Option<HeaderName>, Problem> {
        let name = self.text("client_ip_header");
        let parsed = || name.parse().map_err(|_| invalid("client_ip_header", "must be a header's name."));
        if name.is_empty() { Ok(None) } else { parsed().map(Some) }
    }

    /// Reads the places where someone in a crisis finds help.
    fn crisis_resources(&self) -> Result<Vec<String>, Problem> {
        let resources = list(self.text("crisis_resources"), ';');
        let rule = "must name at least one place to find help.";
        if resources.is_empty() { Err(invalid("crisis_resources", rule)) } else { Ok(resources) }
    }

    /// Reads the origins whose pages may ask.
    fn cors_origins(&self) -> Result<CorsOrigins, Problem> {
        cors_origins(self.text("cors_origins")).ok_or_else(|| {
            invalid(
                "cors_origins",
                "must be * or a comma-separated list of origins, each in full, as in https://app.example.",
            )
        })
    }

    /// Reads the days after which check-ins are too old.
    fn max_checkin_age(&self) -> Result<Option<u32>, Problem> {
        match self.text("max_checkin_age_days") {
            "" => Ok(None),
            _ => self.number("max_checkin_age_days", 0..=MAX_AGE_DAYS, "no bound").map(Some),
        }
    }

    /// Reads the one variable that has them all.
    fn read(combined: &'a str) -> Result<Reader<'a>, Problem> {
        let mut lines = combined.trim().lines();
        let mut values = Vec::with_capacity(VARIABLES.len());
        for (index, (name, _)) in VARIABLES.iter().enumerate() {
            let value = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix('='));
            let Some(value) = value else {
                // A value of more than one line stands where the next variable should.
                let name = VARIABLES[index.saturating_sub(1)].0;
                return Err(invalid(name, &format!("must be one line, followed by the next in {COMBINED}.")));
            };
            values.push(value.trim());
        }
        match lines.next() {
            None => Ok(Reader(values)),
            Some(_) => Err(invalid(VARIABLES[VARIABLES.len() - 1].0, "must be one line.")),
        }
    }

    /// A variable's value.
    fn text(&self, name: &'static str) -> &'a str {
        let index = VARIABLES.iter().position(|(other, _)| *other == name);
        index.and_then(|index| self.0.get(index)).copied().unwrap_or_default()
    }

    /// Whole seconds within a range; `zero` is said of 0.
    fn seconds(&self, name: &'static str, range: RangeInclusive<u64>, zero: &str) -> Result<Duration, Problem> {
        let seconds = self.text(name).parse().ok().filter(|seconds| range.contains(seconds));
        seconds.map(Duration::from_secs).ok_or_else(|| {
            let zero = if zero.is_empty() { String::new() } else { format!(" ({zero})") };
            let (min, max) = (range.start(), range.end());
            invalid(name, &format!("must be a whole number from {min}{zero} to {max}."))
        })
    }

    /// Seconds with decimals within a range.
    fn timeout(&self, name: &'static str, range: RangeInclusive<f64>) -> Result<Duration, Problem> {
        let seconds = self.text(name).parse().ok().filter(|seconds| range.contains(seconds));
        seconds
            .map(Duration::from_secs_f64)
            .ok_or_else(|| invalid(name, &format!("must be a number from {} to {}.", range.start(), range.end())))
    }

    /// A whole number within a range; `least` is said of its least.
    fn number(&self, name: &'static str, range: RangeInclusive<u32>, least: &str) -> Result<u32, Problem> {
        let number = self.text(name).parse().ok().filter(|number| range.contains(number));
        let (min, max) = (range.start(), range.end());
        number.ok_or_else(|| invalid(name, &format!("must be a whole number from {min} ({least}) to {max}.")))
    }

    fn cache_slots(&self) -> Result<u32, Problem> {
        let slots = self.text("cache_slots").parse().ok().filter(|slots| *slots == 0 || CACHE_SLOTS.contains(slots));
        let (min, max) = (CACHE_SLOTS.start(), CACHE_SLOTS.end());
        slots.ok_or_else(|| invalid("cache_slots", &format!("must be 0 (none) or a whole number from {min} to {max}.")))
    }

    fn flag(&self, name: &'static str) -> Result<bool, Problem> {
        match self.text(name) {
            "" | "false" => Ok(false),
            "true" => Ok(true),
            _ => Err(invalid(name, "must be true or false.")),
        }
    }

    fn log(&self) -> Result<(LogLevel, LogFormat), Problem> {
        let level = self.text("log_level");
        let level = LogLevel::ALL.into_iter().find(|known| known.name() == level);
        let level = level.ok_or_else(|| invalid("log_level", "must be error, warn, info or debug."))?;
        match self.text("log_format") {
            "json" => Ok((level, LogFormat::Json)),
            "text" => Ok((level, LogFormat::Text)),
            _ => Err(invalid("log_format", "must be json or text.")),
        }
    }

    /// The limits on predictions and on everything else. Demo data is nobody's, and whoever tries the service out asks
    /// it often.
    fn rates(&self, is_demo: bool) -> Result<[Option<Rate>; 2], Problem> {
        let predictions = self.rate("rate_limit_predictions", "60/minute", is_demo)?;
        Ok([predictions, self.rate("rate_limit_default", "120/minute", is_demo)?])
    }

    /// A rate; if the variable is empty, `otherwise`, or none for the demo.
    fn rate(&self, name: &'static str, otherwise: &str, is_demo: bool) -> Result<Option<Rate>, Problem> {
        let text = match self.text(name) {
            "" if is_demo => return Ok(None),
            "" => otherwise,
            text => text,
        };
        Rate::parse(text).ok_or_else(|| invalid(name, "must be like 60/minute (second, hour, day), or off."))
    }

    /// A secret that is long enough, or `None` if it is empty.
    fn secret(&self, name: &'static str) -> Result<Option<&'a str>, Problem> {
        match self.text(name) {
            "" => Ok(None),
            short if short.len() < MIN_SECRET_BYTES => {
                Err(invalid(name, &format!("must have at least {MIN_SECRET_BYTES} bytes.")))
            }
            secret => Ok(Some(secret)),
        }
    }

    fn store_secrets(&self) -> Result<StoreSecrets, Problem> {
        let cipher = match self.text("cache_encryption_key") {
            "" => None,
            key => Some(Cipher::parse(key).ok_or_else(|| {
                invalid("cache_encryption_key", "must be 32 bytes as 64 hexadecimal digits: openssl rand -hex 32")
            })?),
        };
        let secret = self.key_secret()?;
        let is_secret = !secret.is_empty() && secret != self.text("supabase_anon_key");
        Ok(StoreSecrets { cipher, keyed_hash: KeyedHash::derive(secret.as_bytes()), is_secret })
    }

    /// The secret that keys are hashed with: the configuration's, else the first of those that serve something else,
    /// so that every instance has the same without a word of the store's. Beside demo data there is none, and whoever
    /// reads the store can tell which of the people that they know of are in it.
    fn key_secret(&self) -> Result<&'a str, Problem> {
        if let Some(secret) = self.secret("cache_key_secret")? {
            return Ok(secret);
        }
        let others = KEY_SECRETS.iter().map(|name| self.text(name));
        Ok(others.into_iter().find(|secret| !secret.is_empty()).unwrap_or_default())
    }

    /// The Redis server, if there is one. The address that the host lets through is a variable of its own, because the
    /// URL may have a password, which the list of allowed hosts must not have.
    fn redis(&self) -> Result<Option<RedisUrl>, Problem> {
        let url = self.text("redis_url");
        if url.is_empty() {
            return Ok(None);
        }
        let url = RedisUrl::parse(url)
            .ok_or_else(|| invalid("redis_url", "must be like redis://:password@host:6379/0 (rediss:// for TLS)."))?;
        let rule = format!("must be {}, the scheme, host and port of redis_url.", url.address());
        match self.text("redis_address").trim_end_matches('/') == url.address() {
            true => Ok(Some(url)),
            false => Err(invalid("redis_address", &rule)),
        }
    }

    /// The project that check-ins come from, if there is one.
    fn project(&self) -> Result<Option<Rc<Project>>, Problem> {
        let Some(origin) = database(self.text("supabase_url"))? else { return Ok(None) };
        let anon_key = self.text("supabase_anon_key");
        if anon_key.is_empty() || !is_header_text(anon_key) {
            return Err(contradiction(
                "With supabase_url the variable supabase_anon_key must be the project's anon key.",
            ));
        }
        let service_key = Some(self.text("supabase_service_key")).filter(|key| !key.is_empty()).map(str::to_owned);
        if service_key.as_ref().is_some_and(|key| !is_header_text(key)) {
            return Err(invalid("supabase_service_key", "must be the project's service key."));
        }
        Ok(Some(Rc::new(Project { origin, anon_key: anon_key.to_owned(), service_key })))
    }

    /// The access mode. Without a word, everyone must say who they are as soon as there is a database.
    fn auth_mode(&self, supabase: Option<&Rc<Project>>) -> Result<AuthMode, Problem> {
        match (self.text("auth_mode"), supabase) {
            ("off", _) | ("", None) => Ok(AuthMode::Off),
            ("jwt", None) => Err(contradiction(
                "With auth_mode jwt the variable supabase_url must name the project that signs the tokens.",
            )),
            ("jwt" | "", Some(supabase)) => {
                let secret = self.text("supabase_jwt_secret");
                let signing = match secret.len() {
                    0 => Signing::KeySet,
                    1..MIN_JWT_SECRET_BYTES => {
                        let rule = format!("must have at least {MIN_JWT_SECRET_BYTES} bytes, as Supabase's have.");
                        return Err(invalid("supabase_jwt_secret", &rule));
                    }
                    _ => Signing::Secret(DecodingKey::from_secret(secret.as_bytes())),
                };
                Ok(AuthMode::Jwt(signing, supabase.clone()))
            }
            ("api_key", _) => {
                let keys = list(self.text("api_keys"), ',');
                if keys.is_empty() || keys.iter().any(|key| key.len() < MIN_API_KEY_BYTES || !is_header_text(key)) {
                    return Err(Problem::not_configured(format!(
                        "With auth_mode api_key the variable api_keys must hold keys of at least {MIN_API_KEY_BYTES} bytes, \
                         separated by commas."
                    )));
                }
                if supabase.is_some_and(|supabase| supabase.service_key.is_none()) {
                    return Err(contradiction(
                        "With auth_mode api_key and supabase_url the variable supabase_service_key must be set.",
                    ));
                }
                Ok(AuthMode::ApiKey(keys.iter().map(|key| Sha256::digest(key).into()).collect()))
            }
            _ => Err(invalid("auth_mode", "must be jwt, api_key, off or empty.")),
        }
    }

    /// A bearer token has these characters and no others (RFC 6750, section 2.1).
    fn operations_token(&self) -> Result<Option<String>, Problem> {
        let token = self.secret("operations_token")?;
        match token.is_none_or(|token| Token::parse(&format!("Bearer {token}")).is_ok()) {
            true => Ok(token.map(str::to_owned)),
            false => Err(invalid("operations_token", "must be letters, digits and -._~+/= alone.")),
        }
    }

    /// Open where nobody has to say who they are, as beside demo data, unless the variable says otherwise.
    fn protect_operations(&self, auth_mode: &AuthMode) -> Result<bool, Problem> {
        let is_open = matches!(auth_mode, AuthMode::Off);
        match self.text("protect_operations") {
            "" => Ok(!is_open),
            "false" => Ok(false),
            "true" if is_open => {
                Err(contradiction("With protect_operations the variable auth_mode must be jwt or api_key."))
            }
            "true" => Ok(true),
            _ => Err(invalid("protect_operations", "must be true, false or empty.")),
        }
    }
}

/// The parts of a list, without the empty ones.
fn list(text: &str, separator: char) -> Vec<String> {
    text.split(separator).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// A text that can be sent in a header as it is.
fn is_header_text(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn cors_origins(text: &str) -> Option<CorsOrigins> {
    if text == "*" {
        return Some(CorsOrigins::Any);
    }
    let origins = list(text, ',');
    // As browsers send it: no path, no port that the scheme implies, lower case.
    let is_as_sent = |text: &String| origin(text).is_some_and(|url| url.origin().ascii_serialization() == *text);
    origins.iter().all(is_as_sent).then_some(CorsOrigins::Only(origins))
}

/// Parses a scheme, a host and a port (RFC 6454), and nothing else.
fn origin(text: &str) -> Option<Url> {
    // The URL standard mends much that nobody means: backslashes, blanks, a missing `//`. A star it lets pass, and no
    // browser sends one: whoever writes it means many hosts.
    let is_plain = text.contains("://") && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\*".contains(&byte));
    let url = Url::parse(text).ok().filter(|_| is_plain)?;
    let is_bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && !text.contains('@');
    (["http", "https"].contains(&url.scheme()) && url.has_host() && is_bare).then_some(url)
}

/// The origin of the database, or none for the manifest's placeholder, a host under the reserved name `.invalid` (RFC
/// 2606): `allowed_outbound_hosts` cannot be made from an empty variable.
fn database(text: &str) -> Result<Option<String>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let rule = "must be https:// and a host, as in https://project.supabase.co (http:// for localhost only).";
    let url = origin(text).ok_or_else(|| invalid("supabase_url", rule))?;
    let host = url.host_str().unwrap_or_default();
    if host.ends_with(".invalid") {
        return Ok(None);
    }
    let origin = url.origin().ascii_serialization();
    // A token in the clear is read by whoever is on the way.
    match url.scheme() == "https" || is_local(&origin) {
        true => Ok(Some(origin)),
        false => Err(invalid("supabase_url", rule)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_platform::Fake;
    use futures::executor::block_on;

    fn refused(variables: &[(&'static str, &str)]) -> String {
        let mut fake = Fake::with_variable("crisis_resources", "CVV 188");
        for (name, value) in variables {
            fake.set_variable(name, value);
        }
        match block_on(Settings::read(&fake)) {
            Err(Problem::NotConfigured { detail }) => detail.into_owned(),
            other => panic!("{other:?}"),
        }
    }

    fn detail(name: &'static str, value: &str) -> String {
        match block_on(Settings::read(&Fake::with_variable(name, value))) {
            Err(Problem::NotConfigured { detail }) => detail.into_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_value_that_cannot_be_used_is_named() {
        assert!(detail("cache_ttl_seconds", "five").starts_with("The variable cache_ttl_seconds"));
        assert!(detail("cache_ttl_seconds", "86401").starts_with("The variable cache_ttl_seconds"));
        for wrong in ["0", "0.04", "120.1", "-1", "NaN", "inf", "soon", ""] {
            assert!(detail("inference_timeout_seconds", wrong).starts_with("The variable inference_timeout_seconds"));
        }
        assert!(detail("webhook_secret", "short").starts_with("The variable webhook_secret"));
        for (name, values) in [
            ("cache_stale_seconds", &["-1", "86401", "an hour"][..]),
            ("cache_memory_seconds", &["-1", "61", "long"][..]),
            ("cache_slots", &["-1", "1", "63", "1000001", "many"][..]),
            ("log_level", &["INFO", "loud"][..]),
            ("log_format", &["xml"][..]),
            ("job_ttl_seconds", &["0", "86401", "an hour"][..]),
            ("use_background_inference", &["yes", "1"][..]),
            ("allow_anonymous_users", &["yes", "1"]),
            ("auth_mode", &["none", "JWT", "jwt,off"]),
            ("protect_operations", &["yes", "1"]),
            ("rate_limit_predictions", &["60", "none"]),
            ("rate_limit_default", &["0/minute"]),
            ("max_checkin_age_days", &["-1", "3651", "a week"]),
            ("client_ip_header", &["x forwarded", "x:y"]),
            (
                "cors_origins",
                &[
                    "app.example",
                    "https://app.example/",
                    "https://a.example, *",
                    "null",
                    "https://*.example",
                    "https://*",
                ],
            ),
            ("cache_key_secret", &["short", "of two\nlines and long enough"]),
            ("redis_url", &["redis", "http://localhost:6379", "redis://localhost/x"]),
            ("counting_writes_per_second", &["100001", "-1", "many"]),
            ("metrics_sampling", &["0", "1000001", ""]),
            ("work_after_response", &["yes"]),
            ("decision_log", &["1"]),
            ("cache_encryption_key", &["abc", "+f", &"zz".repeat(32), &"é".repeat(32)]),
        ] {
            for value in values {
                assert!(detail(name, value).starts_with(&format!("The variable {name} ")), "{name}={value}");
            }
        }
        assert!(detail("auth_mode", "jwt").contains("supabase_url"));
        assert!(detail("auth_mode", "api_key").contains("api_keys"));
        assert!(detail("protect_operations", "true").contains("auth_mode"));
        let project = [("supabase_url", "https://project.supabase.co"), ("supabase_anon_key", "anon")];
        let with = |more: &[(&'static str, &'static str)]| refused(&[&project, more].concat());
        assert!(with(&[("supabase_jwt_secret", "short")]).contains("supabase_jwt_secret"));
        assert!(with(&[("supabase_service_key", "two words")]).contains("supabase_service_key"));
        let key = ("api_keys", "a key of no more than a word");
        assert!(with(&[("auth_mode", "api_key"), key]).contains("api_keys"));
        let key = ("api_keys", "0123456789abcdef0123456789abcdef");
        assert!(with(&[("auth_mode", "api_key"), key]).contains("supabase_service_key"));
        assert!(detail("crisis_resources", " ; ").starts_with("The variable crisis_resources"));
        assert!(detail("supabase_url", "https://project.supabase.co").starts_with("With supabase_url the variable"));
        for wrong in [
            "not a url",
            "http://project.supabase.co",
            "https://project.supabase.co/rest/v1",
            "https://user:word@project.supabase.co",
            "ftp://project.supabase.co",
        ] {
            assert!(detail("supabase_url", wrong).starts_with("The variable supabase_url"), "{wrong}");
        }
    }

    #[test]
    fn redis_is_one_whose_address_the_host_lets_through() {
        let url = ("redis_url", "redis://:word@cache.example/0");
        let message = refused(&[url]);
        assert!(message.starts_with("The variable redis_address must be redis://cache.example:6379,"), "{message}");
        assert!(!message.contains("word"));
        let mut fake = Fake::with_variable(url.0, url.1);
        fake.set_variable("redis_address", "redis://cache.example:6379");
        let settings = block_on(Settings::read(&fake)).expect("valid");
        assert_eq!(settings.redis.expect("configured").as_str(), "redis://:word@cache.example:6379/0");
    }

    #[test]
    fn keys_are_hashed_alike_by_those_who_have_the_same_secret_whatever_it_is_for() {
        let hash = |name, value| {
            let settings = block_on(Settings::read(&Fake::with_variable(name, value))).expect("valid");
            settings.store_secrets.keyed_hash.digest("someone")
        };
        let long = "0123456789abcdef0123456789abcdef";
        assert_eq!(hash("webhook_secret", long), hash("webhook_secret", long));
        assert_eq!(hash("webhook_secret", long), hash("cache_key_secret", long));
        assert_ne!(hash("webhook_secret", long), hash("crisis_resources", "CVV 188"));
    }

    #[test]
    fn an_origin_is_read_as_browsers_write_it() {
        let read = |text: &str| origin(text).map(|url| url.origin().ascii_serialization());
        for (text, origin) in [
            ("https://Project.Supabase.co", "https://project.supabase.co"),
            ("https://project.supabase.co:443/", "https://project.supabase.co"),
            ("http://localhost:54321", "http://localhost:54321"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(read(text).as_deref(), Some(origin), "{text}");
        }
        for wrong in [
            "",
            "/",
            "project",
            "//project",
            "https://",
            "https://a:b",
            "https://a:70000",
            "https://é.example",
            "https://a b",
            "https:a",
            "https:\\\\a",
            "https://*.a",
            "https://a\t",
            "https://a?",
            "https://a#",
            "https://@a",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_message_gives_the_range_that_is_checked() {
        let said = |name, value| detail(name, value).split_once(" must ").expect("a rule").1.to_owned();
        assert_eq!(said("cache_ttl_seconds", "x"), "be a whole number from 0 (no cache) to 86400.");
        assert_eq!(said("cache_stale_seconds", "x"), "be a whole number from 0 (never) to 86400.");
        assert_eq!(said("cache_slots", "63"), "be 0 (none) or a whole number from 64 to 1000000.");
        assert_eq!(said("job_ttl_seconds", "0"), "be a whole number from 1 to 86400.");
        assert_eq!(said("inference_timeout_seconds", "x"), "be a number from 0.05 to 120.");
        assert_eq!(said("rate_limit_default", "x"), "be like 60/minute (second, hour, day), or off.");
        assert_eq!(said("webhook_secret", "x"), "have at least 16 bytes.");
    }

    #[test]
    fn a_card_s_own_age_is_in_place_of_the_default_and_a_lower_one_that_is_set_holds() {
        let by_default = [max_checkin_age(None, None), max_checkin_age(Some(3), None), max_checkin_age(Some(14), None)];
        assert_eq!(by_default, [Some(MAX_CHECKIN_AGE), Some(3), Some(14)]);
        let without = [max_checkin_age(None, Some(0)), max_checkin_age(Some(3), Some(0))];
        assert_eq!(without, [None, Some(3)]);
        let set =
            [max_checkin_age(None, Some(5)), max_checkin_age(Some(3), Some(5)), max_checkin_age(Some(14), Some(5))];
        assert_eq!(set, [Some(5), Some(3), Some(5)]);
    }

    #[test]
    fn callers_are_limited_unless_all_that_there_is_is_demo_data() {
        let limits = |fake: &Fake| {
            let settings = block_on(Settings::read(fake)).expect("valid");
            [settings.rate_limit_predictions, settings.rate_limit_default].map(|rate| rate.map(|rate| rate.requests))
        };
        let demo = Fake::with_variable("auth_mode", "off");
        assert_eq!(limits(&demo), [None, None]);
        assert_eq!(limits(&Fake::with_variable("rate_limit_default", "7/day")), [None, Some(7)]);
        let mut with_keys = Fake::with_variable("auth_mode", "api_key");
        with_keys.set_variable("api_keys", "a-key-that-nobody-will-ever-guess");
        assert_eq!(limits(&with_keys), [Some(60), Some(120)]);
        with_keys.set_variable("rate_limit_predictions", "off");
        assert_eq!(limits(&with_keys), [None, Some(120)]);
        let mut open_project = Fake::with_variable("supabase_url", "https://project.supabase.co");
        open_project.set_variable("supabase_anon_key", "a-key-of-the-project");
        open_project.set_variable("auth_mode", "off");
        assert_eq!(limits(&open_project), [Some(60), Some(120)]);
    }

    /// The manifest and the documentation say what the code does: the same variables, defaults and ranges.
    #[test]
    fn the_manifest_and_the_documentation_have_these_variables_defaults_and_ranges() {
        let manifest: toml::Table = include_str!("../spin.toml").parse().expect("TOML");
        let declared = manifest["variables"].as_table().expect("variables");
        let passed_on = manifest["component"]["bipolar-edge"]["variables"].as_table().expect("variables");
        let only_in_the_manifest = ["crisis_resources", "supabase_url"];
        assert_eq!(declared.len(), VARIABLES.len());
        let lines: String = VARIABLES.iter().map(|(name, _)| format!("{name}={{{{ {name} }}}}\n")).collect();
        assert_eq!(passed_on[COMBINED].as_str(), Some(lines.as_str()));
        let page = include_str!("../docs/CONFIGURATION.md");
        let row = |name: &str| {
            let mark = format!("`{name}`");
            let row = page.lines().find(|line| {
                line.starts_with("| `") && line.split('|').nth(1).is_some_and(|cell| cell.contains(&mark))
            });
            row.unwrap_or_else(|| panic!("the page has no row for {name}"))
        };
        for (name, default) in VARIABLES {
            let last = row(name).trim_end_matches(['|', ' ']).rsplit('|').next().expect("a cell");
            if !only_in_the_manifest.contains(&name) {
                assert_eq!(declared[name]["default"].as_str(), Some(default), "{name}");
                assert!(default.is_empty() || last.contains(default), "{name}: the page says {last}, not {default}");
            }
        }
        let ranges = [
            ("cache_ttl_seconds", format!("0 (no cache) to {MAX_CACHE_SECONDS}")),
            ("cache_stale_seconds", format!("0 (never) to {MAX_CACHE_SECONDS}")),
            ("cache_memory_seconds", format!("0 (never) to {MAX_MEMORY_SECONDS}")),
            ("max_checkin_age_days", format!("0 (no bound) to {MAX_AGE_DAYS}")),
            ("cache_slots", format!("0 (none) or {} to {}", CACHE_SLOTS.start(), CACHE_SLOTS.end())),
            ("job_ttl_seconds", format!("1 to {MAX_CACHE_SECONDS}")),
            ("inference_timeout_seconds", format!("{} to {}", TIMEOUT_SECONDS.start(), TIMEOUT_SECONDS.end())),
            ("webhook_secret", format!("{MIN_SECRET_BYTES} bytes or more")),
            ("operations_token", format!("{MIN_SECRET_BYTES} bytes or more")),
            ("cache_key_secret", format!("{MIN_SECRET_BYTES} bytes or more")),
            ("api_keys", format!("{MIN_API_KEY_BYTES} bytes or more")),
            ("supabase_jwt_secret", format!("{MIN_JWT_SECRET_BYTES} bytes or more")),
        ];
        let manifest = include_str!("../spin.toml");
        for (name, range) in ranges {
            assert!(row(name).contains(&range), "the page does not say {range} of {name}");
            let comment = manifest.split_once(&format!("\n{name} = ")).expect("declared").0.rsplit('\n').next();
            // Of the JWT secret the manifest says what it is for.
            if name != "supabase_jwt_secret" {
                assert!(comment.is_some_and(|line| line.contains(&range)), "spin.toml does not say {range} of {name}");
            }
        }
    }

    #[test]
    fn no_time_to_live_turns_the_cache_off_and_the_placeholder_is_no_database() {
        let settings = block_on(Settings::read(&Fake::with_variable("cache_ttl_seconds", "0"))).expect("valid");
        assert_eq!(settings.cache_ttl, None);
        let placeholder = Fake::with_variable("supabase_url", "https://unset.invalid");
        let settings = block_on(Settings::read(&placeholder)).expect("valid");
        assert_eq!(settings.crisis_resources, ["CVV 188", "findahelpline.com"]);
    }
}
