//! The one place that builds responses.

use crate::access::rate_limit::Standing;
use crate::settings::Settings;
use crate::telemetry::Record;
use bipolar_edge_models::FINGERPRINT;
use http::HeaderMap;
use jiff::Timestamp;
use serde::Serialize;

/// A whole answer. The body is complete before the first byte leaves, so that `content-length` is always there.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// An answer in JSON.
    pub(crate) fn json(status: u16, body: &impl Serialize) -> Response {
        match serde_json::to_vec(body) {
            Ok(body) => Response::json_text(status, body),
            // Only a map with keys that are no strings, or a failing `Serialize`, gets here: neither is in this crate.
            Err(_) => {
                Response::json_text(500, br#"{"type":"about:blank","title":"Internal error","status":500}"#.to_vec())
            }
        }
    }

    /// An answer that is JSON already.
    pub(crate) fn json_text(status: u16, body: impl Into<Vec<u8>>) -> Response {
        Response::text(status, "application/json", body)
    }

    /// An answer in some text.
    pub(crate) fn text(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Response {
        let body = body.into();
        let headers = vec![("content-type", content_type.to_owned()), ("content-length", body.len().to_string())];
        Response { status, headers, body }
    }

    /// The same with a header set, in place of one of that name.
    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
        self
    }

    /// The same with a header, if it has none of that name.
    fn with_default(mut self, name: &'static str, value: &str) -> Response {
        if !self.headers.iter().any(|(other, _)| *other == name) {
            self.headers.push((name, value.to_owned()));
        }
        self
    }

    /// The same, saying on which of a request's headers it depends.
    pub(crate) fn varying(mut self, name: &str) -> Response {
        match self.headers.iter_mut().find(|(other, _)| *other == "vary") {
            Some((_, names)) if names.split(", ").any(|other| other == name) => {}
            Some((_, names)) => *names = format!("{names}, {name}"),
            None => self.headers.push(("vary", name.to_owned())),
        }
        self
    }

    /// The answer to `HEAD`: all but the body, and without its length, which a host would hold against the body that is not there.
    pub(crate) fn without_body(mut self) -> Response {
        self.headers.retain(|(name, _)| *name != "content-length");
        Response { body: Vec::new(), ..self }
    }

    /// An answer that changes with the compiled models only.
    pub(crate) fn of_models(self, headers: &HeaderMap) -> Response {
        self.unless_known(FINGERPRINT, headers)
    }

    /// An answer that is told apart from others of its path by a tag: a caller who has it is told so (RFC 9110, section 13).
    pub(crate) fn unless_known(self, tag: &str, headers: &HeaderMap) -> Response {
        // Weak: compressed or not, it says the same.
        let tag = format!("W/\"{tag}\"");
        let known = headers.get_all("if-none-match").iter().filter_map(|tags| tags.to_str().ok());
        let known = known.flat_map(|tags| tags.split(',')).map(str::trim);
        let response = match known
            .into_iter()
            .any(|known| known == "*" || known.trim_start_matches("W/") == tag.trim_start_matches("W/"))
            && self.status == 200
        {
            true => Response { status: 304, headers: Vec::new(), body: Vec::new() },
            false => self,
        };
        // To be kept, and asked for each time: the next release has other models.
        response.with_header("etag", tag).with_header("cache-control", "private, no-cache")
    }

    /// What every answer of a deployment carries, by what it is and how it was reached.
    pub(crate) fn of_deployment(self, settings: &Settings, headers: &HeaderMap) -> Response {
        let is = |name: &str, value: &str| {
            headers.get(name).is_some_and(|given| given.as_bytes().starts_with(value.as_bytes()))
        };
        let secure = is("x-forwarded-proto", "https") || is("spin-full-url", "https:");
        let response = match secure {
            true => self.with_header("strict-transport-security", "max-age=63072000; includeSubDomains"),
            false => self,
        };
        match settings.is_unprotected() {
            true => response.with_header("warning", UNPROTECTED),
            false => response,
        }
    }

    /// Where the caller stands against their limit.
    pub(crate) fn with_standing(self, standing: &Standing) -> Response {
        self.with_header("ratelimit-limit", standing.limit.to_string())
            .with_header("ratelimit-remaining", standing.remaining.to_string())
            .with_header("ratelimit-reset", standing.reset.to_string())
    }

    /// What every answer carries. An answer that says nothing else of it is kept by nobody, and is nothing that a browser
    /// would run, guess the type of, or frame.
    pub(crate) fn with_id_and_timing(self, record: Record) -> Response {
        self.with_header("x-request-id", record.id.as_str())
            .with_header("server-timing", record.into_header())
            .with_default("cache-control", "no-store")
            .with_default("content-security-policy", "default-src 'none'; frame-ancestors 'none'")
            .with_header("referrer-policy", "no-referrer")
            .with_header("x-content-type-options", "nosniff")
    }
}

/// For whoever looks at an answer of a deployment that shows people's check-ins to anyone.
const UNPROTECTED: &str = "199 bipolar-edge \"auth_mode is off: predictions about people are open to whoever asks\"";

/// A time as answers give it: RFC 3339 in UTC, to the second.
pub(crate) fn in_seconds(time: Timestamp) -> String {
    // Printing whole seconds needs no formatting language, which would be a hundredth of the module.
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}
