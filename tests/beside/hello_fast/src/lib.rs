//! A hello-world component of WASI 0.3, written the usual way.

#![cfg(target_family = "wasm")]

use spin_sdk::http::{IntoResponse, Request};
use spin_sdk::http_service;

#[http_service]
async fn hello(_: Request) -> impl IntoResponse {
    "Hello, world!"
}
