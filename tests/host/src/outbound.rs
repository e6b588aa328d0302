//! `allowed_outbound_hosts` of the manifest, and outbound HTTP, which is held to them.

use crate::guest::{Progress, Shared, until_response_ends_guest};
use crate::quota::RateLimit;
use anyhow::{Context, Result, bail, ensure};
use http::Uri;
use std::ops::RangeInclusive;
use std::sync::Arc;
use tokio::sync::watch;
use url::Url;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// Hosts that a component may call.
#[derive(Debug, Default)]
pub(crate) struct AllowedHosts(Vec<AllowedHost>);

/// `scheme://host:port`, where the scheme may be `*`, the host `*` or `*.domain`, the port `*` or `from..to`, or
/// left out, which means the scheme's own.
#[derive(Debug, PartialEq)]
struct AllowedHost {
    scheme: Option<String>,
    host: HostPattern,
    ports: RangeInclusive<u16>,
}

#[derive(Debug, PartialEq)]
enum HostPattern {
    Any,
    SubdomainOf(String),
    Exactly(String),
}

impl AllowedHosts {
    pub(crate) fn parse(entries: &[String]) -> Result<AllowedHosts> {
        let parse =
            |entry: &String| AllowedHost::parse(entry).with_context(|| format!("allowed_outbound_hosts: {entry:?}"));
        Ok(AllowedHosts(entries.iter().map(parse).collect::<Result<_>>()?))
    }

    fn allow(&self, uri: &Uri) -> bool {
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else { return false };
        self.allow_origin(scheme, host, uri.port_u16())
    }

    /// Compares scheme, host and port of an address, which may have a user, a password and a path too. One without a
    /// scheme has the one given.
    pub(crate) fn allow_address(&self, address: &str, scheme: &str) -> bool {
        let parsed = match Url::parse(address) {
            Ok(url) if url.has_host() => Ok(url),
            _ => Url::parse(&format!("{scheme}://{address}")),
        };
        let Ok(url) = parsed else { return false };
        url.host_str().is_some_and(|host| self.allow_origin(url.scheme(), host, url.port()))
    }

    fn allow_origin(&self, scheme: &str, host: &str, port: Option<u16>) -> bool {
        let Some(port) = port.or(default_port(scheme)) else { return false };
        let host = host.to_ascii_lowercase();
        self.0.iter().any(|allowed| {
            allowed.scheme.as_deref().is_none_or(|own| own == scheme)
                && allowed.ports.contains(&port)
                && match &allowed.host {
                    HostPattern::Any => true,
                    HostPattern::SubdomainOf(domain) => {
                        host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
                    }
                    HostPattern::Exactly(own) => *own == host,
                }
        })
    }
}

impl AllowedHost {
    fn parse(entry: &str) -> Result<AllowedHost> {
        let (scheme, rest) = entry.trim().split_once("://").context("is not scheme://host[:port]")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        ensure!(!rest.contains('/'), "a path cannot be allowed, only a host");
        let scheme = (scheme != "*").then(|| scheme.to_ascii_lowercase());
        // The last colon, unless it is inside the brackets of an IPv6 address.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (rest, None),
        };
        ensure!(!host.is_empty(), "there is no host");
        ensure!(!host.contains('@'), "a user or password cannot be allowed, only a host");
        let number = |text: &str| text.parse::<u16>().with_context(|| format!("{text:?} is not a port"));
        let ports = match (port, scheme.as_deref()) {
            (Some("*"), _) => 0..=u16::MAX,
            (Some(port), _) => match port.split_once("..") {
                Some((from, to)) => number(from)?..=number(to)?.checked_sub(1).context("an empty range of ports")?,
                None => number(port)?..=number(port)?,
            },
            (None, scheme) => {
                let scheme = scheme.unwrap_or("*");
                let Some(port) = default_port(scheme) else { bail!("{scheme} has no port of its own: name one") };
                port..=port
            }
        };
        let host = match host.strip_prefix('*') {
            Some("") => HostPattern::Any,
            Some(domain) => {
                HostPattern::SubdomainOf(domain.strip_prefix('.').context("only *.domain")?.to_ascii_lowercase())
            }
            None => HostPattern::Exactly(host.to_ascii_lowercase()),
        };
        Ok(AllowedHost { scheme, host, ports })
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        // Of `rediss` nobody agrees on one.
        "redis" => Some(6379),
        _ => None,
    }
}

