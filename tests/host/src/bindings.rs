//! Generated from `wit/`: the interfaces that Spin offers a component beside WASI.

#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]

wasmtime::component::bindgen!({
    // The counters are the component's own dependency too, and stand there.
    path: ["../../wit/deps/wasi-keyvalue-2024-10-17", "wit"],
    world: "edge:host/imports",
    imports: { default: async | trappable },
    with: {
        "spin:key-value/key-value.store": crate::key_value::OpenStore,
        "wasi:keyvalue/store.bucket": crate::key_value::OpenStore,
        "wasi:keyvalue/atomics.cas": crate::wasi_keyvalue::Cas,
    },
});
