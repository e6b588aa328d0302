//! The schema for a Supabase project, in a real PostgreSQL, and the component reading from it through a stand-in for PostgREST
//! that runs the very query it is asked, as the caller's role.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

mod harness;

use features::FIELDS;
use harness::stand_in::{read_head, say, subject};
use harness::tokens::{ANON_KEY, SECRET, WEBHOOK_SECRET, token};
use harness::{DEPRESSED, Host, MANIC, demo, free_port, state, wait_for};
use postgres::{Client, NoTls};
use serde_json::{Map, Value, json};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const THERAPIST: &str = "99999999-9999-4999-8999-999999999999";

/// A database server of its own, in a temporary folder.
struct Cluster {
    server: Child,
    port: u16,
    folder: TempDir,
}

impl Cluster {
    fn start() -> Cluster {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        // The server does not run as root.
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(folder.path()));
        }
        run(as_server("initdb").args(["--auth=trust", "--username=owner", "--no-sync", "-D"]).arg(&data));
        let port = free_port();
        let sockets = format!("unix_socket_directories={}", folder.path().display());
        let server = as_server("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-c", &sockets, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let cluster = Cluster { server, port, folder };
        wait_for(|| Client::connect(&cluster.address(), NoTls).ok());
        cluster
    }

    fn address(&self) -> String {
        format!("host=127.0.0.1 port={} user=owner dbname=postgres", self.port)
    }

    fn connect(&self) -> Client {
        Client::connect(&self.address(), NoTls).expect("a connection")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The server's own process, which `runuser` started and waits for. An immediate shutdown: what is in there is not
        // needed again.
        let file = std::fs::read_to_string(self.folder.path().join("data/postmaster.pid")).unwrap_or_default();
        let id = file.lines().next().map_or_else(|| self.server.id().to_string(), str::to_owned);
        let _ = Command::new("kill").args(["-QUIT", &id]).status();
        let _ = self.server.wait();
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn run(command: &mut Command) {
    let output = command.output().expect("the program is there");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A program of PostgreSQL, which Debian keeps off the path, run as the user that may run it.
fn as_server(program: &str) -> Command {
    let versions = std::fs::read_dir("/usr/lib/postgresql").map(|entries| entries.flatten().map(|entry| entry.path()));
    let mut found: Vec<PathBuf> = versions
        .into_iter()
        .flatten()
        .map(|version| version.join("bin").join(program))
        .filter(|file| file.is_file())
        .collect();
    found.sort();
    let file = found.pop().unwrap_or_else(|| PathBuf::from(program));
    if !is_root() {
        return Command::new(file);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(file);
    command
}

/// The project's tables, with two people, their check-ins, and a therapist of one of them.
fn seeded(cluster: &Cluster) -> Client {
    let mut client = cluster.connect();
    for file in ["platform.sql", "schema.sql"] {
        let sql = std::fs::read_to_string(Path::new("tests/fixtures/supabase").join(file)).expect("the file");
        client.batch_execute(&sql).unwrap_or_else(|error| panic!("{file}: {error:?}"));
    }
    for id in [DEPRESSED, MANIC, THERAPIST] {
        client.batch_execute(&format!("insert into auth.users values ('{id}')")).expect("a user");
    }
    client.batch_execute(&format!("insert into care_team values ('{DEPRESSED}', '{THERAPIST}')")).expect("a care team");
    for person in [DEPRESSED, MANIC] {
        for row in rows(person) {
            let columns = "id, user_id, checkin_date, sleep_data, mood_data, symptoms_data, risk_routine_data, \
                           appetite_impulse_data, meds_context_data";
            let sql = format!(
                "insert into check_ins ({columns}) select {columns} from json_populate_record(null::check_ins, '{row}')"
            );
            client.batch_execute(&sql).unwrap_or_else(|error| panic!("{row}: {error:?}"));
        }
    }
    client
}

/// A demo person's check-ins with the table's columns. The table's ids are UUIDs, the demo's are not.
fn rows(user_id: &str) -> Vec<Value> {
    let row = |cells: Vec<(String, String)>| {
        let mut row = Map::new();
        for field in FIELDS {
            row.entry(field.group).or_insert_with(|| json!({}));
        }
        for (name, cell) in cells {
            match FIELDS.iter().find(|field| field.name == name) {
                Some(field) => row[field.group][name] = json!(cell.parse::<f64>().expect("a number")),
                None => drop(row.insert(name, json!(cell))),
            }
        }
        row.insert("id".to_owned(), json!(uuid::Uuid::new_v4().to_string()));
        Value::Object(row)
    };
    demo(user_id).into_iter().map(row).collect()
}

/// Answers PostgREST's way, as far as the component asks: the filter, the order and the limit of the query become SQL, run as
/// the role `authenticated` with the claims of the token, whose signature it takes for checked.
fn stand_in(cluster: &Cluster) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let address = cluster.address();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let (status, body) = answer(&address, &read_head(&mut stream));
            say(&mut stream, status, &body);
        }
    });
    port
}

fn answer(address: &str, head: &str) -> (u16, String) {
    let query = head.split(' ').nth(1).and_then(|path| path.strip_prefix("/rest/v1/check_ins?")).expect("the table");
    let parameters: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let parameter = |name: &str| parameters.iter().find(|(other, _)| *other == name).expect("the parameter").1;
    assert_eq!((parameters.len(), parameter("select")), (4, "*"));
    let person = parameter("user_id").strip_prefix("eq.").expect("a filter for equality");
    let order = parameter("order").replace('.', " ");
    let limit: u32 = parameter("limit").parse().expect("a number");
    let token = head.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).expect("a token");
    let claims = subject(token).expect("claims");
    let caller: uuid::Uuid = claims["sub"].as_str().and_then(|caller| caller.parse().ok()).expect("a caller");
    let mut client = Client::connect(address, NoTls).expect("a connection");
    client
        .batch_execute(&format!("set role authenticated; set request.jwt.claims = '{{\"sub\":\"{caller}\"}}'"))
        .expect("the role");
    let sql = format!(
        "select coalesce(json_agg(t), '[]')::text from (select * from check_ins where user_id = '{person}' order by {order} limit {limit}) t"
    );
    (200, client.query_one(&sql, &[]).expect("rows").get(0))
}

