//! HTTP by hand, for servers that tests play.

#![allow(clippy::expect_used, reason = "a test ends there")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// Reads the head of a request without a body. What is no GET, such as a TLS handshake, is not waited for.
pub(crate) fn read_head(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    let more = |head: &[u8]| head.first().is_none_or(|first| *first == b'G') && !head.ends_with(b"\r\n\r\n");
    while more(&head) && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// Reads the lines of the head of a request, and its body.
pub fn read_request(stream: &TcpStream) -> (Vec<String>, String) {
    let mut reader = BufReader::new(stream);
    let lines = reader.by_ref().lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = String::new();
    reader.take(length.unwrap_or(0)).read_to_string(&mut body).expect("a body");
    (head, body)
}

/// Writes a response in JSON. The client may have stopped reading.
pub fn write_json(stream: &mut TcpStream, status: u16, body: &str) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}
