//! A wall clock that is set ahead of the machine's, or behind it.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wasmtime_wasi::HostWallClock;

/// How far ahead of the machine's clock a component's is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ClockOffset {
    /// By so many seconds.
    Seconds(i64),
    /// By the seconds that the file has, which is read whenever the time is asked for.
    FromFile(PathBuf),
}

impl ClockOffset {
    pub(crate) fn parse(text: &str) -> Result<ClockOffset, String> {
        match text.strip_prefix('@') {
            Some(file) => Ok(ClockOffset::FromFile(file.into())),
            None => text
                .parse()
                .map(ClockOffset::Seconds)
                .map_err(|_| format!("{text:?} is neither a whole number of seconds, as 3600 or -3600, nor @<file>")),
        }
    }

    /// Returns the seconds of this moment. A clock cannot fail: of a file that has no number it is the machine's.
    fn seconds(&self) -> i64 {
        match self {
            ClockOffset::Seconds(seconds) => *seconds,
            ClockOffset::FromFile(file) => {
                std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
            }
        }
    }
}

impl HostWallClock for ClockOffset {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = self.seconds();
        let by = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 { time.saturating_sub(by) } else { time.saturating_add(by) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_is_ahead_or_behind_by_what_is_said() {
        let machine = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        for seconds in [3600, 0, -3600] {
            let clock = ClockOffset::parse(&seconds.to_string()).expect("a number");
            let ahead = clock.now().as_secs() as i64 - machine.as_secs() as i64;
            assert!((seconds..seconds + 60).contains(&ahead), "{ahead}");
        }
        assert_eq!(ClockOffset::parse("@/tmp/clock"), Ok(ClockOffset::FromFile("/tmp/clock".into())));
        assert_eq!(ClockOffset::parse("@/no/such/file").map(|clock| clock.seconds()), Ok(0));
        assert!(ClockOffset::parse("1h").is_err());
    }
}
