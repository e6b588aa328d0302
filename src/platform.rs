//! The interfaces between the service and the world that it runs in, as small as what is called. The folder `platform/`
//! has the implementations, a crate each.
//!
//! **Architecture invariant:** nothing but its crates knows Spin: the service does not depend on its SDK.

use crate::telemetry::export::Span;
use crate::telemetry::metrics::Exported;
use crate::telemetry::trace::Trace;
use http::HeaderMap;
use jiff::Timestamp;
use std::time::Duration;

/// A world that the service runs in. Cloning it is cheap.
pub trait Platform: Inbound + Variables + KeyValue + Redis + OutboundHttp + Tasks + Exporter + Clone + 'static {}

impl<T> Platform for T where
    T: Inbound + Variables + KeyValue + Redis + OutboundHttp + Tasks + Exporter + Clone + 'static
{
}

/// The way in which requests come in.
pub trait Inbound {
    /// The body of a request, not yet read.
    type Body: RequestBody;
    /// The address that a request comes from, with or without a port, as the host knows it.
    fn client_address<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str>;
    /// Returns true if the caller spoke TLS to the host.
    fn is_https(&self, headers: &HeaderMap) -> bool;
}

/// The body of a request, not yet read.
#[allow(async_fn_in_trait, reason = "one thread: no future here has to be Send")]
pub trait RequestBody {
    /// Reads the whole body, and no further than one piece beyond `max` bytes.
    async fn read(self, max: usize) -> Result<Vec<u8>, BodyError>;
}

/// The reason why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BodyError {
    /// It is longer than it may be.
    TooLong,
    /// It ended before it was complete.
    Incomplete,
}

/// Configuration variables.
#[allow(async_fn_in_trait, reason = "one thread: no future here has to be Send")]
pub trait Variables {
    /// The value of a variable, or `None` if it is not set.
    async fn variable(&self, name: &'static str) -> Option<String>;
}

/// The key-value store. Where its interface is synchronous nothing else runs meanwhile, and no time-out acts.
#[allow(async_fn_in_trait, reason = "one thread: no future here has to be Send")]
pub trait KeyValue {
    /// Gets the value of a key.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Sets the value of a key.
    async fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError>;
    /// Deletes a key, if it is there.
    async fn delete(&self, key: &str) -> Result<(), StoreError>;
    /// Lists every key.
    async fn keys(&self) -> Result<Vec<String>, StoreError>;
}

/// A Redis server, where one is configured.
#[allow(async_fn_in_trait, reason = "one thread: no future here has to be Send")]
pub trait Redis {
    /// An open connection.
    type Connection: 'static;
    /// Connects to the server at a URL, which may have a password.
    async fn connect(&self, url: &str) -> Result<Self::Connection, StoreError>;
    /// Executes a command. An array in its reply is flattened.
    async fn execute(
        &self,
        connection: &Self::Connection,
        command: &str,
        arguments: &[&[u8]],
    ) -> Result<Vec<RedisValue>, StoreError>;
}

/// A value in Redis's reply.
#[derive(Clone, Debug, PartialEq)]
pub enum RedisValue {
    /// None.
    Nil,
    /// A status, as `OK`.
    Status(String),
    /// A number.
    Integer(i64),
    /// A text or bytes.
    Bytes(Vec<u8>),
}

impl RedisValue {
    /// The bytes of a value, or `None` where there is none.
    pub(crate) fn into_bytes(self) -> Option<Vec<u8>> {
        match self {
            RedisValue::Nil => None,
            RedisValue::Status(text) => Some(text.into_bytes()),
            RedisValue::Integer(number) => Some(number.to_string().into_bytes()),
            RedisValue::Bytes(bytes) => Some(bytes),
        }
    }
}

/// The reason why the store did not do what it was asked. Its own words may quote a key, so they go no further.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StoreError {
    /// The component may use no such store.
    NoSuchStore,
    /// The component may not use the store.
    AccessDenied,
    /// The server's address cannot be used, or the host forbids it.
    InvalidAddress,
    /// Too many stores are open.
    TooManyOpen,
    /// Anything else.
    Other,
}

