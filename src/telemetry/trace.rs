//! The trace that a request is part of (W3C Trace Context, level 1): its id goes into the log line, and requests to the
//! database continue it. With a host that exports telemetry every request is part of one.

use crate::ids::UserId;
use http::HeaderMap;
use uuid::Uuid;

/// A span of a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// The trace's id: 32 hexadecimal digits.
    pub id: String,
    /// The parent span's id: 16 hexadecimal digits, or empty where the trace begins here.
    pub parent_id: String,
    /// This request's own span.
    pub span_id: String,
    /// The trace is recorded.
    pub sampled: bool,
    /// Other systems' `tracestate`, passed on as it is.
    state: Option<String>,
}

/// The most bytes of `tracestate` that are passed on, as the specification has it.
const MAX_STATE_BYTES: usize = 512;

impl Trace {
    /// Parses `traceparent` and `tracestate`; returns `None` if the first is absent or malformed.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Trace> {
        let mut values = headers.get_all("traceparent").iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let mut parts = value.to_str().ok()?.split('-');
        let (version, id, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let version = hex_byte(version)?;
        // A later version may have more parts; version 00 has four, and ff is invalid.
        if version == 0xff || version == 0 && parts.next().is_some() || !is_id(id, 32) || !is_id(parent, 16) {
            return None;
        }
        let state = headers.get("tracestate").and_then(|state| state.to_str().ok());
        let state = state.filter(|state| !state.is_empty() && state.len() <= MAX_STATE_BYTES);
        // Of the flags only the first is known to this version.
        let sampled = hex_byte(flags)? & 1 == 1;
        Some(Trace { state: state.map(str::to_owned), ..Trace::child_of(id, parent, sampled) })
    }

    /// Begins a span under another one.
    pub fn child_of(id: &str, parent_id: &str, sampled: bool) -> Trace {
        Trace { id: id.to_owned(), parent_id: parent_id.to_owned(), span_id: new_span_id(), sampled, state: None }
    }

    /// Begins a span under this one.
    pub(crate) fn child(&self) -> Trace {
        Trace { state: self.state.clone(), ..Trace::child_of(&self.id, &self.span_id, self.sampled) }
    }

    /// Begins a trace.
    pub(crate) fn root() -> Trace {
        Trace::child_of(&Uuid::new_v4().simple().to_string(), "", true)
    }

    /// The id for a log, or `withheld` if a caller made it out of the id of one of these people: beside their hash it
    /// would say whose that is.
    pub(crate) fn id_for_log(&self, people: [Option<UserId>; 2]) -> &str {
        let is_telling = people.into_iter().flatten().any(|person| person.digits() == self.id);
        if is_telling { "withheld" } else { &self.id }
    }

    /// The headers of a request that is made for this one.
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        let parent = ("traceparent", format!("00-{}-{}-{:02x}", self.id, self.span_id, u8::from(self.sampled)));
        std::iter::once(parent).chain(self.state.clone().map(|state| ("tracestate", state))).collect()
    }
}

/// An id of a span that nobody else has.
pub(crate) fn new_span_id() -> String {
    format!("{:016x}", Uuid::new_v4().as_u64_pair().1)
}

/// An id has so many lowercase hexadecimal digits, and they are not all zero.
fn is_id(text: &str, digits: usize) -> bool {
    let mut bytes = [0; 16];
    text.len() == digits
        && base16ct::lower::decode(text, &mut bytes).is_ok_and(|bytes| bytes.iter().any(|byte| *byte != 0))
}

fn hex_byte(text: &str) -> Option<u8> {
    let mut byte = [0];
    match base16ct::lower::decode(text, &mut byte) {
        Ok([byte]) => Some(*byte),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_trace_panics_and_what_is_continued_is_well_formed(
            noise in "[ -~]{0,80}", version in "[0-9a-f]{2}", id in "[0-9a-fA-F]{31,33}", more in "(-[ -~]{0,8})?",
        ) {
            for parent in [noise, format!("{version}-{id}-00f067aa0ba902b7-01{more}")] {
                if let Some(trace) = trace(&parent, "") {
                    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
                    prop_assert!(trace.id.len() == 32 && is_hex(&trace.id) && is_hex(&trace.parent_id), "{}", parent);
                }
            }
        }
    }

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn trace(parent: &str, state: &str) -> Option<Trace> {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", parent.parse().expect("a header"));
        headers.insert("tracestate", state.parse().expect("a header"));
        Trace::from_headers(&headers)
    }

    #[test]
    fn a_trace_is_continued_under_its_own_id() {
        let trace = trace(&format!("00-{ID}-00f067aa0ba902b7-03"), "vendor=1").expect("a trace");
        let headers = trace.headers();
        let parts: Vec<&str> = headers[0].1.split('-').collect();
        assert_eq!((parts[0], parts[1], parts[2].len(), parts[3]), ("00", ID, 16, "01"));
        assert_ne!(parts[2], "00f067aa0ba902b7");
        assert_eq!((trace.parent_id.as_str(), parts[2]), ("00f067aa0ba902b7", trace.span_id.as_str()));
        assert_eq!((Trace::root().id.len(), Trace::root().parent_id.as_str()), (32, ""));
        assert_eq!(headers[1], ("tracestate", "vendor=1".to_owned()));
    }

    #[test]
    fn an_id_that_is_a_persons_is_withheld_from_the_log() {
        let person = UserId::parse("4BF92F35-77b3-4da6-a3ce-929d0e0e4736");
        let other = UserId::parse("4bf92f35-77b3-4da6-a3ce-929d0e0e4737");
        assert!(person.is_some() && other.is_some());
        let trace = trace(&format!("00-{ID}-00f067aa0ba902b7-01"), "").expect("a trace");
        assert_eq!([trace.id_for_log([person, other]), trace.id_for_log([None, person])], ["withheld"; 2]);
        assert_eq!([trace.id_for_log([other, None]), trace.id_for_log([None, None])], [ID; 2]);
    }

    #[test]
    fn what_is_no_trace_is_not_continued() {
        assert!(trace(&format!("01-{ID}-00f067aa0ba902b7-01-more"), "").is_some(), "a later version");
        for wrong in [
            "",
            "00",
            &format!("00-{ID}-00f067aa0ba902b7"),
            &format!("00-{ID}-00f067aa0ba902b7-01-more"),
            &format!("ff-{ID}-00f067aa0ba902b7-01"),
            &format!("00-{}-00f067aa0ba902b7-01", ID.to_uppercase()),
            &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            &format!("00-{ID}-0000000000000000-01"),
            &format!("00-{ID}-00f067aa0ba902b7-0g"),
        ] {
            assert_eq!(trace(wrong, ""), None, "{wrong}");
        }
    }
}
