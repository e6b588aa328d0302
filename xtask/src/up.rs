//! `cargo xtask up`: serves the application.

use crate::build;
use crate::programs::POSTGRESQL;
use crate::spin;
use crate::toolchain::{Toolchain, check_rust};
#[cfg(not(unix))]
use anyhow::ensure;
use anyhow::{Context, Result, bail};
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Where the server listens unless it is told otherwise.
pub(crate) const ADDRESS: &str = "127.0.0.1:3000";
/// How often a server that starts is asked.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How long an answer of it is waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a server may take to start; one that was given a certificate never answers a plain request.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The flag of this command that may also stand behind `--`.
const SUPABASE_DEMO: &str = "--supabase-demo";

/// Builds the application and becomes its server. Returns only if that fails.
pub(crate) fn run(supabase_demo: bool, flags: &[OsString]) -> Result<()> {
    check_rust()?;
    let (supabase_demo, flags) = match flags {
        [first, rest @ ..] if first == SUPABASE_DEMO => (true, rest),
        all => (supabase_demo, all),
    };
    let module = build::module_of(&manifest(flags))?;
    let address = address(flags);
    check_port(&address)?;
    let server = build(&Toolchain::set_up()?, module)?;
    let mut serve = if supabase_demo {
        POSTGRESQL.set_up()?;
        let mut serve = Command::new(build::native("demo-project")?);
        serve.arg(&server);
        serve
    } else {
        command(&server)
    };
    serve.args(flags);
    println!("==> serving; stop with Ctrl-C");
    // The stand-in for Supabase says itself what to ask; and of a port that the system chooses only the server knows.
    let announced = (!supabase_demo && !address.ends_with(":0")).then_some(address);
    become_server(serve, announced.as_deref())
}

/// Runs the server in place of this process, so that signals reach the server itself. A child of it waits for its first
/// answer and then says what to try.
#[cfg(unix)]
fn become_server(mut serve: Command, announced: Option<&str>) -> Result<()> {
    if let Some(address) = announced {
        let itself = std::env::current_exe().context("cannot find this program")?;
        Command::new(itself)
            .args(["announce", address, &std::process::id().to_string()])
            .spawn()
            .context("cannot run this program")?;
    }
    Err(std::os::unix::process::CommandExt::exec(&mut serve)).context("cannot start the server")
}

/// Runs the server. The console gives both processes its signals.
#[cfg(not(unix))]
fn become_server(mut serve: Command, announced: Option<&str>) -> Result<()> {
    let address = announced.map(str::to_owned);
    std::thread::spawn(move || address.map(|address| say_what_to_try(&address, || true)));
    let status = serve.status().context("cannot start the server")?;
    ensure!(status.success(), "the server failed ({status})");
    Ok(())
}

/// Says what to try of a server, the process that started this one, once it answers; nothing if it ends before.
#[cfg(unix)]
pub(crate) fn announce(address: &str, server: u32) {
    say_what_to_try(address, || std::os::unix::process::parent_id() == server);
}

fn say_what_to_try(address: &str, server_runs: impl Fn() -> bool) {
    if answers(address, server_runs) {
        println!("==> try this:");
        println!("    1. open http://{address}: five predictions about a demo person, and why");
        println!("    2. curl http://{address}/data/predictions/33333333-3333-4333-8333-333333333333");
        println!("    3. open http://{address}/docs: every endpoint, with a form to try it");
    }
}

