//! The one place that builds responses.

use super::compression::{MIN_COMPRESSED_BYTES, gunzip, gzip, is_gzip_accepted};
use super::headers::list;
use crate::ids::RequestId;
use crate::load::Share;
use crate::problem::Problem;
use crate::quota::{RateLimitPolicy, RateLimitStatus};
use crate::telemetry::log;
use crate::telemetry::timing::Timing;
use bipolar_edge_models::FINGERPRINT;
use features::Language;
use http::header::{
    AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ETAG, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, VARY, WARNING, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use std::time::Duration;

/// A whole answer. The body is complete before the first byte leaves, so that `content-length` is always there.
#[derive(Debug)]
pub struct Response {
    status: u16,
    headers: HeaderMap,
    /// `None` where there can be none: after `HEAD`, and with status 204 and 304.
    body: Option<Vec<u8>>,
    cache_status: Option<CacheStatus>,
    /// The answer's part of the instance's load.
    share: Option<Share>,
}

/// The part that the prediction cache had in an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum CacheStatus {
    /// From the cache.
    Hit,
    /// From the cache, though it has expired, because no new one could be made.
    Stale { age: Duration },
    /// Made now, and kept.
    Miss,
    /// Made now, for this caller alone.
    Bypass,
}

impl CacheStatus {
    /// The value of `x-cache`.
    fn header(self) -> &'static str {
        match self {
            CacheStatus::Hit => "HIT",
            CacheStatus::Stale { .. } => "STALE",
            CacheStatus::Miss => "MISS",
            CacheStatus::Bypass => "BYPASS",
        }
    }

    /// The label in metrics and in the log.
    pub(crate) fn label(self) -> &'static str {
        match self {
            CacheStatus::Hit => "hit",
            CacheStatus::Stale { .. } => "stale",
            CacheStatus::Miss => "miss",
            CacheStatus::Bypass => "bypass",
        }
    }
}

/// The answer where a body cannot be serialized: a map with keys that are no strings, or a failing `Serialize`; neither
/// is in this crate. A test holds it to the rendering of [`Problem::Internal`].
const INTERNAL_ERROR: &str = r#"{"type":"urn:bipolar-edge:problem:internal-error","title":"Internal error","status":500,"detail":"This service is at fault: try again, and report it if it stays so."}"#;

/// The warning on every answer of a deployment that shows people's check-ins to anyone.
const UNPROTECTED: &str = "199 bipolar-edge \"auth_mode is off: predictions about people are open to whoever asks\"";

impl Response {
    /// An answer in JSON.
    pub(crate) fn json(status: u16, body: &impl Serialize) -> Response {
        match serde_json::to_vec(body) {
            Ok(body) => Response::json_text(status, body),
            Err(_) => {
                log::error("not_serialized", "an answer could not be serialized", "its type cannot be JSON");
                Response::text(500, "application/problem+json", INTERNAL_ERROR)
            }
        }
    }

    /// An answer that is JSON already.
    pub(crate) fn json_text(status: u16, body: impl Into<Vec<u8>>) -> Response {
        Response::text(status, "application/json", body)
    }

