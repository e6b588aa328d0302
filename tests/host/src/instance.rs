//! Instances of WASI 0.3: decides how many requests each serves and how long it lives, and ends one that never yields.

use crate::component::Activity;
use crate::guest::{Guest, Shared};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use wasmtime::{Engine, Store, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;

/// Time that a request may take when no limit is set.
pub(crate) const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Time from a request's timeout to the end of a guest that does not yield: first the request is given up, which other
/// requests of the same instance survive, and then the instance.
const GRACE: Duration = Duration::from_secs(1);

/// Limits of instances and requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) request_timeout: Duration,
    pub(crate) reuse_count: usize,
    pub(crate) concurrent_reuse_count: usize,
    pub(crate) idle_timeout: Duration,
}

/// A compiled component of WASI 0.3, and everything that its instances share.
pub(crate) struct Instances {
    engine: Engine,
    component: ProxyPre<Guest>,
    shared: Arc<Shared>,
    limits: Limits,
    activity: Activity,
}

impl Instances {
    pub(crate) fn new(
        engine: Engine,
        component: ServicePre<Guest>,
        shared: Arc<Shared>,
        limits: Limits,
        activity: Activity,
    ) -> Instances {
        Instances { engine, component: ProxyPre::P3(component), shared, limits, activity }
    }
}

impl HandlerState for Instances {
    type StoreData = Guest;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Guest, Expiration, Worker>> {
        let mut store = Guest::new_store(&self.engine, &self.shared, None);
        let proxy = self.component.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy,
            view: WasiHttpView::http,
            expiration: Expiration {
                limits: self.limits,
                sleep: Box::pin(tokio::time::sleep(Duration::MAX)),
                busy: Busy { counter: self.activity.busy.clone(), counted: false },
            },
            state: Worker { limits: self.limits, activity: self.activity.clone() },
        })
    }
}

/// Decides when an instance is dropped.
pub(crate) struct Expiration {
    limits: Limits,
    sleep: Pin<Box<tokio::time::Sleep>>,
    busy: Busy,
}

impl WorkerExpiration for Expiration {
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>, status: WorkerStatus, start: Instant) -> Poll<()> {
        self.busy.set(status != WorkerStatus::Idle);
        let limit = match status {
            WorkerStatus::Idle => self.limits.idle_timeout,
            WorkerStatus::Requests | WorkerStatus::PostReturn => self.limits.request_timeout + GRACE,
        };
        let deadline = (start + limit).into();
        if self.sleep.deadline() != deadline {
            self.sleep.as_mut().reset(deadline);
        }
        self.sleep.as_mut().poll(cx)
    }
}

/// Counts an instance while it is busy, and no longer than it lives.
pub(crate) struct Busy {
    counter: Arc<AtomicUsize>,
    counted: bool,
}

impl Busy {
    /// Counts an instance that is busy.
    pub(crate) fn new(counter: Arc<AtomicUsize>) -> Busy {
        let mut busy = Busy { counter, counted: false };
        busy.set(true);
        busy
    }

    fn set(&mut self, busy: bool) {
        match (self.counted, busy) {
            (false, true) => drop(self.counter.fetch_add(1, Ordering::SeqCst)),
            (true, false) => drop(self.counter.fetch_sub(1, Ordering::SeqCst)),
            _ => return,
        }
        self.counted = busy;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// Decides which requests an instance takes.
pub(crate) struct Worker {
    limits: Limits,
    activity: Activity,
}

impl WorkerState for Worker {
    type StoreData = Guest;
    type RequestData = ();

    fn should_accept_request(&self, concurrent_count: usize, total_count: usize) -> ShouldAccept {
        if total_count >= self.limits.reuse_count {
            ShouldAccept::Never
        } else if concurrent_count >= self.limits.concurrent_reuse_count {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, Guest>,
        (): (),
        _: wasmtime::component::GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        Box::pin(tokio::time::sleep(self.limits.request_timeout))
    }

    fn drop(&self, store: Store<Guest>, result: Result<(), wasmtime::Error>) {
        if let Err(error) = result
            && !self.activity.stopping.load(Ordering::SeqCst)
        {
            eprintln!("an instance ended: {error:#}");
        }
        drop(store);
    }
}
