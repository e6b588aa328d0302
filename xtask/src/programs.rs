//! Servers, a browser and other programs that Debian has packages of, for tests and for trying the service with a
//! database.

use crate::step::{apt_get, on_path};
use anyhow::Result;

/// A program that Debian has a package of.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Returns whether the program is installed.
    pub is_installed: fn() -> bool,
    /// The name of Debian's package.
    pub package: &'static str,
}

/// Redis, one of the stores.
pub const REDIS: Program = Program { is_installed: || on_path("redis-server"), package: "redis-server" };

/// Prometheus's tool that checks metrics.
pub const PROMTOOL: Program = Program { is_installed: || on_path("promtool"), package: "prometheus" };

/// The browser that the pages are tested in.
pub const CHROMIUM: Program = Program {
    is_installed: || ["chromium", "chromium-browser", "google-chrome"].into_iter().any(on_path),
    package: "chromium",
};

/// curl, which the README's samples use.
pub const CURL: Program = Program { is_installed: || on_path("curl"), package: "curl" };

/// npm, which installs JavaScript packages.
pub const NPM: Program = Program { is_installed: || on_path("npm"), package: "npm" };

/// PostgreSQL, whose programs Debian keeps off the path.
pub const POSTGRESQL: Program = Program {
    is_installed: || {
        // Of several versions any will do; a folder that has the client alone will not.
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        on_path("initdb") || versions.into_iter().any(|version| version.path().join("bin/initdb").is_file())
    },
    package: "postgresql",
};

impl Program {
    /// Installs the program unless it is there. Errors with what to do if we may not install it.
    pub fn set_up(&self) -> Result<()> {
        if (self.is_installed)() {
            return Ok(());
        }
        apt_get(&[self.package], &format!("{} is needed", self.package))
    }
}