/// Waits until a server answers at an address; returns false if it ended before or takes too long.
fn answers(address: &str, server_runs: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while server_runs() && start.elapsed() < START_TIMEOUT {
        if is_answered(address).is_ok_and(|answered| answered) {
            return true;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    false
}

/// Returns whether a server answers a request at an address.
fn is_answered(address: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let request = format!("GET /health/live HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut begin = [0; 12];
    stream.read_exact(&mut begin)?;
    Ok(&begin == b"HTTP/1.1 200")
}

/// Errors if nothing can listen on an address, so that nobody waits for a build to learn it. A name is left to the
/// server.
pub(crate) fn check_port(address: &str) -> Result<()> {
    let Ok(parsed) = address.parse::<SocketAddr>() else { return Ok(()) };
    match TcpListener::bind(parsed) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => bail!(
            "port {} is taken by another program: cargo xtask up -- --listen {}",
            parsed.port(),
            SocketAddr::new(parsed.ip(), parsed.port().checked_add(1).unwrap_or(3000))
        ),
        Err(error) => Err(error).with_context(|| format!("cannot listen on {address}")),
        Ok(_) => Ok(()),
    }
}

/// Returns the manifest that the server's flags name.
pub(crate) fn manifest(flags: &[OsString]) -> PathBuf {
    value(flags, &["--from", "-f"]).map_or_else(|| "spin.toml".into(), PathBuf::from)
}

/// Returns the address that the server's flags make it listen on.
fn address(flags: &[OsString]) -> String {
    value(flags, &["--listen"]).map_or_else(|| ADDRESS.to_owned(), |address| address.to_string_lossy().into_owned())
}

/// Returns the value of a flag by one of its names: `--name value` or `--name=value`.
fn value<'a>(flags: &'a [OsString], names: &[&str]) -> Option<&'a OsStr> {
    flags.iter().enumerate().find_map(|(index, flag)| {
        let in_one = names.iter().find_map(|name| flag.to_str()?.strip_prefix(name)?.strip_prefix('='));
        let in_two = || flags.get(index + 1).filter(|_| names.iter().any(|name| flag == name));
        in_one.map(OsStr::new).or_else(|| in_two().map(OsString::as_os_str))
    })
}

/// Builds a module; returns the program that serves it: Spin if it is installed, else our own host, built too.
pub(crate) fn build(toolchain: &Toolchain, module: (&str, &str)) -> Result<PathBuf> {
    let release = if module == build::FAST { spin::FAST_RELEASE } else { spin::MIN_RELEASE };
    if spin::is_installed(release) {
        build::module(toolchain, module)?;
        return Ok("spin".into());
    }
    let (major, minor) = release;
    println!("    `spin` {major}.{minor} or later is not on the path: the project's own host serves");
    build::module_and_host(toolchain, module)
}

/// Returns the command that serves with a program of [`build`]. Both take the same flags.
pub(crate) fn command(server: &Path) -> Command {
    let mut command = Command::new(server);
    if server == Path::new("spin") {
        command.arg("up");
    }
    command
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test ends there")]

    use super::*;
    use std::cell::Cell;

    #[test]
    fn manifest_and_address_are_those_of_the_flags() {
        let flags = |flags: &str| -> Vec<OsString> { flags.split_whitespace().map(OsString::from).collect() };
        for (given, own_manifest, own_address) in [
            ("", "spin.toml", "127.0.0.1:3000"),
            ("--quiet --listen 127.0.0.1:8080", "spin.toml", "127.0.0.1:8080"),
            ("--listen=[::1]:8080 -f spin-4.1.toml", "spin-4.1.toml", "[::1]:8080"),
            ("--from=spin-4.1.toml --listen", "spin-4.1.toml", "127.0.0.1:3000"),
            ("--from spin-4.1.toml --listener x", "spin-4.1.toml", "127.0.0.1:3000"),
        ] {
            assert_eq!(manifest(&flags(given)), PathBuf::from(own_manifest), "{given}");
            assert_eq!(address(&flags(given)), own_address, "{given}");
        }
    }
    /// A server that starts refuses connections, then fails, and then answers.
    #[test]
    fn nothing_is_said_to_be_there_before_the_server_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        drop(listener);
        let looks = Cell::new(0);
        let runs_for = |most: u32| {
            looks.set(0);
            let looks = &looks;
            move || looks.replace(looks.get() + 1) < most
        };
        assert!(!answers(&address, runs_for(2)), "nothing listens");
        let listener = TcpListener::bind(&address).expect("still free");
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for status in ["503 Service Unavailable", "200 OK"] {
                    let (mut stream, _) = listener.accept().expect("a connection");
                    let _ = stream.read(&mut [0; 500]).expect("a request");
                    let response = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                    stream.write_all(response.as_bytes()).expect("written");
                }
            });
            assert!(answers(&address, runs_for(u32::MAX)));
        });
        assert_eq!(looks.get(), 2, "it was asked again after the first answer");
    }
}
