//! Compiles a component, checks it against its platform, and finds out how it is to be served.

use crate::fresh::{FreshConfig, FreshInstances};
use crate::guest::{Guest, GuestData, Shared};
use crate::instance::{Instances, Limits};
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use http::{Request, Response};
use platforms::Platform;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;
use wasmtime::component::{Component, Linker};
use wasmtime::{Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::ProxyHandler;

/// Time after which a running guest is interrupted, so that the host can check its deadline.
const EPOCH_INTERVAL: Duration = Duration::from_millis(10);
/// Entry points that this host can call, the one that it prefers first.
const ENTRY_POINTS: [(&str, World); 2] =
    [("wasi:http/handler@0.3.", World::Http03), ("wasi:http/incoming-handler@0.2.", World::Http02)];

/// Version of WASI that an entry point belongs to.
#[derive(Clone, Copy, PartialEq)]
enum World {
    Http02,
    Http03,
}

/// Settings of a component.
pub(crate) struct ComponentConfig<'a> {
    /// The component's Wasm file.
    pub(crate) source: PathBuf,
    /// Folder of components compiled in an earlier run.
    pub(crate) cache: PathBuf,
    /// Platform that has to have everything that the component asks for.
    pub(crate) platform: Option<&'a Platform>,
    pub(crate) limits: Limits,
    /// Settings of instances that serve one request each.
    pub(crate) fresh: FreshConfig,
    pub(crate) shared: Shared,
}

/// Work in progress, which a graceful stop waits for.
#[derive(Clone, Default)]
pub(crate) struct Activity {
    /// Number of instances with a request, or with work left over from one.
    pub(crate) busy: Arc<AtomicUsize>,
    /// True when the host is ending, and every instance with it.
    pub(crate) stopping: Arc<AtomicBool>,
}

/// Instances of a component, ready to be asked.
#[derive(Clone)]
pub(crate) enum Handler {
    /// Instances of WASI 0.3, which serve many requests.
    Reused(ProxyHandler<Instances>),
    /// Instances of WASI 0.2, which serve one request each.
    Fresh(Arc<FreshInstances>),
}

impl Handler {
    /// Compiles a component, or takes it from the cache if an earlier run compiled it.
    pub(crate) fn compile(config: ComponentConfig<'_>, activity: &Activity) -> Result<Handler> {
        let engine = engine(&config.cache)?;
        let linker = linker(&engine, config.shared.exporter.is_some())?;
        let file = config.source.display();
        if let Some(platform) = config.platform {
            check_size(&config.source, platform)?;
        }
        let component = Component::from_file(&engine, &config.source)
            .map_err(anyhow::Error::from)
            .with_context(|| format!("cannot load {file}: build it with `cargo xtask build`"))?;
        let world = world(&engine, &component, config.platform)?;
        let component = linker
            .instantiate_pre(&component)
            .map_err(anyhow::Error::from)
            .context("the component imports something that is not offered")?;
        spawn_epoch_thread(engine.clone());
        let shared = Arc::new(config.shared);
        Ok(match world {
            World::Http03 => {
                ensure!(
                    !config.fresh.end_with_response && config.fresh.calls_file.is_none(),
                    "--end-with-response and --calls-file are for components of WASI 0.2: instances of 0.3 are reused"
                );
                let component = wasmtime_wasi_http::p3::bindings::ServicePre::new(component)
                    .map_err(|error| anyhow!("the component does not export wasi:http/handler@0.3: {error}"))?;
                let instances = Instances::new(engine, component, shared, config.limits, activity.clone());
                Handler::Reused(ProxyHandler::new(instances))
            }
            World::Http02 => {
                let component = wasmtime_wasi_http::p2::bindings::ProxyPre::new(component).map_err(|error| {
                    anyhow!("the component does not export wasi:http/incoming-handler@0.2: {error}")
                })?;
                Handler::Fresh(Arc::new(FreshInstances::new(engine, component, shared, config.fresh, activity.clone())))
            }
        })
    }

    /// Hands a request to an instance; returns its response.
    pub(crate) async fn handle(&self, request: Request<WasiBody>) -> Result<Response<WasiBody>> {
        match self {
            Handler::Reused(instances) => Ok(instances.handle((), request).await?),
            Handler::Fresh(instances) => instances.handle(request).await,
        }
    }
}

fn check_size(source: &Path, platform: &Platform) -> Result<()> {
    let Some(limit) = platform.limits.package_bytes else { return Ok(()) };
    // A file that is missing is named when it is loaded.
    let size = std::fs::metadata(source).map_or(0, |file| file.len());
    ensure!(
        size <= limit,
        "{} has {size} bytes; {} takes packages of up to {limit} bytes",
        source.display(),
        platform.name
    );
    Ok(())
}

/// Returns the world that a component is served in. Errors if its platform lacks an interface of it.
fn world(engine: &Engine, component: &Component, platform: Option<&Platform>) -> Result<World> {
    let component = component.component_type();
    let exports: Vec<String> = component.exports(engine).map(|(name, _)| name.to_owned()).collect();
    if let Some(platform) = platform {
        let imports: Vec<String> = component.imports(engine).map(|(name, _)| name.to_owned()).collect();
        platform.check(&imports, &exports)?;
    }
    let is_called = |export: &&String| platform.is_none_or(|platform| platform.calls(export));
    let called: Vec<&String> = exports.iter().filter(is_called).collect();
    for (prefix, world) in ENTRY_POINTS {
        if called.iter().any(|export| export.starts_with(prefix)) {
            return Ok(world);
        }
    }
    bail!(
        "the component exports neither wasi:http/handler@0.3 nor wasi:http/incoming-handler@0.2, but {}",
        exports.join(", ")
    )
}

fn engine(cache: &Path) -> Result<Engine> {
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
fn linker(engine: &Engine, with_telemetry: bool) -> Result<Linker<Guest>> {
    let mut linker = Linker::<Guest>::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    crate::bindings::Imports::add_to_linker::<_, GuestData>(&mut linker, |guest| guest)?;
    if with_telemetry {
        // One by one: the interfaces that these build on are WASI's, and linked already.
        use crate::bindings::telemetry::wasi::otel;
        otel::types::add_to_linker::<_, GuestData>(&mut linker, |guest| guest)?;
        otel::tracing::add_to_linker::<_, GuestData>(&mut linker, |guest| guest)?;
        otel::metrics::add_to_linker::<_, GuestData>(&mut linker, |guest| guest)?;
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
