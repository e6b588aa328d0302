//! Bindings generated from `wit/`: the interfaces that Spin offers a component beside WASI.

#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]

wasmtime::component::bindgen!({
    // The dependencies that the component has too are in the folder `wit` of the repository.
    path: [
        "../../wit/deps/wasi-keyvalue-2024-10-17",
        "../../wit/deps/wasi-io-0.2.0",
        "../../wit/deps/wasi-clocks-0.2.0",
        "../../wit/deps/wasi-otel-0.2.0-rc.2",
        "wit",
    ],
    world: "edge:host/imports",
    imports: { default: async | trappable },
    with: {
        "fermyon:spin/key-value.store": crate::key_value::OpenStore,
        "fermyon:spin/redis.connection": crate::redis::Connection,
        "spin:key-value/key-value.store": crate::key_value::OpenStore,
        "spin:redis/redis.connection": crate::redis::Connection,
        "wasi:keyvalue/store.bucket": crate::key_value::OpenStore,
        "wasi:keyvalue/atomics.cas": crate::wasi_keyvalue::Cas,
    },
});

/// Interfaces that are offered only where telemetry is exported.
pub(crate) mod telemetry {
    wasmtime::component::bindgen!({
        path: [
            "../../wit/deps/wasi-keyvalue-2024-10-17",
            "../../wit/deps/wasi-io-0.2.0",
            "../../wit/deps/wasi-clocks-0.2.0",
            "../../wit/deps/wasi-otel-0.2.0-rc.2",
            "wit",
        ],
        world: "edge:host/telemetry",
        imports: { default: async | trappable },
        with: {
            "wasi:clocks": wasmtime_wasi::p2::bindings::clocks,
            "wasi:io": wasmtime_wasi::p2::bindings::io,
        },
    });
}
