//! `cargo xtask bench start`: the time of a first answer of a server and of an instance, the share of answers that
//! stall, and the speed of the client alone.

use crate::client::{self, Figures, milliseconds};
use crate::competitors::{Component, NATIVE_NAME, OLD_STACK, OLD_STACK_NAME, Programs, World};
use crate::serve::{CONNECTIONS, TIME, WARM_UP};
use crate::server::Server;
use crate::{PREDICTIONS, get, machine};
use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};
use xtask::benchmark::Options;

const FIRST_ANSWERS: usize = 5;
const ROUNDS: usize = 2;

pub(crate) fn run(options: Options) -> Result<()> {
    let programs = Programs::build(options)?;
    println!("==> measuring: leave the machine alone for four minutes");
    println!("{}; {}; {}\n", machine(), programs.host.name(), OLD_STACK.join(", "));
    client_alone(options)?;
    first_answers(options, &programs)?;
    new_instances(options, &programs)?;
    stalls(options, &programs)
}

/// Measures the client against threads that send as many bytes without reading the request.
fn client_alone(options: Options) -> Result<()> {
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
    for connections in options.connections(&CONNECTIONS).iter().copied() {
        let figures = client::load(&address, &|_| request.clone(), connections, options.time(TIME))?;
        println!("| {connections} | {:.3} | {:.0} |", milliseconds(figures.p50), figures.per_second);
    }
    Ok(())
}

/// Measures the time from starting each server to its first answer: of components also where the host has compiled them
/// in an earlier run.
fn first_answers(options: Options, programs: &Programs) -> Result<()> {
    println!("\n| from starting the server to its first answer | world | ms | ms, compiled before |");
    println!("| --- | --- | --- | --- |");
    let rounds = options.rounds(FIRST_ANSWERS);
    for world in programs.worlds.iter().copied() {
        for component in Component::ALL {
            let application = programs.application(component, world);
            let (mut first, mut again) = (Duration::MAX, Duration::MAX);
            for _ in 0..rounds {
                let (time, server) = first_answer(|| application.start())?;
                first = first.min(time);
                let state = server.end().context("a host has a folder")?;
                again = again.min(first_answer(|| application.start_in(state))?.0);
            }
            let (first, again) = (milliseconds(first), milliseconds(again));
            println!("| {} | {} | {first:.0} | {again:.0} |", component.name(), world.name());
        }
    }
    let native = fastest(rounds, || Ok(first_answer(|| programs.start_native(true))?.0))?;
    println!("| {NATIVE_NAME} | {} | {:.0} |  |", World::NONE, milliseconds(native));
    if let Some(old_stack) = &programs.old_stack {
        let old_stack = fastest(rounds, || {
            let begin = Instant::now();
            // It has answered when it is started, and its end does not count.
            let _started = old_stack.start(true)?;
            Ok(begin.elapsed())
        })?;
        println!("| {OLD_STACK_NAME} | {} | {:.0} |  |", World::NONE, milliseconds(old_stack));
    }
    Ok(())
}

/// Measures so many times; returns the shortest.
fn fastest(rounds: usize, mut measure: impl FnMut() -> Result<Duration>) -> Result<Duration> {
    (0..rounds).try_fold(Duration::MAX, |fastest, _| Ok(fastest.min(measure()?)))
}

/// Starts a server and asks it; returns the time that this took.
fn first_answer(start: impl FnOnce() -> Result<Server>) -> Result<(Duration, Server)> {
    let begin = Instant::now();
    let server = start()?;
    client::once(server.address(), &get(PREDICTIONS))?;
    Ok((begin.elapsed(), server))
}

/// Measures answers of which each comes from a new instance.
fn new_instances(options: Options, programs: &Programs) -> Result<()> {
    println!("\n| each answer by a new instance, one connection | world | p50 ms | times hello-world's |");
    println!("| --- | --- | --- | --- |");
    let variables = ["rate_limit_default=off", "log_level=warn"];
    for world in programs.worlds.iter().copied() {
        let flags: &[&str] = match world {
            // Always so, and a Spin that has no other world may not know the flag.
            World::Portable => &[],
            World::Fast => &["--max-instance-reuse-count", "1"],
        };
        let mut best = [Figures::default(); 2];
        for _ in 0..options.rounds(ROUNDS) {
            for (best, component) in best.iter_mut().zip(Component::ALL) {
                let server = programs.start(component, world, &variables, flags)?;
                best.keep_better(server.repeat(&get("/health/live"), 1, options.time(TIME))?);
            }
        }
        let [service, hello] = best.map(|figures| milliseconds(figures.p50));
        let name = world.name();
        println!("| {}, /health/live | {name} | {service:.2} | {:.2} |", Component::Service.name(), service / hello);
        println!("| {} | {name} | {hello:.2} | 1.00 |", Component::Hello.name());
    }
    Ok(())
}

/// Measures the share of answers that waited for the client's delayed acknowledgement: Spin serves without TCP_NODELAY.
fn stalls(options: Options, programs: &Programs) -> Result<()> {
    println!("\n| without TCP_NODELAY, connections | world | stalled, this service, cached | stalled, hello-world |");
    println!("| --- | --- | --- | --- |");
    let variables = ["rate_limit_predictions=off", "log_level=warn"];
    for world in programs.worlds.iter().copied() {
        for connections in options.connections(&[1, 2, 8, 32]).iter().copied() {
            let mut shares = Vec::new();
            for component in Component::ALL {
                let server = programs.start(component, world, &variables, &[])?;
                server.load(PREDICTIONS, 1, 1, options.time(WARM_UP))?;
                let figures = server.load(PREDICTIONS, 1, connections, options.time(2 * TIME))?;
                shares.push(figures.stalled * 100.0);
            }
            println!("| {connections} | {} | {:.2} % | {:.2} % |", world.name(), shares[0], shares[1]);
        }
    }
    Ok(())
}
