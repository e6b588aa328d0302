//! The address of a Redis server.

use std::fmt;
use url::Url;

/// The port where the URL names none.
const DEFAULT_PORT: u16 = 6379;

/// The URL of a Redis server: scheme, password, host, port and database.
#[derive(Clone)]
pub(crate) struct RedisUrl {
    url: String,
    address: String,
}

impl RedisUrl {
    /// Parses `redis://[[user]:password@]host[:port][/database]`, or `rediss://` for TLS.
    pub(crate) fn parse(text: &str) -> Option<RedisUrl> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        let mut url = Url::parse(text).ok().filter(|_| is_plain)?;
        let database = url.path().trim_start_matches('/');
        let is_redis = ["redis", "rediss"].contains(&url.scheme())
            && (database.is_empty() || database.parse::<u32>().is_ok())
            && url.query().is_none()
            && url.fragment().is_none();
        let host = url.host_str().filter(|host| is_redis && !host.is_empty())?;
        let port = url.port().unwrap_or(DEFAULT_PORT);
        let address = format!("{}://{host}:{port}", url.scheme());
        // A host that compares addresses knows no port of these schemes.
        url.set_port(Some(port)).ok()?;
        Some(RedisUrl { url: url.into(), address })
    }

    /// The whole URL, with its password.
    pub(crate) fn as_str(&self) -> &str {
        &self.url
    }

    /// Scheme, host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

/// The URL may have a password.
impl fmt::Debug for RedisUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("RedisUrl(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_parsed_with_its_port_or_refused() {
        let parsed = |text: &str| RedisUrl::parse(text).map(|url| (url.url, url.address));
        for (text, url, address) in [
            ("redis://localhost", "redis://localhost:6379", "redis://localhost:6379"),
            ("redis://:word@10.0.0.1:6380/2", "redis://:word@10.0.0.1:6380/2", "redis://10.0.0.1:6380"),
            (
                "rediss://app:p%40ss@cache.example/0",
                "rediss://app:p%40ss@cache.example:6379/0",
                "rediss://cache.example:6379",
            ),
        ] {
            assert_eq!(parsed(text), Some((url.to_owned(), address.to_owned())), "{text}");
        }
        let long = format!("{:?}", RedisUrl::parse("redis://:word@a").expect("valid"));
        assert!(!long.contains("word"));
        for wrong in [
            "",
            "localhost:6379",
            "http://a",
            "redis://",
            "redis://a/b",
            "redis://a?db=1",
            "redis://a b",
            "redis://a#1",
        ] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