    /// An answer of some media type.
    pub(crate) fn text(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Response {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        Response { status, headers, body: Some(body.into()), cache_status: None, share: None }
    }

    /// An answer without a body.
    pub(crate) fn empty(status: u16) -> Response {
        Response { status, headers: HeaderMap::new(), body: None, cache_status: None, share: None }
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn cache_status(&self) -> Option<CacheStatus> {
        self.cache_status
    }

    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Sets a header, in place of one of that name. One that cannot be sent is left out, and is an error in the log.
    pub(crate) fn with_header(mut self, name: HeaderName, value: impl AsRef<str>) -> Response {
        match HeaderValue::from_str(value.as_ref()) {
            Ok(value) => drop(self.headers.insert(name, value)),
            Err(_) => log::error("header_not_sent", "a header of an answer was left out", "its value is invalid"),
        }
        self
    }

    /// Sets the media type.
    pub(crate) fn with_content_type(self, content_type: &'static str) -> Response {
        self.with_header(CONTENT_TYPE, content_type)
    }

    /// Sets a header, if there is none of that name.
    fn with_default_header(mut self, name: HeaderName, value: &'static str) -> Response {
        self.headers.entry(name).or_insert(HeaderValue::from_static(value));
        self
    }

    /// Adds the name of a request's header to `vary`.
    pub(crate) fn varying_by(self, name: &str) -> Response {
        let vary = match self.header(VARY) {
            Some(names) if names.split(", ").any(|other| other == name) => return self,
            Some(names) => format!("{names}, {name}"),
            None => name.to_owned(),
        };
        self.with_header(VARY, vary)
    }

    /// Drops the body, for the answer to `HEAD`, and with it the length, which a host would hold against the body that
    /// is not there.
    pub(crate) fn without_body(self) -> Response {
        Response { body: None, ..self }
    }

    /// Says which language the texts are in, and that it is the caller's.
    pub(crate) fn in_language(self, language: Language) -> Response {
        self.with_header(CONTENT_LANGUAGE, language.tag()).varying_by("accept-language")
    }

    /// Keeps the answer out of every cache: it is about a person.
    pub(crate) fn private(self) -> Response {
        self.with_header(CACHE_CONTROL, "private, no-store")
    }

    /// Says what the cache had in an answer about a person.
    pub(crate) fn with_cache_status(self, status: CacheStatus) -> Response {
        let response = self.private().with_header(X_CACHE, status.header());
        let response = match status {
            CacheStatus::Stale { age } => response.with_header(AGE, age.as_secs().to_string()),
            _ => response,
        };
        Response { cache_status: Some(status), ..response }
    }

    /// Tags an answer that changes with the compiled models only.
    pub(crate) fn with_model_etag(self, headers: &HeaderMap) -> Response {
        self.not_modified_if_match(FINGERPRINT, headers)
    }

    /// Tags an answer. A caller who has the tag already is told that it is not modified (RFC 9110, section 13).
    pub(crate) fn not_modified_if_match(self, tag: &str, headers: &HeaderMap) -> Response {
        // Weak: compressed or not, it says the same.
        let tag = format!("W/\"{tag}\"");
        let same = |known: &str| known == "*" || known.trim_start_matches("W/") == tag.trim_start_matches("W/");
        let response = match list(headers, "if-none-match").any(same) && self.status == 200 {
            true => Response::empty(304),
            false => self,
        };
        // To be kept, and asked for each time: the next release has other models.
        response.with_header(ETAG, tag).with_header(CACHE_CONTROL, "private, no-cache")
    }

    /// Adds the headers that follow from the deployment and from how the request reached it.
    pub(crate) fn with_security_headers(self, is_https: bool, is_unprotected: bool) -> Response {
        let response = match is_https {
            true => self.with_header(STRICT_TRANSPORT_SECURITY, "max-age=63072000; includeSubDomains"),
            false => self,
        };
        match is_unprotected {
            true => response.with_header(WARNING, UNPROTECTED),
            false => response,
        }
    }

    /// Adds the headers that say how much of their limit the caller has left, under the names that the draft of them
    /// has now, and under those that it had before, which more clients know.
    pub(crate) fn with_rate_limit_status(self, policy: RateLimitPolicy, status: &RateLimitStatus) -> Response {
        self.with_header(HeaderName::from_static("ratelimit-policy"), policy.render())
            .with_header(HeaderName::from_static("ratelimit"), policy.render_status(status))
            .with_header(HeaderName::from_static("ratelimit-limit"), status.limit.to_string())
            .with_header(HeaderName::from_static("ratelimit-remaining"), status.remaining.to_string())
            // Within the window, as under the new name: `retry-after` has the time of whoever must wait for longer.
            .with_header(HeaderName::from_static("ratelimit-reset"), status.reset.min(policy.rate.seconds).to_string())
    }

    /// Adds the headers of every answer. One that says nothing else of it is kept by nobody, and is nothing that a
    /// browser would run, guess the type of, or frame.
    pub(crate) fn with_id_and_timing(self, id: &RequestId, timing: &Timing) -> Response {
        self.with_header(HeaderName::from_static("x-request-id"), id.as_str())
            .with_header(HeaderName::from_static("server-timing"), timing.render_header())
            .with_default_header(CACHE_CONTROL, "no-store")
            .with_default_header(CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'")
            .with_header(REFERRER_POLICY, "no-referrer")
            .with_header(X_CONTENT_TYPE_OPTIONS, "nosniff")
    }

    /// Keeps a part of the instance's load until the answer has been read.
    pub(crate) fn with_share(self, share: Share) -> Response {
        Response { share: Some(share), ..self }
    }

    /// Takes what has to be kept for as long as the platform has the body, where an instance has others to answer: as
    /// long as its caller reads.
    pub fn take_share(&mut self) -> impl Sized + use<> {
        self.share.take()
    }

    /// Compresses the body if the caller accepts that and it is long enough.
    pub(crate) fn compressed(self, headers: &HeaderMap) -> Response {
        let is_long = self.body.as_ref().is_some_and(|body| body.len() >= MIN_COMPRESSED_BYTES);
        if !is_long || self.headers.contains_key(CONTENT_ENCODING) {
            return self;
        }
        let response = self.varying_by("accept-encoding");
        let compressed = response.body.as_deref().filter(|_| is_gzip_accepted(headers)).and_then(gzip);
        match compressed {
            Some(body) => Response { body: Some(body), ..response }.with_header(CONTENT_ENCODING, "gzip"),
            None => response,
        }
    }

    /// Answers with an asset: compressed for whoever accepts that, else as it was; not at all for whoever has it
    /// already.
    pub(crate) fn asset(asset: &Asset, headers: &HeaderMap) -> Result<Response, Problem> {
        let response = if is_gzip_accepted(headers) {
            Response::text(200, asset.content_type, asset.gzip).with_header(CONTENT_ENCODING, "gzip")
        } else {
            let body = gunzip(asset.gzip).ok_or_else(|| {
                log::error("asset_corrupt", "an embedded asset cannot be read", "it is no gzip");
                Problem::Internal
            })?;
            Response::text(200, asset.content_type, body)
        };
        Ok(response.varying_by("accept-encoding").not_modified_if_match(asset.tag, headers))
    }

    /// The response as a platform sends it. Its length is set here, and nowhere else.
    pub fn into_http(mut self) -> http::Response<Vec<u8>> {
        if let Some(body) = &self.body {
            self.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        let mut response = http::Response::new(self.body.unwrap_or_default());
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = self.headers;
        response
    }
}

/// Says what the prediction cache had in an answer.
pub(crate) const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// A file that the build has compressed.
pub(crate) struct Asset {
    pub(crate) gzip: &'static [u8],
    pub(crate) content_type: &'static str,
    /// Changes with the file.
    pub(crate) tag: &'static str,
}

impl Asset {
    /// A file about the compiled models.
    pub(crate) fn of_models(content_type: &'static str, gzip: &'static [u8]) -> Asset {
        Asset { gzip, content_type, tag: FINGERPRINT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem_response::problem_details;

    fn accepting_gzip() -> HeaderMap {
        HeaderMap::from_iter([(http::header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"))])
    }

    #[test]
    fn the_length_is_that_of_the_body_that_leaves() {
        let length = |response: Response| {
            let response = response.into_http();
            let length = response.headers().get(CONTENT_LENGTH).map(|length| length.to_str().expect("text").to_owned());
            (length, response.into_body().len())
        };
        let long = || Response::json_text(200, vec![b' '; MIN_COMPRESSED_BYTES]);
        let (compressed, bytes) = length(long().compressed(&accepting_gzip()));
        assert!(bytes < 100 && compressed == Some(bytes.to_string()));
        assert_eq!(length(long()), (Some("4096".to_owned()), 4096));
        assert_eq!(length(long().without_body()), (None, 0));
        assert_eq!(length(Response::empty(204)), (None, 0));
        let short = Response::json_text(200, vec![b' '; MIN_COMPRESSED_BYTES - 1]).compressed(&accepting_gzip());
        assert!(short.header(CONTENT_ENCODING).is_none() && short.header(VARY).is_none());
    }

    #[test]
    fn an_asset_that_is_corrupt_is_this_services_fault() {
        let asset = Asset { gzip: b"no gzip", content_type: "text/html", tag: "t" };
        assert_eq!(Response::asset(&asset, &HeaderMap::new()).err(), Some(Problem::Internal));
    }

    #[test]
    fn a_header_that_cannot_be_sent_is_left_out() {
        let response = Response::empty(200).with_header(ETAG, "a\nb");
        assert!(response.header(ETAG).is_none());
    }

    #[test]
    fn a_known_tag_is_not_modified() {
        let known = |tags: &str| {
            let headers = HeaderMap::from_iter([(http::header::IF_NONE_MATCH, tags.parse().expect("a header"))]);
            Response::json_text(200, "{}").not_modified_if_match("a", &headers).status()
        };
        assert_eq!([known("W/\"a\""), known("\"b\", \"a\""), known("*"), known("\"b\"")], [304, 304, 304, 200]);
    }

    #[test]
    fn the_answer_to_what_cannot_be_serialized_is_the_internal_problem() {
        let text = problem_details(&Problem::Internal, Language::English).into_http().into_body();
        assert_eq!(String::from_utf8(text).expect("UTF-8"), INTERNAL_ERROR);
        let failing = std::collections::HashMap::from([((1, 2), 3)]);
        let answer = Response::json(200, &failing);
        assert_eq!(answer.status(), 500);
    }
}
