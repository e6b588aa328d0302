//! The host as strict as the platforms: components of WASI 0.2, interfaces, limits, regions, and counts of calls.

use crate::manifest::{self, NOBODY};
use harness::redis::Redis;
use harness::{Host, free_port, state, store_file, wait_for, wait_until};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn start(state: &TempDir, flags: &[&str]) -> Host {
    Host::start_manifest(&manifest::guest(state, "guest02", &["default"], NOBODY), state, flags)
}

/// Returns what a host that refuses to start says.
fn refusal(state: &TempDir, name: &str, stores: &[&str], flags: &[&str]) -> String {
    refusal_of(&manifest::guest(state, name, stores, NOBODY), state, flags)
}

fn refusal_of(manifest: &Path, state: &TempDir, flags: &[&str]) -> String {
    format!("{:#}", Host::try_start_manifest(manifest, state, flags).expect_err("refused"))
}

/// Sends a request and hangs up once the first bytes of the answer are there.
fn ask_and_hang_up(host: &Host, path: &str) {
    let mut connection = TcpStream::connect(&host.address).expect("connected");
    connection.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).expect("sent");
    let read = connection.read(&mut [0; 256]).expect("answered");
    assert!(read > 0, "{path}: an answer");
}

#[test]
fn each_request_has_a_fresh_instance_of_wasi_02() {
    let state = state();
    let host = start(&state, &[]);
    let served: Vec<String> = (0..3).map(|_| host.get("/served").body).collect();
    assert_eq!(served, ["1", "1", "1"]);
    for failing in ["/panic", "/nothing"] {
        assert_eq!(host.get(failing).status, 500, "{failing}");
    }
    assert_eq!(host.get("/served").body, "1");
    wait_until(|| host.log().contains("as asked") && host.log().contains("without a response"));
    let client = host.request("GET", "/header?name=spin-client-addr", &[("spin-client-addr", "203.0.113.9:1")]).body;
    assert!(client.starts_with("127.0.0.1:"), "{client}");
}

#[test]
fn interfaces_of_wasi_02_answer_as_spin_does() {
    let state = state();
    let host = start(&state, &[]);
    for _ in 0..2 {
        assert_eq!(host.get("/key-value?store=default").body, "None Some([49]) [\"a\", \"b\"] (false, true)");
    }
    assert_eq!(host.get("/key-value?store=other").body, "Error::AccessDenied");
    assert_eq!(host.get("/variable?name=colour").body, "Ok(\"blue\")");
    assert!(host.get("/variable?name=shape").body.contains("Undefined"));
    assert_eq!(host.send("POST", "/body", &[], &"x".repeat(100_000)).body, "100000");
    assert_eq!(host.get("/large?bytes=300000").body.len(), 300_000);
    assert_eq!(host.get("/fetch?url=http://127.0.0.1:2/").body, "Http(ErrorCode::HttpRequestDenied)");
}

#[test]
fn work_after_the_response_is_done_though_the_client_has_gone_and_the_host_is_told_to_stop() {
    let state = state();
    let host = start(&state, &[]);
    ask_and_hang_up(&host, "/after");
    wait_until(|| host.get("/get?key=after").body == "Some(\"the response\")");
    host.get("/delete?key=after");
    for signal in ["-TERM", "-INT"] {
        let mut host = start(&state, &[]);
        ask_and_hang_up(&host, "/after");
        assert_eq!(host.stop(signal), Some(0), "{}", host.log());
        let again = start(&state, &[]);
        assert_eq!(again.get("/get?key=after").body, "Some(\"the response\")");
        again.get("/delete?key=after");
    }
}

#[test]
fn guest_is_ended_with_its_response_where_the_host_is_told_so() {
    let state = state();
    let mut host = start(&state, &["--end-with-response"]);
    for path in ["/after", "/after-at-once", "/loop-after"] {
        for _ in 0..5 {
            assert_eq!(host.get(path).body, "answered");
        }
    }
    assert_eq!(host.get("/large?bytes=3000000").body.len(), 3_000_000);
    // A stop waits for guests that go on: there are none.
    let start = Instant::now();
    assert_eq!(host.stop("-TERM"), Some(0), "{}", host.log());
    assert!(start.elapsed() < Duration::from_secs(4), "a guest went on");
    let again = self::start(&state, &[]);
    assert_eq!(again.get("/get?key=after").body, "None");
}

#[test]
fn guest_of_wasi_02_is_ended_at_its_timeout() {
    let state = state();
    let host = start(&state, &["--request-timeout", "300ms"]);
    for path in ["/loop", "/sleep?ms=60000"] {
        assert_eq!(host.get(path).status, 500, "{path}");
    }
    assert_eq!(host.get("/loop-after").body, "answered");
    wait_until(|| host.log().matches("the guest took longer than 300ms").count() == 3);
    assert_eq!(host.get("/served").body, "1");
}