#[test]
fn in_postgresql_row_level_security_decides_and_the_rows_are_answered_as_the_demo_is() {
    let cluster = Cluster::start();
    let mut database = seeded(&cluster);
    let port = stand_in(&cluster);
    let state_of_demo = state();
    let demo_host = Host::start(&state_of_demo, &[]);
    let state = state();
    let url = format!("http://127.0.0.1:{port}");
    let variables = [
        format!("supabase_url={url}"),
        format!("supabase_anon_key={ANON_KEY}"),
        format!("supabase_jwt_secret={SECRET}"),
        format!("webhook_secret={WEBHOOK_SECRET}"),
    ];
    let flags: Vec<&str> = variables.iter().flat_map(|variable| ["--variable", variable]).collect();
    let host = Host::start(&state, &flags);
    let ask = |caller: &str, person: &str, query: &str| {
        let authorization = format!("Bearer {}", token(&url, caller));
        host.request("GET", &format!("/data/predictions/{person}{query}"), &[("authorization", &authorization)])
    };
    let query = "?window_days=14&explain=true";
    for (caller, person) in [(DEPRESSED, DEPRESSED), (MANIC, MANIC), (THERAPIST, DEPRESSED)] {
        let answer = ask(caller, person, query);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(
            answer.json()["predictions"],
            demo_host.predictions(person, query).json()["predictions"],
            "{caller}"
        );
    }
    for (caller, person) in [(MANIC, DEPRESSED), (THERAPIST, MANIC)] {
        assert_eq!(ask(caller, person, "").prediction("mood_state")["label"], "insufficient_data", "{caller}");
    }
    // What a person's own token showed is kept until the database's webhook says otherwise; what another's showed never is.
    wait_for(|| (ask(DEPRESSED, DEPRESSED, query).header("x-cache") == "HIT").then_some(()));
    database.batch_execute(&format!("delete from check_ins where user_id = '{DEPRESSED}'")).expect("deleted");
    assert_eq!(ask(THERAPIST, DEPRESSED, query).prediction("mood_state")["label"], "insufficient_data");
    assert_eq!(ask(DEPRESSED, DEPRESSED, query).header("x-cache"), "HIT");
    let sent = "select body::text from supabase_functions.sent where body ->> 'type' = 'DELETE' limit 1";
    let body: String = database.query_one(sent, &[]).expect("a webhook").get(0);
    let headers = [("content-type", "application/json"), ("x-webhook-secret", WEBHOOK_SECRET)];
    assert_eq!(host.send("POST", "/hooks/check-ins", &headers, &body).json()["invalidated"], 1);
    assert_eq!(ask(DEPRESSED, DEPRESSED, query).prediction("mood_state")["label"], "insufficient_data");
}

#[test]
fn in_postgresql_a_person_writes_their_own_days_only_and_every_change_is_sent_to_the_hook() {
    let cluster = Cluster::start();
    let mut database = seeded(&cluster);
    let sent = |database: &mut Client| -> Vec<Value> {
        let rows = database.query("select headers::text, body::text from supabase_functions.sent", &[]).expect("rows");
        rows.iter()
            .map(|row| {
                let headers: Value = serde_json::from_str(row.get(0)).expect("JSON");
                assert!(headers["x-webhook-secret"].is_string());
                serde_json::from_str(row.get(1)).expect("JSON")
            })
            .collect()
    };
    database.batch_execute("delete from supabase_functions.sent").expect("seeding is not the test");
    let mut person = cluster.connect();
    let claims = format!("set role authenticated; set request.jwt.claims = '{{\"sub\":\"{MANIC}\"}}'");
    person.batch_execute(&claims).expect("the role");
    person.batch_execute("insert into check_ins (checkin_date) values ('2031-02-28')").expect("one's own day");
    let others = format!("insert into check_ins (user_id, checkin_date) values ('{DEPRESSED}', '2031-02-28')");
    assert!(person.batch_execute(&others).is_err(), "another's day");
    assert!(person.batch_execute("insert into check_ins (checkin_date) values ('2031-02-28')").is_err(), "a day twice");
    let changed =
        person.execute(&format!("update check_ins set mood_data = '{{}}' where user_id = '{DEPRESSED}'"), &[]);
    assert_eq!(changed.expect("no error, and nothing to see"), 0);
    person.batch_execute("delete from check_ins where checkin_date = '2031-02-28'").expect("one's own day");
    let mut nobody = cluster.connect();
    nobody.batch_execute("set role anon").expect("the role");
    assert!(nobody.query("select * from check_ins", &[]).is_err(), "without a token there is no table");

    let sent = sent(&mut database);
    let kinds: Vec<&str> = sent.iter().map(|body| body["type"].as_str().expect("text")).collect();
    assert_eq!(kinds, ["INSERT", "DELETE"]);
    let state = state();
    let host = Host::start(&state, &["--variable", &format!("webhook_secret={WEBHOOK_SECRET}")]);
    for body in sent {
        let headers = [("content-type", "application/json"), ("x-webhook-secret", WEBHOOK_SECRET)];
        let answer = host.send("POST", "/hooks/check-ins", &headers, &body.to_string());
        assert_eq!(answer.status, 200, "{body}: {}", answer.body);
    }
}
