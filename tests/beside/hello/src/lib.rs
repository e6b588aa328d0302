//! A hello-world component of WASI 0.2, written the usual way.

#![cfg(target_family = "wasm")]

// The name by which the SDK's macro calls it.
extern crate spin_sdk_5 as spin_sdk;

#[allow(unsafe_code, reason = "what the macro makes of it")]
mod entry {
    use spin_sdk::http::{IntoResponse, Request, Response};
    use spin_sdk::http_component;

    #[http_component]
    fn hello(_: Request) -> impl IntoResponse {
        Response::builder().status(200).header("content-type", "text/plain").body("Hello, world!").build()
    }
}
