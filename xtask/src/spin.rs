//! Spin, where it is installed.

use crate::step::{on_path, output};

/// A release, by its first two numbers.
pub type Release = (u32, u32);

/// The first release that takes variables on its command line, which `cargo xtask up` and the tests use. The portable
/// module itself runs from 3.1 on.
pub const MIN_RELEASE: Release = (3, 4);
/// The first release that runs the module for it.
pub const FAST_RELEASE: Release = (4, 1);

/// Returns the release of the `spin` that is on the path.
pub fn release() -> Option<Release> {
    let line = output("spin", &["--version"]).filter(|_| on_path("spin"))?;
    let mut numbers = line.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Returns whether `spin` is on the path in this release or a later one.
pub fn is_installed(since: Release) -> bool {
    release().is_some_and(|release| release >= since)
}
