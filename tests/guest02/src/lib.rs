//! A component of WASI 0.2 that asks for everything, for the tests of the host.

#![cfg(target_family = "wasm")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a panic is one of the things it does")]
#![allow(unsafe_code, reason = "the macro exports a function of the Wasm module")]

// Its macros and bindings name it so.
extern crate spin_sdk_5 as spin_sdk;

use spin_sdk::http::{Headers, IncomingRequest, OutgoingResponse, Request, Response, ResponseOutparam};
use spin_sdk::http_component;
use spin_sdk::key_value::Store;
use spin_sdk::redis::{Connection, RedisParameter};
use std::cell::Cell;
use std::collections::HashMap;
use std::time::Duration;

thread_local! {
    static SERVED: Cell<u32> = const { Cell::new(0) };
}

#[http_component]
async fn handle(request: IncomingRequest, out: ResponseOutparam) {
    SERVED.set(SERVED.get() + 1);
    let target = request.path_with_query().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query: HashMap<String, String> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let number = |name: &str| query[name].parse::<u64>().unwrap();
    let text = match path {
        // Never returns, and the optimiser cannot see that it has no effect.
        "/loop" => loop {
            std::hint::black_box(0);
        },
        "/nothing" => return,
        "/panic" => panic!("as asked"),
        "/sleep" => {
            std::thread::sleep(Duration::from_millis(number("ms")));
            "slept".to_owned()
        }
        "/served" => SERVED.get().to_string(),
        "/header" => {
            let values = request.headers().get(&query["name"]);
            values.into_iter().map(|value| String::from_utf8(value).unwrap()).collect::<Vec<_>>().join(", ")
        }
        "/body" => match request.into_body().await {
            Ok(body) => body.len().to_string(),
            Err(_) => "not read".to_owned(),
        },
        "/large" => "x".repeat(number("bytes") as usize),
        "/memory" => std::hint::black_box(vec![1_u8; number("bytes") as usize]).len().to_string(),
        "/after" | "/after-at-once" => {
            answer(out, "answered").await;
            if path == "/after" {
                std::thread::sleep(Duration::from_millis(200));
            }
            Store::open_default().unwrap().set("after", b"the response").unwrap();
            return;
        }
        "/loop-after" => {
            answer(out, "answered").await;
            loop {
                std::hint::black_box(0);
            }
        }
        "/variable" => format!("{:?}", spin_sdk::variables::get(&query["name"])),
        "/key-value" => key_value(&query["store"]).unwrap_or_else(|error| format!("{error:?}")),
        "/get" | "/set" | "/delete" | "/sets" | "/gets" => default_store(path, &query),
        "/redis" => redis(&query["address"]).unwrap_or_else(|error| format!("{error:?}")),
        "/fetch" => {
            let request = Request::get(query["url"].as_str()).build();
            let response: Result<Response, _> = spin_sdk::http::send(request).await;
            match response {
                Ok(response) => format!("{} {}", response.status(), String::from_utf8_lossy(response.body())),
                Err(error) => format!("{error:?}"),
            }
        }
        other => format!("no such route: {other}"),
    };
    answer(out, &text).await;
}

async fn answer(out: ResponseOutparam, text: &str) {
    // A client that has hung up is no reason to end.
    let _ = out.set_with_body(OutgoingResponse::new(Headers::new()), text.as_bytes().to_vec()).await;
}

/// One operation of the default store, or many until one fails.
fn default_store(path: &str, query: &HashMap<String, String>) -> String {
    let store = Store::open_default().unwrap();
    let number = |name: &str| query[name].parse::<u64>().unwrap();
    match path {
        "/get" => match store.get(&query["key"]) {
            Ok(value) => format!("{:?}", value.map(|value| String::from_utf8(value).unwrap())),
            Err(error) => format!("{error:?}"),
        },
        "/set" => {
            let value = query.get("value").cloned().unwrap_or_else(|| "x".repeat(number("bytes") as usize));
            format!("{:?}", store.set(&query["key"], value.as_bytes()))
        }
        "/delete" => format!("{:?}", store.delete(&query["key"])),
        "/sets" => times(number("count"), |index| store.set(&format!("key-{index}"), b"1")),
        "/gets" => times(number("count"), |_| store.get("key")),
        other => format!("no such route: {other}"),
    }
}

/// Repeats an operation until it fails; returns how often it did not, and the error.
fn times<T, E: std::fmt::Debug>(count: u64, operation: impl Fn(u64) -> Result<T, E>) -> String {
    for index in 0..count {
        if let Err(error) = operation(index) {
            return format!("{index} {error:?}");
        }
    }
    count.to_string()
}

/// Every operation of `fermyon:spin/key-value@2.0.0`.
fn key_value(label: &str) -> Result<String, spin_sdk::key_value::Error> {
    let store = Store::open(label)?;
    let absent = store.get("a")?;
    store.set("a", b"1")?;
    store.set("b", b"2")?;
    let present = store.get("a")?;
    let mut keys = store.get_keys()?;
    keys.sort();
    store.delete("a")?;
    let left = (store.exists("a")?, store.exists("b")?);
    store.delete("b")?;
    Ok(format!("{absent:?} {present:?} {keys:?} {left:?}"))
}

/// Every operation of `fermyon:spin/redis@2.0.0`.
fn redis(address: &str) -> Result<String, spin_sdk::redis::Error> {
    let redis = Connection::open(address)?;
    redis.del(&["key".to_owned(), "count".to_owned(), "set".to_owned()])?;
    let absent = redis.get("key")?;
    redis.set("key", b"1")?;
    let present = redis.get("key")?;
    let count = redis.incr("count")?;
    let members = ["one".to_owned(), "two".to_owned()];
    let added = redis.sadd("set", &members)?;
    let removed = redis.srem("set", &members[..1])?;
    let left = redis.smembers("set")?;
    redis.publish("channel", b"hello")?;
    let binary = |text: &str| RedisParameter::Binary(text.as_bytes().to_vec());
    let script = "return {1, false, {redis.status_reply('FINE'), ARGV[1]}}";
    let results = redis.execute("EVAL", &[binary(script), RedisParameter::Int64(0), binary("text")])?;
    let wrong = redis.incr("set").is_err();
    Ok(format!("{absent:?} {present:?} {count} {added} {removed} {left:?} {results:?} {wrong}"))
}
