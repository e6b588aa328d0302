//! The fingerprint of the code that answers are made by, for the keys of the prediction cache: a release whose code
//! differs reads no entry of another. The build script includes this file too.
//!
//! Everything in `src/` counts but the worlds of `platform/`, which translate and decide nothing: to tell apart the
//! lines that change an answer from those that do not is a promise that nobody could keep.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// The sources of answers by their path: code, and the demo cohort.
pub(crate) fn sources(folder: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut sources = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() && !path.ends_with("platform") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs" || ending == "csv") {
                sources.insert(path.display().to_string(), std::fs::read(&path)?);
            }
        }
    }
    Ok(sources)
}

/// Hashes sources and the release's version into 16 hexadecimal digits.
pub(crate) fn fingerprint(version: &str, sources: &BTreeMap<String, Vec<u8>>) -> String {
    let mut hash = Sha256::new();
    hash.update(version);
    for (path, text) in sources {
        hash.update((path.len() as u64).to_le_bytes());
        hash.update(path);
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The build hashed these sources, and a changed word in any of them gives another fingerprint: its entries are
    /// misses, as `cache.rs` tests.
    #[test]
    fn a_changed_word_gives_another_fingerprint() {
        let sources = sources(Path::new("src")).expect("sources");
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(fingerprint(version, &sources), crate::cache::CODE_FINGERPRINT);
        let words = [
            ("src/predict/rendering.rs", "not a diagnosis"),
            ("src/predict/explanation.rs", "which raises"),
            ("src/endpoints/answer.rs", "The database cannot be reached"),
            ("src/checkins/checkin.rs", "checkin_date"),
            ("src/checkins/demo.csv", "2026"),
        ];
        for (file, word) in words {
            let mut changed = sources.clone();
            let text = String::from_utf8(changed[file].clone()).expect("UTF-8");
            assert!(text.contains(word), "{file} has no {word}");
            changed.insert(file.to_owned(), text.replacen(word, "another", 1).into_bytes());
            assert_ne!(fingerprint(version, &changed), fingerprint(version, &sources), "{file}: {word}");
        }
        assert_ne!(fingerprint("another version", &sources), fingerprint(version, &sources));
        assert!(sources.keys().all(|path| !path.starts_with("src/platform/")));
    }
}