impl StoreError {
    /// The error's name, in the log and in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            StoreError::NoSuchStore => "no such store",
            StoreError::AccessDenied => "access denied",
            StoreError::InvalidAddress => "invalid address",
            StoreError::TooManyOpen => "too many open stores",
            StoreError::Other => "store error",
        }
    }
}

/// Requests to other servers.
#[allow(async_fn_in_trait, reason = "one thread: no future here has to be Send")]
pub trait OutboundHttp {
    /// Asks another server. Reads no further than one piece beyond `max` bytes of its answer.
    async fn fetch(&self, fetch: &Fetch, max: usize) -> Result<Fetched, FetchError>;
}

/// A GET to another server.
pub struct Fetch {
    /// The whole URL.
    pub url: String,
    /// Headers by name, in lower case.
    pub headers: Vec<(&'static str, String)>,
}

/// Another server's answer.
pub struct Fetched {
    /// The status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

/// The reason why another server's answer could not be had.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FetchError {
    /// There was no connection, or one that ended before the answer began.
    Unreachable,
    /// There was no secure connection.
    Tls,
    /// The host forbids the request.
    Denied,
    /// The answer is longer than it may be.
    TooLong,
    /// The answer began, and ended before it was complete.
    Incomplete,
}

impl FetchError {
    /// The error's name, in the log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            FetchError::Unreachable => "no connection",
            FetchError::Tls => "no secure connection",
            FetchError::Denied => "the host forbids it",
            FetchError::TooLong => "too long an answer",
            FetchError::Incomplete => "an answer that broke off",
        }
    }
}

/// Tasks and time.
#[allow(async_fn_in_trait, reason = "one thread: no future here has to be Send")]
pub trait Tasks {
    /// An instance answers many requests, at the same time too. Else each request has an instance of its own, which
    /// lives until the work that was spawned for it is done.
    const REUSES_INSTANCES: bool;
    /// Waits.
    async fn sleep(&self, duration: Duration);
    /// Lets the host act and other requests of this instance run. The default lets those run that share the executor.
    async fn yield_now(&self) {
        let mut yielded = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut yielded, true) {
                return std::task::Poll::Ready(());
            }
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        })
        .await;
    }
    /// Runs a task after the response has left, or before it where the host would end the instance with it.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);
}

/// The host's own exporter of telemetry. The defaults are those of a host without one.
pub trait Exporter {
    /// The host takes spans and counts.
    const EXPORTS: bool = false;
    /// The host's own span that the request is a part of.
    fn parent_span(&self) -> Option<Trace> {
        None
    }
    /// Hands spans to the host.
    fn export_spans(&self, _spans: &[Span]) {}
    /// Hands the host the counts from one time to another. Errors with the reason, for the log.
    fn export_counts(&self, _counts: &[Exported<'_>], _from: Timestamp, _to: Timestamp) -> Result<(), &'static str> {
        Ok(())
    }
}

/// Asks another server, and once more if there was no connection: one that was kept too long, or a server that was just
/// replaced.
pub(crate) async fn fetch_with_retry(
    platform: &impl OutboundHttp,
    fetch: &Fetch,
    max: usize,
) -> Result<Fetched, FetchError> {
    match platform.fetch(fetch, max).await {
        Err(FetchError::Unreachable) => platform.fetch(fetch, max).await,
        other => other,
    }
}

/// Awaits a future, or drops it and returns `None` if it takes longer than `timeout`.
pub(crate) async fn with_timeout<T>(
    platform: &impl Tasks,
    timeout: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    use futures::future::{Either, select};
    match select(std::pin::pin!(work), std::pin::pin!(platform.sleep(timeout))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}