/// Sends what is allowed and denies the rest.
pub(crate) struct Outbound {
    /// Number of requests so far, denied ones too.
    pub(crate) requests: u64,
    allowed: Arc<AllowedHosts>,
    limit: Option<Arc<RateLimit>>,
    /// Progress of the guest's response, where the guest is to end with it.
    progress: Option<watch::Receiver<Progress>>,
}

impl Outbound {
    pub(crate) fn new(shared: &Shared, progress: Option<watch::Receiver<Progress>>) -> Outbound {
        Outbound { requests: 0, allowed: shared.allowed_hosts.clone(), limit: shared.outbound_limit.clone(), progress }
    }
}

/// A response, and the task that drives its connection.
type Sent = (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        drop(sent);
        self.requests += 1;
        if !self.allowed.allow(request.uri()) {
            return Box::new(async { Err(Error::HttpRequestDenied) });
        }
        if self.limit.as_ref().is_some_and(|limit| !limit.admit()) {
            let error = Error::InternalError(Some("quota exceeded: outbound requests an hour".to_owned()));
            return Box::new(async { Err(error) });
        }
        let progress = self.progress.clone();
        Box::new(async move {
            use http_body_util::BodyExt;
            until_response_ends_guest(progress).await;
            let (response, io) = wasmtime_wasi_http::default_send_request(request, options).await?;
            Ok((response.map(BodyExt::boxed_unsync), Box::new(io) as Box<dyn Future<Output = _> + Send>))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(entry: &str, uri: &str) -> bool {
        let allowed = AllowedHosts::parse(&[entry.to_owned()]).expect("a valid entry");
        allowed.allow(&uri.parse().expect("a valid URI"))
    }

    #[test]
    fn scheme_host_and_port_all_have_to_match() {
        assert!(allows("https://api.example", "https://api.example/path"));
        assert!(allows("https://API.example", "https://api.EXAMPLE/"));
        assert!(!allows("https://api.example", "http://api.example/"));
        assert!(!allows("https://api.example", "https://api.example:8443/"));
        assert!(!allows("https://api.example", "https://api.example.evil/"));
        assert!(!allows("https://api.example", "https://other.example/"));
        assert!(allows("http://127.0.0.1:*", "http://127.0.0.1:4321/"));
        assert!(allows("*://*.example:8000..8003", "https://a.example:8002/"));
        assert!(!allows("*://*.example:8000..8003", "https://a.example:8003/"));
        assert!(!allows("https://*.example", "https://notexample/"));
        assert!(!allows("https://*.example", "https://example/"));
        assert!(allows("http://[::1]:80", "http://[::1]/"));
    }

    #[test]
    fn an_entry_that_is_no_origin_is_refused() {
        for entry in ["", "api.example", "https://", "https://api.example/v1", "https://api.example:http", "ftp://a"] {
            assert!(AllowedHosts::parse(&[entry.to_owned()]).is_err(), "{entry}");
        }
        for entry in ["redis://:pw@host:6379", "redis://host:6379/0", "rediss://host", "*://host"] {
            assert!(AllowedHosts::parse(&[entry.to_owned()]).is_err(), "{entry}");
        }
    }

    #[test]
    fn address_may_have_a_password_and_a_database_that_the_entry_lacks() {
        let allows = |entry: &str, address: &str| {
            let allowed = AllowedHosts::parse(&[entry.to_owned()]).expect("a valid entry");
            allowed.allow_address(address, "redis")
        };
        assert!(allows("redis://cache.example:6379", "redis://:secret@cache.example:6379/0"));
        assert!(allows("redis://cache.example", "redis://user:p%40ss@cache.example"));
        assert!(allows("redis://cache.example", "cache.example:6379"));
        assert!(allows("rediss://cache.example:6380", "rediss://cache.example:6380"));
        assert!(!allows("rediss://cache.example:6380", "redis://cache.example:6380"));
        assert!(!allows("redis://cache.example:6379", "redis://cache.example:6380"));
        assert!(!allows("redis://127.0.0.1:6379", "redis://localhost:6379"));
        assert!(!allows("redis://127.0.0.1:6379", "not an address"));
    }
}
