//! `docs/platforms.toml`: the interfaces that each platform offers a component, and what it allows.
//!
//! **Architecture invariant:** this module knows nothing of Wasmtime: it compares names of interfaces. `xtask` asks the
//! same questions about a module that it has built.

use serde::Deserialize;
use std::fmt;

const FILE: &str = include_str!("../../../docs/platforms.toml");

/// A platform that runs components.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Platform {
    /// The name on command lines.
    pub(crate) name: String,
    /// Patterns of entry points that it calls: see [`matches`].
    pub(crate) exports: Vec<String>,
    /// Patterns of interfaces that it offers.
    pub(crate) imports: Vec<String>,
    #[serde(default)]
    pub(crate) limits: Limits,
}

/// Limits of a platform; `None` is no limit. An unknown one is an error, since nothing would enforce it.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    /// True if the operator can give a runtime configuration.
    pub(crate) runtime_config: bool,
    /// Labels of the key-value stores that there are.
    pub(crate) stores: Option<Vec<String>>,
    /// Maximum number of keys in a store.
    pub(crate) keys: Option<usize>,
    /// Maximum size of a key.
    pub(crate) key_bytes: Option<usize>,
    /// Maximum size of a value.
    pub(crate) value_bytes: Option<usize>,
    /// Maximum number of store reads a second, of the whole application.
    pub(crate) reads_per_second: Option<usize>,
    /// Maximum number of store writes a second, of the whole application.
    pub(crate) writes_per_second: Option<usize>,
    /// Maximum number of outbound HTTP requests an hour, of the whole application.
    pub(crate) outbound_requests_per_hour: Option<usize>,
    /// Time after which a request is ended.
    pub(crate) request_seconds: Option<u64>,
    /// Maximum size of a request's body and of a response's.
    pub(crate) body_bytes: Option<usize>,
    /// Maximum size of an instance's memory.
    pub(crate) memory_bytes: Option<usize>,
    /// Maximum size of the Wasm file.
    pub(crate) package_bytes: Option<u64>,
    /// Header that has the caller's address. [Spin's own: `spin-client-addr`]
    pub(crate) client_address_header: Option<String>,
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

/// Interfaces of a component that a platform lacks.
#[derive(Debug, PartialEq)]
pub(crate) struct Refusal {
    platform: String,
    /// Imports that the platform does not offer.
    pub(crate) imports: Vec<String>,
    /// Exports of the component and entry points of the platform, if none is in both.
    pub(crate) exports: Option<(Vec<String>, Vec<String>)>,
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

/// Returns every platform of the file.
pub(crate) fn all() -> Result<Vec<Platform>, toml::de::Error> {
    #[derive(Deserialize)]
    struct File {
        platform: Vec<Platform>,
    }
    Ok(toml::from_str::<File>(FILE)?.platform)
}

impl Platform {
    /// Returns the platform of a name. The error names those that there are.
    pub(crate) fn named(name: &str) -> Result<Platform, String> {
        let platforms = all().map_err(|error| format!("docs/platforms.toml: {error}"))?;
        let names: Vec<String> = platforms.iter().map(|platform| platform.name.clone()).collect();
        let found = platforms.into_iter().find(|platform| platform.name == name);
        found.ok_or_else(|| format!("{name:?} is none of {}", names.join(", ")))
    }

    /// Returns true if the platform calls this entry point.
    pub(crate) fn calls(&self, export: &str) -> bool {
        self.exports.iter().any(|pattern| matches(pattern, export))
    }

    /// Returns true if the platform offers this interface.
    pub(crate) fn offers(&self, import: &str) -> bool {
        self.imports.iter().any(|pattern| matches(pattern, import))
    }

    /// Checks a component by the names of its interfaces. The error has every one that is missing.
    pub(crate) fn check(&self, imports: &[String], exports: &[String]) -> Result<(), Refusal> {
        let imports: Vec<String> = imports.iter().filter(|import| !self.offers(import)).cloned().collect();
        let is_called = exports.iter().any(|export| self.calls(export));
        let exports = (!is_called).then(|| (exports.to_vec(), self.exports.clone()));
        if imports.is_empty() && exports.is_none() {
            return Ok(());
        }
        Err(Refusal { platform: self.name.clone(), imports, exports })
    }
}

/// Compares an interface's name with a pattern: `*` stands for every interface of a package, and a version of two
/// numbers for every release of them (`0.2` for 0.2.6, and for no draft).
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (Some((pattern, wanted)), Some((name, version))) = (pattern.split_once('@'), name.split_once('@')) else {
        return pattern == name;
    };
    let same_name = match pattern.strip_suffix('*') {
        Some(package) => name.strip_prefix(package).is_some_and(|interface| !interface.is_empty()),
        None => pattern == name,
    };
    let is_release_of = |prefix: &str| {
        let patch = version.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.'));
        prefix.matches('.').count() == 1
            && patch.is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
    };
    same_name && (wanted == version || is_release_of(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn star_stands_for_an_interface_and_two_numbers_for_every_release() {
        assert!(matches("wasi:http/types@0.3.0", "wasi:http/types@0.3.0"));
        assert!(matches("wasi:http/*@0.2", "wasi:http/types@0.2.0"));
        assert!(matches("wasi:http/*@0.2", "wasi:http/types@0.2.12"));
        assert!(!matches("wasi:http/*@0.2", "wasi:http/types@0.2.0-rc-2023-11-10"));
        assert!(!matches("wasi:http/*@0.2", "wasi:http/types@0.20.1"));
        assert!(!matches("wasi:http/*@0.2", "wasi:http2/types@0.2.0"));
        assert!(!matches("wasi:http/types@0.3.0", "wasi:http/types@0.3.0.1"));
        assert!(!matches("wasi:http/types@0.3.0", "wasi:http/types@0.3.0-rc-2026-03-15"));
        assert!(!matches("wasi:keyvalue/store@0.2", "wasi:keyvalue/store@0.2.0-draft2"));
        assert!(!matches("wasi:http/types@0.2", "wasi:http/handler@0.2.0"));
        assert!(!matches("wasi:http/types@0.2", "wasi:http/types"));
    }

    #[test]
    fn every_platform_is_read_and_an_unknown_one_is_told_the_names() {
        for platform in all().expect("the file is valid") {
            assert!(platform.calls("wasi:http/incoming-handler@0.2.6"), "{}", platform.name);
            assert!(platform.offers("fermyon:spin/key-value@2.0.0"), "{}", platform.name);
        }
        let error = Platform::named("spin-2.0").expect_err("unknown");
        assert!(error.starts_with("\"spin-2.0\" is none of spin-3.1, spin-3.6, "), "{error}");
        let limits = Platform::named("akamai-functions").expect("known").limits;
        assert_eq!((limits.writes_per_second, limits.keys, limits.runtime_config), (Some(50), None, false));
        assert!(Platform::named("spin-4.1").expect("known").limits.runtime_config);
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
