//! Rate limits as they are configured and as callers are told of them.

/// So many requests in so many seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Requests that a window allows: 1 to 1,000,000,000.
    pub requests: u32,
    /// The length of a window: a second, a minute, an hour or a day.
    pub seconds: u32,
}

impl Rate {
    /// Parses `60/minute`; `Some(None)` for `off`, `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Option<Rate>> {
        if text.trim() == "off" {
            return Some(None);
        }
        let (requests, unit) = text.split_once('/')?;
        let seconds = match unit.trim() {
            "second" => 1,
            "minute" => 60,
            "hour" => 3_600,
            "day" => 86_400,
            _ => return None,
        };
        let requests = requests.trim().parse().ok().filter(|requests| (1..=1_000_000_000).contains(requests))?;
        Some(Some(Rate { requests, seconds }))
    }
}

/// Of the writes that counting may make in a key-value store, one part in so many is for metrics, the rest for limits.
pub(crate) const METRICS_WRITES: u32 = 10;

/// Requests that share a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LimitGroup {
    /// Predictions.
    Predictions,
    /// Everything else that has a limit.
    Default,
}

impl LimitGroup {
    /// The name, in keys of the store and labels of metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            LimitGroup::Predictions => "predictions",
            LimitGroup::Default => "default",
        }
    }
}

/// How much of a limit a caller has left, for the headers of the answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimitStatus {
    /// Requests that a window allows.
    pub limit: u32,
    /// Requests that are left in this window.
    pub remaining: u32,
    /// Seconds until this window ends, or until it is worth asking again.
    pub reset: u32,
}

/// The limit that a request counts against, for the headers of the answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RateLimitPolicy {
    pub(crate) group: LimitGroup,
    pub(crate) rate: Rate,
}

impl RateLimitPolicy {
    /// The value of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10): `"predictions";q=60;w=60`.
    pub(crate) fn render(self) -> String {
        let (name, Rate { requests, seconds }) = (self.group.name(), self.rate);
        format!("\"{name}\";q={requests};w={seconds}")
    }

    /// The value of `RateLimit`: `"predictions";r=29;t=30`. What is left is so for no longer than a window; whoever was
    /// refused may have to wait for longer, which `retry-after` says.
    pub(crate) fn render_status(self, status: &RateLimitStatus) -> String {
        let (name, left) = (self.group.name(), status.remaining.min(self.rate.requests));
        format!("\"{name}\";r={left};t={}", status.reset.min(self.rate.seconds))
    }
}

/// Decides if a request is within a limit, of which `this` have been counted in a window that is `elapsed` (0 to 1),
/// itself included, and `last` in the one before.
pub(crate) fn judge(rate: Rate, last: i64, this: i64, elapsed: f64) -> Result<RateLimitStatus, RateLimitStatus> {
    let (limit, last, this) = (f64::from(rate.requests), last.max(0) as f64, this.max(1) as f64);
    // A rounding error beyond a whole second is not another second.
    let seconds = |windows: f64| (windows * f64::from(rate.seconds) - 1e-6).ceil().max(1.0) as u32;
    let status = |remaining: f64, reset: f64| RateLimitStatus {
        limit: rate.requests,
        remaining: remaining.max(0.0) as u32,
        reset: seconds(reset),
    };
    let used = last * (1.0 - elapsed) + this;
    if used <= limit {
        return Ok(status(limit - used, 1.0 - elapsed));
    }
    // The time at which a request would be let through, if none came until then: in this window, or when enough of it
    // is past.
    let wait = if this <= limit && last > 0.0 {
        1.0 - (limit - this) / last - elapsed
    } else {
        let refused_taken_off = this - 1.0;
        1.0 - elapsed + (1.0 - (limit - 1.0) / refused_taken_off.max(1.0)).max(0.0)
    };
    Err(status(0.0, wait))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIXTY: Rate = Rate { requests: 60, seconds: 60 };

    #[test]
    fn a_window_that_begins_still_holds_the_last_one() {
        assert!(judge(SIXTY, 60, 1, 0.0).is_err(), "at the very edge");
        assert!(judge(SIXTY, 60, 1, 0.01).is_err());
        assert_eq!(judge(SIXTY, 60, 1, 0.5), Ok(RateLimitStatus { limit: 60, remaining: 29, reset: 30 }));
        assert!(judge(SIXTY, 60, 31, 0.5).is_err());
        assert_eq!(judge(SIXTY, 0, 60, 0.9), Ok(RateLimitStatus { limit: 60, remaining: 0, reset: 6 }));
        assert_eq!(judge(SIXTY, 0, 61, 0.9), Err(RateLimitStatus { limit: 60, remaining: 0, reset: 7 }));
    }

    #[test]
    fn a_limit_is_rendered_with_values_within_its_window() {
        let policy = RateLimitPolicy { group: LimitGroup::Predictions, rate: SIXTY };
        assert_eq!(policy.render(), "\"predictions\";q=60;w=60");
        let status = |remaining, reset| policy.render_status(&RateLimitStatus { limit: 60, remaining, reset });
        assert_eq!(status(29, 30), "\"predictions\";r=29;t=30");
        assert_eq!(status(0, 97), "\"predictions\";r=0;t=60");
    }

    #[test]
    fn a_rate_is_parsed_or_refused() {
        assert_eq!(Rate::parse("60/minute"), Some(Some(Rate { requests: 60, seconds: 60 })));
        assert_eq!(Rate::parse(" 5 / second "), Some(Some(Rate { requests: 5, seconds: 1 })));
        assert_eq!(Rate::parse("off"), Some(None));
        for wrong in ["", "60", "0/minute", "-1/minute", "60/fortnight", "1e3/hour", "60/minute/", "1000000001/day"] {
            assert_eq!(Rate::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        /// Whatever a store says of counts, a caller is told of no more than there is.
        #[test]
        fn no_count_panics(requests in 1u32..=1_000_000_000, last: i64, this: i64, elapsed in 0.0f64..=1.0) {
            let rate = Rate { requests, seconds: 86_400 };
            let (Ok(status) | Err(status)) = judge(rate, last, this, elapsed);
            prop_assert!(status.remaining <= requests && (1..=2 * 86_400).contains(&status.reset), "{:?}", status);
        }

        /// A caller who waits as long as they are told is let through, and was not told to wait for longer than needed.
        #[test]
        fn the_time_to_wait_is_right(
            requests in 1u32..500,
            last in 0i64..500,
            this in 1i64..500,
            elapsed in 0.0f64..1.0,
        ) {
            let rate = Rate { requests, seconds: 3_600 };
            // No more than the limit was ever let through.
            let (last, this) = (last.min(i64::from(requests)), this.min(i64::from(requests) + 1));
            let Err(RateLimitStatus { reset, .. }) = judge(rate, last, this, elapsed) else { return Ok(()) };
            let after = |seconds: u32| {
                let at = elapsed + f64::from(seconds) / 3_600.0;
                // The refused request was taken off; the new one counts.
                match at {
                    at if at < 1.0 => judge(rate, last, this, at),
                    at if at < 2.0 => judge(rate, this - 1, 1, at - 1.0),
                    _ => judge(rate, 0, 1, at - 2.0),
                }
            };
            prop_assert!(after(reset + 1).is_ok(), "{reset}");
            prop_assert!(reset <= 2 || after(reset - 2).is_err(), "{reset}");
        }
    }
}
