//! What the host's exporter is handed, where the module was built to (the feature `otel`): the steps of a request as spans, and counts
//! as they are told to the store. As OpenTelemetry has them; names of the attributes are its conventions' where there are any.

#![cfg_attr(not(feature = "otel"), allow(dead_code, reason = "read by the exporter alone"))]

use super::trace::{self, Trace};
use jiff::Timestamp;
use std::time::Duration;

/// One step.
pub(crate) struct Span {
    pub(crate) name: String,
    /// The request itself; else a part of it.
    pub(crate) is_server: bool,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Nothing where the trace begins.
    pub(crate) parent: String,
    pub(crate) sampled: bool,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) attributes: Vec<(&'static str, Attribute)>,
    /// What went wrong, where it is this service's fault.
    pub(crate) error: Option<&'static str>,
}

/// What is said of a step. Nothing here is a caller's own text.
pub(crate) enum Attribute {
    Text(&'static str),
    Number(u16),
}

/// A part of a request: what it was, when it began after the request did, and how long it took.
pub(crate) type Part = (&'static str, Duration, Duration);

/// The spans of a request that ends now: its own first, then its parts'.
pub(crate) fn spans(
    trace: &Trace,
    name: String,
    took: Duration,
    parts: &[Part],
    attributes: Vec<(&'static str, Attribute)>,
    error: Option<&'static str>,
) -> Vec<Span> {
    let end = Timestamp::now();
    let start = end.checked_sub(took).unwrap_or(end);
    let after = |moment: Duration| start.checked_add(moment).unwrap_or(end);
    let own = Span {
        name,
        is_server: true,
        trace: trace.id.clone(),
        id: trace.step.clone(),
        parent: trace.parent.clone(),
        sampled: trace.sampled,
        start,
        end,
        attributes,
        error,
    };
    let part = |(name, began, took): &Part| Span {
        name: (*name).to_owned(),
        is_server: false,
        trace: trace.id.clone(),
        id: trace::step(),
        parent: trace.step.clone(),
        sampled: trace.sampled,
        start: after(*began),
        end: after(*began + *took),
        attributes: Vec::new(),
        error: None,
    };
    std::iter::once(own).chain(parts.iter().map(part)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_within_their_request_and_say_whose_they_are() {
        let trace = Trace::begin();
        let (ms, parts) = (
            Duration::from_millis,
            [
                ("cache", Duration::ZERO, Duration::from_millis(2)),
                ("source", Duration::from_millis(2), Duration::from_millis(5)),
            ],
        );
        let spans = spans(&trace, "GET /".to_owned(), ms(8), &parts, Vec::new(), None);
        assert_eq!(spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["GET /", "cache", "source"]);
        let (own, source) = (&spans[0], &spans[2]);
        assert!(own.is_server && own.parent.is_empty() && own.id == trace.step);
        assert_eq!((&source.parent, &source.trace), (&own.id, &own.trace));
        assert!(own.start < source.start && source.end < own.end);
        assert_eq!(source.start.duration_since(own.start).as_millis(), 2);
    }
}
