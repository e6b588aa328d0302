//! The configuration: the variables of `spin.toml`, checked.

use crate::access::rate_limit::Rate;
use crate::platform::Platform;
use crate::problem::Problem;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use http::HeaderName;
use jsonwebtoken::DecodingKey;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

/// The configuration of a deployment.
pub(crate) struct Settings {
    /// How those who ask say who they are.
    pub(crate) auth_mode: AuthMode,
    /// What entries of the store are sealed with; `None` leaves them as they are.
    pub(crate) cache_cipher: Option<XChaCha20Poly1305>,
    /// What keys of the store are hashed with; `None` for one that is made and kept there.
    pub(crate) cache_key_secret: Option<Rc<[u8]>>,
    /// How long an expired prediction may stand in for one that cannot be made; nothing for never.
    pub(crate) cache_stale: Duration,
    /// How long a prediction is served from the cache; `None` turns the cache off.
    pub(crate) cache_ttl: Option<Duration>,
    /// The header in which a proxy says where a request comes from; `None` believes the host.
    pub(crate) client_ip_header: Option<HeaderName>,
    /// Whose pages may call this service from a browser.
    pub(crate) cors_origins: CorsOrigins,
    /// Where someone in a crisis finds help, shown with sensitive predictions.
    pub(crate) crisis_resources: Vec<String>,
    /// How long an answer may take in all.
    pub(crate) inference_timeout: Duration,
    /// How long the outcome of a background prediction is kept.
    pub(crate) job_ttl: Duration,
    /// How lines of the log read, and which are written.
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: LogLevel,
    /// The inventory is for those who may ask for predictions.
    pub(crate) protect_operations: bool,
    /// How often a caller may ask for anything but predictions; `None` for as often as they like.
    pub(crate) rate_limit_default: Option<Rate>,
    /// How often a caller may ask for predictions; `None` for as often as they like.
    pub(crate) rate_limit_predictions: Option<Rate>,
    /// Where check-ins come from; `None` for the demo cohort.
    pub(crate) supabase: Option<Rc<Supabase>>,
    /// What is not in the cache is predicted in the background, whether or not the caller asked for that.
    pub(crate) use_background_inference: bool,
    /// What a webhook must send to be believed; `None` if none is configured.
    pub(crate) webhook_secret: Option<String>,
}

/// How those who ask say who they are.
pub(crate) enum AuthMode {
    /// They do not.
    Off,
    /// With one of these keys, of which the SHA-256 is here.
    ApiKey(Vec<[u8; 32]>),
    /// With an access token of this Supabase project.
    Jwt(Signing, Rc<Supabase>),
}

impl AuthMode {
    /// As the variable is set.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            AuthMode::Off => "off",
            AuthMode::ApiKey(_) => "api_key",
            AuthMode::Jwt(..) => "jwt",
        }
    }
}

/// How a project signs its tokens. One or the other: a token does not get to choose.
pub(crate) enum Signing {
    /// HS256 under the project's legacy secret.
    Secret(DecodingKey),
    /// ES256 or RS256 under the keys that the project publishes.
    KeySet,
}

/// The project that check-ins come from.
pub(crate) struct Supabase {
    /// Scheme, host and port.
    pub(crate) origin: String,
    /// Names the project to its gateway; what may be read is the caller's token's affair.
    pub(crate) anon_key: String,
    /// Reads everything, for callers who have no token of the project.
    pub(crate) service_key: Option<String>,
}

/// How much of the log is written: a level's lines and those above it.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

impl LogLevel {
    const ALL: [LogLevel; 4] = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug];

    pub(crate) fn name(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
        }
    }
}

/// How a line of the log reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum LogFormat {
    /// An object a line.
    Json,
    /// A sentence a line, for people.
    Text,
}

/// Whose pages may call this service from a browser.
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
const SHORTEST_SECRET: usize = 16;
/// An API key opens everything: it must not be a word.
const SHORTEST_API_KEY: usize = 24;
/// RFC 7518 wants a key as long as the hash.
const SHORTEST_JWT_SECRET: usize = 32;

/// A day: longer, and a person would be shown the mood of yesterday.
const LONGEST_CACHE_SECONDS: u64 = 86_400;

