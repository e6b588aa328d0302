//! Pages that may call this service from a browser (the Fetch standard's CORS protocol). Credentials of a browser's
//! own, cookies, are never asked for: callers send their token in a header.

use super::response::Response;
use crate::config::{CorsOrigins, Settings};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW,
};
use http::{HeaderMap, Method};

/// Headers of an answer that a page may read beside the few that every page may.
const EXPOSED_HEADERS: &str = "age, allow, etag, inference-header-content-length, location, preference-applied, \
                               ratelimit, ratelimit-limit, ratelimit-policy, ratelimit-remaining, ratelimit-reset, \
                               retry-after, server-timing, warning, www-authenticate, x-cache, x-request-id";
/// Headers that a page may send. `x-request-id` is not read, and many clients send it.
const ALLOWED_HEADERS: &str = "authorization, content-encoding, content-type, if-none-match, \
                               inference-header-content-length, prefer, traceparent, tracestate, x-api-key, \
                               x-request-id";
/// A browser may keep a preflight's answer so long: two hours is the most that browsers take.
const MAX_AGE_SECONDS: &str = "7200";

/// Answers `OPTIONS` with the methods of a path. To a page's preflight [`allow_origin`] adds what the page may do.
pub(crate) fn options_response(methods: &str) -> Response {
    Response::empty(204).with_header(ALLOW, format!("{methods}, OPTIONS"))
}

/// Adds what the page that asked may do with the answer.
pub(crate) fn allow_origin(response: Response, settings: &Settings, method: &Method, headers: &HeaderMap) -> Response {
    let origin = headers.get("origin").and_then(|origin| origin.to_str().ok());
    let (allowed, response) = match (&settings.cors_origins, origin) {
        (CorsOrigins::Any, Some(_)) => (Some("*"), response),
        (CorsOrigins::Only(origins), _) if origins.is_empty() => (None, response),
        // A cache between must not give one origin's answer to another.
        (CorsOrigins::Only(origins), origin) => {
            (origin.filter(|origin| origins.iter().any(|own| own == origin)), response.varying_by("origin"))
        }
        (CorsOrigins::Any, None) => (None, response),
    };
    let Some(allowed) = allowed else { return response };
    let response = response.with_header(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    if method != Method::OPTIONS {
        return response.with_header(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
    }
    let methods = response.header(ALLOW).unwrap_or_default().to_owned();
    response
        .with_header(ACCESS_CONTROL_ALLOW_METHODS, methods)
        .with_header(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS)
        .with_header(ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS)
}
