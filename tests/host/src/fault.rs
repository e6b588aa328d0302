//! Faults that stores can be given on purpose.

use crate::args::duration;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Way in which a store fails on purpose.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Every operation is an error.
    Errors,
    /// Every operation takes this long.
    Slow(Duration),
    /// Nothing can be written, but for deletions.
    Full,
    /// Writes succeed and are forgotten.
    LosesWrites,
    /// One read in so many ends the instance that reads, as a fault of its own code would.
    Traps(u64),
    /// The file names one of these, or nothing, and is read at each operation.
    FromFile(PathBuf),
}

impl Fault {
    pub(crate) fn parse(text: &str) -> Result<Fault, String> {
        match text.split_at_checked(1) {
            Some(("@", file)) => return Ok(Fault::FromFile(file.into())),
            _ if text == "errors" => return Ok(Fault::Errors),
            _ if text == "full" => return Ok(Fault::Full),
            _ if text == "loses-writes" => return Ok(Fault::LosesWrites),
            _ => {}
        }
        if let Some(time) = text.strip_prefix("slow=") {
            return Ok(Fault::Slow(duration(time)?));
        }
        let traps = text.strip_prefix("traps=").and_then(|reads| reads.parse().ok()).filter(|reads| *reads > 0);
        traps.map(Fault::Traps).ok_or_else(|| {
            format!("{text:?} is none of errors, full, slow=<duration>, loses-writes, traps=<reads> and @<file>")
        })
    }
}

/// Fate of a write.
#[derive(PartialEq)]
pub(crate) enum Writes {
    Kept,
    /// It succeeds, and is lost.
    Lost,
    /// It fails, unless it deletes.
    Refused,
}

/// The fault of one store, if it has one.
#[derive(Default)]
pub(crate) struct Faults {
    fault: Option<Fault>,
    /// Number of reads so far, for [`Fault::Traps`].
    reads: AtomicU64,
}

impl Faults {
    pub(crate) fn new(fault: Option<Fault>) -> Faults {
        Faults { fault, reads: AtomicU64::new(0) }
    }

    /// Counts a read. Errors if the guest that reads is to be ended.
    pub(crate) fn check_trap(&self) -> wasmtime::Result<()> {
        match self.current() {
            Ok(Some(Fault::Traps(reads))) if self.reads.fetch_add(1, Ordering::Relaxed) % reads == reads - 1 => {
                Err(wasmtime::Error::msg("the store was told to end the instance"))
            }
            _ => Ok(()),
        }
    }

    /// Fails, or waits, as the fault demands; returns the fate of writes.
    pub(crate) async fn apply(&self) -> Result<Writes, String> {
        match self.current()? {
            None | Some(Fault::FromFile(_) | Fault::Traps(_)) => Ok(Writes::Kept),
            Some(Fault::Errors) => Err("the store was told to fail".to_owned()),
            Some(Fault::Full) => Ok(Writes::Refused),
            Some(Fault::LosesWrites) => Ok(Writes::Lost),
            Some(Fault::Slow(time)) => {
                tokio::time::sleep(time).await;
                Ok(Writes::Kept)
            }
        }
    }

    /// Returns the fault of this moment.
    fn current(&self) -> Result<Option<Fault>, String> {
        let Some(Fault::FromFile(file)) = &self.fault else { return Ok(self.fault.clone()) };
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        if text.trim().is_empty() { Ok(None) } else { Fault::parse(text.trim()).map(Some) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read() {
        assert_eq!(Fault::parse("slow=200ms"), Ok(Fault::Slow(Duration::from_millis(200))));
        assert_eq!(Fault::parse("@/tmp/fault"), Ok(Fault::FromFile("/tmp/fault".into())));
        assert_eq!(Fault::parse("full"), Ok(Fault::Full));
        assert_eq!(Fault::parse("traps=50"), Ok(Fault::Traps(50)));
        assert!(Fault::parse("traps=0").is_err());
        assert!(Fault::parse("broken").is_err());
        assert!(Fault::parse("").is_err());
    }
}