/// Below it nothing could be answered, above it no host waits.
const TIMEOUT_SECONDS: RangeInclusive<f64> = 0.05..=120.0;

impl Settings {
    /// Reads every variable. A value that cannot be used is an error, never replaced by a default in silence.
    pub(crate) async fn read(platform: &impl Platform) -> Result<Settings, Problem> {
        let text = async |name: &'static str, default: &str| {
            let value = platform.variable(name).await.unwrap_or_else(|| default.to_owned());
            value.trim().to_owned()
        };
        let wrong = |detail| Problem::NotConfigured { detail };
        let seconds = |text: String| text.parse().ok().filter(|seconds| *seconds <= LONGEST_CACHE_SECONDS);
        let cache_ttl = seconds(text("cache_ttl_seconds", "300").await)
            .ok_or(wrong("The variable cache_ttl_seconds must be a whole number from 0 (no cache) to 86400."))?;
        let cache_stale = seconds(text("cache_stale_seconds", "3600").await)
            .ok_or(wrong("The variable cache_stale_seconds must be a whole number from 0 (never) to 86400."))?;
        let job_ttl = seconds(text("job_ttl_seconds", "600").await)
            .filter(|seconds| *seconds > 0)
            .ok_or(wrong("The variable job_ttl_seconds must be a whole number from 1 to 86400."))?;
        let use_background_inference = match text("use_background_inference", "").await.as_str() {
            "" | "false" => false,
            "true" => true,
            _ => return Err(wrong("The variable use_background_inference must be true or false.")),
        };
        let timeout: f64 = text("inference_timeout_seconds", "30")
            .await
            .parse()
            .ok()
            .filter(|seconds| TIMEOUT_SECONDS.contains(seconds))
            .ok_or(wrong("The variable inference_timeout_seconds must be a number from 0.05 to 120."))?;
        let crisis_resources = parts(&text("crisis_resources", "").await, ';');
        if crisis_resources.is_empty() {
            return Err(wrong("The variable crisis_resources must name at least one place to find help."));
        }
        let supabase = match database(&text("supabase_url", "").await)? {
            None => None,
            Some(origin) => {
                let anon_key = text("supabase_anon_key", "").await;
                if anon_key.is_empty() || !is_header_text(&anon_key) {
                    return Err(wrong(
                        "With supabase_url the variable supabase_anon_key must be the project's anon key.",
                    ));
                }
                let service_key = Some(text("supabase_service_key", "").await).filter(|key| !key.is_empty());
                if service_key.as_ref().is_some_and(|key| !is_header_text(key)) {
                    return Err(wrong("The variable supabase_service_key must be the project's service key."));
                }
                Some(Rc::new(Supabase { origin, anon_key, service_key }))
            }
        };
        let auth_mode = auth_mode(
            &text("auth_mode", "").await,
            supabase.as_ref(),
            &text("supabase_jwt_secret", "").await,
            &text("api_keys", "").await,
        )?;
        let protect_operations = match text("protect_operations", "").await.as_str() {
            // Open where nobody has to say who they are, as beside demo data.
            "" => !matches!(auth_mode, AuthMode::Off),
            "true" => true,
            "false" => false,
            _ => return Err(wrong("The variable protect_operations must be true, false or empty.")),
        };
        if protect_operations && matches!(auth_mode, AuthMode::Off) {
            return Err(wrong("With protect_operations the variable auth_mode must be jwt or api_key."));
        }
        let rate_limit_predictions = Rate::parse(&text("rate_limit_predictions", "60/minute").await)
            .ok_or(wrong("The variable rate_limit_predictions must be like 60/minute (second, hour, day), or off."))?;
        let rate_limit_default = Rate::parse(&text("rate_limit_default", "120/minute").await)
            .ok_or(wrong("The variable rate_limit_default must be like 120/minute (second, hour, day), or off."))?;
        let client_ip_header = match text("client_ip_header", "").await.as_str() {
            "" => None,
            name => Some(name.parse().map_err(|_| wrong("The variable client_ip_header must be a header's name."))?),
        };
        let cors_origins = cors_origins(&text("cors_origins", "").await).ok_or(wrong(
            "The variable cors_origins must be * or a comma-separated list of origins, as in https://app.example.",
        ))?;
        let log_level = text("log_level", "info").await;
        let log_level = LogLevel::ALL
            .into_iter()
            .find(|level| level.name() == log_level)
            .ok_or(wrong("The variable log_level must be error, warn, info or debug."))?;
        let log_format = match text("log_format", "json").await.as_str() {
            "json" => LogFormat::Json,
            "text" => LogFormat::Text,
            _ => return Err(wrong("The variable log_format must be json or text.")),
        };
        let webhook_secret = text("webhook_secret", "").await;
        if (1..SHORTEST_SECRET).contains(&webhook_secret.len()) {
            return Err(wrong("The variable webhook_secret must have at least 16 bytes."));
        }
        let key_secret = text("cache_key_secret", "").await;
        if (1..SHORTEST_SECRET).contains(&key_secret.len()) {
            return Err(wrong("The variable cache_key_secret must have at least 16 bytes."));
        }
        let cache_cipher = match text("cache_encryption_key", "").await.as_str() {
            "" => None,
            key => Some(cipher(key).ok_or(wrong(
                "The variable cache_encryption_key must be 32 bytes as 64 hexadecimal digits: openssl rand -hex 32",
            ))?),
        };
        Ok(Settings {
            auth_mode,
            cache_cipher,
            cache_key_secret: Some(key_secret)
                .filter(|secret| !secret.is_empty())
                .map(|secret| secret.into_bytes().into()),
            cache_stale: Duration::from_secs(cache_stale),
            cache_ttl: (cache_ttl > 0).then(|| Duration::from_secs(cache_ttl)),
            client_ip_header,
            cors_origins,
            crisis_resources,
            inference_timeout: Duration::from_secs_f64(timeout),
            job_ttl: Duration::from_secs(job_ttl),
            log_format,
            log_level,
            protect_operations,
            rate_limit_default,
            rate_limit_predictions,
            supabase,
            use_background_inference,
            webhook_secret: Some(webhook_secret).filter(|secret| !secret.is_empty()),
        })
    }

    /// People's own check-ins are served to whoever asks, because this deployment asked for that by name.
    pub(crate) fn is_unprotected(&self) -> bool {
        self.supabase.is_some() && matches!(self.auth_mode, AuthMode::Off)
    }
}

