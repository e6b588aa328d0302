//! How far a build is, and about how long is left.
//!
//! Cargo prints a line when it begins with a crate, and an artifact as JSON when it is done with one. How many there
//! will be is the number of packages that `cargo tree` lists. The time that is left is reckoned from the seconds that
//! the largest crates take: they come last, so that counting crates alone promises too much.

use crate::step::{self, cargo};
use anyhow::{Result, anyhow, ensure};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// The crates that take longest, in seconds of one core, beside the second that others take on average.
const SECONDS: [(&str, f32); 13] = [
    ("bipolar-edge", 20.0),
    ("bipolar-edge-portable", 25.0),
    ("bipolar-edge-spin-4-1", 25.0),
    ("cranelift-assembler-x64", 10.0),
    ("cranelift-codegen", 90.0),
    ("edge-host", 20.0),
    ("pulley-interpreter", 8.0),
    ("tokio", 8.0),
    ("wasmparser", 10.0),
    ("wasmtime", 30.0),
    ("wasmtime-environ", 18.0),
    ("wasmtime-internal-cranelift", 14.0),
    ("wasmtime-wasi", 12.0),
];
/// On a terminal a line is drawn anew this often; elsewhere lines are printed.
const REDRAW: Duration = Duration::from_millis(500);
const PRINT: Duration = Duration::from_secs(20);
/// Nothing is promised before this part of the work is done.
const KNOWN: f32 = 0.03;

static SHOWN: Mutex<()> = Mutex::new(());

/// A build.
#[derive(Debug)]
pub struct Build<'a> {
    /// The name that its step is announced by.
    pub what: &'a str,
    /// A `cargo build`.
    pub command: Command,
    /// Arguments of `cargo tree` that select what is compiled.
    pub tree: Vec<&'a str>,
}

/// Runs builds at the same time, with one line of progress for all. Errors with the first that failed.
pub fn run(builds: Vec<Build<'_>>) -> Result<()> {
    let what = builds.iter().map(|build| build.what).collect::<Vec<_>>().join(", and ");
    println!("==> {what}");
    let start = Instant::now();
    run_all(builds, start)?;
    println!("    {what}: {:.1} s", start.elapsed().as_secs_f32());
    Ok(())
}

/// Runs a build of which nothing is said unless it takes a while, on the standard error. Errors if it fails.
pub fn run_quietly(build: Build<'_>) -> Result<()> {
    run_all(vec![build], Instant::now())
}

fn run_all(builds: Vec<Build<'_>>, start: Instant) -> Result<()> {
    // Of builds at the same time, in other threads, one shows how far it is.
    let shown = SHOWN.try_lock();
    let mut line = Line::default();
    if shown.is_ok() {
        builds.iter().for_each(|build| line.plan(&build.tree));
    }
    let (sender, events) = channel();
    let names: Vec<&str> = builds.iter().map(|build| build.what).collect();
    std::thread::scope(|scope| {
        let running: Vec<_> = builds
            .into_iter()
            .map(|build| {
                let sender = sender.clone();
                scope.spawn(move || build.run(&sender))
            })
            .collect();
        drop(sender);
        let said = line.follow(&events, shown.is_ok().then_some(start));
        for (what, build) in names.into_iter().zip(running) {
            let ended = build.join().map_err(|_| anyhow!("a build ended with a panic"))?;
            ended.map_err(|error| step::with_remedy(what, error, &said))?;
        }
        Ok(())
    })
}

impl Build<'_> {
    /// Runs the build and sends what it says. Errors if it fails.
    fn run(mut self, events: &Sender<Event>) -> Result<()> {
        self.command.args(["--message-format", "json-render-diagnostics"]);
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        std::thread::scope(|scope| {
            scope.spawn(|| lines(stdout, |line| artifact(line).map(|event| events.send(event))));
            lines(stderr, |line| Some(events.send(status(line))));
        });
        let status = child.wait()?;
        ensure!(status.success(), "{} failed ({status}): {}", self.what, step::command_line(&self.command));
        Ok(())
    }
}

/// Gives each line of a stream to a function.
fn lines<T>(stream: Option<impl Read>, mut with: impl FnMut(&str) -> T) {
    // Whatever cannot be read is not shown: how the build ends does not depend on it.
    for line in stream.into_iter().flat_map(|stream| BufReader::new(stream).split(b'\n')).map_while(Result::ok) {
        with(&String::from_utf8_lossy(&line));
    }
}

