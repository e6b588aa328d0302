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
    /// What a webhook must send to be believed; `None` if none is configured.
    pub(crate) webhook_secret: Option<String>,
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
        if names_a_database(&text(platform.variable("supabase_url").await, "")) {
            return Err(Problem::NotConfigured {
                detail: "The variable supabase_url is set, and this release reads check-ins from the demo cohort only: \
                         leave it unset rather than have demo answers taken for a person's.",
            });
        }
        let webhook_secret = text(platform.variable("webhook_secret").await, "");
        if (1..SHORTEST_SECRET).contains(&webhook_secret.len()) {
            return Err(Problem::NotConfigured { detail: "The variable webhook_secret must have at least 16 bytes." });
        }
        Ok(Settings {
            webhook_secret: Some(webhook_secret).filter(|secret| !secret.is_empty()),
            cache_ttl: (seconds > 0).then(|| Duration::from_secs(seconds)),
            crisis_resources,
            inference_timeout: Duration::from_secs_f64(timeout),
        })
    }
}

/// Whether a URL is more than the manifest's placeholder, a host under the reserved name `.invalid` (RFC 2606):
/// `allowed_outbound_hosts` cannot be made from an empty variable.
fn names_a_database(url: &str) -> bool {
    match url::Url::parse(url.trim()) {
        Ok(url) => !url.host_str().is_some_and(|host| host.ends_with(".invalid")),
        Err(_) => !url.trim().is_empty(),
    }
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
        assert!(detail("supabase_url", "https://project.supabase.co").starts_with("The variable supabase_url"));
        assert!(detail("supabase_url", "not a url").starts_with("The variable supabase_url"));
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
