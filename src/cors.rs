//! Which pages may call this service from a browser (the Fetch standard's CORS protocol). Credentials of a browser's own, cookies,
//! are never asked for: callers send their token in a header.

use crate::response::Response;
use crate::route;
use crate::settings::{CorsOrigins, Settings};
use http::{HeaderMap, Method};

/// Headers of an answer that a page may read beside the few that every page may.
const EXPOSED: &str = "age, allow, etag, location, preference-applied, ratelimit-limit, ratelimit-remaining, ratelimit-reset, retry-after, \
                       server-timing, www-authenticate, x-cache, x-request-id";
/// Headers that a page may send.
const ACCEPTED: &str = "authorization, content-type, if-none-match, prefer, x-api-key, x-request-id";
/// How long a browser may remember a preflight: two hours is the most that browsers take.
const REMEMBERED_SECONDS: &str = "7200";

/// The answer to `OPTIONS`: what is allowed at a path. To a page's preflight it adds, in [`allow`], what the page may do.
pub(crate) fn options(path: &str) -> Option<Response> {
    let allow = route::methods(path)?;
    let empty = Response { status: 204, headers: Vec::new(), body: Vec::new() };
    Some(empty.with_header("allow", format!("{allow}, OPTIONS")))
}

/// The same answer, for the page that asked for it: if it may read it, it is told so.
pub(crate) fn allow(response: Response, settings: &Settings, method: &Method, headers: &HeaderMap) -> Response {
    let origin = headers.get("origin").and_then(|origin| origin.to_str().ok());
    let (allowed, response) = match (&settings.cors_origins, origin) {
        (CorsOrigins::Any, Some(_)) => (Some("*"), response),
        (CorsOrigins::Only(origins), _) if origins.is_empty() => (None, response),
        // A cache between must not give one origin's answer to another.
        (CorsOrigins::Only(origins), origin) => {
            (origin.filter(|origin| origins.iter().any(|own| own == origin)), response.varying("origin"))
        }
        (CorsOrigins::Any, None) => (None, response),
    };
    let Some(allowed) = allowed else { return response };
    let response = response.with_header("access-control-allow-origin", allowed);
    if method != Method::OPTIONS {
        return response.with_header("access-control-expose-headers", EXPOSED);
    }
    let methods = response.headers.iter().find(|(name, _)| *name == "allow").map(|(_, methods)| methods.clone());
    response
        .with_header("access-control-allow-methods", methods.unwrap_or_default())
        .with_header("access-control-allow-headers", ACCEPTED)
        .with_header("access-control-max-age", REMEMBERED_SECONDS)
}
