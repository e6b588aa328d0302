//! The portable world: WASI 0.2 and Spin's interfaces of 2.0, which every Spin since 3.1 and the clouds offer. A
//! request has an instance of its own, which goes on after its answer until the work that was spawned is done. The
//! store, the variables and Redis are synchronous here: nothing else runs meanwhile.
//!
//! ```console
//! cargo build --release --locked --target wasm32-wasip2 --package bipolar-edge-portable
//! spin up --from spin.toml
//! ```
//!
//! **Architecture invariant:** nothing is decided here. A world translates between its host's interfaces and the
//! service's.

#![cfg(target_family = "wasm")]

// The name by which the SDK's macro calls it.
extern crate spin_sdk_5 as spin_sdk;

use futures::future::{LocalBoxFuture, join_all, poll_fn};
use futures::stream::{Stream, StreamExt};
use http::HeaderMap;
use service::Instance;
use service::platform::{
    BodyError, Exporter, Fetch, FetchError, Fetched, Inbound, KeyValue, OutboundHttp, Redis, RedisValue, RequestBody,
    StoreError, Tasks, Variables,
};
use spin_executor::{CancelOnDropToken, push_waker_and_get_token};
use spin_sdk::http::{
    ErrorCode, Fields, IncomingRequest, IncomingResponse, OutgoingBody, OutgoingRequest, OutgoingResponse,
    ResponseOutparam, Scheme, SendError,
};
use spin_sdk::http_component;
use spin_sdk::key_value::{Error, Store};
use spin_sdk::redis::{self, Connection, RedisParameter, RedisResult};
use std::cell::RefCell;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};
use wasi::clocks::monotonic_clock;
use wasi::io::streams::{Error as IoError, OutputStream};

/// The time for which the guest waits between its answer and the work after it: one that computes at once holds up the
/// host, which is about to send the answer.
const PAUSE_AFTER_RESPONSE: Duration = Duration::from_millis(1);

/// The function that the host calls.
#[allow(unsafe_code, reason = "what the macro makes of it")]
mod entry {
    use super::{IncomingRequest, ResponseOutparam, http_component};

    #[http_component]
    async fn handle(request: IncomingRequest, out: ResponseOutparam) {
        super::handle(request, out).await;
    }
}

async fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let Some(parts) = parts(&request) else {
        // The host has parsed it before.
        return respond(http::Response::builder().status(400).body(Vec::new()).unwrap_or_default(), out).await;
    };
    let instance = Rc::new(Instance::new(Portable));
    let response = service::answer(&instance, &parts, Body(request)).await;
    if !instance.works_after_response() {
        run_spawned().await;
    }
    respond(response.into_http(), out).await;
    if SPAWNED.with_borrow(|tasks| !tasks.is_empty()) {
        Portable.sleep(PAUSE_AFTER_RESPONSE).await;
        run_spawned().await;
    }
}

/// The request's head; `None` if it is none that HTTP has.
fn parts(request: &IncomingRequest) -> Option<http::request::Parts> {
    let method = http::Method::from_bytes(request.method().to_string().as_bytes()).ok()?;
    let path = request.path_with_query().unwrap_or_default();
    let mut builder = http::Request::builder().method(method).uri(if path.is_empty() { "/" } else { &path });
    for (name, value) in request.headers().entries() {
        builder = builder.header(name, value);
    }
    Some(builder.body(()).ok()?.into_parts().0)
}

