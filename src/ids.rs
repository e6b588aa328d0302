//! Identifiers: of a person, of a window of days, of a request.

use http::HeaderMap;
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

/// The id of a request: the caller's own if it is sane, else a new one.
#[derive(Clone)]
pub(crate) struct RequestId {
    text: String,
    /// It is the caller's, and there can be anything in it.
    from_caller: bool,
}

impl RequestId {
    /// Reads `x-request-id`. Sane are 1 to 128 letters, digits, dots, dashes, underscores and colons, which can break
    /// neither a log line nor a header.
    pub(crate) fn from_headers(headers: &HeaderMap) -> RequestId {
        let sane = |id: &&str| {
            (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
        };
        match headers.get("x-request-id").and_then(|id| id.to_str().ok()).filter(sane) {
            Some(id) => RequestId { text: id.to_owned(), from_caller: true },
            None => RequestId { text: Uuid::new_v4().to_string(), from_caller: false },
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The id for a log, or `withheld` if the caller put the person's id or a token into it.
    pub(crate) fn for_log(&self, person: Option<UserId>) -> &str {
        let contains = |part: &str| self.text.to_ascii_lowercase().contains(part);
        let is_telling = || self.text.contains("eyJ") || person.is_some_and(|person| contains(&person.to_string()));
        if self.from_caller && is_telling() { "withheld" } else { &self.text }
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
