//! Servers, a browser and other programs that Debian has packages of, for tests and for trying the service with a
//! database.

use crate::step::{apt_get, install_hint, on_path};
use anyhow::{Result, bail};
use std::env::consts::OS;

/// A program that Debian has a package of.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Returns whether the program is installed.
    pub is_installed: fn() -> bool,
    /// The name of Debian's package.
    pub package: &'static str,
    /// The name of Homebrew's formula.
    pub formula: &'static str,
}

/// Redis, one of the stores.
pub const REDIS: Program =
    Program { is_installed: || on_path("redis-server"), package: "redis-server", formula: "redis" };

/// Prometheus's tool that checks metrics.
pub const PROMTOOL: Program =
    Program { is_installed: || on_path("promtool"), package: "prometheus", formula: "prometheus" };

/// The browser that the pages are tested in.
pub const CHROMIUM: Program = Program {
    is_installed: || ["chromium", "chromium-browser", "google-chrome"].into_iter().any(on_path),
    package: "chromium",
    formula: "chromium",
};

/// curl, which the samples of the pages use.
pub const CURL: Program = Program { is_installed: || on_path("curl"), package: "curl", formula: "curl" };

/// npm, which installs JavaScript packages.
pub const NPM: Program = Program { is_installed: || on_path("npm"), package: "npm", formula: "node" };

/// PostgreSQL, whose programs Debian keeps off the path.
pub const POSTGRESQL: Program = Program {
    is_installed: || {
        // Of several versions any will do; a folder that has the client alone will not.
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        on_path("initdb") || versions.into_iter().any(|version| version.path().join("bin/initdb").is_file())
    },
    package: "postgresql",
    formula: "postgresql",
};

impl Program {
    /// Installs the program unless it is there. Errors with what to do if we may not install it.
    pub fn set_up(&self) -> Result<()> {
        if (self.is_installed)() {
            return Ok(());
        }
        if !on_path("apt-get") {
            bail!("{} is needed: {}", self.package, self.how_to_install(OS));
        }
        apt_get(&[self.package], &format!("{} is needed", self.package))
    }

    /// Returns the command that installs the program on a system.
    pub fn how_to_install(&self, system: &str) -> String {
        install_hint(system, self.package, self.formula)
    }
}
