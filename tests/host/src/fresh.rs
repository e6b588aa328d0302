//! Instances of WASI 0.2, as Spin runs them: one for each request, which goes on after its response until `handle`
//! returns.

use crate::calls::CallsFile;
use crate::component::Activity;
use crate::guest::{Guest, Progress, Shared};
use crate::instance::Busy;
use anyhow::{Result, anyhow};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use wasmtime::component::Resource;
use wasmtime::{Engine, Store};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::types::{HostIncomingRequest, HostResponseOutparam};
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpView};

/// Settings of [`FreshInstances`].
pub(crate) struct FreshConfig {
    /// Time from a request to the end of its guest, whether it has answered or not.
    pub(crate) request_timeout: Duration,
    /// Ends a guest as soon as its response has been sent.
    pub(crate) end_with_response: bool,
    /// File that takes the host calls of each guest.
    pub(crate) calls_file: Option<CallsFile>,
}

/// A compiled component of WASI 0.2, and everything that its instances share.
pub(crate) struct FreshInstances {
    engine: Engine,
    component: ProxyPre<Guest>,
    shared: Arc<Shared>,
    config: FreshConfig,
    activity: Activity,
}

/// A request that an instance is to answer.
struct Call {
    path: String,
    store: Store<Guest>,
    request: Resource<HostIncomingRequest>,
    response: Resource<HostResponseOutparam>,
    /// Progress of the response, where the guest is to end with it.
    progress: Option<watch::Receiver<Progress>>,
}

impl FreshInstances {
    pub(crate) fn new(
        engine: Engine,
        component: ProxyPre<Guest>,
        shared: Arc<Shared>,
        config: FreshConfig,
        activity: Activity,
    ) -> FreshInstances {
        FreshInstances { engine, component, shared, config, activity }
    }

    /// Answers a request from an instance of its own, which outlives the client and, if it likes, the response.
    pub(crate) async fn handle(self: &Arc<Self>, request: Request<WasiBody>) -> Result<Response<WasiBody>> {
        let busy = Busy::new(self.activity.busy.clone());
        let path = request.uri().path().to_owned();
        let progress = self.config.end_with_response.then(|| watch::Sender::new(Progress::Pending));
        let receiver = progress.as_ref().map(watch::Sender::subscribe);
        let mut store = Guest::new_store(&self.engine, &self.shared, receiver.clone());
        let (sender, response) = oneshot::channel();
        let call = Call {
            path,
            request: store.data_mut().http().new_incoming_request(Scheme::Http, request)?,
            response: store.data_mut().http().new_response_outparam_from_callback(move |response| {
                let response = response.map(|response| with_progress(response, progress));
                // A client that has hung up wants no response.
                let _ = sender.send(response);
            })?,
            progress: receiver,
            store,
        };
        let own = self.clone();
        tokio::spawn(async move {
            let result = own.run(call).await;
            drop(busy);
            if let Err(error) = result
                && !own.activity.stopping.load(Ordering::SeqCst)
            {
                eprintln!("an instance ended: {error:#}");
            }
        });
        // The sender is dropped with the instance.
        let response = response.await.map_err(|_| anyhow!("the guest ended without a response"))?;
        response.map_err(|error| anyhow!("the guest answered with an error: {error:?}"))
    }

    /// Runs a guest to its end.
    async fn run(&self, call: Call) -> Result<()> {
        let Call { path, mut store, request, response, progress } = call;
        let guest = async {
            let guest = self.component.instantiate_async(&mut store).await?;
            guest.wasi_http_incoming_handler().call_handle(&mut store, request, response).await
        };
        let timeout = self.config.request_timeout;
        let result = tokio::select! {
            biased;
            () = sent(progress) => Ok(()),
            result = tokio::time::timeout(timeout, guest) => match result {
                Ok(result) => result.map_err(anyhow::Error::from),
                Err(_) => Err(anyhow!("the guest took longer than {timeout:?}")),
            },
        };
        if let Some(file) = &self.config.calls_file {
            file.write(&path, &store.data().calls())?;
        }
        result
    }
}

/// Returns when the response has been sent, and never if the guest need not end with it.
async fn sent(progress: Option<watch::Receiver<Progress>>) {
    if let Some(mut progress) = progress
        && progress.wait_for(|progress| *progress == Progress::Sent).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

fn with_progress(response: Response<WasiBody>, progress: Option<watch::Sender<Progress>>) -> Response<WasiBody> {
    match progress {
        Some(progress) => {
            progress.send_replace(Progress::Set);
            response.map(|body| SentBody { body, progress }.boxed_unsync())
        }
        None => response,
    }
}

/// A response's body, which says when it has been sent.
struct SentBody {
    body: WasiBody,
    progress: watch::Sender<Progress>,
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for SentBody {
    fn drop(&mut self) {
        self.progress.send_replace(Progress::Sent);
    }
}
