//! Servers, a browser and the like that are Debian packages, for tests and for trying the service with a database.

use crate::step::{apt_get, on_path};
use anyhow::Result;

/// A server: whether it is here, and Debian's package of it.
pub(crate) struct Server {
    pub(crate) is_here: fn() -> bool,
    pub(crate) package: &'static str,
}

pub(crate) const REDIS: Server = Server { is_here: || on_path("redis-server"), package: "redis-server" };

/// What Prometheus checks metrics with.
pub(crate) const PROMTOOL: Server = Server { is_here: || on_path("promtool"), package: "prometheus" };

/// The browser that the pages are tested in.
pub(crate) const CHROMIUM: Server = Server {
    is_here: || ["chromium", "chromium-browser", "google-chrome"].into_iter().any(on_path),
    package: "chromium",
};

/// What the README's samples are typed into.
pub(crate) const CURL: Server = Server { is_here: || on_path("curl"), package: "curl" };

/// What installs packages of JavaScript's.
pub(crate) const NPM: Server = Server { is_here: || on_path("npm"), package: "npm" };

/// Debian keeps its programs off the path.
pub(crate) const POSTGRESQL: Server = Server {
    is_here: || {
        // Of several versions any will do; a folder that has the client alone will not.
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        on_path("initdb") || versions.into_iter().any(|version| version.path().join("bin/initdb").is_file())
    },
    package: "postgresql",
};

impl Server {
    /// Finds it or installs it. Errors with what to do where it may not be installed.
    pub(crate) fn set_up(&self) -> Result<()> {
        if (self.is_here)() {
            return Ok(());
        }
        apt_get(&[self.package], &format!("{} is needed", self.package))
    }
}
