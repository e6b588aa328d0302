//! Spin, where it is installed.

use crate::step::{on_path, output};

/// The first release that can run the module.
const MIN_VERSION: (u32, u32) = (4, 1);

/// Returns whether `spin` is on the path in a version that can run the module.
pub fn is_installed() -> bool {
    let version = || -> Option<(u32, u32)> {
        let line = output("spin", &["--version"])?;
        let mut numbers = line.split_whitespace().nth(1)?.split('.');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    };
    on_path("spin") && version().is_some_and(|version| version >= MIN_VERSION)
}