/// Hands an answer to the host: its body first, so that head and body leave as one segment. With the head first, and
/// without TCP_NODELAY, which Spin does not set, a keep-alive client waits 40 ms for the body.
async fn respond(response: http::Response<Vec<u8>>, out: ResponseOutparam) {
    let (head, bytes) = response.into_parts();
    let headers: Vec<(String, Vec<u8>)> =
        head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    // Headers that the host sets itself are refused; this service has none of them.
    let response = OutgoingResponse::new(Fields::from_list(&headers).unwrap_or_else(|_| Fields::new()));
    let _ = response.set_status_code(head.status.as_u16());
    let Ok(body) = response.body() else { return out.set(response) };
    let Ok(stream) = body.write() else { return out.set(response) };
    match stream.check_write() {
        Ok(room) if room >= bytes.len() as u64 => {
            let _ = if bytes.is_empty() { Ok(()) } else { stream.write(&bytes) };
            drop(stream);
            let _ = OutgoingBody::finish(body, None);
            out.set(response);
        }
        _ => {
            out.set(response);
            write_all(&stream, &bytes).await;
            drop(stream);
            let _ = OutgoingBody::finish(body, None);
        }
    }
}

/// Writes a body that is longer than the host takes at once. A caller who hangs up ends it.
async fn write_all(stream: &OutputStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match stream.check_write() {
            Ok(0) => wait(stream.subscribe()).await,
            Ok(room) => {
                let (now, later) = bytes.split_at(bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
                if stream.write(now).is_err() {
                    return;
                }
                bytes = later;
            }
            Err(_) => return,
        }
    }
}

/// Waits until something is ready, or something else that the instance waits for is: whoever calls this looks again.
/// `Pollable::ready` is not asked: of a fresh one it may say no whatever is true.
async fn wait(pollable: wasi::io::poll::Pollable) {
    let (mut pollable, mut token) = (Some(pollable), None);
    poll_fn(|context| match pollable.take() {
        Some(pollable) => {
            token = Some(CancelOnDropToken::from(push_waker_and_get_token(pollable, context.waker().clone())));
            Poll::Pending
        }
        None => Poll::Ready(()),
    })
    .await;
    // What is not ready yet need not be waited for.
    drop(token);
}

thread_local! {
    /// The work that follows the answer.
    static SPAWNED: RefCell<Vec<LocalBoxFuture<'static, ()>>> = const { RefCell::new(Vec::new()) };
    /// Opening is a call to the host: once an instance.
    static STORE: RefCell<Option<Rc<Store>>> = const { RefCell::new(None) };
}

/// Runs what was spawned, and what that spawns.
async fn run_spawned() {
    loop {
        let tasks = SPAWNED.take();
        if tasks.is_empty() {
            return;
        }
        join_all(tasks).await;
    }
}

fn store() -> Result<Rc<Store>, StoreError> {
    if let Some(store) = STORE.with_borrow(Clone::clone) {
        return Ok(store);
    }
    let store = Rc::new(Store::open_default().map_err(store_error)?);
    STORE.set(Some(store.clone()));
    Ok(store)
}

#[derive(Clone)]
struct Portable;

impl Inbound for Portable {
    type Body = Body;

    fn client_address<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        headers.get_all("spin-client-addr").iter().next_back()?.to_str().ok()
    }

    fn is_https(&self, headers: &HeaderMap) -> bool {
        headers.get("spin-full-url").is_some_and(|url| url.as_bytes().starts_with(b"https:"))
    }
}

impl Variables for Portable {
    async fn variable(&self, name: &'static str) -> Option<String> {
        spin_sdk::variables::get(name).ok()
    }
}

impl KeyValue for Portable {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        store()?.get(key).map_err(store_error)
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        store()?.set(key, value).map_err(store_error)
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        store()?.delete(key).map_err(store_error)
    }

    async fn keys(&self) -> Result<Vec<String>, StoreError> {
        store()?.get_keys().map_err(store_error)
    }
}

impl Redis for Portable {
    type Connection = Connection;

    async fn connect(&self, url: &str) -> Result<Connection, StoreError> {
        Connection::open(url).map_err(redis_error)
    }

    async fn execute(
        &self,
        connection: &Connection,
        command: &str,
        arguments: &[&[u8]],
    ) -> Result<Vec<RedisValue>, StoreError> {
        let arguments: Vec<RedisParameter> =
            arguments.iter().map(|bytes| RedisParameter::Binary(bytes.to_vec())).collect();
        let reply = connection.execute(command, &arguments).map_err(redis_error)?;
        Ok(reply.into_iter().map(redis_value).collect())
    }
}

