//! `run-in-wasm MODULE FOLDER`: runs the Wasm build of `forest-bench` in Wasmtime, configured as the host configures
//! it.

#[cfg(not(target_family = "wasm"))]
mod native {
    use anyhow::{Context, Result};
    use wasmtime::component::{Component, Linker, ResourceTable};
    use wasmtime::{Config, Engine, Store};
    use wasmtime_wasi::p2::bindings::sync::Command;
    use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};

    struct State {
        context: WasiCtx,
        table: ResourceTable,
    }

    impl WasiView for State {
        fn ctx(&mut self) -> WasiCtxView<'_> {
            WasiCtxView { ctx: &mut self.context, table: &mut self.table }
        }
    }

    pub(crate) fn run() -> Result<()> {
        let mut arguments = std::env::args().skip(1);
        let (module, folder) = arguments.next().zip(arguments.next()).context("run-in-wasm MODULE FOLDER")?;
        let engine = Engine::new(&Config::new())?;
        let component = Component::from_file(&engine, &module)?;
        let mut linker: Linker<State> = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
        let mut context = WasiCtx::builder();
        context.inherit_stdio().args(&["forest-bench", "models"]);
        context.preopened_dir(folder, "models", FsPerms::ReadOnly)?;
        let mut store = Store::new(&engine, State { context: context.build(), table: ResourceTable::new() });
        let command = Command::instantiate(&mut store, &component, &linker)?;
        let ended = command.wasi_cli_run().call_run(&mut store)?;
        ended.map_err(|()| anyhow::anyhow!("{module} failed"))
    }
}

#[cfg(not(target_family = "wasm"))]
fn main() -> anyhow::Result<()> {
    native::run()
}

#[cfg(target_family = "wasm")]
fn main() {}
