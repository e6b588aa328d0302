//! Lines for operators, on stderr. To write one takes the host a tenth of the time that a cached answer does, so those of requests are
//! gathered and written together, within [`GATHERED`](super::totals::GATHERED): what is in none when an instance is killed is lost.
//! Warnings are written at once.
//!
//! No user id, check-in, token or key is ever an argument here: an event and a message are fixed
//! text, `cause` is the name of a kind of error, and a person is a keyed hash.

use super::metrics::{self, WARNINGS};
use crate::settings::{LogFormat, LogLevel};
use bipolar_edge_models::{FINGERPRINT, MODELS, Model};
use jiff::Timestamp;
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::io::Write;

thread_local! {
    /// As configured, once the configuration was read.
    static CONFIGURED: Cell<(LogLevel, LogFormat)> = const { Cell::new((LogLevel::Info, LogFormat::Json)) };
    /// Lines that are not written yet.
    static GATHERED_LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn configure(level: LogLevel, format: LogFormat) {
    CONFIGURED.set((level, format));
}

/// Whether lines of a level are written.
pub(crate) fn writes(level: LogLevel) -> bool {
    level <= CONFIGURED.get().0
}

/// The most bytes of lines that are gathered.
const MOST_GATHERED: usize = 32 << 10;

/// Writes the lines that were gathered.
pub(crate) fn flush() {
    let lines = GATHERED_LINES.take();
    if !lines.is_empty() {
        // A log that cannot be written is no reason to fail.
        let _ = std::io::stderr().lock().write_all(&lines);
    }
}

/// Whether there are lines to write.
pub(crate) fn is_pending() -> bool {
    GATHERED_LINES.with_borrow(|lines| !lines.is_empty())
}

/// Writes a line, if lines of its level are written. `text` is how it reads for people.
pub(crate) fn line(level: LogLevel, event: &'static str, what: impl Serialize, text: impl FnOnce() -> String) {
    if !writes(level) {
        return;
    }
    let (time, level_name) = (Timestamp::now(), level.name());
    let length = GATHERED_LINES.with_borrow_mut(|lines| {
        let begin = lines.len();
        // Writing into memory does not fail, but for what cannot be JSON: there is no line of that.
        let written = match CONFIGURED.get().1 {
            LogFormat::Text => writeln!(lines, "{time} {level_name}: {}", text()).is_ok(),
            LogFormat::Json => {
                // An object, of which the first fields are the same in every line: its brace becomes the comma behind them.
                let head = write!(lines, r#"{{"time":"{time}","level":"{level_name}","event":"{event}""#);
                let brace = lines.len();
                let written = head.is_ok() && serde_json::to_writer(&mut *lines, &what).is_ok();
                lines.get_mut(brace).map(|brace| *brace = b',').is_some() && written && writeln!(lines).is_ok()
            }
        };
        if !written {
            lines.truncate(begin);
        }
        lines.len()
    });
    if level <= LogLevel::Warn || length > MOST_GATHERED {
        flush();
    }
}

#[derive(Serialize)]
struct Warning {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
}

/// Something degraded, and the service goes on.
pub(crate) fn warning(event: &'static str, message: &'static str, cause: &'static str) {
    metrics::add(&WARNINGS, &[event], 1);
    let message = format!("{message}: {cause}");
    let text = message.clone();
    line(LogLevel::Warn, event, Warning { message, cause: Some(cause), count: None }, || text);
}

/// Something that happened several times.
pub(crate) fn counted(event: &'static str, message: &'static str, count: usize) {
    metrics::add(&WARNINGS, &[event], count as u64);
    let message = format!("{message}: {count}");
    let text = message.clone();
    line(LogLevel::Warn, event, Warning { message, cause: None, count: Some(count) }, || text);
}

/// What an instance serves, once, when it starts.
pub(crate) fn instance_started() {
    #[derive(Serialize)]
    struct Started {
        version: &'static str,
        models_fingerprint: &'static str,
        models: Vec<Inventory>,
    }
    #[derive(Serialize)]
    struct Inventory {
        name: &'static str,
        version: &'static str,
        trees: usize,
        bytes: usize,
    }
    let inventory =
        |model: &Model| Inventory { name: model.name, version: model.version, trees: model.trees, bytes: model.bytes };
    let models = MODELS.iter().map(inventory).collect();
    let started = Started { version: env!("CARGO_PKG_VERSION"), models_fingerprint: FINGERPRINT, models };
    line(LogLevel::Info, "instance", started, || {
        let model = |model: &Model| format!("{} ({} trees, {} bytes)", model.version, model.trees, model.bytes);
        format!("an instance serves {}", MODELS.iter().map(model).collect::<Vec<_>>().join(", "))
    });
    flush();
}
