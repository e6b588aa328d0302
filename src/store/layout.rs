//! The keys of the store. A key-value store forgets nothing by itself, and some hold a thousand keys. So each kind of
//! value has a fixed number of *slots* there, and the hash of what a value is about chooses its slot: the store never
//! has more keys than there are slots. Two that share a slot replace each other, so a value says whose it is.
//!
//! Redis forgets what has expired: there a hash is a key of its own.

/// A kind of value that has slots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// The predictions about a person, for each window that was asked for.
    Predictions,
    /// The random text that an invalidation of a person writes.
    Generation,
    /// A background prediction.
    Job,
    /// A token that was verified.
    Token,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Predictions, Kind::Generation, Kind::Job, Kind::Token];
    /// The kinds whose values expire, in the order in which they are swept.
    pub(crate) const EXPIRING: [Kind; 3] = [Kind::Predictions, Kind::Job, Kind::Token];

    /// The part of a key before the colon.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Predictions => "predictions",
            Kind::Generation => "generation",
            Kind::Job => "job",
            Kind::Token => "token",
        }
    }
}

/// The slots of a job: it takes the first of these that is free, so that few jobs that run replace each other.
pub(crate) const JOB_PLACES: u64 = 4;
const TOKEN_SLOTS: u64 = 64;
/// There are an eighth as many slots for jobs as for predictions, and no fewer or more than this.
const JOB_SLOTS: std::ops::RangeInclusive<u64> = 48..=8_192;

/// The numbers of slots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Layout {
    /// The slots for predictions, and for generations: 0 if none are kept.
    cache_slots: u64,
}

impl Layout {
    pub(crate) fn new(cache_slots: u32) -> Layout {
        Layout { cache_slots: cache_slots.into() }
    }

    pub(crate) fn slots(self, kind: Kind) -> u64 {
        match kind {
            Kind::Predictions | Kind::Generation => self.cache_slots,
            Kind::Job => (self.cache_slots / 8).clamp(*JOB_SLOTS.start(), *JOB_SLOTS.end()),
            Kind::Token => TOKEN_SLOTS,
        }
    }

    /// The key of the slot that a hash in hexadecimal chooses, or of one that stands so many after it.
    pub(crate) fn key(self, kind: Kind, hash: &str, after: u64) -> String {
        let number = hash.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0);
        self.key_of_slot(kind, number.wrapping_add(after) % self.slots(kind).max(1))
    }

    pub(crate) fn key_of_slot(self, kind: Kind, slot: u64) -> String {
        format!("{}:{slot}", kind.name())
    }

    /// The number of slots whose values expire.
    pub(crate) fn expiring(self) -> u64 {
        Kind::EXPIRING.iter().map(|kind| self.slots(*kind)).sum()
    }

    /// The key of the slot with a number below [`Layout::expiring`].
    pub(crate) fn expiring_key(self, mut number: u64) -> String {
        for kind in Kind::EXPIRING {
            let slots = self.slots(kind);
            if number < slots {
                return self.key_of_slot(kind, number);
            }
            number -= slots;
        }
        self.key_of_slot(Kind::Token, 0)
    }

    /// Returns true if a key was this service's once and is no longer: of a layout before this one, or of one with more
    /// slots. A key that is another's is not.
    pub(crate) fn is_left_over(self, key: &str) -> bool {
        let is_hash = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_number =
            |text: &str| !text.is_empty() && text.len() < 20 && text.bytes().all(|byte| byte.is_ascii_digit());
        let Some((name, rest)) = key.split_once(':') else { return key == "key-secret" };
        let mut parts = rest.split(':');
        let first = parts.next().unwrap_or_default();
        let has_more = parts.next().is_some();
        if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == name) {
            let is_slot = !has_more && is_number(first);
            return if is_slot {
                first.parse().is_ok_and(|slot: u64| slot >= self.slots(kind))
            } else {
                is_hash(first)
            };
        }
        match name {
            "rate" => ["predictions", "default"].contains(&first) && has_more,
            "claim" => has_more,
            "metrics" => ["sequence", "sum", "note"].contains(&first),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_store_has_fewer_than_a_thousand_keys() {
        let layout = Layout::new(400);
        // The others are the limits, the metrics, the key set and the sweep.
        assert!(Kind::ALL.iter().map(|kind| layout.slots(*kind)).sum::<u64>() + 4 + 3 < 1_000);
    }

    #[test]
    fn a_hash_has_its_slot_and_those_after_it() {
        let layout = Layout::new(400);
        let hash = "ffffffffffffffff0000000000000000";
        assert_eq!(layout.key(Kind::Predictions, hash, 0), format!("predictions:{}", u64::MAX % 400));
        for after in 0..JOB_PLACES {
            let slot: u64 = layout.key(Kind::Job, hash, after)["job:".len()..].parse().expect("a number");
            assert!(slot < 50);
        }
        let keys: std::collections::BTreeSet<_> = (0..layout.expiring()).map(|at| layout.expiring_key(at)).collect();
        assert_eq!(keys.len() as u64, 400 + 50 + 64);
    }

    #[test]
    fn only_keys_that_were_this_services_are_left_over() {
        let layout = Layout::new(400);
        let hash = "0123456789abcdef0123456789abcdef";
        let over = [
            format!("predictions:{hash}:3:0123"),
            format!("generation:{hash}"),
            format!("job:{hash}"),
            "token:127".to_owned(),
            "predictions:400".to_owned(),
            format!("rate:predictions:{hash}:1"),
            format!("claim:{hash}:2"),
            "metrics:note:1".to_owned(),
            "key-secret".to_owned(),
        ];
        assert!(over.iter().all(|key| layout.is_left_over(key)));
        let kept = ["predictions:399", "generation:0", "job:49", "token:63", "limits:3", "metrics", "key-set", "sweep"];
        let others = ["", ":", "rate", "predictions", "predictions:mine", "job:", "another", "metrics:mine", "claim:x"];
        assert!(!kept.iter().chain(&others).any(|key| layout.is_left_over(key)));
    }
}
