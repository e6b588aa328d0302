//! The trace that a request is part of (W3C Trace Context, level 1): its id goes into the log line, and it is continued in what is
//! asked of the database. With a host that exports telemetry every request is part of one.

use http::HeaderMap;
use uuid::Uuid;

/// A caller's place in a trace.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trace {
    /// 32 hexadecimal digits.
    pub(crate) id: String,
    /// The step that asked: 16 hexadecimal digits, or nothing where the trace begins here.
    pub(crate) parent: String,
    /// This request's own step.
    pub(crate) step: String,
    pub(crate) sampled: bool,
    /// Other systems' own words, passed on as they are.
    state: Option<String>,
}

/// The most bytes of `tracestate` that are passed on, as the specification has it.
const LONGEST_STATE: usize = 512;

impl Trace {
    /// Reads `traceparent`; what is none begins nothing.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Trace> {
        let mut values = headers.get_all("traceparent").iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let mut parts = value.to_str().ok()?.split('-');
        let (version, id, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str, length| {
            text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let zero = |text: &str| text.bytes().all(|byte| byte == b'0');
        // A later version may have more parts; version 00 has four, and ff is none.
        let sound = hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
        if !sound || !hex(id, 32) || zero(id) || !hex(parent, 16) || zero(parent) || !hex(flags, 2) {
            return None;
        }
        let state = headers.get("tracestate").and_then(|state| state.to_str().ok());
        let state = state.filter(|state| !state.is_empty() && state.len() <= LONGEST_STATE);
        // Of the flags only the first is known to this version.
        let sampled = u8::from_str_radix(flags, 16).ok()? & 1;
        Some(Trace { state: state.map(str::to_owned), ..Trace::part(id, parent, sampled == 1) })
    }

    /// A step of a trace.
    pub(crate) fn part(id: &str, parent: &str, sampled: bool) -> Trace {
        Trace { id: id.to_owned(), parent: parent.to_owned(), step: step(), sampled, state: None }
    }

    /// A step that this one begins.
    pub(crate) fn next(&self) -> Trace {
        Trace { state: self.state.clone(), ..Trace::part(&self.id, &self.step, self.sampled) }
    }

    /// The first step of a trace of its own.
    pub(crate) fn begin() -> Trace {
        Trace::part(&Uuid::new_v4().simple().to_string(), "", true)
    }

    /// The headers of a request that is made for this one.
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        let parent = ("traceparent", format!("00-{}-{}-{:02x}", self.id, self.step, u8::from(self.sampled)));
        std::iter::once(parent).chain(self.state.clone().map(|state| ("tracestate", state))).collect()
    }
}

/// An id of a step that nobody else has.
pub(crate) fn step() -> String {
    format!("{:016x}", Uuid::new_v4().as_u64_pair().1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn trace(parent: &str, state: &str) -> Option<Trace> {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", parent.parse().expect("a header"));
        headers.insert("tracestate", state.parse().expect("a header"));
        Trace::of(&headers)
    }

    #[test]
    fn a_trace_is_continued_under_its_own_id() {
        let trace = trace(&format!("00-{ID}-00f067aa0ba902b7-03"), "vendor=1").expect("a trace");
        let headers = trace.headers();
        let parts: Vec<&str> = headers[0].1.split('-').collect();
        assert_eq!((parts[0], parts[1], parts[2].len(), parts[3]), ("00", ID, 16, "01"));
        assert_ne!(parts[2], "00f067aa0ba902b7");
        assert_eq!((trace.parent.as_str(), parts[2]), ("00f067aa0ba902b7", trace.step.as_str()));
        assert_eq!((Trace::begin().id.len(), Trace::begin().parent.as_str()), (32, ""));
        assert_eq!(headers[1], ("tracestate", "vendor=1".to_owned()));
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