#[test]
fn component_is_refused_with_every_interface_that_its_platform_lacks() {
    let state = state();
    let error = refusal(&state, "guest", &["default"], &["--platform", "akamai-functions"]);
    let (imports, exports) = error.split_once("which the component imports; ").expect("both are named");
    assert!(imports.contains("akamai-functions does not offer "), "{error}");
    for missing in ["wasi:keyvalue/atomics@0.2.0-draft2", "spin:key-value/key-value@3.0.0", "wasi:http/types@0.3.0"] {
        assert!(imports.contains(missing), "{missing}: {error}");
    }
    assert!(!imports.contains("wasi:keyvalue/batch"), "{error}");
    let expected = "akamai-functions calls wasi:http/incoming-handler@0.2, and the component exports \
                    wasi:http/handler@0.3.0";
    assert!(exports.contains(expected), "{error}");
    let error = refusal(&state, "guest", &["default"], &["--end-with-response"]);
    assert!(error.contains("are for components of WASI 0.2"), "{error}");
    let error = refusal(&state, "guest02", &["default"], &["--platform", "spin-2.7"]);
    assert!(error.contains("\"spin-2.7\" is none of spin-3.1, spin-3.6, "), "{error}");
}

#[test]
fn component_of_wasi_02_runs_on_every_platform() {
    let platforms = ["spin-3.1", "spin-3.6", "spin-4.0", "spin-4.1", "fermyon-cloud", "akamai-functions"];
    for platform in platforms {
        let state = state();
        let host = start(&state, &["--platform", platform]);
        assert_eq!(host.get("/key-value?store=default").status, 200, "{platform}");
    }
    let state = state();
    let manifest = manifest::guest(&state, "guest", &["default"], NOBODY);
    let host = Host::start_manifest(&manifest, &state, &["--platform", "spin-4.1"]);
    assert_eq!(host.get("/served").body, "1");
    assert_eq!(host.get("/served").body, "2");
}

#[test]
fn clouds_take_one_store_and_no_runtime_configuration() {
    let state = state();
    let config = state.path().join("memory.toml");
    std::fs::write(&config, "[key_value_store.default]\ntype = \"memory\"\n").expect("written");
    let config = config.display().to_string();
    for cloud in ["fermyon-cloud", "akamai-functions"] {
        let flags = ["--platform", cloud, "--runtime-config-file", &config];
        let error = refusal(&state, "guest02", &["default"], &flags);
        assert!(error.contains(&format!("{cloud} takes no runtime configuration")), "{error}");
        let error = refusal(&state, "guest02", &["default", "second"], &["--platform", cloud]);
        assert!(error.contains(&format!("{cloud} has no key-value store \"second\"")), "{error}");
    }
}

#[test]
fn cloud_limits_of_the_store_are_errors_to_the_guest() {
    let fermyon = state();
    let host = start(&fermyon, &["--platform", "fermyon-cloud"]);
    assert_eq!(host.get("/sets?count=1025").body, "1024 Error::Other(\"quota exceeded: 1024 keys\")");
    assert_eq!(host.get("/sets?count=1024").body, "1024", "keys that exist may be written");
    let key = "k".repeat(256);
    let too_long = "Err(Error::Other(\"quota exceeded: a key of 256 bytes, 255 are allowed\"))";
    assert_eq!(host.get(&format!("/set?key={key}&bytes=1")).body, too_long);
    let too_large = "Err(Error::Other(\"quota exceeded: a value of 1000001 bytes, 1000000 are allowed\"))";
    assert_eq!(host.get("/set?key=key-1&bytes=1000001").body, too_large);
    assert_eq!(host.get("/set?key=key-1&bytes=1000000").body, "Ok(())");

    let akamai = state();
    let host = start(&akamai, &["--platform", "akamai-functions"]);
    assert_eq!(host.get("/sets?count=51").body, "50 Error::Other(\"quota exceeded: 50 writes a second\")");
    assert_eq!(host.get("/gets?count=1001").body, "1000 Error::Other(\"quota exceeded: 1000 reads a second\")");
    // The whole application's, and for a second.
    wait_until(|| host.get("/sets?count=1").body == "1");
    let key = "k".repeat(8193);
    assert!(host.get(&format!("/set?key={key}&bytes=1")).body.contains("a key of 8193 bytes, 8192 are allowed"));
}

