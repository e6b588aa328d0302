//! Memory at the worst: bodies that never end, and the largest batches.

use features::{FIELDS, Range};
use harness::{DEPRESSED, Host, state, wait_until};
use serde_json::{Map, Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const MAX_BODY: usize = 4 << 20;

/// Begins a batch of so many bytes.
fn begin(host: &Host, bytes: usize) -> TcpStream {
    let mut stream = TcpStream::connect(&host.address).expect("a connection");
    let head = "POST /data/predictions/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    stream.write_all(format!("{head}content-length: {bytes}\r\n\r\n").as_bytes()).expect("the head is sent");
    let _ = stream.write_all(&vec![b' '; bytes / 2]);
    stream
}

#[test]
fn stalled_bodies_leave_room_and_what_is_too_much_is_refused() {
    let state = state();
    let one_instance = ["--max-instance-reuse-count", "60000", "--max-instance-concurrent-reuse-count", "64"];
    let host = Host::start_fast(&state, &one_instance);
    assert_eq!(host.predictions(DEPRESSED, "").status, 200);
    let mut stalled: Vec<TcpStream> = (0..4).map(|_| begin(&host, MAX_BODY)).collect();
    wait_until(|| {
        let mut more = begin(&host, MAX_BODY);
        more.set_read_timeout(Some(Duration::from_secs(1))).expect("a limit");
        let mut answer = vec![0; 64 << 10];
        // Without an answer it has found room, and stalls too.
        let read = more.read(&mut answer).unwrap_or(0);
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        stalled.push(more);
        answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1") && answer.contains("problem:overloaded")
    });
    let checkins = json!({ "as_of": "2031-01-16", "checkins": [{ "checkin_date": "2031-01-01", "hoursSlept": 7 }] });
    assert_eq!(host.post("/data/predictions", &checkins).status, 200, "there is room for what is small");
    assert_eq!(host.predictions(DEPRESSED, "").status, 200);
    drop(stalled);
    wait_until(|| host.post("/data/predictions/batch", &json!({ "items": [checkins] })).status == 200);
}

/// The items of a batch of which the answer is as long as one can be.
fn items_of_the_largest_answer() -> Vec<Value> {
    let day = |day: u8| {
        // Every question is answered, as far as each may be: there is something to explain of all.
        let answers = FIELDS.iter().enumerate().map(|(place, field)| {
            let turn = (place + usize::from(day)) % 2;
            (field.name.to_owned(), json!(if field.range == Range::YesNo { turn } else { 1 + 7 * turn }))
        });
        let mut checkin: Map<String, Value> = answers.collect();
        checkin.insert("checkin_date".to_owned(), json!(format!("2031-01-{day:02}")));
        Value::from(checkin)
    };
    let days = (1..=16).map(day);
    let item =
        json!({ "as_of": "2031-01-16", "checkins": days.collect::<Vec<_>>(), "limit_checkins": 10, "explain": true });
    vec![item; 93]
}

/// Asks for the largest answer, and reads no more of it than that it is there.
fn ask_without_reading(host: &Host) -> TcpStream {
    let mut stream = TcpStream::connect(&host.address).expect("a connection");
    let body = json!({ "items": items_of_the_largest_answer() }).to_string();
    let head = "POST /data/predictions/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).expect("sent");
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).expect("an answer");
    assert_eq!(&begin, b"HTTP/1.1 200");
    stream
}

#[test]
fn batches_wait_for_answers_that_nobody_reads() {
    let state = state();
    let one_instance = ["--max-instance-reuse-count", "60000", "--max-instance-concurrent-reuse-count", "64"];
    let host = Host::start_fast(&state, &[&one_instance[..], &["--variable", "inference_timeout_seconds=10"]].concat());
    // Four are less than what may be unread, and five are more.
    let unread: Vec<TcpStream> = (0..5).map(|_| ask_without_reading(&host)).collect();
    let checkins = json!({ "as_of": "2031-01-16", "checkins": [{ "checkin_date": "2031-01-01", "hoursSlept": 7 }] });
    let batch = json!({ "items": [checkins] });
    let refused = host.post("/data/predictions/batch", &batch);
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"), "{}", refused.body);
    assert!(refused.body.contains("problem:overloaded"), "{}", refused.body);
    assert_eq!(host.post("/data/predictions", &checkins).status, 200);
    drop(unread);
    wait_until(|| host.post("/data/predictions/batch", &batch).status == 200);
}

#[test]
fn largest_batch_fits_into_an_instance_of_akamai_functions() {
    let mut items = items_of_the_largest_answer();
    // The rest of the body is one that is refused.
    let padding = "x".repeat(MAX_BODY - json!({ "items": items }).to_string().len() - 100);
    items.push(json!({ "padding": padding }));
    let batch = json!({ "items": items });
    let host = Host::with_flags(&["--platform", "akamai-functions"]);
    let answer = host.post("/data/predictions/batch", &batch);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answers = answer.json();
    let answers = answers.as_array().expect("an array");
    assert_eq!(answers.len(), 94);
    let (predicted, others) = answers.split_at(answers.iter().position(|item| item["status"] == 413).expect("one"));
    assert!(
        predicted.len() > 30 && predicted.iter().all(|item| item["per_checkin"].as_array().map(Vec::len) == Some(10))
    );
    let is_left_out = |item: &Value| item["type"] == "urn:bipolar-edge:problem:answer-too-large";
    assert!(others.iter().all(is_left_out), "what the platform would cut off is asked for again: {}", others[0]);
}
