//! A component that misbehaves and asks for everything, for the tests of the host.

#![cfg(target_family = "wasm")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a panic is one of the things it does")]

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use spin_sdk::http::Request;
use spin_sdk::http_service;
use spin_sdk::key_value::Store;
use spin_sdk::wit_bindgen::rt::async_support::yield_async;
use std::cell::Cell;
use std::collections::HashMap;
use std::time::Duration;

mod counters {
    wit_bindgen::generate!({ path: [
        "../../wit/deps/wasi-keyvalue-2024-10-17",
        "../../wit/deps/wasi-io-0.2.0",
        "../../wit/deps/wasi-clocks-0.2.0",
        "../../wit/deps/wasi-otel-0.2.0-rc.2",
        "../host/wit",
    ], world: "edge:host/counters", generate_all });
}

use counters::wasi::keyvalue::{atomics, batch, store};

thread_local! {
    static SERVED: Cell<u32> = const { Cell::new(0) };
}

#[http_service]
async fn handle(request: Request) -> http::Response<Full<Bytes>> {
    SERVED.set(SERVED.get() + 1);
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(request.uri().query().unwrap_or("").as_bytes()).into_owned().collect();
    let text = match request.uri().path() {
        // Never yields, and the optimiser cannot see that it has no effect.
        "/loop" => loop {
            std::hint::black_box(0);
        },
        "/yielding-loop" => loop {
            yield_async().await;
        },
        "/sleep" => {
            spin_sdk::time::sleep(Duration::from_millis(query["ms"].parse().unwrap())).await;
            "slept".to_owned()
        }
        "/panic" => panic!("as asked"),
        "/served" => SERVED.get().to_string(),
        "/client" => request.headers()["spin-client-addr"].to_str().unwrap().to_owned(),
        "/log" => {
            eprintln!("said on stderr");
            "logged".to_owned()
        }
        "/after" => {
            spin_sdk::wasip3::spawn(async {
                spin_sdk::time::sleep(Duration::from_millis(200)).await;
                Store::open_default().await.unwrap().set("after", b"the response").await.unwrap();
            });
            "answered".to_owned()
        }
        "/variable" => format!("{:?}", spin_sdk::variables::get(&query["name"]).await),
        "/key-value" => key_value(&query["store"]).await.unwrap_or_else(|error| format!("{error:?}")),
        "/counters" => wasi_keyvalue(&query["store"]).unwrap_or_else(|error| format!("{error:?}")),
        "/get" => format!("{:?}", Store::open_default().await.unwrap().get(&query["key"]).await),
        "/fetch" => match spin_sdk::http::get(&query["url"]).await {
            Ok(response) => {
                let status = response.status();
                let body = response.into_body().collect().await.map(|body| body.to_bytes());
                format!("{status} {}", String::from_utf8_lossy(&body.unwrap_or_default()))
            }
            Err(error) => format!("{error:?}"),
        },
        other => format!("no such route: {other}"),
    };
    http::Response::new(Full::new(Bytes::from(text)))
}

/// Every operation of `spin:key-value@3.0.0`.
async fn key_value(label: &str) -> Result<String, spin_sdk::key_value::Error> {
    let store = Store::open(label).await?;
    let absent = store.get("a").await?;
    store.set("a", b"1").await?;
    store.set("b", b"2").await?;
    let present = store.get("a").await?;
    let mut keys = store.get_keys().await.collect().await?;
    keys.sort();
    store.delete("a").await?;
    let left = (store.exists("a").await?, store.exists("b").await?);
    store.delete("b").await?;
    Ok(format!("{absent:?} {present:?} {keys:?} {left:?}"))
}

/// Every interface of `wasi:keyvalue@0.2.0-draft2`.
fn wasi_keyvalue(label: &str) -> Result<String, store::Error> {
    let bucket = store::open(label)?;
    let first = atomics::increment(&bucket, "count", 5)?;
    let second = atomics::increment(&bucket, "count", -2)?;
    let stale = atomics::Cas::new(&bucket, "count")?;
    bucket.set("count", b"7")?;
    let swapped = match atomics::swap(stale, b"8") {
        Err(atomics::CasError::CasFailed(again)) => atomics::swap(again, b"9").is_ok(),
        _ => false,
    };
    batch::set_many(&bucket, &[("x".to_owned(), b"1".to_vec()), ("y".to_owned(), b"2".to_vec())])?;
    let many = batch::get_many(&bucket, &["x".to_owned(), "z".to_owned()])?;
    let keys = bucket.list_keys(None)?.keys.len();
    let count = bucket.get("count")?;
    batch::delete_many(&bucket, &["x".to_owned(), "y".to_owned(), "count".to_owned()])?;
    Ok(format!("{first} {second} {swapped} {many:?} {keys} {count:?} {}", bucket.exists("x")?))
}