impl OutboundHttp for Portable {
    async fn fetch(&self, fetch: &Fetch, max: usize) -> Result<Fetched, FetchError> {
        // A request that cannot be made cannot be sent anywhere.
        let request = outgoing(fetch).ok_or(FetchError::Denied)?;
        let response: IncomingResponse = spin_sdk::http::send(request).await.map_err(fetch_error)?;
        match read(response.take_body_stream(), max).await {
            Ok(body) => Ok(Fetched { status: response.status(), body }),
            Err(BodyError::TooLong) => Err(FetchError::TooLong),
            Err(BodyError::Incomplete) => Err(FetchError::Incomplete),
        }
    }
}

/// A GET for the host to send.
fn outgoing(fetch: &Fetch) -> Option<OutgoingRequest> {
    let url: http::Uri = fetch.url.parse().ok()?;
    let headers: Vec<(String, Vec<u8>)> =
        fetch.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into_bytes())).collect();
    let request = OutgoingRequest::new(Fields::from_list(&headers).ok()?);
    let scheme = if url.scheme_str() == Some("https") { Scheme::Https } else { Scheme::Http };
    request.set_scheme(Some(&scheme)).ok()?;
    request.set_authority(url.authority().map(http::uri::Authority::as_str)).ok()?;
    request.set_path_with_query(url.path_and_query().map(http::uri::PathAndQuery::as_str)).ok()?;
    Some(request)
}

impl Tasks for Portable {
    const REUSES_INSTANCES: bool = false;

    async fn sleep(&self, duration: Duration) {
        let due = Instant::now() + duration;
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            wait(monotonic_clock::subscribe_duration(u64::try_from(left.as_nanos()).unwrap_or(u64::MAX))).await;
        }
    }

    /// Nobody else waits for a turn of this instance, and the host takes its own.
    async fn yield_now(&self) {}

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        SPAWNED.with_borrow_mut(|tasks| tasks.push(Box::pin(task)));
    }
}

impl Exporter for Portable {}

/// The body of a request.
struct Body(IncomingRequest);

impl RequestBody for Body {
    async fn read(self, max: usize) -> Result<Vec<u8>, BodyError> {
        read(self.0.into_body_stream(), max).await
    }
}

async fn read(body: impl Stream<Item = Result<Vec<u8>, IoError>>, max: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = std::pin::pin!(body);
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|_| BodyError::Incomplete)?;
        if piece.len() > max - bytes.len() {
            return Err(BodyError::TooLong);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn fetch_error(error: SendError) -> FetchError {
    match error {
        SendError::Http(ErrorCode::HttpRequestDenied) => FetchError::Denied,
        SendError::Http(
            ErrorCode::TlsProtocolError | ErrorCode::TlsCertificateError | ErrorCode::TlsAlertReceived(_),
        ) => FetchError::Tls,
        // A connection that ends before an answer began counts as none: to ask again does no harm.
        _ => FetchError::Unreachable,
    }
}

fn store_error(error: Error) -> StoreError {
    match error {
        Error::NoSuchStore => StoreError::NoSuchStore,
        Error::AccessDenied => StoreError::AccessDenied,
        Error::StoreTableFull => StoreError::TooManyOpen,
        Error::Other(_) => StoreError::Other,
    }
}

fn redis_value(value: RedisResult) -> RedisValue {
    match value {
        RedisResult::Nil => RedisValue::Nil,
        RedisResult::Status(text) => RedisValue::Status(text),
        RedisResult::Int64(number) => RedisValue::Integer(number),
        RedisResult::Binary(bytes) => RedisValue::Bytes(bytes),
    }
}

fn redis_error(error: redis::Error) -> StoreError {
    match error {
        redis::Error::InvalidAddress => StoreError::InvalidAddress,
        redis::Error::TooManyConnections => StoreError::TooManyOpen,
        redis::Error::TypeError | redis::Error::Other(_) => StoreError::Other,
    }
}
