//! A Supabase project in which everybody has the same check-ins, for benchmarks that need many people.

use anyhow::Result;
use jiff::civil::Date;
use jiff::{Span, Timestamp};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

/// The head of a request for check-ins names the person after this.
const PERSON: &str = "user_id=eq.";
const CHECK_INS: usize = 10;

/// Starts the project, which serves until the benchmark ends; returns its URL, as in `supabase_url`.
pub(crate) fn start() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever asks may be gone by then.
            std::thread::spawn(move || answer(stream));
        }
    });
    Ok(url)
}

/// Returns the id of one of as many people as are needed.
pub(crate) fn person(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

fn answer(mut stream: TcpStream) -> Result<()> {
    let lines = BufReader::new(&stream).lines().map_while(std::io::Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let person = head.first().and_then(|line| line.split_once(PERSON)).and_then(|(_, rest)| rest.get(..36));
    let rows = person.map_or_else(Vec::new, rows);
    let body = format!("[{}]", rows.join(","));
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len())?;
    Ok(())
}

/// Returns the day so many days before today, in UTC.
pub(crate) fn days_ago(days: usize) -> Date {
    let today = Timestamp::now().as_second().div_euclid(86_400);
    Date::constant(1970, 1, 1).saturating_add(Span::new().days(today - days as i64))
}

/// Returns a person's check-ins as rows of the table, latest first.
fn rows(person: &str) -> Vec<String> {
    let row = |day: usize| {
        let date = days_ago(CHECK_INS - day);
        format!(
            r#"{{"id":"{day}","user_id":"{person}","checkin_date":"{date}","sleep_data":{{"hoursSlept":{}}},"mood_data":{{"depressedMood":{},"energyLevel":{}}}}}"#,
            4 + day % 5,
            day % 9,
            9 - day % 8
        )
    };
    (1..=CHECK_INS).rev().map(row).collect()
}