/// A message of a build.
#[derive(Debug, PartialEq)]
enum Event {
    /// It begins with a crate.
    Begun(String),
    /// It is done with a crate, which was there already or was compiled.
    Done { name: String, fresh: bool },
    /// It downloads, or waits for another cargo.
    Waiting(String),
    /// A warning or an error.
    Text(String),
}

/// Reads a line of cargo's standard error.
fn status(line: &str) -> Event {
    let mut words = line.split_whitespace();
    match (words.next(), words.next()) {
        // "   Compiling serde v1.0.229": aligned, which text that a compiler prints is not by chance.
        (Some("Compiling"), Some(name)) if line.starts_with("   ") => Event::Begun(name.to_owned()),
        (Some("Downloading" | "Downloaded" | "Updating" | "Blocking" | "Locking" | "Finished"), _)
            if line.starts_with(' ') =>
        {
            Event::Waiting(line.trim().to_owned())
        }
        _ => Event::Text(line.to_owned()),
    }
}

/// Reads a line of cargo's standard output: a library or a program that is done.
fn artifact(line: &str) -> Option<Event> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let is_script = message["target"]["kind"].as_array()?.iter().any(|kind| kind == "custom-build");
    if message["reason"] != "compiler-artifact" || is_script {
        return None;
    }
    // "registry+https://…#serde@1.0.229", or "path+file:///…/forest#0.1.0".
    let (source, version) = message["package_id"].as_str()?.rsplit_once('#')?;
    let name = version.split_once('@').map_or_else(|| source.rsplit('/').next(), |(name, _)| Some(name))?;
    Some(Event::Done { name: name.to_owned(), fresh: message["fresh"] == true })
}

/// The line that says how far it is.
#[derive(Default)]
struct Line {
    /// The crates that were planned, and the seconds that they take.
    crates: usize,
    seconds: f32,
    done: usize,
    /// Of those seconds, what was there already and what was compiled.
    fresh: f32,
    compiled: f32,
    at_work: Vec<String>,
    waiting: String,
    is_drawn: bool,
}

impl Line {
    /// Adds what `cargo tree` lists. What it cannot list is not counted on, and the build says why.
    fn plan(&mut self, tree: &[&str]) {
        let mut command = cargo();
        command.args(["tree", "--quiet", "--locked", "--prefix", "none", "--no-dedupe"]);
        let listed = command.args(tree).stderr(Stdio::null()).output().map(|output| output.stdout).unwrap_or_default();
        let listed = String::from_utf8_lossy(&listed);
        let packages: BTreeSet<&str> = listed.lines().collect();
        self.crates += packages.len();
        self.seconds += packages.iter().filter_map(|line| line.split(' ').next()).map(seconds).sum::<f32>();
    }

