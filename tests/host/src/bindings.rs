//! Generated from `wit/`: the interfaces that Spin offers a component beside WASI.

#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]

wasmtime::component::bindgen!({
    path: "wit",
    world: "edge:host/imports",
    imports: { default: async | trappable },
    with: {
        "spin:key-value/key-value.store": crate::key_value::OpenStore,
        "wasi:keyvalue/store.bucket": crate::key_value::OpenStore,
        "wasi:keyvalue/atomics.cas": crate::wasi_keyvalue::Cas,
    },
});
