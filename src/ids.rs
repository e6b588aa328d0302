//! Identifiers: of a person, of a window of days, of a request.

use std::fmt;
use uuid::Uuid;

/// A person's id: a UUID in the hyphenated form, kept in lower case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UserId(Uuid);

impl UserId {
    /// The id of nobody, which stands in for one that could not be parsed.
    pub(crate) const NIL: UserId = UserId(Uuid::nil());

    /// Parses the hyphenated form, in upper or lower case.
    pub fn parse(text: &str) -> Option<UserId> {
        // The parser also takes the bare, braced and URN forms; one person must have one path.
        (text.len() == 36).then(|| Uuid::try_parse(text).ok().map(UserId)).flatten()
    }

    /// The 32 hexadecimal digits, as a trace's id has them.
    pub(crate) fn digits(self) -> String {
        self.0.simple().to_string()
    }
}

/// Prints the id: into answers and store keys, never into a log.
impl fmt::Display for UserId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(out)
    }
}

/// Health data: a derived `Debug` would end up in a log some day.
impl fmt::Debug for UserId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("UserId(..)")
    }
}

/// Days of history before the latest check-in that count: 1 to 30.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowDays(u8);

impl WindowDays {
    pub(crate) const DEFAULT: WindowDays = WindowDays(3);
    pub(crate) const MIN: WindowDays = WindowDays(1);
    pub(crate) const MAX: WindowDays = WindowDays(30);

    /// The window of so many days, or `None` if it is out of range.
    pub(crate) fn new(days: u8) -> Option<WindowDays> {
        (WindowDays::MIN.0..=WindowDays::MAX.0).contains(&days).then_some(WindowDays(days))
    }

    pub(crate) fn get(self) -> u8 {
        self.0
    }
}

/// The id of a request. Always one of this service's own: `x-request-id` is a caller's text, which may be somebody's id
/// in whatever form, and what is in the log must be nobody's. A caller who wants to find their request reads it from
/// the answer, or sends a `traceparent`.
#[derive(Clone)]
pub(crate) struct RequestId(String);

impl RequestId {
    /// Makes an id that no other request has.
    pub(crate) fn new() -> RequestId {
        RequestId(Uuid::new_v4().to_string())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_never_shows_in_debug_output() {
        let id = UserId::parse("11111111-1111-4111-8111-11111111111A").expect("a UUID");
        assert_eq!(format!("{id:?}"), "UserId(..)");
    }

    #[test]
    fn windows_run_from_one_day_to_thirty() {
        assert_eq!((WindowDays::new(0), WindowDays::new(31)), (None, None));
    }
}
