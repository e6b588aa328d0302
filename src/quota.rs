//! Rate limits as they are configured and as callers are told of them.

/// So many requests in so many seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    pub(crate) requests: u32,
    pub(crate) seconds: u32,
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

/// Requests that share a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum LimitGroup {
    Predictions,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_parsed_or_refused() {
        assert_eq!(Rate::parse("60/minute"), Some(Some(Rate { requests: 60, seconds: 60 })));
        assert_eq!(Rate::parse(" 5 / second "), Some(Some(Rate { requests: 5, seconds: 1 })));
        assert_eq!(Rate::parse("off"), Some(None));
        for wrong in ["", "60", "0/minute", "-1/minute", "60/fortnight", "1e3/hour", "60/minute/", "1000000001/day"] {
            assert_eq!(Rate::parse(wrong), None, "{wrong}");
        }
    }
}
