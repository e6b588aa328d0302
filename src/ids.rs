//! Identifiers: of a person, of a window of days, of a request.

use serde::Serializer;
use std::cell::Cell;
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

    /// The id of these bytes, masked with others; masked with the same once more it is the id again.
    pub(crate) fn masked(bytes: &[u8; 16], mask: &[u8; 16]) -> UserId {
        UserId(Uuid::from_bytes(std::array::from_fn(|index| bytes[index] ^ mask[index])))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
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

/// The ids of the predictions that one request makes. They differ in their last four digits, which are `0000` in the id
/// of them all.
#[derive(Debug, Default)]
pub(crate) struct DecisionIds {
    last: Cell<Option<u128>>,
}

impl DecisionIds {
    const NUMBER: u128 = 0xffff;

    /// Takes ids that no other prediction has, for so many predictions, and returns the first.
    pub(crate) fn take(&self, count: usize) -> Uuid {
        let count = (count as u128).clamp(1, Self::NUMBER);
        // A request makes far fewer predictions than there are numbers: each is bounded by its size.
        let last = self.last.get().filter(|last| (last & Self::NUMBER) + count <= Self::NUMBER);
        let last = last.unwrap_or_else(|| Uuid::new_v4().as_u128() & !Self::NUMBER);
        self.last.set(Some(last + count));
        Uuid::from_u128(last + 1)
    }

    /// Returns the id of all predictions that were made for the request of one.
    pub(crate) fn of_all(one: Uuid) -> Uuid {
        Uuid::from_u128(one.as_u128() & !Self::NUMBER)
    }
}

/// Serializes something as the text that it prints.
pub(crate) fn as_text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Serializes something as the text that it prints, if it is there.
pub(crate) fn as_optional_text<S: Serializer>(
    value: &Option<impl fmt::Display>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
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
    fn predictions_of_one_request_have_ids_that_differ_in_their_last_digits() {
        let ids = DecisionIds::default();
        let some = [5, 5, 1].map(|count| ids.take(count));
        let of_all = DecisionIds::of_all(some[2]).to_string();
        assert_eq!(DecisionIds::of_all(some[0]).to_string(), of_all);
        let begin = of_all.strip_suffix("0000").expect("a number");
        assert_eq!(some.map(|id| id.to_string()), ["0001", "0006", "000b"].map(|number| format!("{begin}{number}")));
        let other = DecisionIds::default().take(1);
        assert_ne!(DecisionIds::of_all(other).to_string(), of_all);
        assert!(!ids.take(65_530).to_string().starts_with(begin), "there are not so many left");
    }

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
