//! `docs/platforms.toml`: the interfaces that each platform offers a component, and what it allows.
//!
//! `cargo xtask build` says with it where a module runs, and `edge-host --platform` offers and enforces the same.
//!
//! ```
//! use platforms::Platform;
//!
//! let cloud = Platform::named("fermyon-cloud")?;
//! assert!(cloud.offers("fermyon:spin/key-value@2.0.0"));
//! assert!(!cloud.offers("wasi:keyvalue/atomics@0.2.0-draft2"));
//! # Ok::<(), String>(())
//! ```
//!
//! **Architecture invariant:** this crate compares names of interfaces, and knows nothing of Wasm files and Wasmtime.

use serde::Deserialize;
use std::fmt;
use std::time::Duration;

const FILE: &str = include_str!("../../../docs/platforms.toml");

/// A platform that runs components.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// The name on command lines and in tests.
    pub name: String,
    /// The name for people.
    pub title: String,
    /// Addresses of the sources of what is listed here.
    pub sources: Vec<String>,
    /// Patterns of entry points that it calls: see [`Platform::calls`].
    pub exports: Vec<String>,
    /// Patterns of interfaces that it offers: see [`Platform::offers`].
    pub imports: Vec<String>,
    /// Limits that are no interfaces; no module shows whether it keeps them.
    #[serde(default)]
    pub limits: Limits,
}

/// Limits of a platform; `None` is no limit. An unknown one is an error, since nothing would enforce it.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// True if the operator can give a runtime configuration.
    pub runtime_config: bool,
    /// Labels of the key-value stores that there are.
    pub stores: Option<Vec<String>>,
    /// Maximum number of keys in a store.
    pub keys: Option<usize>,
    /// Maximum size of a key.
    pub key_bytes: Option<usize>,
    /// Maximum size of a value.
    pub value_bytes: Option<usize>,
    /// Maximum number of store reads a second, of the whole application.
    pub reads_per_second: Option<usize>,
    /// Maximum number of store writes a second, of the whole application.
    pub writes_per_second: Option<usize>,
    /// Maximum number of outbound HTTP requests an hour, of the whole application.
    pub outbound_requests_per_hour: Option<usize>,
    /// Time after which a request is ended: see [`Limits::request_timeout`].
    pub request_seconds: Option<u64>,
    /// Maximum size of a request's body and of a response's.
    pub body_bytes: Option<usize>,
    /// Maximum size of an instance's memory.
    pub memory_bytes: Option<usize>,
    /// Maximum size of the Wasm file.
    pub package_bytes: Option<u64>,
    /// Header that has the caller's address. [Spin's own: `spin-client-addr`]
    pub client_address_header: Option<String>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            runtime_config: true,
            stores: None,
            keys: None,
            key_bytes: None,
            value_bytes: None,
            reads_per_second: None,
            writes_per_second: None,
            outbound_requests_per_hour: None,
            request_seconds: None,
            body_bytes: None,
            memory_bytes: None,
            package_bytes: None,
            client_address_header: None,
        }
    }
}

impl Limits {
    /// Returns the time after which a request is ended, where `wanted` is asked for.
    pub fn request_timeout(&self, wanted: Duration) -> Duration {
        self.request_seconds.map_or(wanted, |limit| wanted.min(Duration::from_secs(limit)))
    }
}

/// Interfaces of a component that a platform lacks.
#[derive(Debug, PartialEq)]
pub struct Refusal {
    platform: String,
    /// Imports that the platform does not offer.
    pub imports: Vec<String>,
    /// Exports of the component and entry points of the platform, if none is in both.
    pub exports: Option<(Vec<String>, Vec<String>)>,
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal { platform, imports, exports } = self;
        if !imports.is_empty() {
            write!(out, "{platform} does not offer {}, which the component imports", imports.join(", "))?;
        }
        if let Some((exports, entry_points)) = exports {
            let separator = if imports.is_empty() { "" } else { "; " };
            let (exports, entry_points) = (exports.join(", "), entry_points.join(", "));
            write!(out, "{separator}{platform} calls {entry_points}, and the component exports {exports}")?;
        }
        Ok(())
    }
}

/// Returns every platform of `docs/platforms.toml`.
pub fn all() -> Result<Vec<Platform>, toml::de::Error> {
    parse(FILE)
}

/// Returns every platform of a text in the form of `docs/platforms.toml`.
fn parse(text: &str) -> Result<Vec<Platform>, toml::de::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct List {
        platform: Vec<Platform>,
    }
    Ok(toml::from_str::<List>(text)?.platform)
}

impl Platform {
    /// Returns the platform of a name, or the one of a file in the form of `docs/platforms.toml`, as `@FILE`. The error
    /// names those that there are.
    pub fn named(name: &str) -> Result<Platform, String> {
        if let Some(file) = name.strip_prefix('@') {
            return Platform::read(file).map_err(|error| format!("{file}: {error}"));
        }
        let platforms = all().map_err(|error| format!("docs/platforms.toml: {error}"))?;
        let names: Vec<String> = platforms.iter().map(|platform| platform.name.clone()).collect();
        let found = platforms.into_iter().find(|platform| platform.name == name);
        found.ok_or_else(|| format!("{name:?} is none of {}", names.join(", ")))
    }