#[test]
fn cloud_limits_of_memory_and_bodies_and_the_header_of_the_caller() {
    let state = state();
    let host = start(&state, &["--platform", "akamai-functions"]);
    assert_eq!(host.get("/memory?bytes=50000000").body, "50000000");
    assert_eq!(host.get("/memory?bytes=150000000").status, 500);
    assert_eq!(host.send("POST", "/body", &[], &"x".repeat(10_485_760)).body, "10485760");
    assert_eq!(host.get("/large?bytes=1000000").body.len(), 1_000_000);
    let forged = [("true-client-ip", "203.0.113.9"), ("spin-client-addr", "203.0.113.9:1")];
    assert_eq!(host.request("GET", "/header?name=true-client-ip", &forged).body, "127.0.0.1");
    assert_eq!(host.request("GET", "/header?name=spin-client-addr", &forged).body, "");

    let mut connection = TcpStream::connect(&host.address).expect("connected");
    let head = "POST /body HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 10485761\r\n\r\n";
    connection.write_all(head.as_bytes()).expect("sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("answered");
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[test]
fn module_larger_than_a_cloud_takes_is_refused() {
    for (cloud, limit) in [("fermyon-cloud", 100_000_000), ("akamai-functions", 52_428_800)] {
        let state = state();
        let wasm = state.path().join("large.wasm");
        let manifest = manifest::source(&state, &wasm, &["default"], NOBODY);
        // A file of holes: its size is all that is looked at, until that is allowed.
        let sized = |bytes| std::fs::File::create(&wasm).and_then(|file| file.set_len(bytes)).expect("made");
        sized(limit + 1);
        let error = refusal_of(&manifest, &state, &["--platform", cloud]);
        let sentence = format!("large.wasm has {} bytes; {cloud} takes packages of up to {limit} bytes", limit + 1);
        assert!(error.contains(&sentence), "{error}");
        sized(limit);
        let error = refusal_of(&manifest, &state, &["--platform", cloud]);
        assert!(error.contains("cannot load ") && !error.contains("takes packages"), "{error}");
    }
}

/// A cloud's limit is 30 s, which is no time for a test: the same list with another number is enforced alike.
#[test]
fn request_is_ended_at_its_platforms_limit() {
    let cloud = manifest::platform("akamai-functions").replace("request_seconds = 30", "request_seconds = 1");
    let spin = format!("{}\n[platform.limits]\nrequest_seconds = 1\n", manifest::platform("spin-4.1"));
    for (guest, platform) in [("guest02", cloud), ("guest", spin)] {
        assert!(platform.contains("request_seconds = 1\n"), "{platform}");
        let state = state();
        let file = state.path().join("platform.toml");
        std::fs::write(&file, platform).expect("written");
        let manifest = manifest::guest(&state, guest, &["default"], NOBODY);
        let platform = format!("@{}", file.display());
        let host = Host::start_manifest(&manifest, &state, &["--platform", &platform, "--request-timeout", "60s"]);
        for path in ["/loop", "/sleep?ms=60000"] {
            let start = Instant::now();
            assert_eq!(host.get(path).status, 500, "{guest}: {path}");
            let took = start.elapsed();
            assert!((1..20).contains(&took.as_secs()), "{guest}: {path}: {took:?}");
        }
        assert_eq!(host.get("/sleep?ms=1").body, "slept", "{guest}");
    }
}

#[test]
fn outbound_requests_are_limited_by_the_hour() {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = upstream.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in upstream.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
        }
    });
    let state = state();
    let manifest = manifest::guest(&state, "guest02", &["default"], &format!("http://127.0.0.1:{port}"));
    let host = Host::start_manifest(&manifest, &state, &["--platform", "fermyon-cloud"]);
    let fetch = format!("/fetch?url=http://127.0.0.1:{port}/");
    for _ in 0..500 {
        assert_eq!(host.get(&fetch).body, "200 hello");
    }
    let answer = host.get(&fetch).body;
    assert!(answer.contains("quota exceeded: outbound requests an hour"), "{answer}");
}

#[test]
fn two_hosts_with_lag_are_two_regions() {
    let state = state();
    let other_state = self::state();
    // The same file for both, from manifests of their own.
    let file = store_file(&state).display().to_string();
    let config = state.path().join("shared.toml");
    std::fs::write(&config, format!("[key_value_store.default]\ntype = \"spin\"\npath = \"{file}\"\n"))
        .expect("written");
    let config = config.display().to_string();
    let flags = ["--replica-lag", "2s", "--runtime-config-file", &config];
    let (near, far) = (start(&state, &flags), start(&other_state, &flags));
    let written = Instant::now();
    assert_eq!(near.get("/set?key=a&value=1").body, "Ok(())");
    assert_eq!(near.get("/get?key=a").body, "Some(\"1\")", "its own write is seen at once");
    assert_eq!(far.get("/get?key=a").body, "None");
    wait_until(|| far.get("/get?key=a").body == "Some(\"1\")");
    assert!(written.elapsed() >= Duration::from_secs(2), "the lag");
    assert_eq!(far.get("/set?key=a&value=2").body, "Ok(())");
    assert_eq!(near.get("/get?key=a").body, "Some(\"1\")");
    wait_until(|| near.get("/get?key=a").body == "Some(\"2\")");
    assert_eq!(near.get("/delete?key=a").body, "Ok(())");
    assert_eq!((near.get("/get?key=a").body, far.get("/get?key=a").body), ("None".into(), "Some(\"2\")".into()));
    wait_until(|| far.get("/get?key=a").body == "None");
}

