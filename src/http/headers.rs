//! Headers of requests.

use crate::supabase::{NoToken, Token};
use features::Language;
use http::{HeaderMap, HeaderValue};

/// The header of a name, if there is exactly one: of several credentials none can be told to be the caller's.
pub(crate) fn single_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a HeaderValue> {
    let mut all = headers.get_all(name).iter();
    all.next().filter(|_| all.next().is_none())
}

/// The bearer token of a request (RFC 6750).
pub(crate) fn bearer_token(headers: &HeaderMap) -> Result<Token, NoToken> {
    let value = single_header(headers, "authorization").and_then(|value| value.to_str().ok());
    Token::parse(value.ok_or(NoToken::Missing)?)
}

/// The parts of a header that is a comma-separated list, over all headers of the name.
pub(crate) fn list<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Returns true if a header of content negotiation (RFC 9110, section 12.5) accepts one of `names`, by its own name or
/// as `wildcard`, with a weight above 0.
pub(crate) fn accepts(headers: &HeaderMap, header: &str, names: &[&str], wildcard: Option<&str>) -> bool {
    let mut by_wildcard = false;
    for range in list(headers, header) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        let is_wanted = weight(parts) > 0.0;
        if names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return is_wanted;
        }
        if Some(name) == wildcard {
            by_wildcard = is_wanted;
        }
    }
    by_wildcard
}

/// The weight among the parameters of a range (RFC 9110, section 12.4.2): 1 if there is none, 0 if it is no number.
fn weight<'a>(mut parameters: impl Iterator<Item = &'a str>) -> f64 {
    let weight = parameters.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0))
}

/// The language that a caller would rather read (RFC 9110, section 12.5.4): of those that are offered the one with the
/// most weight, the first of several. Whoever wants none of them gets English.
pub(crate) fn accepted_language(headers: &HeaderMap) -> Language {
    let mut best = (Language::default(), 0.0);
    for range in list(headers, "accept-language") {
        let mut parts = range.split(';').map(str::trim);
        let primary = parts.next().and_then(|tag| tag.split('-').next()).unwrap_or("");
        // Whoever reads another Portuguese or English reads this one.
        let offered = Language::ALL.into_iter().find(|language| {
            let own = language.tag().split('-').next().unwrap_or("");
            own.eq_ignore_ascii_case(primary)
        });
        let weight = weight(parts);
        if let Some(language) = offered.filter(|_| weight > best.1) {
            best = (language, weight);
        }
    }
    best.0
}

/// The media type of FHIR in JSON.
pub(crate) const FHIR_JSON: &str = "application/fhir+json";

/// Returns true if the caller asks for FHIR R4 in JSON, and would not rather have plain JSON.
pub(crate) fn prefers_fhir(headers: &HeaderMap) -> bool {
    let weight_of = |wanted: &str| {
        let of_range = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            let is_wanted = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(wanted));
            let mut parameters = parts.clone().filter_map(|part| part.split_once('='));
            let version = parameters.find(|(name, _)| name.eq_ignore_ascii_case("fhirVersion"));
            let is_r4 = version.is_none_or(|(_, version)| version.trim_matches('"') == "4.0");
            (is_wanted && is_r4).then(|| weight(parts))
        };
        list(headers, "accept").filter_map(of_range).fold(0.0, f64::max)
    };
    let fhir = weight_of(FHIR_JSON);
    fhir > 0.0 && fhir >= weight_of("application/json")
}

/// Returns true if a proxy says that the caller spoke TLS to it.
pub(crate) fn is_forwarded_https(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|protocol| protocol.as_bytes().starts_with(b"https"))
}

