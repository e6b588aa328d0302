//! The configuration: the variables of `spin.toml`, checked.

use crate::platform::Platform;
use crate::problem::Problem;
use std::fmt;
use std::time::Duration;

/// The configuration of a deployment.
pub(crate) struct Settings {
    /// How long a prediction is served from the cache; `None` turns the cache off.
    pub(crate) cache_ttl: Option<Duration>,
    /// Where someone in a crisis finds help, shown with sensitive predictions.
    pub(crate) crisis_resources: Vec<String>,
    /// How long an answer may take in all.
    pub(crate) inference_timeout: Duration,
    /// Where check-ins come from; `None` for the demo cohort.
    pub(crate) supabase: Option<Supabase>,
    /// What a webhook must send to be believed; `None` if none is configured.
    pub(crate) webhook_secret: Option<String>,
}

/// The project that check-ins come from.
pub(crate) struct Supabase {
    /// Scheme, host and port.
    pub(crate) origin: String,
    /// Names the project to its gateway; what may be read is the caller's token's affair.
    pub(crate) anon_key: String,
}

/// A derived `Debug` would show the secret.
impl fmt::Debug for Settings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Settings { .. }")
    }
}

/// A shorter secret can be guessed.
const SHORTEST_SECRET: usize = 16;

/// A day: longer, and a person would be shown the mood of yesterday.
const LONGEST_CACHE_TTL_SECONDS: u64 = 86_400;

/// Below it nothing could be answered, above it no host waits.
const TIMEOUT_SECONDS: std::ops::RangeInclusive<f64> = 0.05..=120.0;

impl Settings {
    /// Reads every variable. A value that cannot be used is an error, never replaced by a default in silence.
    pub(crate) async fn read(platform: &impl Platform) -> Result<Settings, Problem> {
        let text = |value: Option<String>, default: &str| value.unwrap_or_else(|| default.to_owned());
        let seconds: u64 = text(platform.variable("cache_ttl_seconds").await, "300")
            .parse()
            .ok()
            .filter(|seconds| *seconds <= LONGEST_CACHE_TTL_SECONDS)
            .ok_or(Problem::NotConfigured {
                detail: "The variable cache_ttl_seconds must be a whole number from 0 (no cache) to 86400.",
            })?;
        let timeout: f64 = text(platform.variable("inference_timeout_seconds").await, "30")
            .parse()
            .ok()
            .filter(|seconds| TIMEOUT_SECONDS.contains(seconds))
            .ok_or(Problem::NotConfigured {
                detail: "The variable inference_timeout_seconds must be a number from 0.05 to 120.",
            })?;
        let resources = text(platform.variable("crisis_resources").await, "");
        let crisis_resources: Vec<String> =
            resources.split(';').map(str::trim).filter(|resource| !resource.is_empty()).map(str::to_owned).collect();
        if crisis_resources.is_empty() {
            return Err(Problem::NotConfigured {
                detail: "The variable crisis_resources must name at least one place to find help.",
            });
        }
        let supabase = match database(&text(platform.variable("supabase_url").await, ""))? {
            None => None,
            Some(origin) => {
                let anon_key = text(platform.variable("supabase_anon_key").await, "");
                if anon_key.is_empty() || !anon_key.bytes().all(|b| b.is_ascii_graphic()) {
                    return Err(Problem::NotConfigured {
                        detail: "With supabase_url the variable supabase_anon_key must be the project's anon key.",
                    });
                }
                Some(Supabase { origin, anon_key })
            }
        };
        let webhook_secret = text(platform.variable("webhook_secret").await, "");
        if (1..SHORTEST_SECRET).contains(&webhook_secret.len()) {
            return Err(Problem::NotConfigured { detail: "The variable webhook_secret must have at least 16 bytes." });
        }
        Ok(Settings {
            supabase,
            webhook_secret: Some(webhook_secret).filter(|secret| !secret.is_empty()),
            cache_ttl: (seconds > 0).then(|| Duration::from_secs(seconds)),
            crisis_resources,
            inference_timeout: Duration::from_secs_f64(timeout),
        })
    }
}

/// The origin of the database, or none for the manifest's placeholder, a host under the reserved name `.invalid` (RFC 2606):
/// `allowed_outbound_hosts` cannot be made from an empty variable.
fn database(text: &str) -> Result<Option<String>, Problem> {
    let wrong = Problem::NotConfigured {
        detail: "The variable supabase_url must be https:// and a host, as in https://project.supabase.co (http:// for \
                 localhost only).",
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    let Ok(url) = url::Url::parse(text.trim()) else { return Err(wrong) };
    let host = url.host_str().unwrap_or_default();
    if host.ends_with(".invalid") {
        return Ok(None);
    }
    // A token in the clear is read by whoever is on the way.
    let local = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    let scheme = url.scheme() == "https" || url.scheme() == "http" && local;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !scheme || host.is_empty() || !bare || !url.username().is_empty() || url.password().is_some() {
        return Err(wrong);
    }
    Ok(Some(url.origin().ascii_serialization()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::fake::Fake;
    use futures::executor::block_on;

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
    fn no_time_to_live_turns_the_cache_off_and_the_placeholder_is_no_database() {
        let settings = block_on(Settings::read(&Fake::with_variable("cache_ttl_seconds", "0"))).expect("valid");
        assert_eq!(settings.cache_ttl, None);
        let placeholder = Fake::with_variable("supabase_url", "https://unset.invalid");
        let settings = block_on(Settings::read(&placeholder)).expect("valid");
        assert_eq!(settings.crisis_resources, ["CVV 188", "findahelpline.com"]);
    }
}