#[test]
fn calls_of_each_request_are_written_when_its_guest_has_ended() {
    let state = state();
    let file = state.path().join("calls.jsonl");
    let host = start(&state, &["--calls-file", &file.display().to_string()]);
    host.get("/key-value?store=default");
    host.get("/variable?name=colour");
    host.get("/fetch?url=http://127.0.0.1:2/");
    host.get("/after");
    let lines = wait_for(|| {
        let text = std::fs::read_to_string(&file).expect("a file");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        (lines.len() == 4).then_some(lines)
    });
    let store = |open, get, set, delete, exists, other| {
        serde_json::json!({
            "open": open, "get": get, "set": set, "delete": delete, "exists": exists, "increment": 0, "other": other
        })
    };
    let none = store(0, 0, 0, 0, 0, 0);
    let line = |path: &str, variables: u32, store: &serde_json::Value, http: u32| {
        serde_json::json!({
            "path": path, "variables": variables, "store": store, "http": http,
            "redis": { "open": 0, "execute": 0, "other": 0 }
        })
    };
    // A guest ends after its answer, and may outlive one that was asked later.
    let written = |path: &str| lines.iter().find(|line| line["path"] == path).unwrap_or(&serde_json::Value::Null);
    assert_eq!(*written("/key-value"), line("/key-value", 0, &store(1, 2, 2, 2, 2, 1), 0));
    assert_eq!(*written("/variable"), line("/variable", 1, &none, 0));
    assert_eq!(*written("/fetch"), line("/fetch", 0, &none, 1));
    assert_eq!(*written("/after"), line("/after", 0, &store(1, 0, 1, 0, 0, 0), 0));
}

#[test]
fn faults_reach_components_of_wasi_02() {
    let state = state();
    let fault = state.path().join("fault");
    std::fs::write(&fault, "").expect("written");
    let host = start(&state, &["--store-fault", &format!("@{}", fault.display())]);
    assert_eq!(host.get("/set?key=a&value=1").body, "Ok(())");
    std::fs::write(&fault, "loses-writes").expect("written");
    assert_eq!(host.get("/set?key=a&value=2").body, "Ok(())");
    assert_eq!(host.get("/get?key=a").body, "Some(\"1\")");
    std::fs::write(&fault, "errors").expect("written");
    assert_eq!(host.get("/get?key=a").body, "Error::Other(\"the store was told to fail\")");
    std::fs::write(&fault, "slow=300ms").expect("written");
    let start = Instant::now();
    assert_eq!(host.get("/get?key=a").body, "Some(\"1\")");
    assert!(start.elapsed() >= Duration::from_millis(300));
    std::fs::write(&fault, "traps=1").expect("written");
    assert_eq!(host.get("/get?key=a").status, 500);
    assert_eq!(host.get("/served").body, "1");
}

mod needs_redis {
    use super::*;

    #[test]
    fn redis_is_reached_as_the_manifest_allows() {
        let redis = Redis::start();
        let port = redis.port;
        let state = state();
        let manifest = manifest::guest(&state, "guest02", &["default"], &format!("redis://127.0.0.1:{port}"));
        let file = state.path().join("calls.jsonl");
        let host = Host::start_manifest(&manifest, &state, &["--calls-file", &file.display().to_string()]);
        let expected = "None Some([49]) 1 2 1 [\"two\"] [RedisResult::Int64(1), RedisResult::Nil, \
                        RedisResult::Status(\"FINE\"), RedisResult::Binary([116, 101, 120, 116])] true";
        for address in [format!("redis://127.0.0.1:{port}"), format!("redis://127.0.0.1:{port}/1")] {
            assert_eq!(host.get(&format!("/redis?address={address}")).body, expected, "{address}");
        }
        for denied in [format!("redis://localhost:{port}"), format!("redis://127.0.0.1:{}", free_port())] {
            assert_eq!(host.get(&format!("/redis?address={denied}")).body, "Error::InvalidAddress", "{denied}");
        }
        // It asks for a password that the server does not have.
        let answer = host.get(&format!("/redis?address=redis://:secret@127.0.0.1:{port}")).body;
        assert!(answer.starts_with("Error::Other("), "{answer}");
        let calls = std::fs::read_to_string(&file).expect("a file");
        let first = calls.lines().next().expect("a line");
        assert!(first.contains(r#""redis":{"open":1,"execute":1,"other":10}"#), "{first}");
    }
}
