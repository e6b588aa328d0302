//! The HTTP server in front of the instances, from the first connection to a clean stop.

use crate::args::Args;
use crate::instance::{DEFAULT_REQUEST_TIMEOUT, InstanceConfig, Instances, Limits};
use crate::manifest::Application;
use crate::outbound::AllowedHosts;
use crate::runtime_config::open_stores;
use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::ProxyHandler;

/// Time that requests in flight, and the work they left over, may go on after a signal to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves until SIGINT or SIGTERM.
pub(crate) async fn serve(args: Args) -> Result<()> {
    let application = Application::read(&args.from, &variables(&args))?;
    let component = application.component.clone();
    let instances = instances(&args, application).await?;
    let (busy, stopping) = (instances.busy.clone(), instances.stopping.clone());
    let handler = ProxyHandler::new(instances);

    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    println!("Serving {component} on http://{}", listener.local_addr()?);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let connections = GracefulShutdown::new();
    tokio::select! {
        () = accept(&listener, &connections, &handler, !args.no_tcp_nodelay) => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    drop(listener);
    let finished = async {
        connections.shutdown().await;
        while busy.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(STOP_TIMEOUT, finished).await.is_err() {
        eprintln!("stopped with requests unanswered after {} s", STOP_TIMEOUT.as_secs());
    }
    stopping.store(true, Ordering::SeqCst);
    Ok(())
}

/// Opens the stores of an application and compiles its component.
async fn instances(args: &Args, application: Application) -> Result<Instances> {
    let beside_manifest = args.from.parent().unwrap_or(std::path::Path::new("")).join(".spin");
    let state_dir = args.state_dir.clone().unwrap_or(beside_manifest);
    let stores = open_stores(
        &application.key_value_stores,
        args.runtime_config_file.as_deref(),
        &state_dir,
        args.store_fault.as_ref(),
    )
    .await?;
    Instances::compile(InstanceConfig {
        source: application.source,
        cache: args.cache_dir.clone().unwrap_or_else(|| state_dir.join("edge-host-cache")),
        limits: Limits {
            request_timeout: args.request_timeout.unwrap_or(DEFAULT_REQUEST_TIMEOUT),
            reuse_count: args.max_instance_reuse_count.into(),
            concurrent_reuse_count: args.max_instance_concurrent_reuse_count.into(),
            idle_timeout: args.idle_instance_timeout,
        },
        quiet: args.quiet,
        allowed_hosts: AllowedHosts::parse(&application.allowed_outbound_hosts)?,
        stores,
        variables: application.variables,
        exporter: args.otlp_endpoint.as_deref().map(crate::telemetry::exporter),
    })
}

/// Accepts connections and serves each in a task of its own, for ever.
async fn accept(
    listener: &TcpListener,
    connections: &GracefulShutdown,
    handler: &ProxyHandler<Instances>,
    nodelay: bool,
) {
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
        let handler = handler.clone();
        let service = service_fn(move |request| handle(handler.clone(), client, request));
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
    handler: ProxyHandler<Instances>,
    client: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<Response<WasiBody>, Infallible> {
    // A client must not be able to say where it comes from.
    let forged: Vec<HeaderName> =
        request.headers().keys().filter(|name| name.as_str().starts_with("spin-")).cloned().collect();
    for name in forged {
        request.headers_mut().remove(name);
    }
    if let Ok(address) = HeaderValue::from_str(&client.to_string()) {
        request.headers_mut().insert("spin-client-addr", address);
    }
    let request = match with_authority(request) {
        Ok(request) => request,
        Err(status) => return Ok(status_response(status)),
    };
    let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
    Ok(handler.handle((), request).await.unwrap_or_else(|error| {
        eprintln!("a request was not answered: {error:#}");
        status_response(StatusCode::INTERNAL_SERVER_ERROR)
    }))
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
