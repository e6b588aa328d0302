//! Stands in for a Supabase project: its database's REST interface, and the keys that it publishes.

use super::tokens::SERVICE_KEY;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the stand-in does with a connection.
#[derive(Clone)]
pub enum Reply {
    /// A status and a body.
    Says(u16, String),
    /// The demo people's check-ins, each to whom row-level security shows them: the person's own token and whatever sees
    /// everything. Others get no rows.
    Rows,
    /// The same, after a while.
    RowsAfter(Duration),
    /// One byte of an answer now and then.
    Drips,
    /// Nothing, and the connection stays open.
    Keeps,
    /// Nothing, and the connection ends.
    Closes,
}

/// A server, and the heads of the requests that reached it.
pub struct StandIn {
    pub url: String,
    shared: Arc<Shared>,
}

struct Shared {
    replies: Mutex<Vec<Reply>>,
    keys: Mutex<Reply>,
    seen: Mutex<Vec<String>>,
    seen_for_keys: Mutex<Vec<String>>,
}

impl StandIn {
    /// Replies in turn, the last one for ever.
    pub fn start(replies: Vec<Reply>) -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared {
            replies: Mutex::new(replies),
            keys: Mutex::new(Reply::Says(404, "{}".to_owned())),
            seen: Mutex::default(),
            seen_for_keys: Mutex::default(),
        });
        let own = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, shared) = (stream.expect("a connection"), own.clone());
                std::thread::spawn(move || shared.answer(stream));
            }
        });
        StandIn { url, shared }
    }

    /// Replies otherwise from now on.
    pub fn replies(&self, reply: Reply) {
        *self.shared.replies.lock().expect("no test failed here") = vec![reply];
    }

    /// What it publishes as the project's keys.
    pub fn publishes(&self, reply: Reply) {
        *self.shared.keys.lock().expect("no test failed here") = reply;
    }

    /// The heads of the requests for rows.
    pub fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().expect("no test failed here").clone()
    }

    /// The heads of the requests for keys.
    pub fn seen_for_keys(&self) -> Vec<String> {
        self.shared.seen_for_keys.lock().expect("no test failed here").clone()
    }
}

impl Shared {
    fn answer(&self, mut stream: TcpStream) {
        let head = read_head(&mut stream);
        let for_keys = head.starts_with("GET /auth/v1/.well-known/jwks.json ");
        let reply = {
            let seen = if for_keys { &self.seen_for_keys } else { &self.seen };
            let mut seen = seen.lock().expect("no test failed here");
            seen.push(head.clone());
            let replies = self.replies.lock().expect("no test failed here");
            let in_turn = || replies[(seen.len() - 1).min(replies.len() - 1)].clone();
            if for_keys { self.keys.lock().expect("no test failed here").clone() } else { in_turn() }
        };
        match reply {
            Reply::Says(status, body) => say(&mut stream, status, &body),
            Reply::Rows => say(&mut stream, 200, &Value::from(shown(&head)).to_string()),
            Reply::RowsAfter(time) => {
                std::thread::sleep(time);
                say(&mut stream, 200, &Value::from(shown(&head)).to_string());
            }
            Reply::Drips => {
                let _ = stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 1000\r\n\r\n");
                while stream.write_all(b" ").is_ok() {
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
            Reply::Keeps => std::thread::sleep(Duration::from_secs(20)),
            Reply::Closes => {}
        }
    }
}

/// The rows that row-level security shows to whoever asks.
fn shown(head: &str) -> Vec<Value> {
    let person = head.split("user_id=eq.").nth(1).and_then(|rest| rest.get(..36));
    let credential = head.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
    // Who asks may be killed in the middle of it.
    let (Some(person), Some(credential)) = (person, credential) else { return Vec::new() };
    let sees = credential == SERVICE_KEY
        || subject(credential).is_some_and(|claims| claims["sub"] == person || claims["role"] == "service_role");
    if sees { rows(person) } else { Vec::new() }
}

/// What a token claims, unchecked.
pub fn subject(token: &str) -> Option<Value> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

/// The head of a request to a stand-in. What is no GET, a handshake, is not waited for.
pub fn read_head(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    let more = |head: &[u8]| head.first().is_none_or(|first| *first == b'G') && !head.ends_with(b"\r\n\r\n");
    while more(&head) && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// The lines of the head of a request, and its body.
pub fn read_posted(stream: &TcpStream) -> (Vec<String>, String) {
    let mut reader = BufReader::new(stream);
    let lines = reader.by_ref().lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = String::new();
    reader.take(length.unwrap_or(0)).read_to_string(&mut body).expect("a body");
    (head, body)
}

/// A stand-in's answer in JSON. The caller may stop reading.
pub fn say(stream: &mut TcpStream, status: u16, body: &str) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

/// A demo person's check-ins as rows of the table, latest first, with its nested columns.
pub fn rows(user_id: &str) -> Vec<Value> {
    let demo = std::fs::read_to_string("src/checkins/demo.csv").expect("the demo cohort");
    let mut rows = demo_project::rows(&demo, user_id);
    rows.reverse();
    for row in &mut rows {
        row["created_at"] = json!("2026-01-31T08:00:00.123456+00:00");
    }
    rows
}

pub fn says(rows: &[Value]) -> Reply {
    Reply::Says(200, Value::from(rows.to_vec()).to_string())
}
