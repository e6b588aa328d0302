//! `cargo xtask up --supabase-demo`, as somebody who tries it would: ask with a printed token, change a check-in, ask
//! again.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PERSON: &str = "33333333-3333-4333-8333-333333333333";

mod needs_postgresql {
    use super::*;

    #[test]
    fn demo_serves_its_database_and_drops_what_changed() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        let host = root.join(target).join("native/edge-host");
        assert!(host.is_file(), "{} is not there: run `cargo xtask test`, which builds it", host.display());
        let address = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").to_string();
        let state = tempfile::tempdir().expect("a temporary folder");
        let mut demo = Command::new(env!("CARGO_BIN_EXE_demo-project"))
            .arg(&host)
            .args(["--listen", &address, "--state-dir"])
            .arg(state.path())
            .current_dir(&root)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(demo.stdout.take().expect("piped")).lines().map(|line| line.expect("text"));
        let mut said = Vec::new();
        while !said.last().is_some_and(|line: &String| line.starts_with("Serving ")) {
            said.push(lines.next().expect("it serves"));
        }
        let own = said.iter().position(|line| line.contains(&format!("{PERSON} (depression)"))).expect("a person");
        let token = said[own + 1].trim().to_owned();
        let database =
            said.iter().find_map(|line| line.split("psql \"").nth(1)?.split('"').next()).expect("a database");

        let ask = || {
            let answer = ureq::get(format!("http://{address}/data/predictions/{PERSON}?types=mood_state"))
                .header("authorization", format!("Bearer {token}"))
                .call();
            let mut answer = answer.expect("an answer");
            let cache = answer.headers()["x-cache"].to_str().expect("text").to_owned();
            (cache, answer.body_mut().read_to_string().expect("a body"))
        };
        let until = |what: &str, is_so: &dyn Fn(&(String, String)) -> bool| {
            let start = Instant::now();
            loop {
                let answer = ask();
                if is_so(&answer) {
                    return;
                }
                assert!(start.elapsed() < Duration::from_secs(20), "{what}: {answer:?}");
                std::thread::sleep(Duration::from_millis(500));
            }
        };
        let (cache, body) = ask();
        assert!(cache == "MISS" && body.contains("\"label\":\"depression\""), "{cache} {body}");
        until("it is cached", &|(cache, _)| cache == "HIT");
        let mut database = postgres::Client::connect(database, postgres::NoTls).expect("a connection");
        database.batch_execute(&format!("delete from check_ins where user_id = '{PERSON}'")).expect("deleted");
        until("the webhook reaches the service", &|(_, body)| body.contains("insufficient_data"));

        Command::new("kill").args(["-TERM", &demo.id().to_string()]).status().expect("kill is there");
        let status = demo.wait().expect("it ends");
        assert!(status.success(), "{status}");
        assert!(database.simple_query("select 1").is_err(), "the database has ended with it");
    }
}