    /// Follows events until there are no more, and shows how far it is since a start; returns the texts.
    fn follow(&mut self, events: &Receiver<Event>, start: Option<Instant>) -> String {
        let is_terminal = std::io::stderr().is_terminal();
        let interval = if is_terminal { REDRAW } else { PRINT };
        let (mut said, mut next) = (String::new(), Instant::now() + interval);
        loop {
            let event = events.recv_timeout(next.saturating_duration_since(Instant::now()));
            match event {
                Ok(Event::Text(text)) => {
                    self.clear();
                    eprintln!("{text}");
                    said = said + &text + "\n";
                }
                Ok(event) => self.note(event),
                Err(RecvTimeoutError::Timeout) => {
                    next = Instant::now() + interval;
                    if let Some(start) = start {
                        self.draw(&self.text(start.elapsed()), is_terminal);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.clear();
        said
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Begun(name) => {
                self.waiting.clear();
                if !self.at_work.contains(&name) {
                    self.at_work.push(name);
                }
            }
            Event::Done { name, fresh } => {
                self.at_work.retain(|at_work| *at_work != name);
                self.done += 1;
                *(if fresh { &mut self.fresh } else { &mut self.compiled }) += seconds(&name);
            }
            Event::Waiting(status) => self.waiting = status,
            Event::Text(_) => {}
        }
    }

    fn draw(&mut self, text: &str, is_terminal: bool) {
        if is_terminal {
            eprint!("\r\x1b[2K{text}");
            self.is_drawn = true;
        } else {
            eprintln!("{text}");
        }
    }

    /// Removes the line, for other text.
    fn clear(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            eprint!("\r\x1b[2K");
        }
    }

    fn text(&self, elapsed: Duration) -> String {
        if self.done == 0 && self.at_work.is_empty() {
            return format!(
                "    {}",
                if self.waiting.is_empty() { "asking cargo what to build" } else { &self.waiting }
            );
        }
        let (done, left) = (self.fresh + self.compiled, self.seconds - self.fresh - self.compiled);
        let part = (done / self.seconds.max(done).max(1.0)).clamp(0.0, 1.0);
        let bars = "#".repeat((part * BAR as f32) as usize);
        // Where more crates are compiled than were planned, the last is at work all the same.
        let total = self.crates.max(self.done + self.at_work.len());
        let mut text = format!("    [{bars:-<BAR$}] {} of {total} crates", self.done);
        let known = self.compiled > KNOWN * (self.seconds - self.fresh);
        if known && left > 0.0 {
            let seconds = elapsed.as_secs_f32() * left / self.compiled;
            text += &match seconds / 60.0 {
                minutes if minutes < 1.0 => ", less than a minute left".to_owned(),
                minutes => format!(", about {minutes:.0} min left"),
            };
        }
        let latest: Vec<&str> = self.at_work.iter().rev().take(2).map(String::as_str).collect();
        if !latest.is_empty() {
            text = text + ": " + &latest.join(", ");
        }
        text
    }
}

/// The characters of the bar.
const BAR: usize = 20;

/// Returns about how long a crate takes to compile.
fn seconds(name: &str) -> f32 {
    SECONDS.iter().find(|(slow, _)| *slow == name).map_or(1.0, |(_, seconds)| *seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_cargo_are_understood_and_others_shown() {
        assert_eq!(status("   Compiling serde v1.0.229"), Event::Begun("serde".to_owned()));
        assert_eq!(status("  Downloaded url v2.5.8"), Event::Waiting("Downloaded url v2.5.8".to_owned()));
        for text in ["error[E0308]: mismatched types", "Compiling is a word", "", "  --> src/lib.rs:1:1"] {
            assert_eq!(status(text), Event::Text(text.to_owned()));
        }
        let done = |id: &str, kind: &str| {
            let target = serde_json::json!({ "kind": [kind] });
            let message = serde_json::json!({
                "reason": "compiler-artifact", "package_id": id, "target": target, "fresh": false
            });
            artifact(&message.to_string())
        };
        let named = |name: &str| Some(Event::Done { name: name.to_owned(), fresh: false });
        assert_eq!(done("registry+https://example.org/index#serde@1.0.229", "lib"), named("serde"));
        assert_eq!(done("path+file:///home/me/models/forest#0.1.0", "lib"), named("forest"));
        assert_eq!(done("registry+https://example.org/index#serde@1.0.229", "custom-build"), None);
        for text in ["", "{}", "[]", "{\"reason\":\"build-finished\",\"success\":true}"] {
            assert_eq!(artifact(text), None, "{text}");
        }
    }

    #[test]
    fn time_that_is_left_counts_what_takes_longest_and_not_what_is_there() {
        let mut line = Line { crates: 6, seconds: 5.0 + seconds("cranelift-codegen"), ..Line::default() };
        assert_eq!(line.text(Duration::ZERO), "    asking cargo what to build");
        line.note(Event::Waiting("Downloading 12 crates".to_owned()));
        assert_eq!(line.text(Duration::ZERO), "    Downloading 12 crates");
        line.note(Event::Done { name: "a".to_owned(), fresh: true });
        line.note(Event::Begun("b".to_owned()));
        assert_eq!(line.text(Duration::from_secs(1)), "    [--------------------] 1 of 6 crates: b");
        line.note(Event::Begun("cranelift-codegen".to_owned()));
        for name in ["b", "c", "d", "e"] {
            line.note(Event::Done { name: name.to_owned(), fresh: false });
        }
        // Four of 94 seconds were worked off in eight.
        assert_eq!(
            line.text(Duration::from_secs(8)),
            "    [#-------------------] 5 of 6 crates, about 3 min left: cranelift-codegen"
        );
        line.note(Event::Done { name: "cranelift-codegen".to_owned(), fresh: false });
        assert_eq!(line.text(Duration::from_secs(90)), "    [####################] 6 of 6 crates");
    }
}
