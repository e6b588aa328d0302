//! The pages for people: `GET /` for a browser, where predictions, a person's history, what if, and the models are shown, and
//! `GET /docs`, which renders `/openapi.json`. Each is one file, put together by the build, that asks this service and nobody else.

use crate::compression::Stored;
use crate::response::Response;
use http::HeaderMap;

const HTML: &str = "text/html; charset=utf-8";

const PAGE: Stored =
    Stored { gzip: include_bytes!(concat!(env!("OUT_DIR"), "/PAGE.gz")), content_type: HTML, tag: env!("PAGE_TAG") };

const DOCS: Stored =
    Stored { gzip: include_bytes!(concat!(env!("OUT_DIR"), "/DOCS.gz")), content_type: HTML, tag: env!("DOCS_TAG") };

pub(super) fn answer(headers: &HeaderMap) -> Response {
    PAGE.answer(headers).with_header("content-security-policy", env!("PAGE_POLICY"))
}

pub(super) fn docs(headers: &HeaderMap) -> Response {
    DOCS.answer(headers).with_header("content-security-policy", env!("DOCS_POLICY"))
}

/// Whether a browser asks, rather than a program: only browsers name HTML among what they take.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let values = headers.get_all("accept").iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_html = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("text/html"));
        is_html && !parts.any(|part| part.strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_the_page_and_programs_get_json() {
        for (accept, wanted) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("application/json;q=0.9, Text/HTML;level=1", true),
            ("*/*", false),
            ("application/json", false),
            ("text/html;q=0, application/json", false),
        ] {
            let headers = HeaderMap::from_iter([(http::header::ACCEPT, accept.parse().expect("a header"))]);
            assert_eq!(is_wanted(&headers), wanted, "{accept}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }
}
