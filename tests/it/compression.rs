//! Answers that are sent compressed to who takes that, and questions that come so.

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::{GzEncoder, ZlibEncoder};
use harness::{DEPRESSED, Host, without_ids};
use serde_json::{Value, json};
use std::io::{Read, Write};

/// Status, headers and bytes of an answer.
fn ask(host: &Host, request: ureq::http::request::Builder, body: Vec<u8>) -> (u16, ureq::http::HeaderMap, Vec<u8>) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = request.body(body).expect("a request");
    let mut response = agent.run(request).unwrap_or_else(|error| panic!("{error}: {}", host.log()));
    let body = response.body_mut().with_config().limit(1 << 28).read_to_vec().expect("a body");
    (response.status().as_u16(), response.headers().clone(), body)
}

fn get(host: &Host, path: &str, accepted: &str) -> (u16, ureq::http::HeaderMap, Vec<u8>) {
    let uri = format!("http://{}{path}", host.address);
    ask(host, ureq::http::Request::get(uri).header("accept-encoding", accepted), Vec::new())
}

#[test]
fn long_response_is_compressed_for_clients_that_accept_it() {
    let host = Host::demo();
    for path in ["/models/mood_state", "/models", &format!("/data/predictions/{DEPRESSED}?explain=true")] {
        host.wait_for_hit(DEPRESSED, "?explain=true");
        let (_, headers, plain) = get(&host, path, "identity");
        assert!(!headers.contains_key("content-encoding"), "{path}");
        let (status, headers, compressed) = get(&host, path, "br, gzip");
        if plain.len() < 4096 {
            assert_eq!(compressed, plain, "{path}");
            continue;
        }
        assert_eq!((status, &headers["content-encoding"]), (200, &"gzip".parse().expect("a header")), "{path}");
        let vary = headers["vary"].to_str().expect("text");
        assert!(vary.split(", ").any(|name| name == "accept-encoding"), "{vary}");
        assert_eq!(headers["content-length"], compressed.len().to_string().as_str());
        assert!(compressed.len() < plain.len() / 2, "{path}: {} of {}", compressed.len(), plain.len());
        let mut bytes = Vec::new();
        GzDecoder::new(compressed.as_slice()).read_to_end(&mut bytes).expect("gzip");
        assert_eq!(bytes, plain, "{path}");
    }
    let (_, headers, body) = get(&host, &format!("/data/predictions/{DEPRESSED}?types=mood_state"), "gzip");
    assert!(!headers.contains_key("content-encoding") && serde_json::from_slice::<Value>(&body).is_ok(), "short");
}

#[test]
fn compressed_request_body_is_read_within_the_same_size_limit() {
    let host = Host::demo();
    let question = json!({ "checkins": [{ "checkin_date": "2026-01-31", "depressedMood": 8, "hoursSlept": 10 }], "as_of": "2026-01-31" });
    let post = |encoding: &str, body: Vec<u8>| {
        let request = ureq::http::Request::post(format!("http://{}/data/predictions", host.address));
        let request = request.header("content-type", "application/json").header("content-encoding", encoding);
        let (status, headers, body) = ask(&host, request, body);
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        (status, headers, without_ids(body))
    };
    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("gzip")
    };
    let mut deflate = ZlibEncoder::new(Vec::new(), Compression::best());
    deflate.write_all(question.to_string().as_bytes()).expect("deflate");
    let expected = without_ids(host.post("/data/predictions", &question).json());
    let bytes = question.to_string().into_bytes();
    for (encoding, body) in
        [("gzip", gzip(&bytes)), ("deflate", deflate.finish().expect("deflate")), ("identity", bytes.clone())]
    {
        let (status, _, body) = post(encoding, body);
        assert_eq!((status, &body["predictions"]), (200, &expected["predictions"]), "{encoding}: {body}");
    }
    // 256 KiB and one byte, in a few hundred.
    let bomb = gzip(&[&bytes[..], &vec![b' '; (256 << 10) + 1 - bytes.len()]].concat());
    assert_eq!((post("gzip", bomb.clone()).0, bomb.len() < 1000), (413, true));
    assert_eq!(post("gzip", gzip(&vec![0; 100 << 20])).0, 413);
    let cut = gzip(&bytes);
    for broken in [cut[..cut.len() - 1].to_vec(), bytes.clone(), Vec::new()] {
        let (status, _, body) = post("gzip", broken);
        assert_eq!((status, &body["errors"][0]["field"]), (400, &json!("body")), "{body}");
    }
    for unknown in ["br", "zstd", "gzip, gzip", ""] {
        let (status, headers, body) = post(unknown, bytes.clone());
        assert_eq!(status, 415, "{unknown}: {body}");
        assert_eq!(headers["accept-encoding"], "gzip, deflate, identity");
    }
}
