//! `cargo xtask up --supabase-demo`: the fake project, and the service that reads from it.
//!
//! Called with the server to start and its arguments. The variables that point it here are added.

use anyhow::{Context, Result};
use demo_project::{Project, THERAPIST, WEBHOOK_SECRET, token};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Time between looks at the database's webhooks.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Ids of the demo people and their states on the last day.
const PEOPLE: [(&str, &str); 4] = [
    ("33333333-3333-4333-8333-333333333333", "depression"),
    ("22222222-2222-4222-8222-222222222222", "mania"),
    ("44444444-4444-4444-8444-444444444444", "mixed"),
    ("11111111-1111-4111-8111-111111111111", "euthymia"),
];

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let server = args.next().context("the server to start is missing")?;
    let args: Vec<String> = args.collect();
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    println!("==> starting PostgreSQL with the schema and the demo people");
    let project = Project::start(".".as_ref(), &PEOPLE.map(|(id, _)| id))?;
    let mut command = Command::new(&server);
    if server == "spin" {
        command.arg("up");
    }
    // Spin and the project's own host take the same flags.
    command.args(project.variables().iter().flat_map(|variable| ["--variable", variable])).args(&args);
    let mut server = command.spawn().with_context(|| format!("cannot start {server}"))?;
    let address = listen_address(&args);
    introduce(&project, &address);
    let served = serve(&project, &mut server, &address, &stop);
    if server.try_wait()?.is_none() {
        // On this signal it finishes the requests in flight.
        Command::new("kill").args(["-TERM", &server.id().to_string()]).status()?;
    }
    server.wait()?;
    served
}

/// Sends the database's webhooks to the server until it ends or a signal asks to stop.
fn serve(project: &Project, server: &mut Child, address: &str, stop: &AtomicBool) -> Result<()> {
    while !stop.load(Ordering::SeqCst) && server.try_wait()?.is_none() {
        for body in project.sent()? {
            let sent = ureq::post(format!("http://{address}/hooks/check-ins"))
                .header("content-type", "application/json")
                .header("x-webhook-secret", WEBHOOK_SECRET)
                .send(body.to_string());
            match sent {
                Ok(answer) => println!("    webhook: {}", answer.status()),
                Err(error) => println!("    webhook: {error}"),
            }
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

/// Returns the server's address, by its own flag.
fn listen_address(args: &[String]) -> String {
    let own = args.iter().position(|arg| arg == "--listen").and_then(|index| args.get(index + 1));
    own.map_or_else(|| "127.0.0.1:3000".to_owned(), String::clone)
}

fn introduce(project: &Project, address: &str) {
    println!("    project: {} (psql \"{}\")", project.url, project.address());
    println!("    tokens, good for an hour:");
    for (id, state) in PEOPLE {
        println!("\n    {id} ({state})\n    {}", token(&project.url, id));
    }
    let (first, _) = PEOPLE[0];
    println!("\n    {THERAPIST} (a therapist, who sees {first} only)\n    {}", token(&project.url, THERAPIST));
    println!("\n    try: curl -H \"authorization: Bearer <token>\" http://{address}/data/predictions/{first}");
    println!("    then change a check-in, and ask again:");
    println!(
        "    psql \"{}\" -c \"insert into check_ins (user_id, checkin_date) values ('{first}', current_date)\"\n",
        project.address()
    );
}
