//! Times as answers give them.

use jiff::civil::Date;
use jiff::{Span, Timestamp};

/// Formats a time as RFC 3339 in UTC, to the second.
pub(crate) fn rfc3339_seconds(time: Timestamp) -> String {
    // Printing whole seconds needs no formatting language, which would be a hundredth of the module.
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// The clocks of two hosts may be so far apart, in milliseconds.
pub(crate) const MAX_CLOCK_SKEW_MS: i64 = 5_000;

#[cfg(not(test))]
mod clock {
    /// The time by the wall clock, which may be set back.
    pub(crate) fn now() -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    /// The time by a clock that is never set back.
    pub(crate) fn monotonic_now() -> std::time::Instant {
        std::time::Instant::now()
    }
}

/// Clocks that a test can set: as long as it does not, they are the machine's.
#[cfg(test)]
pub(crate) mod clock {
    use jiff::Timestamp;
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    thread_local! {
        static AHEAD_MS: Cell<i64> = const { Cell::new(0) };
        static PASSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
        static STOPPED: Cell<Option<(Timestamp, Instant)>> = const { Cell::new(None) };
    }

    pub(crate) fn now() -> Timestamp {
        let base = STOPPED.get().map_or_else(Timestamp::now, |(wall, _)| wall);
        let milliseconds = base.as_millisecond().saturating_add(AHEAD_MS.get());
        Timestamp::from_millisecond(milliseconds).expect("a time that there is")
    }

    pub(crate) fn monotonic_now() -> Instant {
        STOPPED.get().map_or_else(Instant::now, |(_, monotonic)| monotonic) + PASSED.get()
    }

    /// Stops both clocks, the wall clock at a time: they go on only as a test has them.
    pub(crate) fn stop_at(wall: Timestamp) {
        STOPPED.set(Some((wall, Instant::now())));
        AHEAD_MS.set(0);
        PASSED.set(Duration::ZERO);
    }

    /// Sets the wall clock so far ahead of the machine's, or behind it.
    pub(crate) fn set_ahead(milliseconds: i64) {
        AHEAD_MS.set(milliseconds);
    }

    /// Lets time pass, by both clocks.
    pub(crate) fn pass(time: Duration) {
        AHEAD_MS.set(AHEAD_MS.get() + i64::try_from(time.as_millis()).expect("less than ages"));
        PASSED.set(PASSED.get() + time);
    }
}

pub(crate) use clock::{monotonic_now, now};

/// The time by the wall clock, in milliseconds since 1970-01-01 UTC.
pub(crate) fn now_ms() -> i64 {
    now().as_millisecond()
}

const EPOCH: Date = Date::constant(1970, 1, 1);
/// A day, in milliseconds.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// Today, in UTC.
pub(crate) fn today() -> Date {
    day_of(now_ms())
}

/// The last day that it is anywhere now: somebody's today may be UTC's tomorrow (UTC+14 is the earliest zone).
pub(crate) fn last_day_today() -> Date {
    today().tomorrow().unwrap_or(Date::MAX)
}

/// The days from one date to another.
pub(crate) fn days_between(from: Date, to: Date) -> i64 {
    to.duration_since(from).as_hours() / 24
}

/// The age in days of something of that day: 0 for one to come, which is somebody's today before it is UTC's.
pub(crate) fn age_days(day: Date, today: Date) -> i64 {
    days_between(day, today).max(0)
}

/// The day of a moment in UTC, given in milliseconds since 1970-01-01 UTC.
pub(crate) fn day_of(moment: i64) -> Date {
    let days = moment.div_euclid(DAY_MS);
    Span::new().try_days(days).and_then(|days| EPOCH.checked_add(days)).unwrap_or(EPOCH)
}

/// The moment at which a day begins in UTC, in milliseconds since 1970-01-01 UTC.
pub(crate) fn start_of(day: Date) -> i64 {
    days_between(EPOCH, day) * DAY_MS
}

/// The moment that comes so long after another, both in milliseconds since 1970-01-01 UTC.
pub(crate) fn after(moment: i64, duration: std::time::Duration) -> i64 {
    moment.saturating_add_unsigned(duration.as_millis() as u64)
}

/// The time since a moment, given in milliseconds since 1970-01-01 UTC; zero for one to come. Of another's clock, or a
/// corrupt entry, it may be any.
pub(crate) fn elapsed_since(moment: i64) -> std::time::Duration {
    let milliseconds = now_ms().saturating_sub(moment);
    std::time::Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_at_midnight_in_utc() {
        assert_eq!(start_of(Date::constant(1970, 1, 2)), DAY_MS);
        assert_eq!(start_of(Date::constant(1969, 12, 31)), -DAY_MS);
        assert_eq!(days_between(Date::constant(2024, 2, 28), Date::constant(2024, 3, 1)), 2);
        assert_eq!((day_of(DAY_MS - 1), day_of(-1)), (EPOCH, Date::constant(1969, 12, 31)));
        assert_eq!(age_days(Date::constant(2026, 1, 31), Date::constant(2026, 2, 2)), 2);
        assert_eq!(age_days(Date::constant(2026, 2, 3), Date::constant(2026, 2, 2)), 0);
        let now = Timestamp::now().as_millisecond();
        assert!((start_of(today())..start_of(today()) + DAY_MS).contains(&now));
    }
}
