//! `edge-host`: runs a Spin HTTP application from its `spin.toml` on machines without Spin.
//!
//! It is built on the server loop that Spin 4.1 is built on, and takes Spin's own flags, so that a component cannot
//! tell it from Spin by anything but three things: it ends a guest that never yields, it can be told to have a store
//! that fails, and it is faster unless it is told to be `--like-spin`. It is for development and tests. It serves one
//! component on one HTTP trigger, and refuses a manifest that asks for more rather than run a part of it.
//!
//! One module implements one interface that a component imports, its functions in the order of the WIT file:
//!
//! - `key_value`: `spin:key-value` and `fermyon:spin/key-value`, over the stores of `store`
//! - `redis`: `spin:redis` and `fermyon:spin/redis`
//! - `variables`: `spin:variables` and `fermyon:spin/variables`
//! - `wasi_keyvalue`: `wasi:keyvalue`, over the same stores
//! - `telemetry`: `wasi:otel`
//! - `outbound`: the hooks of Wasmtime's `wasi:http`
//!
//! `bindings` has the code generated for them, and `guest` the state of an instance that they work on. `component`
//! compiles and links; `instance` keeps instances of WASI 0.3 for many requests, `fresh` makes one of WASI 0.2 for
//! each, and `server` hands requests to them. `args`, `manifest` and `runtime_config` read what is configured.
//!
//! To be as strict as a real host: the crate `platforms` has what each offers and allows, `quota` its limits at work,
//! `fault` the ways in which stores fail, and `calls` counts what a guest asks of its host.

mod args;
mod bindings;
mod calls;
mod clock;
mod component;
mod fault;
mod fresh;
mod guest;
mod instance;
mod key_value;
mod manifest;
mod outbound;
mod quota;
mod redis;
mod runtime_config;
mod server;
mod store;
mod telemetry;
mod variables;
mod wasi_keyvalue;

use anyhow::Result;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(args::Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: args::Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(server::serve(args));
    // A guest that is still running must not keep the process.
    runtime.shutdown_background();
    served
}
