//! Component instances: makes them, decides how long they live, and ends one that never yields.

use crate::key_value::KeyValue;
use crate::outbound::{AllowedHosts, Outbound};
use crate::store::Store as KeyValueStore;
use crate::telemetry::Signal;
use anyhow::{Context as _, anyhow};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{
    Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store, StoreContextMut,
};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// Time after which a running guest is interrupted, so that the host can check its deadline.
const EPOCH_INTERVAL: Duration = Duration::from_millis(10);
/// Time that a request may take when no limit is set.
pub(crate) const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Time from a request's timeout to the end of a guest that does not yield: first the request is given up, which other
/// requests of the same instance survive, and then the instance.
const GRACE: Duration = Duration::from_secs(1);

/// Host state of a component instance.
pub(crate) struct Guest {
    pub(crate) table: ResourceTable,
    pub(crate) stores: Arc<BTreeMap<String, Arc<KeyValueStore>>>,
    pub(crate) variables: Arc<BTreeMap<String, String>>,
    /// Sends telemetry to the exporter, if there is one.
    pub(crate) exporter: Option<Sender<Signal>>,
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

/// Limits of instances and requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) request_timeout: Duration,
    pub(crate) reuse_count: usize,
    pub(crate) concurrent_reuse_count: usize,
    pub(crate) idle_timeout: Duration,
}

/// Settings of [`Instances`].
pub(crate) struct InstanceConfig {
    /// The component's Wasm file.
    pub(crate) source: PathBuf,
    /// Folder of components compiled in an earlier run.
    pub(crate) cache: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) quiet: bool,
    pub(crate) allowed_hosts: AllowedHosts,
    pub(crate) stores: BTreeMap<String, Arc<KeyValueStore>>,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) exporter: Option<Sender<Signal>>,
}

/// A compiled component, and everything that its instances share.
pub(crate) struct Instances {
    engine: Engine,
    component: ProxyPre<Guest>,
    stores: Arc<BTreeMap<String, Arc<KeyValueStore>>>,
    variables: Arc<BTreeMap<String, String>>,
    allowed_hosts: Arc<AllowedHosts>,
    limits: Limits,
    exporter: Option<Sender<Signal>>,
    quiet: bool,
    /// Number of instances with a request, or with work left over from one.
    pub(crate) busy: Arc<AtomicUsize>,
    /// True when the host is ending, and every instance with it.
    pub(crate) stopping: Arc<AtomicBool>,
}

impl Instances {
    /// Compiles a component, or takes it from the cache if an earlier run compiled it.
    pub(crate) fn compile(config: InstanceConfig) -> anyhow::Result<Instances> {
        let engine = engine(&config.cache)?;
        let linker = linker(&engine, config.exporter.is_some())?;
        let component = Component::from_file(&engine, &config.source)
            .map_err(anyhow::Error::from)
            .with_context(|| format!("cannot load {}: build it with `cargo xtask build`", config.source.display()))?;
        let component = linker
            .instantiate_pre(&component)
            .map_err(anyhow::Error::from)
            .context("the component imports something that is not offered")?;
        let component = wasmtime_wasi_http::p3::bindings::ServicePre::new(component)
            .map_err(|error| anyhow!("the component does not export wasi:http/handler@0.3: {error}"))?;
        spawn_epoch_thread(engine.clone());
        Ok(Instances {
            engine,
            component: ProxyPre::P3(component),
            stores: Arc::new(config.stores),
            variables: Arc::new(config.variables),
            allowed_hosts: Arc::new(config.allowed_hosts),
            limits: config.limits,
            exporter: config.exporter,
            quiet: config.quiet,
            busy: Arc::default(),
            stopping: Arc::default(),
        })
    }
}

fn engine(cache: &Path) -> anyhow::Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    config.epoch_interruption(true);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(1000).total_core_instances(4000).total_memories(1000).total_tables(4000);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let mut on_disk = CacheConfig::new();
    std::fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
    on_disk.with_directory(std::path::absolute(cache)?);
    config.cache(Some(Cache::new(on_disk)?));
    Ok(Engine::new(&config)?)
}

/// Links every interface that a component may import.
fn linker(engine: &Engine, with_telemetry: bool) -> anyhow::Result<Linker<Guest>> {
    let mut linker = Linker::<Guest>::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    crate::bindings::Imports::add_to_linker::<_, KeyValue>(&mut linker, |guest| guest)?;
    if with_telemetry {
        // One by one: the interfaces that these build on are WASI's, and linked already.
        use crate::bindings::telemetry::wasi::otel;
        otel::types::add_to_linker::<_, KeyValue>(&mut linker, |guest| guest)?;
        otel::tracing::add_to_linker::<_, KeyValue>(&mut linker, |guest| guest)?;
        otel::metrics::add_to_linker::<_, KeyValue>(&mut linker, |guest| guest)?;
    }
    Ok(linker)
}

/// Starts a thread that interrupts guests at every epoch until the process ends.
fn spawn_epoch_thread(engine: Engine) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(EPOCH_INTERVAL);
            engine.increment_epoch();
        }
    });
}

impl HandlerState for Instances {
    type StoreData = Guest;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Guest, Expiration, Worker>> {
        let mut wasi = WasiCtxBuilder::new();
        if !self.quiet {
            wasi.inherit_stdout().inherit_stderr();
        }
        let guest = Guest {
            table: ResourceTable::new(),
            stores: self.stores.clone(),
            variables: self.variables.clone(),
            exporter: self.exporter.clone(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outbound: Outbound { allowed: self.allowed_hosts.clone() },
        };
        let mut store = Store::new(&self.engine, guest);
        // At each epoch a running guest is suspended, and `Expiration` gets its turn.
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        let proxy = self.component.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy,
            view: WasiHttpView::http,
            expiration: Expiration {
                limits: self.limits,
                sleep: Box::pin(tokio::time::sleep(Duration::MAX)),
                busy: Busy { counter: self.busy.clone(), counted: false },
            },
            state: Worker { limits: self.limits, stopping: self.stopping.clone() },
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
struct Busy {
    counter: Arc<AtomicUsize>,
    counted: bool,
}

impl Busy {
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
    stopping: Arc<AtomicBool>,
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
            && !self.stopping.load(Ordering::SeqCst)
        {
            eprintln!("an instance ended: {error:#}");
        }
        drop(store);
    }
}
