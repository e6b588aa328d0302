//! Bounds on what a request, an upstream or the configuration may say, in one place: the checks and the texts of errors
//! are made from them.

use std::fmt;
use std::ops::RangeInclusive;

/// The most bytes of a path with its query: the longest that is of use has some 150.
pub(crate) const MAX_URL_BYTES: usize = 4 << 10;
/// The most bytes of all headers together.
pub(crate) const MAX_HEADER_BYTES: usize = 32 << 10;
/// The most headers of a request.
pub(crate) const MAX_HEADERS: usize = 100;
/// The most bytes of a body, a webhook's too, and of an item of a batch.
pub(crate) const MAX_ITEM_BYTES: usize = 256 << 10;
/// The most bytes of a batch, and of an inference request.
pub(crate) const MAX_BATCH_BYTES: usize = 4 << 20;
/// An answer to a batch that has so many bytes is given no more predictions: the last one's 270 kB and the problems of
/// the other items keep it below the 10 MB that Akamai Functions lets through.
pub(crate) const MAX_BATCH_ANSWER_BYTES: usize = 9 << 20;
/// The most bytes of the database's answer: hundreds of check-ins with every column.
pub(crate) const MAX_UPSTREAM_BYTES: usize = 1 << 20;
/// The numbers of slots for predictions, if any are kept. With fewer people would only replace each other, with more a
/// key-value store would be no cache.
pub(crate) const CACHE_SLOTS: RangeInclusive<u32> = 64..=1_000_000;

/// A number of bytes as texts give it: `256 KiB`, `4 MiB`.
pub(crate) struct Bytes(pub(crate) usize);

impl fmt::Display for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1 << 20 => write!(out, "{} MiB", bytes >> 20),
            bytes => write!(out, "{} KiB", bytes >> 10),
        }
    }
}
