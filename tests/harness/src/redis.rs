//! A real Redis server, without persistence.

#![allow(clippy::expect_used, reason = "a test ends there")]

use crate::process::{Launch, Process};
use crate::{free_port, root};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// A server, which ends with this value.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl Redis {
    /// Starts `redis-server` from the path.
    pub fn start() -> Redis {
        Redis::start_with(&[])
    }

    /// Starts it with TLS too, for `localhost` on a port of its own. Returns that port, and its certificate's file.
    pub fn start_with_tls(folder: &TempDir) -> (Redis, u16, PathBuf) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let file = |name: &str, text: String| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).expect("written");
            file
        };
        let certificate = file("redis.crt", made.cert.pem());
        let key = file("redis.key", made.signing_key.serialize_pem());
        let port = free_port();
        let redis = Redis::start_with(&[
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &certificate.display().to_string(),
            "--tls-key-file",
            &key.display().to_string(),
            "--tls-auth-clients",
            "no",
        ]);
        (redis, port, certificate)
    }

    /// Starts it with more of its own flags.
    pub fn start_with(flags: &[&str]) -> Redis {
        let port = free_port();
        Redis { process: Redis::start_on(port, flags), port }
    }

    /// Starts it anew, with nothing in it, where it was killed.
    pub fn restart(&mut self) {
        self.process = Redis::start_on(self.port, &[]);
    }

    fn start_on(port: u16, flags: &[&str]) -> Process {
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.args(flags);
        // Its log goes to the standard output, which is discarded.
        let start = Launch::listening_on(command, format!("127.0.0.1:{port}")).start();
        start.expect("redis-server is on the path: `cargo xtask test` installs it")
    }

    /// Returns the flags that make a host's component keep everything here.
    pub fn flags(&self) -> [String; 4] {
        let address = format!("redis://127.0.0.1:{}", self.port);
        let variable = || "--variable".to_owned();
        [variable(), format!("redis_url={address}/1"), variable(), format!("redis_address={address}")]
    }

    /// Writes the example configuration with this server's port into a folder; returns the file.
    pub fn runtime_config(&self, folder: &TempDir) -> PathBuf {
        let text = std::fs::read_to_string(root().join("runtime-config.example.toml")).expect("the example is there");
        assert!(text.contains("redis://127.0.0.1:6379"));
        let file = folder.path().join("redis.toml");
        std::fs::write(&file, text.replace("6379", &self.port.to_string())).expect("written");
        file
    }

    /// Returns every key and every value in it, as the server sends them.
    pub fn contents(&self) -> String {
        self.evaluate(
            "local all = {} for _, key in ipairs(redis.call('KEYS', '*')) do all[#all + 1] = key \
             local read = redis.call('TYPE', key).ok == 'hash' and 'HGETALL' or 'GET' \
             all[#all + 1] = redis.call(read, key) end return all",
        )
    }

    /// Returns what a script returns for the database that components use, as the server sends it.
    pub fn evaluate(&self, script: &str) -> String {
        self.command(&["EVAL", &format!("redis.call('SELECT', ARGV[1]) {script}"), "0", "1"])
    }

    /// Returns the answer to a command, as the server sends it.
    pub fn command(&self, arguments: &[&str]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a time-out");
        let parts = arguments.iter().map(|argument| format!("${}\r\n{argument}\r\n", argument.len()));
        let command = format!("*{}\r\n{}", arguments.len(), parts.collect::<String>());
        stream.write_all(command.as_bytes()).expect("written");
        let mut bytes = Vec::new();
        // It keeps the connection open: the end is the time-out.
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends it a signal, as `-STOP` or `-CONT`.
    pub fn signal(&self, signal: &str) {
        self.process.signal(signal).expect("it is there");
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}
