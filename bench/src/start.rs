//! `cargo xtask bench start`: the time of a first answer of a server and of an instance, the share of answers that
//! stall, and the speed of the client alone.

use crate::client::{self, Figures, milliseconds};
use crate::competitors::{NAMES, OLD_STACK, OldStack, Programs};
use crate::serve::{CONNECTIONS, TIME, WARM_UP};
use crate::server::{OwnHost, Server};
use crate::{PREDICTIONS, get, machine};
use anyhow::Result;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

const FIRST_ANSWERS: usize = 5;
const ROUNDS: usize = 2;

pub(crate) fn run() -> Result<()> {
    let programs = Programs::build()?;
    println!("==> measuring: leave the machine alone for two minutes");
    println!("{}; {}\n", machine(), OLD_STACK.join(", "));
    client_alone()?;
    first_answers(&programs)?;
    new_instances(&programs)?;
    stalls(&programs)
}

/// Measures the client against threads that send as many bytes without reading the request.
fn client_alone() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    std::thread::spawn(move || {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 3000\r\n\r\n{}", " ".repeat(3000));
        for mut stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                while stream.read(&mut request).is_ok_and(|read| read > 0)
                    && stream.write_all(answer.as_bytes()).is_ok()
                {}
            });
        }
    });
    println!("| the client alone, connections | p50 ms | requests/s |\n| --- | --- | --- |");
    let request = get("/");
    for connections in CONNECTIONS {
        let figures = client::load(&address, &|_| request.clone(), connections, TIME)?;
        println!("| {connections} | {:.3} | {:.0} |", milliseconds(figures.p50), figures.per_second);
    }
    Ok(())
}

/// A server that was started for its first answer.
enum Started {
    Alone(Server),
    WithRedis(OldStack),
}

/// Measures the time from starting each server to its first answer.
fn first_answers(programs: &Programs) -> Result<()> {
    println!("\n| from starting the server to its first answer | ms |\n| --- | --- |");
    let service = || programs.service().start().map(Started::Alone);
    let hello = || programs.hello().start().map(Started::Alone);
    let native = || programs.start_native(true).map(Started::Alone);
    let old = || programs.start_old_stack(true).map(Started::WithRedis);
    let starts: [&dyn Fn() -> Result<Started>; 4] = [&service, &hello, &native, &old];
    for (start, name) in starts.into_iter().zip(NAMES) {
        let mut best = Duration::MAX;
        for _ in 0..FIRST_ANSWERS {
            let begin = Instant::now();
            let started = start()?;
            let (Started::Alone(server) | Started::WithRedis(OldStack { server, .. })) = &started;
            client::once(server.address(), &get(PREDICTIONS))?;
            best = best.min(begin.elapsed());
        }
        println!("| {name} | {:.0} |", milliseconds(best));
    }
    Ok(())
}

/// Measures answers of which each comes from a new instance.
fn new_instances(programs: &Programs) -> Result<()> {
    println!("\n| each answer by a new instance, one connection | p50 ms | ratio |\n| --- | --- | --- |");
    let flags = ["--max-instance-reuse-count", "1"];
    let variables = ["rate_limit_default=off", "log_level=warn"];
    let hosts = [
        OwnHost { flags: &flags, variables: &variables, ..programs.service() },
        OwnHost { flags: &flags, ..programs.hello() },
    ];
    let mut best = [Figures::default(); 2];
    for _ in 0..ROUNDS {
        for (best, host) in best.iter_mut().zip(&hosts) {
            best.keep_better(host.start()?.repeat(&get("/health/live"), 1, TIME)?);
        }
    }
    let [service, hello] = best.map(|figures| milliseconds(figures.p50));
    println!("| this service, /health/live | {service:.2} | {:.2} |", service / hello);
    println!("| hello-world | {hello:.2} | 1.00 |");
    Ok(())
}

/// Measures, without TCP_NODELAY, as Spin serves, the share of answers that waited for the client's delayed
/// acknowledgement.
fn stalls(programs: &Programs) -> Result<()> {
    println!(
        "\n| without TCP_NODELAY, connections | stalled, this service, cached | stalled, hello-world |\n| --- | --- | --- |"
    );
    let flags = ["--no-tcp-nodelay"];
    let variables = ["rate_limit_predictions=off", "log_level=warn"];
    let hosts = [
        OwnHost { flags: &flags, variables: &variables, ..programs.service() },
        OwnHost { flags: &flags, ..programs.hello() },
    ];
    for connections in [1, 2, 8, 32] {
        let mut shares = Vec::new();
        for host in &hosts {
            let server = host.start()?;
            server.load(PREDICTIONS, 1, 1, WARM_UP)?;
            shares.push(server.load(PREDICTIONS, 1, connections, 2 * TIME)?.stalled * 100.0);
        }
        println!("| {connections} | {:.2} % | {:.2} % |", shares[0], shares[1]);
    }
    Ok(())
}
