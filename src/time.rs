//! Times as answers give them.

use jiff::Timestamp;

/// Formats a time as RFC 3339 in UTC, to the second.
pub(crate) fn rfc3339_seconds(time: Timestamp) -> String {
    // Printing whole seconds needs no formatting language, which would be a hundredth of the module.
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// The moment that comes so long after another, both in milliseconds since 1970-01-01 UTC.
pub(crate) fn after(moment: i64, duration: std::time::Duration) -> i64 {
    moment.saturating_add_unsigned(duration.as_millis() as u64)
}

/// The time since a moment, given in milliseconds since 1970-01-01 UTC; zero for one to come. Of another's clock, or a
/// corrupt entry, it may be any.
pub(crate) fn elapsed_since(moment: i64) -> std::time::Duration {
    let milliseconds = Timestamp::now().as_millisecond().saturating_sub(moment);
    std::time::Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
}
