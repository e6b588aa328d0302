//! `cargo xtask bench start`: the time of a first answer of a server and of an instance, the share of answers that
//! stall, and the speed of the client alone.

use crate::client::{self, Figures, milliseconds};
use crate::competitors::{Component, Host, NATIVE_NAME, OLD_STACK, OLD_STACK_NAME, OldStack, Programs, Runtime, World};
use crate::serve::{CONNECTIONS, TIME, WARM_UP};
use crate::server::Server;
use crate::{PREDICTIONS, get, machine};
use anyhow::Result;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

const FIRST_ANSWERS: usize = 5;
const ROUNDS: usize = 2;

pub(crate) fn run() -> Result<()> {
    let programs = Programs::build()?;
    println!("==> measuring: leave the machine alone for four minutes");
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

/// Starts a server for its first answer.
type Start<'a> = Box<dyn Fn() -> Result<Started> + 'a>;

/// Measures the time from starting each server to its first answer.
fn first_answers(programs: &Programs) -> Result<()> {
    println!("\n| from starting the server to its first answer | host | world | ms |\n| --- | --- | --- | --- |");
    let mut starts: Vec<(&str, String, Start<'_>)> = Vec::new();
    for runtime in programs.runtimes.iter().copied() {
        for component in Component::ALL {
            let start = move || programs.start(component, runtime, &[], &[]).map(Started::Alone);
            starts.push((component.name(), runtime.cells(), Box::new(start)));
        }
    }
    let native = || programs.start_native(true).map(Started::Alone);
    starts.push((NATIVE_NAME, Runtime::NO_CELLS.to_owned(), Box::new(native)));
    let old_stack = || programs.start_old_stack(true).map(Started::WithRedis);
    starts.push((OLD_STACK_NAME, Runtime::NO_CELLS.to_owned(), Box::new(old_stack)));
    for (name, runtime, start) in starts {
        let mut best = Duration::MAX;
        for _ in 0..FIRST_ANSWERS {
            let begin = Instant::now();
            let started = start()?;
            let (Started::Alone(server) | Started::WithRedis(OldStack { server, .. })) = &started;
            client::once(server.address(), &get(PREDICTIONS))?;
            best = best.min(begin.elapsed());
        }
        println!("| {name} | {runtime} | {:.0} |", milliseconds(best));
    }
    Ok(())
}

/// Measures answers of which each comes from a new instance.
fn new_instances(programs: &Programs) -> Result<()> {
    println!("\n| each answer by a new instance, one connection | host | world | p50 ms | times hello-world's |");
    println!("| --- | --- | --- | --- | --- |");
    let variables = ["rate_limit_default=off", "log_level=warn"];
    for runtime in programs.runtimes.iter().copied() {
        let flags: &[&str] = match runtime.world {
            // Always so, and a Spin that has no other world may not know the flag.
            World::Portable => &[],
            World::Fast => &["--max-instance-reuse-count", "1"],
        };
        let mut best = [Figures::default(); 2];
        for _ in 0..ROUNDS {
            for (best, component) in best.iter_mut().zip(Component::ALL) {
                let server = programs.start(component, runtime, &variables, flags)?;
                best.keep_better(server.repeat(&get("/health/live"), 1, TIME)?);
            }
        }
        let [service, hello] = best.map(|figures| milliseconds(figures.p50));
        let cells = runtime.cells();
        println!("| {}, /health/live | {cells} | {service:.2} | {:.2} |", Component::Service.name(), service / hello);
        println!("| {} | {cells} | {hello:.2} | 1.00 |", Component::Hello.name());
    }
    Ok(())
}

/// Measures, without TCP_NODELAY, as Spin serves, the share of answers that waited for the client's delayed
/// acknowledgement.
fn stalls(programs: &Programs) -> Result<()> {
    println!(
        "\n| without TCP_NODELAY, connections | host | world | stalled, this service, cached | stalled, hello-world |"
    );
    println!("| --- | --- | --- | --- | --- |");
    let variables = ["rate_limit_predictions=off", "log_level=warn"];
    for runtime in programs.runtimes.iter().copied() {
        let flags: &[&str] = match runtime.host {
            Host::Own => &["--no-tcp-nodelay"],
            Host::Spin => &[],
        };
        for connections in [1, 2, 8, 32] {
            let mut shares = Vec::new();
            for component in Component::ALL {
                let server = programs.start(component, runtime, &variables, flags)?;
                server.load(PREDICTIONS, 1, 1, WARM_UP)?;
                shares.push(server.load(PREDICTIONS, 1, connections, 2 * TIME)?.stalled * 100.0);
            }
            println!("| {connections} | {} | {:.2} % | {:.2} % |", runtime.cells(), shares[0], shares[1]);
        }
    }
    Ok(())
}
