//! `cargo xtask up --supabase-demo`, as somebody who tries it would: ask with a printed token, change a check-in, ask
//! again.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

use harness::process::{Launch, Output, poll};
use harness::{DEPRESSED as PERSON, built, free_port, root, state, wait_for};
use std::process::Command;
use std::time::Duration;

mod needs_postgresql {
    use super::*;

    #[test]
    fn demo_serves_its_database_and_drops_what_changed() {
        let address = format!("127.0.0.1:{}", free_port());
        let state = state();
        let mut command = Command::new(env!("CARGO_BIN_EXE_demo-project"));
        command.arg(built("native/edge-host")).args(["--listen", &address, "--state-dir"]).arg(state.path());
        // It is asked more often than by a person.
        command.args(["--variable", "rate_limit_predictions=off"]);
        let demo = Launch::listening_on(command, &address).stdout(Output::Collect).current_dir(root());
        let mut demo = demo.start().expect("it serves");
        let token_line = format!("{PERSON} (depression)");
        let token = wait_for(|| {
            let log = demo.log();
            let mut lines = log.lines().skip_while(|line| !line.contains(&token_line)).skip(1);
            lines.next().map(|line| line.trim().to_owned())
        });
        let database = wait_for(|| demo.log().split("psql \"").nth(1)?.split('"').next().map(str::to_owned));

        let ask = || {
            let answer = ureq::get(format!("http://{address}/data/predictions/{PERSON}?types=mood_state"))
                .header("authorization", format!("Bearer {token}"))
                .call();
            let mut answer = answer.expect("an answer");
            let cache = answer.headers()["x-cache"].to_str().expect("text").to_owned();
            (cache, answer.body_mut().read_to_string().expect("a body"))
        };
        let wait_until = |what: &str, is_so: &dyn Fn(&(String, String)) -> bool| {
            poll(what, Duration::from_secs(20), || Ok(is_so(&ask()).then_some(()))).expect("it becomes so");
        };
        let (cache, body) = ask();
        assert!(cache == "MISS" && body.contains("\"label\":\"depression\""), "{cache} {body}");
        wait_until("it is cached", &|(cache, _)| cache == "HIT");
        let mut database = postgres::Client::connect(&database, postgres::NoTls).expect("a connection");
        database.batch_execute(&format!("delete from check_ins where user_id = '{PERSON}'")).expect("deleted");
        wait_until("the webhook reaches the service", &|(_, body)| body.contains("insufficient_data"));

        let status = demo.stop("-TERM", Duration::from_secs(20)).expect("it ends");
        assert!(status.success(), "{status}");
        assert!(database.simple_query("select 1").is_err(), "the database has ended with it");
    }
}
