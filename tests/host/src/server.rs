//! The HTTP server in front of the instances, from the first connection to a clean stop.

use crate::args::Args;
use crate::calls::CallsFile;
use crate::component::{Activity, ComponentConfig, Handler};
use crate::fault::Faults;
use crate::fresh::FreshConfig;
use crate::guest::Shared;
use crate::instance::{DEFAULT_REQUEST_TIMEOUT, Limits};
use crate::manifest::Application;
use crate::outbound::AllowedHosts;
use crate::quota::RateLimit;
use crate::runtime_config::{StoreSettings, open_stores};
use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use platforms::Platform;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;
use wasmtime_wasi_http::{Error, WasiBody};

/// Time that requests in flight, and the work they left over, may go on after a signal to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves until SIGINT or SIGTERM.
pub(crate) async fn serve(args: Args) -> Result<()> {
    let application = Application::read(&args.from, &variables(&args))?;
    let component = application.component.clone();
    let activity = Activity::default();
    let server = Arc::new(Server::new(&args, application, &activity).await?);

    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    println!("Serving {component} on http://{}", listener.local_addr()?);
    let connections = GracefulShutdown::new();
    tokio::select! {
        () = accept(&listener, &connections, &server, !args.like_spin) => {}
        asked = asked_to_stop() => asked?,
    }
    drop(listener);
    let finished = async {
        connections.shutdown().await;
        while activity.busy.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(STOP_TIMEOUT, finished).await.is_err() {
        eprintln!("stopped with requests unanswered after {} s", STOP_TIMEOUT.as_secs());
    }
    activity.stopping.store(true, Ordering::SeqCst);
    Ok(())
}

/// Waits for Ctrl-C, or a request to terminate.
#[cfg(unix)]
async fn asked_to_stop() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
async fn asked_to_stop() -> Result<()> {
    Ok(tokio::signal::ctrl_c().await?)
}

/// An application that is being served.
struct Server {
    handler: Handler,
    /// Maximum size of a request's body and of a response's.
    body_bytes: Option<usize>,
    client_address: ClientAddress,
}

/// Header that says where a request comes from.
enum ClientAddress {
    /// `spin-client-addr`, which has the port too.
    Spin,
    /// A platform's own, which has the address alone.
    Other(HeaderName),
}

impl Server {
    /// Opens the stores of an application and compiles its component.
    async fn new(args: &Args, application: Application, activity: &Activity) -> Result<Server> {
        let beside_manifest = args.from.parent().unwrap_or(std::path::Path::new("")).join(".spin");
        let state_dir = args.state_dir.clone().unwrap_or(beside_manifest);
        let allowed = args.platform.as_ref().map(|platform| platform.limits.clone()).unwrap_or_default();
        let timeout = args.request_timeout.unwrap_or(DEFAULT_REQUEST_TIMEOUT);
        let request_timeout = allowed.request_timeout(timeout);
        let shared = shared(args, &application, &state_dir).await?;
        let config = ComponentConfig {
            source: application.source,
            cache: args.cache_dir.clone().unwrap_or_else(|| state_dir.join("edge-host-cache")),
            platform: args.platform.as_ref(),
            limits: Limits {
                request_timeout,
                reuse_count: args.max_instance_reuse_count.into(),
                concurrent_reuse_count: args.max_instance_concurrent_reuse_count.into(),
                idle_timeout: args.idle_instance_timeout,
            },
            fresh: FreshConfig {
                request_timeout,
                end_with_response: args.end_with_response,
                calls_file: args.calls_file.as_deref().map(CallsFile::open).transpose()?,
            },
            shared,
        };
        let client_address = match &allowed.client_address_header {
            Some(name) => ClientAddress::Other(name.parse().context("client_address_header")?),
            None => ClientAddress::Spin,
        };
        Ok(Server { handler: Handler::compile(config, activity)?, body_bytes: allowed.body_bytes, client_address })
    }
}

/// Opens everything that the instances of an application share.
async fn shared(args: &Args, application: &Application, state_dir: &std::path::Path) -> Result<Shared> {
    let settings = StoreSettings {
        state_dir,
        fault: args.store_fault.as_ref(),
        replica_lag: args.replica_lag,
        like_spin: args.like_spin,
        platform: args.platform.as_ref(),
    };
    let stores = open_stores(&application.key_value_stores, args.runtime_config_file.as_deref(), settings).await?;
    let limits = args.platform.as_ref().map(|platform: &Platform| &platform.limits);
    let outbound = limits.and_then(|limits| limits.outbound_requests_per_hour);
    Ok(Shared {
        stores,
        variables: application.variables.clone(),
        allowed_hosts: Arc::new(AllowedHosts::parse(&application.allowed_outbound_hosts)?),
        redis_faults: Faults::new(args.store_fault.clone()),
        outbound_limit: outbound.map(|count| Arc::new(RateLimit::new(count, Duration::from_secs(3600)))),
        memory_bytes: limits.and_then(|limits| limits.memory_bytes),
        exporter: args.otlp_endpoint.as_deref().map(crate::telemetry::exporter),
        quiet: args.quiet,
        clock_offset: args.clock_offset.clone(),
    })
}

/// Accepts connections and serves each in a task of its own, for ever.
async fn accept(listener: &TcpListener, connections: &GracefulShutdown, server: &Arc<Server>, nodelay: bool) {
    loop {
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, say: the next one may work.
                eprintln!("a connection was not accepted: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        stream.set_nodelay(nodelay).ok();
        let server = server.clone();
        let service = service_fn(move |request| handle(server.clone(), client, request));
        let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            // A client that hangs up is its own business.
            let _ = connection.await;
        });
    }
}