    fn read(file: &str) -> Result<Platform, String> {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        let mut platforms = parse(&text).map_err(|error| error.to_string())?;
        match (platforms.pop(), platforms.len()) {
            (Some(platform), 0) => Ok(platform),
            (last, others) => Err(format!("has {} platforms and must have one", others + usize::from(last.is_some()))),
        }
    }

    /// Returns true if the platform calls this entry point.
    pub fn calls(&self, export: &str) -> bool {
        self.exports.iter().any(|pattern| matches(pattern, export))
    }

    /// Returns true if the platform calls this entry point in some version.
    pub fn calls_a_version_of(&self, export: &str) -> bool {
        self.exports.iter().any(|pattern| split(pattern).0 == split(export).0)
    }

    /// Returns true if the platform offers this interface.
    pub fn offers(&self, import: &str) -> bool {
        self.imports.iter().any(|pattern| matches(pattern, import))
    }

    /// Returns the imports that the platform does not offer.
    pub fn lacking(&self, imports: &[String]) -> Vec<String> {
        imports.iter().filter(|import| !self.offers(import)).cloned().collect()
    }

    /// Checks a component by the names of its interfaces. The error has every one that is missing.
    pub fn check(&self, imports: &[String], exports: &[String]) -> Result<(), Refusal> {
        let imports = self.lacking(imports);
        let is_called = exports.iter().any(|export| self.calls(export));
        let exports = (!is_called).then(|| (exports.to_vec(), self.exports.clone()));
        if imports.is_empty() && exports.is_none() {
            return Ok(());
        }
        Err(Refusal { platform: self.name.clone(), imports, exports })
    }
}

/// Compares an interface's name with a pattern: `*` stands for every interface of a package, and a version of two
/// numbers for every release of them.
fn matches(pattern: &str, interface: &str) -> bool {
    let ((listed, version), (name, own_version)) = (split(pattern), split(interface));
    let is_named = listed == name
        || listed.strip_suffix('*').is_some_and(|package| {
            package.ends_with('/') && name.strip_prefix(package).is_some_and(|rest| !rest.is_empty())
        });
    is_named && version_matches(version, own_version)
}

/// Compares an interface's version with a pattern's: `0.2` stands for every release 0.2.x, any other for itself.
fn version_matches(listed: Option<&str>, own: Option<&str>) -> bool {
    let (Some(listed), Some(own)) = (listed, own) else { return listed == own };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_family = listed.split_once('.').is_some_and(|(major, minor)| is_number(major) && is_number(minor));
    // A draft of 0.2.0 is no release 0.2.x: interfaces changed between drafts.
    let patch = own.strip_prefix(listed).and_then(|rest| rest.strip_prefix('.'));
    listed == own || (is_family && patch.is_some_and(is_number))
}

