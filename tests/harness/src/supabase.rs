//! A Supabase project that answers as a test tells it to: its database's REST interface, and the keys that it
//! publishes.

#![allow(clippy::expect_used, reason = "a test ends there")]

use crate::http::{read_head, write_json};
use crate::people::{DEPRESSED, demo_rows};
use crate::tokens::{ANON_KEY, SECRET, SERVICE_KEY, unverified_claims};
use serde_json::Value;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

/// The way in which a project answers a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// With a status and a body.
    Respond(u16, String),
    /// With the demo people's check-ins, each to whom row-level security shows them: the person's own token and
    /// whatever sees everything. Others get no rows.
    Rows,
    /// As [`Reply::Rows`], each person's latest with this number for its id.
    RowsOfVersion(u32),
    /// With the check-ins of one of the demo people, as if whoever is asked for had made them.
    RowsOfAnyone,
    /// As [`Reply::Rows`], after a while.
    RowsAfter(Duration),
    /// With one byte of an answer now and then.
    Trickle,
    /// Not at all; the connection stays open.
    Hang,
    /// Not at all; the connection ends.
    Disconnect,
}

impl Reply {
    /// Responds with rows of the table.
    pub fn rows(rows: &[Value]) -> Reply {
        Reply::Respond(200, Value::from(rows.to_vec()).to_string())
    }
}

/// A project, and the heads of the requests that reached it. It serves until the test ends.
#[derive(Debug)]
pub struct FakeSupabase {
    /// As in the variable `supabase_url`.
    pub url: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    replies: Mutex<Vec<Reply>>,
    keys: Mutex<Reply>,
    requests: Mutex<Vec<String>>,
    key_requests: Mutex<Vec<String>>,
}

/// Returns the variables of a component that reads from a project, whose tokens are signed with the tests' secret.
pub fn variables(url: &str) -> [String; 3] {
    [format!("supabase_url={url}"), format!("supabase_anon_key={ANON_KEY}"), format!("supabase_jwt_secret={SECRET}")]
}

impl FakeSupabase {
    /// Returns the flags of a host whose component reads from this project for whoever asks, with more variables.
    pub fn open_to_all(&self, more: &[&str]) -> Vec<String> {
        let variables = [
            format!("supabase_url={}", self.url),
            format!("supabase_anon_key={ANON_KEY}"),
            format!("supabase_service_key={SERVICE_KEY}"),
            "auth_mode=off".to_owned(),
        ];
        let more = more.iter().map(|variable| (*variable).to_owned());
        variables.into_iter().chain(more).flat_map(|variable| ["--variable".to_owned(), variable]).collect()
    }

    /// Starts a project that replies in turn to requests for rows, with the last reply for ever.
    pub fn start(replies: Vec<Reply>) -> FakeSupabase {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared {
            replies: Mutex::new(replies),
            keys: Mutex::new(Reply::Respond(404, "{}".to_owned())),
            requests: Mutex::default(),
            key_requests: Mutex::default(),
        });
        let own = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, shared) = (stream.expect("a connection"), own.clone());
                std::thread::spawn(move || shared.answer(stream));
            }
        });
        FakeSupabase { url, shared }
    }

    /// Replies to requests for rows in another way from now on.
    pub fn set_reply(&self, reply: Reply) {
        *self.shared.replies.lock().expect("no test failed here") = vec![reply];
    }

    /// Replies to requests for the project's keys in this way from now on. Before, there are none.
    pub fn set_keys(&self, reply: Reply) {
        *self.shared.keys.lock().expect("no test failed here") = reply;
    }

    /// Returns the heads of the requests for rows.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().expect("no test failed here").clone()
    }

    /// Returns the heads of the requests for keys.
    pub fn key_requests(&self) -> Vec<String> {
        self.shared.key_requests.lock().expect("no test failed here").clone()
    }
}

impl Shared {
    fn answer(&self, mut stream: TcpStream) {
        let head = read_head(&mut stream);
        let for_keys = head.starts_with("GET /auth/v1/.well-known/jwks.json ");
        let reply = {
            let requests = if for_keys { &self.key_requests } else { &self.requests };
            let mut requests = requests.lock().expect("no test failed here");
            requests.push(head.clone());
            let replies = self.replies.lock().expect("no test failed here");
            let in_turn = || replies[(requests.len() - 1).min(replies.len() - 1)].clone();
            if for_keys { self.keys.lock().expect("no test failed here").clone() } else { in_turn() }
        };
        match reply {
            Reply::Respond(status, body) => write_json(&mut stream, status, &body),
            Reply::Rows => write_json(&mut stream, 200, &Value::from(visible_rows(&head)).to_string()),
            Reply::RowsOfVersion(version) => {
                let mut rows = visible_rows(&head);
                if let Some(latest) = rows.first_mut() {
                    latest["id"] = version.into();
                }
                write_json(&mut stream, 200, &Value::from(rows).to_string());
            }
            Reply::RowsOfAnyone => write_json(&mut stream, 200, &rows_of_anyone(&head)),
            Reply::RowsAfter(time) => {
                // Slow on purpose, as all that sleeps here.
                std::thread::sleep(time);
                write_json(&mut stream, 200, &Value::from(visible_rows(&head)).to_string());
            }
            Reply::Trickle => {
                let _ = stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 1000\r\n\r\n");
                while stream.write_all(b" ").is_ok() {
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
            Reply::Hang => std::thread::sleep(Duration::from_secs(20)),
            Reply::Disconnect => {}
        }
    }
}

/// Returns the person whose rows a request asks for.
fn asked_for(head: &str) -> Option<&str> {
    head.split("user_id=eq.").nth(1).and_then(|rest| rest.get(..36))
}

/// Returns rows of whoever is asked for.
fn rows_of_anyone(head: &str) -> String {
    static ROWS: LazyLock<String> = LazyLock::new(|| Value::from(demo_rows(DEPRESSED)).to_string());
    ROWS.replace(DEPRESSED, asked_for(head).unwrap_or_default())
}

/// Returns the rows that row-level security shows to whoever asks.
fn visible_rows(head: &str) -> Vec<Value> {
    let credential = head.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
    // Who asks may be killed in the middle of it.
    let (Some(person), Some(credential)) = (asked_for(head), credential) else { return Vec::new() };
    let visible = credential == SERVICE_KEY
        || unverified_claims(credential)
            .is_some_and(|claims| claims["sub"] == person || claims["role"] == "service_role");
    if visible { demo_rows(person) } else { Vec::new() }
}
