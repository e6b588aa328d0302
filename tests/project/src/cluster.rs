//! A PostgreSQL server of its own, in a temporary folder.

use anyhow::{Context, Result, bail, ensure};
use postgres::{Client, NoTls};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Time that the server may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running server. It ends with this value.
pub(crate) struct Cluster {
    server: Child,
    port: u16,
    folder: TempDir,
}

impl Cluster {
    pub(crate) fn start() -> Result<Cluster> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        // The server does not run as root.
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(folder.path()))?;
        }
        run(as_server("initdb").args(["--auth=trust", "--username=owner", "--no-sync", "-D"]).arg(&data))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let sockets = format!("unix_socket_directories={}", folder.path().display());
        let server = as_server("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-c", &sockets, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("PostgreSQL does not start")?;
        let cluster = Cluster { server, port, folder };
        let start = Instant::now();
        loop {
            match cluster.connect() {
                Ok(_) => return Ok(cluster),
                Err(error) if start.elapsed() > START_TIMEOUT => bail!("PostgreSQL does not answer: {error:#}"),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("host=127.0.0.1 port={} user=owner dbname=postgres", self.port)
    }

    pub(crate) fn connect(&self) -> Result<Client> {
        Ok(Client::connect(&self.address(), NoTls)?)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The server's own process, which `runuser` started and waits for. An immediate shutdown: nothing in there is
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

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Returns the command for a program of PostgreSQL, which Debian keeps off the path, run as the user that may run it.
fn as_server(program: &str) -> Command {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        versions.map(|version| version.path().join("bin").join(program)).filter(|file| file.is_file()).collect();
    found.sort();
    let file = found.pop().unwrap_or_else(|| PathBuf::from(program));
    if !is_root() {
        return Command::new(file);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(file);
    command
}
