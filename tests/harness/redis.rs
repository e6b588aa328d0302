//! A real Redis server, without persistence.

use super::{free_port, wait_for};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

pub struct Redis {
    process: Child,
    pub port: u16,
}

impl Redis {
    pub fn start() -> Redis {
        let port = free_port();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is on the path: `cargo xtask test` installs it");
        wait_for(|| TcpStream::connect(("127.0.0.1", port)).ok());
        Redis { process, port }
    }

    /// The example configuration with this server's port.
    pub fn runtime_config(&self, folder: &TempDir) -> PathBuf {
        let text = std::fs::read_to_string("runtime-config.example.toml").expect("the example is there");
        assert!(text.contains("redis://127.0.0.1:6379"));
        let file = folder.path().join("redis.toml");
        std::fs::write(&file, text.replace("6379", &self.port.to_string())).expect("written");
        file
    }

    /// Every key and every value in it, as the server sends them.
    pub fn contents(&self) -> String {
        let script = "local all = {} for _, key in ipairs(redis.call('KEYS', '*')) do all[#all + 1] = key \
                      all[#all + 1] = redis.call('GET', key) end return all";
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a time-out");
        let command = format!("*3\r\n$4\r\nEVAL\r\n${}\r\n{script}\r\n$1\r\n0\r\n", script.len());
        stream.write_all(command.as_bytes()).expect("written");
        let mut bytes = Vec::new();
        // It keeps the connection open: the end is the time-out.
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