/// Splits an interface's version from its name.
fn split(interface: &str) -> (&str, Option<&str>) {
    interface.split_once('@').map_or((interface, None), |(name, version)| (name, Some(version)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test ends there")]

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_pattern_stands_for_its_interfaces_and_no_others() {
        for (pattern, interface, expected) in [
            ("wasi:http/types@0.2.0", "wasi:http/types@0.2.0", true),
            ("wasi:http/types@0.2.0", "wasi:http/types@0.2.1", false),
            ("wasi:http/types@0.2", "wasi:http/handler@0.2.0", false),
            ("wasi:http/*@0.2", "wasi:http/types@0.2.0", true),
            ("wasi:http/*@0.2", "wasi:http/types@0.2.6", true),
            ("wasi:http/*@0.2", "wasi:http/types@0.2.10", true),
            ("wasi:http/*@0.2", "wasi:http/types@0.2", true),
            ("wasi:http/*@0.2", "wasi:http/types@0.20.0", false),
            ("wasi:http/*@0.2", "wasi:http/types@0.3.0", false),
            ("wasi:http/*@0.2", "wasi:http/types@0.2.0-draft2", false),
            ("wasi:http/*@0.2", "wasi:http/types@0.2.0-rc-2023-11-10", false),
            ("wasi:http/*@0.2", "wasi:http/types@0.2.x", false),
            ("wasi:http/*@0.2", "wasi:http/types", false),
            ("wasi:http/*@0.2", "wasi:http-more/types@0.2.0", false),
            ("wasi:http/*@0.2", "wasi:http/@0.2.0", false),
            ("wasi:*@0.2", "wasi:http/types@0.2.0", false),
            ("wasi:http/*@0.3.0", "wasi:http/handler@0.3.0", true),
            ("wasi:http/*@0.3.0", "wasi:http/handler@0.3.1", false),
            ("wasi:http/*@0.3.0", "wasi:http/handler@0.3.0.1", false),
            ("wasi:http/*@0.3.0", "wasi:http/handler@0.3.0-rc-2026-03-15", false),
            ("wasi:keyvalue/store@0.2", "wasi:keyvalue/store@0.2.0-draft2", false),
            ("wasi:keyvalue/store@0.2.0-draft2", "wasi:keyvalue/store@0.2.0-draft2", true),
            ("wasi:keyvalue/store@0.2.0-draft2", "wasi:keyvalue/store@0.2.0-draft", false),
            ("fermyon:spin/key-value", "fermyon:spin/key-value", true),
            ("fermyon:spin/key-value", "fermyon:spin/key-value@2.0.0", false),
            ("fermyon:spin/key-value@2.0.0", "fermyon:spin/key-value", false),
        ] {
            assert_eq!(matches(pattern, interface), expected, "{pattern} for {interface}");
        }
    }

    #[test]
    fn every_pattern_of_the_list_is_written_as_it_is_read() {
        let list = all().expect("the list");
        for platform in &list {
            for pattern in platform.exports.iter().chain(&platform.imports) {
                let (name, _) = split(pattern);
                let parts = name.split_once(':').zip(name.split_once('/'));
                assert!(parts.is_some_and(|((namespace, _), (_, rest))| !namespace.is_empty() && !rest.is_empty()));
                assert!(!pattern.contains('*') || name.ends_with("/*"), "{}: {pattern}", platform.name);
            }
            let same = list.iter().filter(|other| other.name == platform.name);
            assert_eq!(same.count(), 1, "{} is listed twice", platform.name);
        }
    }

    #[test]
    fn every_platform_is_read_and_an_unknown_one_is_told_the_names() {
        for platform in all().expect("the list") {
            assert!(platform.calls("wasi:http/incoming-handler@0.2.6"), "{}", platform.name);
            assert!(platform.offers("fermyon:spin/key-value@2.0.0"), "{}", platform.name);
        }
        let error = Platform::named("spin-2.0").expect_err("unknown");
        assert!(error.starts_with("\"spin-2.0\" is none of spin-3.1, spin-3.6, "), "{error}");
        let limits = Platform::named("akamai-functions").expect("known").limits;
        assert_eq!((limits.writes_per_second, limits.keys, limits.runtime_config), (Some(50), None, false));
        assert!(Platform::named("spin-4.1").expect("known").limits.runtime_config);
        let error = Platform::named("@/no/such/file").expect_err("no file");
        assert!(error.starts_with("/no/such/file: "), "{error}");
        let error = Platform::named(concat!("@", env!("CARGO_MANIFEST_DIR"), "/../../docs/platforms.toml"));
        let error = error.expect_err("several");
        assert!(error.ends_with("docs/platforms.toml: has 6 platforms and must have one"), "{error}");
    }

    #[test]
    fn clouds_end_a_request_after_30_seconds_or_sooner_where_that_is_wanted() {
        let timeout = |platform, seconds| {
            let limits = Platform::named(platform).expect("known").limits;
            limits.request_timeout(Duration::from_secs(seconds)).as_secs()
        };
        for cloud in ["fermyon-cloud", "akamai-functions"] {
            assert_eq!((timeout(cloud, 60), timeout(cloud, 5)), (30, 5), "{cloud}");
        }
        assert_eq!(timeout("spin-4.1", 60), 60);
    }

    #[test]
    fn an_unknown_limit_is_an_error() {
        let text = "[[platform]]\nname = \"a\"\ntitle = \"A\"\nsources = []\nexports = []\nimports = []\n";
        assert_eq!(parse(text).expect("a list").len(), 1);
        let error = parse(&format!("{text}[platform.limits]\nfibres = 1\n")).expect_err("unknown").to_string();
        assert!(error.contains("unknown field `fibres`"), "{error}");
    }

    #[test]
    fn refusal_names_the_platform_and_all_that_it_lacks() {
        let exports = names(&["wasi:http/handler@0.3.0"]);
        let imports = names(&["wasi:http/types@0.3.0", "wasi:io/poll@0.2.6", "wasi:keyvalue/atomics@0.2.0-draft2"]);
        let check = |platform: &str| Platform::named(platform).expect("known").check(&imports, &exports);
        assert_eq!(check("spin-4.1"), Ok(()));
        assert_eq!(
            check("akamai-functions").expect_err("refused").to_string(),
            "akamai-functions does not offer wasi:http/types@0.3.0, wasi:keyvalue/atomics@0.2.0-draft2, which the \
             component imports; akamai-functions calls wasi:http/incoming-handler@0.2, and the component exports \
             wasi:http/handler@0.3.0"
        );
        let only_exports = Platform::named("spin-3.6").expect("known").check(&[], &exports).expect_err("refused");
        assert_eq!(
            only_exports.to_string(),
            "spin-3.6 calls wasi:http/incoming-handler@0.2, and the component exports wasi:http/handler@0.3.0"
        );
    }
}
