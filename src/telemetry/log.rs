//! Lines for operators, on stderr. To write one takes the host a tenth of the time that a cached answer does, so lines
//! of requests are buffered and flushed together (`telemetry/totals.rs` says when): those that are still buffered when
//! an instance is killed are lost. Warnings and errors are written at once.
//!
//! **Architecture invariant:** no user id, check-in, token or key is ever an argument here: an event and a message are
//! fixed text, `cause` is the name of a kind of error, and a person is a keyed hash.

use super::metrics::{self, WARNINGS};
use bipolar_edge_models::{FINGERPRINT, MODELS, Model};
use jiff::Timestamp;
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::io::Write;

/// How much of the log is written: a level's lines and those above it.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

impl LogLevel {
    pub(crate) const ALL: [LogLevel; 4] = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug];

    pub(crate) fn name(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
        }
    }
}

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum LogFormat {
    /// An object a line.
    Json,
    /// A sentence a line, for people.
    Text,
}

thread_local! {
    /// The configuration, once it was read.
    static CONFIGURED: Cell<(LogLevel, LogFormat)> = const { Cell::new((LogLevel::Info, LogFormat::Json)) };
    /// Lines that are not written yet.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Sets the level and the format.
pub(crate) fn configure(level: LogLevel, format: LogFormat) {
    CONFIGURED.set((level, format));
}

/// Returns true if lines of this level are written.
pub(crate) fn is_enabled(level: LogLevel) -> bool {
    level <= CONFIGURED.get().0
}

/// The most bytes of lines that are buffered.
const MAX_BUFFERED_BYTES: usize = 32 << 10;

/// Writes the buffered lines.
pub(crate) fn flush() {
    let lines = BUFFER.take();
    if !lines.is_empty() {
        // A log that cannot be written is no reason to fail.
        let _ = std::io::stderr().lock().write_all(&lines);
    }
}

/// Returns true if there are lines to write.
pub(crate) fn has_pending() -> bool {
    BUFFER.with_borrow(|lines| !lines.is_empty())
}

/// Writes a line, if lines of its level are written. `fields` must serialize to an object; `text` is the sentence for
/// people.
pub(crate) fn line(level: LogLevel, event: &'static str, fields: impl Serialize, text: impl FnOnce() -> String) {
    if is_enabled(level) {
        write_line((Timestamp::now(), level), event, fields, text);
    }
}

/// Writes a line that is kept as a record: whatever lines are written. Those of one time are given it, as to ask for it
/// is a call to the host.
pub(crate) fn record(time: Timestamp, event: &'static str, fields: impl Serialize, text: impl FnOnce() -> String) {
    write_line((time, LogLevel::Info), event, fields, text);
}

#[cfg(test)]
thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Has a test write no lines, of which it would make too many.
#[cfg(test)]
pub(crate) fn silence() {
    SILENT.set(true);
}

fn write_line(
    (time, level): (Timestamp, LogLevel),
    event: &'static str,
    fields: impl Serialize,
    text: impl FnOnce() -> String,
) {
    #[cfg(test)]
    if SILENT.get() {
        return;
    }
    let level_name = level.name();
    let length = BUFFER.with_borrow_mut(|lines| {
        let begin = lines.len();
        // Writing into memory fails only for fields that cannot be JSON: there is no line of those.
        let written = match CONFIGURED.get().1 {
            LogFormat::Text => writeln!(lines, "{time} {level_name}: {}", text()).is_ok(),
            LogFormat::Json => {
                // An object, of which the first fields are the same in every line: its brace becomes the comma behind
                // them.
                let head = write!(lines, r#"{{"time":"{time}","level":"{level_name}","event":"{event}""#);
                let brace = lines.len();
                let written = head.is_ok() && serde_json::to_writer(&mut *lines, &fields).is_ok();
                lines.get_mut(brace).map(|brace| *brace = b',').is_some() && written && writeln!(lines).is_ok()
            }
        };
        if !written {
            lines.truncate(begin);
        }
        lines.len()
    });
    if level <= LogLevel::Warn || length > MAX_BUFFERED_BYTES {
        flush();
    }
}

#[derive(Serialize)]
struct Incident {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
}

/// Logs and counts a degradation after which the service goes on.
pub(crate) fn warning(event: &'static str, message: &'static str, cause: &'static str) {
    metrics::add(&WARNINGS, &[event], 1);
    incident(LogLevel::Warn, event, format!("{message}: {cause}"), Some(cause), None);
}

/// Logs and counts a degradation that happened several times.
pub(crate) fn repeated_warning(event: &'static str, message: &'static str, count: usize) {
    metrics::add(&WARNINGS, &[event], count as u64);
    incident(LogLevel::Warn, event, format!("{message}: {count}"), None, Some(count));
}

/// Logs and counts a fault of this service.
pub(crate) fn error(event: &'static str, message: &'static str, cause: &'static str) {
    metrics::add(&WARNINGS, &[event], 1);
    incident(LogLevel::Error, event, format!("{message}: {cause}"), Some(cause), None);
}

fn incident(level: LogLevel, event: &'static str, message: String, cause: Option<&'static str>, count: Option<usize>) {
    let text = message.clone();
    line(level, event, Incident { message, cause, count }, || text);
}

/// Logs the models that an instance serves, once, when it starts. Where each request has an instance of its own, that
/// is a line a request, so it is for those who look for a fault.
pub(crate) fn instance_started() {
    if !is_enabled(LogLevel::Debug) {
        return;
    }
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
    line(LogLevel::Debug, "instance", started, || {
        let model = |model: &Model| format!("{} ({} trees, {} bytes)", model.version, model.trees, model.bytes);
        format!("an instance serves {}", MODELS.iter().map(model).collect::<Vec<_>>().join(", "))
    });
}