/// Returns `SPIN_VARIABLE_<NAME>` from the environment, overridden by `--variable name=value`.
fn variables(args: &Args) -> BTreeMap<String, String> {
    let environment = std::env::vars().filter_map(|(name, value)| {
        let name = name.strip_prefix("SPIN_VARIABLE_")?.to_lowercase();
        Some((name, value))
    });
    environment.chain(args.variables.iter().cloned()).collect()
}

/// Answers one request from an instance, or with an error's status.
async fn handle(
    server: Arc<Server>,
    client: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<Response<WasiBody>, Infallible> {
    server.client_address.set(request.headers_mut(), client);
    let request = match with_authority(request) {
        Ok(request) => request,
        Err(status) => return Ok(status_response(status)),
    };
    let declared = request.body().size_hint().lower();
    if server.body_bytes.is_some_and(|limit| declared > limit as u64) {
        return Ok(status_response(StatusCode::PAYLOAD_TOO_LARGE));
    }
    let request = request.map(|body| limited(body.map_err(Error::from), server.body_bytes));
    let response = server.handler.handle(request).await.unwrap_or_else(|error| {
        eprintln!("a request was not answered: {error:#}");
        status_response(StatusCode::INTERNAL_SERVER_ERROR)
    });
    Ok(match server.body_bytes {
        Some(limit) if response.body().size_hint().lower() > limit as u64 => {
            eprintln!("a request was not answered: the response has more than {limit} bytes");
            status_response(StatusCode::INTERNAL_SERVER_ERROR)
        }
        limit => response.map(|body| limited(body, limit)),
    })
}

/// Makes a body fail where it exceeds a limit.
fn limited<B>(body: B, limit: Option<usize>) -> WasiBody
where
    B: Body<Data = Bytes, Error = Error> + Send + 'static,
{
    let Some(limit) = limit else { return body.boxed_unsync() };
    let too_large = move |error: Box<dyn std::error::Error + Send + Sync>| match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(_) => Error::HttpRequestBodySize(Some(limit as u64)),
    };
    Limited::new(body, limit).map_err(too_large).boxed_unsync()
}

impl ClientAddress {
    /// Sets the header. A client must not be able to say where it comes from.
    fn set(&self, headers: &mut HeaderMap, client: SocketAddr) {
        let forged: Vec<HeaderName> =
            headers.keys().filter(|name| name.as_str().starts_with("spin-")).cloned().collect();
        for name in forged {
            headers.remove(name);
        }
        let (name, value) = match self {
            ClientAddress::Spin => (HeaderName::from_static("spin-client-addr"), client.to_string()),
            ClientAddress::Other(name) => (name.clone(), client.ip().to_string()),
        };
        headers.remove(&name);
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

/// Completes the URL for the guest: HTTP/1.1 sends its authority as a header.
fn with_authority(mut request: Request<Incoming>) -> Result<Request<Incoming>, StatusCode> {
    let mut parts = request.uri().clone().into_parts();
    if parts.authority.is_none() {
        let host = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
        parts.authority = Some(host.unwrap_or("localhost").parse().map_err(|_| StatusCode::BAD_REQUEST)?);
    }
    parts.scheme.get_or_insert(http::uri::Scheme::HTTP);
    parts.path_and_query.get_or_insert(http::uri::PathAndQuery::from_static("/"));
    *request.uri_mut() = parts.try_into().map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(request)
}

fn status_response(status: StatusCode) -> Response<WasiBody> {
    let text = status.canonical_reason().unwrap_or_default();
    let body = Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
