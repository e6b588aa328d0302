//! What the service needs from what runs it. Nothing above this module knows Spin.

#[cfg(test)]
pub(crate) mod fake;
#[cfg(all(target_family = "wasm", feature = "otel"))]
mod otel;
#[cfg(target_family = "wasm")]
mod predictor;
#[cfg(target_family = "wasm")]
mod spin;

use crate::telemetry::export::Span;
use crate::telemetry::metrics::Exported;
use crate::telemetry::trace::Trace;
use jiff::Timestamp;
use std::time::Duration;

/// Why the store did not do what it was asked. Its own words may quote a key, so they go no further.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum StoreError {
    NoSuchStore,
    AccessDenied,
    Full,
    Other,
}

impl StoreError {
    pub(crate) fn name(self) -> &'static str {
        match self {
            StoreError::NoSuchStore => "no such store",
            StoreError::AccessDenied => "access denied",
            StoreError::Full => "too many open stores",
            StoreError::Other => "store error",
        }
    }
}

/// The platform, as small as what is called. Cloning it is cheap.
#[allow(async_fn_in_trait, reason = "one thread: no future here has to be Send")]
pub(crate) trait Platform: Clone + 'static {
    /// A configuration variable, or `None` if it is not set.
    async fn variable(&self, name: &'static str) -> Option<String>;
    /// Reads the prediction cache.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Writes the prediction cache.
    async fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError>;
    /// Whether the prediction cache has a key.
    async fn exists(&self, key: &str) -> Result<bool, StoreError>;
    /// Removes a key from the prediction cache, if it is there.
    async fn delete(&self, key: &str) -> Result<(), StoreError>;
    /// Adds to a number in the prediction cache, at once, and gives the sum. Holds up the instance meanwhile. How a number is
    /// written there is the store's own affair.
    fn increment(&self, key: &str, delta: i64) -> Result<i64, StoreError>;
    /// Whether there is such a number. Holds up the instance meanwhile.
    fn counter_exists(&self, key: &str) -> Result<bool, StoreError>;
    /// Asks another server. Reads no further than one piece beyond `most` bytes of its answer.
    async fn fetch(&self, fetch: &Fetch, most: usize) -> Result<Fetched, FetchError>;
    /// The same, and once more if there was no connection: one that was kept too long, or a server that was just replaced.
    async fn fetch_twice(&self, fetch: &Fetch, most: usize) -> Result<Fetched, FetchError> {
        match self.fetch(fetch, most).await {
            Err(FetchError::Unreachable) => self.fetch(fetch, most).await,
            other => other,
        }
    }
    /// Waits.
    async fn sleep(&self, duration: Duration);
    /// Lets the host act and other requests of this instance run.
    async fn yield_now(&self);
    /// Runs something after the response has left.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);

    /// Whether the host takes spans and counts. The default is a host that does not.
    const EXPORTS: bool = false;
    /// The host's own step that the request is a part of.
    fn outer_step(&self) -> Option<Trace> {
        None
    }
    /// Hands spans to the host.
    fn export_spans(&self, _spans: &[Span]) {}
    /// Hands the host what was counted from one time to another. Errors with the host's reason.
    fn export_counts(&self, _counts: &[Exported<'_>], _from: Timestamp, _to: Timestamp) -> Result<(), &'static str> {
        Ok(())
    }
}

/// A GET to another server.
pub(crate) struct Fetch {
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// What another server answered.
pub(crate) struct Fetched {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Why another server's answer could not be had.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum FetchError {
    /// No connection, or one that ended before the answer began.
    Unreachable,
    Tls,
    /// The host forbids it.
    Denied,
    TooLong,
    /// The answer began, and ended before it was complete.
    BrokenOff,
}

impl FetchError {
    /// For the log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            FetchError::Unreachable => "no connection",
            FetchError::Tls => "no secure connection",
            FetchError::Denied => "the host forbids it",
            FetchError::TooLong => "too long an answer",
            FetchError::BrokenOff => "an answer that broke off",
        }
    }
}

/// The body of a request, not yet read.
#[allow(async_fn_in_trait, reason = "one thread: no future here has to be Send")]
pub(crate) trait RequestBody {
    /// The whole body. Reads no further than one piece beyond `most` bytes.
    async fn read(self, most: usize) -> Result<Vec<u8>, BodyError>;
}

/// Why a body could not be had.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum BodyError {
    TooLong,
    BrokenOff,
}

/// The output of a future, or `None` if it takes longer than `limit`, when it is dropped.
pub(crate) async fn within<T>(platform: &impl Platform, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    use futures::future::{Either, select};
    match select(std::pin::pin!(work), std::pin::pin!(platform.sleep(limit))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}
