//! The models and the demo cohort in the repository are what these sources make: same sources, same bytes.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Every file below a folder, by its path in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn the_trainer_writes_what_is_in_the_repository_to_the_byte() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let anew = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(anew.path().join("models")).expect("made");
    let status = Command::new(env!("CARGO_BIN_EXE_train")).arg(anew.path()).status().expect("the trainer runs");
    assert!(status.success());
    let written = files(anew.path());
    assert!(written.len() > 20, "{written:?}");
    for file in written {
        let name = file.strip_prefix(anew.path()).expect("below");
        let same = std::fs::read(&file).ok() == std::fs::read(repository.join(name)).ok();
        assert!(same, "{} differs: run `cargo xtask train` and commit what it writes", name.display());
    }
}