/// Returns true if the caller would rather be told where to look later (`Prefer: respond-async`, RFC 7240).
pub(crate) fn prefers_async(headers: &HeaderMap) -> bool {
    let mut names = list(headers, "prefer").map(|one| one.split([';', '=']).next().unwrap_or(""));
    names.any(|name| name.trim().eq_ignore_ascii_case("respond-async"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().expect("a header"))])
    }

    #[test]
    fn a_coding_is_accepted_by_name_or_as_anything() {
        for (accepted, gzip) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5, br", true),
            ("x-gzip", true),
            ("*", true),
            ("*;q=0", false),
            ("gzip;q=0, *", false),
            ("*, gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("gzip;q=x", false),
            ("identity", false),
            ("", false),
        ] {
            let headers = headers("accept-encoding", accepted);
            assert_eq!(accepts(&headers, "accept-encoding", &["gzip", "x-gzip"], Some("*")), gzip, "{accepted}");
        }
    }

    #[test]
    fn a_media_type_is_accepted_by_its_own_name_alone() {
        for (accepted, html) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("application/json;q=0.9, Text/HTML;level=1", true),
            ("*/*", false),
            ("application/json", false),
            ("text/html;q=0, application/json", false),
        ] {
            assert_eq!(accepts(&headers("accept", accepted), "accept", &["text/html"], None), html, "{accepted}");
        }
        assert!(!accepts(&HeaderMap::new(), "accept", &["text/html"], None));
    }

    proptest! {
        #[test]
        fn no_header_panics(value in proptest::collection::vec(any::<u8>(), 0..200), text in "(?i)bearer [ -~]{0,80}") {
            for bytes in [value.as_slice(), text.as_bytes()] {
                let Ok(value) = HeaderValue::from_bytes(bytes) else { continue };
                let headers: HeaderMap = ["authorization", "accept", "accept-encoding", "prefer", "x-forwarded-proto"]
                    .map(|name| (http::HeaderName::from_static(name), value.clone()))
                    .into_iter()
                    .collect();
                let _ = (accepts(&headers, "accept", &["text/html"], Some("*")), prefers_async(&headers));
                let _ = (is_forwarded_https(&headers), accepts(&headers, "accept-encoding", &["gzip"], None));
                if let Ok(token) = bearer_token(&headers) {
                    prop_assert!(token.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
                }
            }
        }
    }

    #[test]
    fn the_language_is_the_one_with_the_most_weight() {
        for (accepted, language) in [
            ("pt-BR", Language::Portuguese),
            ("pt", Language::Portuguese),
            ("PT-pt, en;q=0.9", Language::Portuguese),
            ("en-US,en;q=0.9,pt-BR;q=0.8", Language::English),
            ("de-DE, pt;q=0.3, en;q=0.2", Language::Portuguese),
            ("en;q=0.1, pt;q=0", Language::English),
            ("pt;q=x", Language::English),
            ("*", Language::English),
            ("pta", Language::English),
            ("", Language::English),
        ] {
            assert_eq!(accepted_language(&headers("accept-language", accepted)), language, "{accepted}");
        }
        assert_eq!(accepted_language(&HeaderMap::new()), Language::English);
    }

    #[test]
    fn fhir_is_asked_for_by_name_and_plain_json_may_be_preferred() {
        for (accepted, is_fhir) in [
            ("application/fhir+json", true),
            ("Application/FHIR+json; charset=utf-8; fhirVersion=4.0", true),
            ("application/fhir+json;fhirVersion=\"4.0\", application/json", true),
            ("application/fhir+xml, application/fhir+json;q=0.5, */*;q=0.1", true),
            ("application/fhir+json; fhirVersion=5.0", false),
            ("application/json, application/fhir+json;q=0.9", false),
            ("application/fhir+json;q=0", false),
            ("application/fhir+json;q=x", false),
            ("application/fhir+xml", false),
            ("*/*", false),
            ("", false),
        ] {
            assert_eq!(prefers_fhir(&headers("accept", accepted)), is_fhir, "{accepted}");
        }
    }

    #[test]
    fn a_preference_is_read_among_others() {
        for (value, is_async) in
            [("respond-async, wait=10", true), ("wait=10; x, Respond-Async", true), ("wait", false)]
        {
            assert_eq!(prefers_async(&headers("prefer", value)), is_async, "{value}");
        }
    }
}
