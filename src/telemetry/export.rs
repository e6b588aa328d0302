//! The form in which a host's exporter takes telemetry, where the component was built for one (the feature `otel` of
//! the component): the parts of a request as spans, and counts as they are flushed to the store. As OpenTelemetry has
//! them; names of attributes are its conventions' where there are any.

use super::timing::Part;
use super::trace::{Trace, new_span_id};
use jiff::Timestamp;
use std::time::Duration;

/// A span.
pub struct Span {
    /// The route of a request, or the name of a part of one.
    pub name: String,
    /// It is the request itself; else a part of it.
    pub is_server: bool,
    /// The trace's id.
    pub trace_id: String,
    /// The span's own id.
    pub id: String,
    /// The parent's id; empty where the trace begins.
    pub parent_id: String,
    /// The trace is recorded.
    pub sampled: bool,
    /// The time at which it began.
    pub start: Timestamp,
    /// The time at which it ended.
    pub end: Timestamp,
    /// Attributes by name.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// The error, where it is this service's fault.
    pub error: Option<String>,
}

/// The value of an attribute. Nothing here is a caller's own text.
pub enum Attribute {
    /// A fixed text.
    Text(&'static str),
    /// A number.
    Number(u16),
}

/// The spans of a request that ends now: its own first, then its parts'.
pub(crate) fn spans(
    trace: &Trace,
    name: String,
    took: Duration,
    parts: &[Part],
    attributes: Vec<(&'static str, Attribute)>,
    error: Option<String>,
) -> Vec<Span> {
    let end = Timestamp::now();
    let start = end.checked_sub(took).unwrap_or(end);
    let after = |moment: Duration| start.checked_add(moment).unwrap_or(end);
    let request = Span {
        name,
        is_server: true,
        trace_id: trace.id.clone(),
        id: trace.span_id.clone(),
        parent_id: trace.parent_id.clone(),
        sampled: trace.sampled,
        start,
        end,
        attributes,
        error,
    };
    let part = |(name, began, took): &Part| Span {
        name: (*name).to_owned(),
        is_server: false,
        trace_id: trace.id.clone(),
        id: new_span_id(),
        parent_id: trace.span_id.clone(),
        sampled: trace.sampled,
        start: after(*began),
        end: after(*began + *took),
        attributes: Vec::new(),
        error: None,
    };
    std::iter::once(request).chain(parts.iter().map(part)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_within_their_request_and_say_whose_they_are() {
        let trace = Trace::root();
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
        assert!(own.is_server && own.parent_id.is_empty() && own.id == trace.span_id);
        assert_eq!((&source.parent_id, &source.trace_id), (&own.id, &own.trace_id));
        assert!(own.start < source.start && source.end < own.end);
        assert_eq!(source.start.duration_since(own.start).as_millis(), 2);
    }
}