/// The parts of a list, without the empty ones.
fn parts(text: &str, separator: char) -> Vec<String> {
    text.split(separator).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Whether a text can be sent in a header as it is.
fn is_header_text(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Who must say who they are. Without a word, everyone as soon as there is a database.
fn auth_mode(
    mode: &str,
    supabase: Option<&Rc<Supabase>>,
    jwt_secret: &str,
    api_keys: &str,
) -> Result<AuthMode, Problem> {
    let wrong = |detail| Err(Problem::NotConfigured { detail });
    match (mode, supabase) {
        ("off", _) | ("", None) => Ok(AuthMode::Off),
        ("jwt", None) => {
            wrong("With auth_mode jwt the variable supabase_url must name the project that signs the tokens.")
        }
        ("jwt" | "", Some(supabase)) => {
            let signing = match jwt_secret.len() {
                0 => Signing::KeySet,
                1..SHORTEST_JWT_SECRET => {
                    return wrong("The variable supabase_jwt_secret must have at least 32 bytes, as Supabase's have.");
                }
                _ => Signing::Secret(DecodingKey::from_secret(jwt_secret.as_bytes())),
            };
            Ok(AuthMode::Jwt(signing, supabase.clone()))
        }
        ("api_key", _) => {
            let keys = parts(api_keys, ',');
            if keys.is_empty() || keys.iter().any(|key| key.len() < SHORTEST_API_KEY || !is_header_text(key)) {
                return wrong(
                    "With auth_mode api_key the variable api_keys must hold keys of at least 24 bytes, separated by commas.",
                );
            }
            if supabase.is_some_and(|supabase| supabase.service_key.is_none()) {
                return wrong("With auth_mode api_key and supabase_url the variable supabase_service_key must be set.");
            }
            Ok(AuthMode::ApiKey(keys.iter().map(|key| Sha256::digest(key).into()).collect()))
        }
        _ => wrong("The variable auth_mode must be jwt, api_key, off or empty."),
    }
}

fn cors_origins(text: &str) -> Option<CorsOrigins> {
    if text == "*" {
        return Some(CorsOrigins::Any);
    }
    let origins = parts(text, ',');
    // As browsers send it: no path, no port that the scheme implies, lower case.
    let as_sent = |text: &String| Origin::parse(text).is_some_and(|origin| origin.to_string() == *text);
    origins.iter().all(as_sent).then_some(CorsOrigins::Only(origins))
}

/// A scheme, a host and a port (RFC 6454), and nothing else.
struct Origin {
    secure: bool,
    host: String,
    /// Where it is not the scheme's own.
    port: Option<u16>,
}

impl Origin {
    fn parse(text: &str) -> Option<Origin> {
        let uri: http::Uri = text.parse().ok()?;
        let authority = uri.authority()?;
        let secure = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let bare = ["", "/"].contains(&uri.path()) && uri.query().is_none() && !text.contains(['#', '@', '?']);
        let port = match authority.as_str().strip_prefix(authority.host())? {
            "" => None,
            port => Some(port.strip_prefix(':')?.parse().ok()?),
        };
        let own = if secure { 443 } else { 80 };
        let host = authority.host().to_ascii_lowercase();
        (bare && !host.is_empty()).then(|| Origin { secure, host, port: port.filter(|port| *port != own) })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(out, "{scheme}://{}", self.host)?;
        self.port.map_or(Ok(()), |port| write!(out, ":{port}"))
    }
}

fn cipher(key: &str) -> Option<XChaCha20Poly1305> {
    let digits = key.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let plain = digits.len() == 64 && digits.iter().all(u8::is_ascii_hexdigit);
    let bytes: Option<Vec<u8>> = if plain { digits.chunks(2).map(byte).collect() } else { None };
    XChaCha20Poly1305::new_from_slice(&bytes?).ok()
}

/// The origin of the database, or none for the manifest's placeholder, a host under the reserved name `.invalid` (RFC 2606):
/// `allowed_outbound_hosts` cannot be made from an empty variable.
fn database(text: &str) -> Result<Option<String>, Problem> {
    let wrong = Problem::NotConfigured {
        detail: "The variable supabase_url must be https:// and a host, as in https://project.supabase.co (http:// for \
                 localhost only).",
    };
    if text.is_empty() {
        return Ok(None);
    }
    let Some(origin) = Origin::parse(text) else { return Err(wrong) };
    if origin.host.ends_with(".invalid") {
        return Ok(None);
    }
    // A token in the clear is read by whoever is on the way.
    let local = ["localhost", "127.0.0.1", "[::1]"].contains(&origin.host.as_str());
    if origin.secure || local { Ok(Some(origin.to_string())) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::fake::Fake;
    use futures::executor::block_on;

    fn refused(variables: &[(&'static str, &str)]) -> &'static str {
        let mut fake = Fake::with_variable("crisis_resources", "CVV 188");
        for (name, value) in variables {
            fake.set_variable(name, value);
        }
        match block_on(Settings::read(&fake)) {
            Err(Problem::NotConfigured { detail }) => detail,
            other => panic!("{other:?}"),
        }
    }

    fn detail(name: &'static str, value: &str) -> &'static str {
        match block_on(Settings::read(&Fake::with_variable(name, value))) {
            Err(Problem::NotConfigured { detail }) => detail,
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
            ("log_level", &["INFO", "loud"][..]),
            ("log_format", &["xml"][..]),
            ("job_ttl_seconds", &["0", "86401", "an hour"][..]),
            ("use_background_inference", &["yes", "1"][..]),
            ("auth_mode", &["none", "JWT", "jwt,off"]),
            ("protect_operations", &["yes", "1"]),
            ("rate_limit_predictions", &["60", "none"]),
            ("rate_limit_default", &["0/minute"]),
            ("client_ip_header", &["x forwarded", "x:y"]),
            ("cors_origins", &["app.example", "https://app.example/", "https://a.example, *", "null"]),
            ("cache_key_secret", &["short"]),
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
    fn an_origin_is_read_as_browsers_write_it() {
        let read = |text: &str| Origin::parse(text).map(|origin| origin.to_string());
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
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
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
