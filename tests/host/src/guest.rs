//! Host state of a component instance, and what all instances share.

use crate::calls::Calls;
use crate::clock::ClockOffset;
use crate::fault::Faults;
use crate::outbound::{AllowedHosts, Outbound};
use crate::quota::RateLimit;
use crate::store::Store as KeyValueStore;
use crate::telemetry::Signal;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;
use tokio::sync::watch;
use wasmtime::component::{HasData, ResourceTable};
use wasmtime::{Engine, Store, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// Time that a host call of a guest whose response is set waits for the response to be sent, where the guest is to end
/// with it. A guest that still writes its body goes on after that.
const RESPONSE_SENT_WAIT: Duration = Duration::from_millis(50);

/// State that all instances of a component share.
pub(crate) struct Shared {
    pub(crate) stores: BTreeMap<String, Arc<KeyValueStore>>,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) allowed_hosts: Arc<AllowedHosts>,
    /// Faults of outbound Redis.
    pub(crate) redis_faults: Faults,
    /// Limit of outbound HTTP requests.
    pub(crate) outbound_limit: Option<Arc<RateLimit>>,
    /// Limit of an instance's memory.
    pub(crate) memory_bytes: Option<usize>,
    /// Sends telemetry to the exporter, if there is one.
    pub(crate) exporter: Option<Sender<Signal>>,
    pub(crate) quiet: bool,
    /// How far ahead the wall clock is, where it is not the machine's.
    pub(crate) clock_offset: Option<ClockOffset>,
}

/// Progress of the response to a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Progress {
    Pending,
    /// The guest has set its response.
    Set,
    /// The whole body has been handed to the connection, or nobody wants it.
    Sent,
}

/// Host state of a component instance.
pub(crate) struct Guest {
    pub(crate) table: ResourceTable,
    pub(crate) shared: Arc<Shared>,
    /// Host calls so far; where an instance serves one request, those of that request.
    calls: Calls,
    /// Progress of the response, where the guest is to end with it.
    progress: Option<watch::Receiver<Progress>>,
    memory: StoreLimits,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outbound }
    }
}

/// Marker of the host data that the interfaces work on.
pub(crate) struct GuestData;

impl HasData for GuestData {
    type Data<'a> = &'a mut Guest;
}

impl Guest {
    /// Makes the store of a new instance.
    pub(crate) fn new_store(
        engine: &Engine,
        shared: &Arc<Shared>,
        progress: Option<watch::Receiver<Progress>>,
    ) -> Store<Guest> {
        let mut wasi = WasiCtxBuilder::new();
        if !shared.quiet {
            wasi.inherit_stdout().inherit_stderr();
        }
        if let Some(offset) = &shared.clock_offset {
            wasi.wall_clock(offset.clone());
        }
        let memory = StoreLimitsBuilder::new();
        let memory = match shared.memory_bytes {
            Some(bytes) => memory.memory_size(bytes),
            None => memory,
        };
        let guest = Guest {
            table: ResourceTable::new(),
            shared: shared.clone(),
            calls: Calls::default(),
            memory: memory.build(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outbound: Outbound::new(shared, progress.clone()),
            progress,
        };
        let mut store = Store::new(engine, guest);
        store.limiter(|guest| &mut guest.memory);
        // At each epoch a running guest is suspended, and whoever limits its time gets a turn.
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        store
    }

    /// Counts a synchronous host call. Never returns to a guest that has ended with its response.
    pub(crate) async fn enter(&mut self, counter: impl FnOnce(&mut Calls) -> &mut u64) {
        *counter(&mut self.calls) += 1;
        until_response_ends_guest(self.progress.clone()).await;
    }

    /// Returns the host calls so far.
    pub(crate) fn calls(&self) -> Calls {
        Calls { http: self.outbound.requests, ..self.calls.clone() }
    }
}

/// Returns at once where the guest may go on, and never where it is to end with its response and has sent it.
pub(crate) async fn until_response_ends_guest(progress: Option<watch::Receiver<Progress>>) {
    let Some(mut progress) = progress else { return };
    if *progress.borrow() == Progress::Pending {
        return;
    }
    let sent = progress.wait_for(|progress| *progress == Progress::Sent);
    if tokio::time::timeout(RESPONSE_SENT_WAIT, sent).await.is_ok() {
        std::future::pending().await
    }
}
