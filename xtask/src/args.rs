//! The commands and their arguments.

use crate::load::Target;
use clap::{Parser, Subcommand, ValueEnum, value_parser};
use std::ffi::OsString;
use std::path::PathBuf;
use xtask::benchmark::Benchmark;

/// Builds, serves, tests and measures the service. Each command installs what it needs, says what it does, and does
/// nothing twice.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The host of a soak test.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum SoakHost {
    EdgeHost,
    Spin,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Builds the service and serves it on http://127.0.0.1:3000, or where `-- --listen` says.
    ///
    /// It is served by Spin 3.4 or later if `spin` is on the path, otherwise by the project's own host.
    Up {
        /// Reads check-ins from a PostgreSQL with the demo people in it, as from a Supabase project.
        #[arg(long)]
        supabase_demo: bool,
        /// Flags for the server, which are Spin's: --listen, --request-timeout, --variable and others.
        #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
        flags: Vec<OsString>,
    },
    /// Says what to try of the server that started this program, once it answers.
    #[cfg(unix)]
    #[command(hide = true)]
    Announce {
        /// Where the server listens.
        address: String,
        /// The id of its process.
        server: u32,
    },
    /// Serves like `up`, and builds and serves anew whenever a source, a model or the manifest changes.
    Watch {
        /// Flags for the server, which are Spin's: --listen, --request-timeout, --variable and others.
        #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
        flags: Vec<OsString>,
    },
    /// Lists the programs that are installed, those that are missing, and what needs them. Installs nothing.
    Doctor,
    /// Installs what is missing and runs every check and test.
    Test,
    /// Builds the Wasm modules, as `spin build` does, and says on which platforms each runs.
    Build {
        /// Builds also a module for a Spin that offers wasi:otel.
        #[arg(long)]
        otel: bool,
        /// Builds only the module that this manifest names.
        #[arg(long, value_name = "MANIFEST", conflicts_with = "otel")]
        from: Option<PathBuf>,
    },
    /// Trains the shipped models and writes them to models/. The same sources give the same bytes.
    Train,
    /// Adds a model and builds the module with it: cargo xtask new-model low_energy.txt
    #[command(disable_help_flag = true)]
    NewModel {
        /// The model's file and the options of `cargo xtask model add`.
        #[arg(required = true, value_name = "FILE", allow_hyphen_values = true, trailing_var_arg = true)]
        args: Vec<OsString>,
    },
    /// Adds, inspects, verifies or removes a model: cargo xtask model help
    #[command(disable_help_flag = true)]
    Model {
        /// A command of the model tools and its arguments.
        #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
        args: Vec<OsString>,
    },
    /// Runs the k6 scripts of tests/load (needs k6 or Python 3).
    Load {
        /// The service to load.
        #[arg(long, value_enum, default_value_t)]
        on: Target,
    },
    /// Runs a benchmark: cargo xtask bench --help lists them.
    Bench {
        #[command(subcommand)]
        benchmark: Benchmark,
    },
    /// Sends mixed traffic while everything around the service fails.
    ///
    /// It has five parts, one after the other: faults of the store and the database, Redis in trouble, two regions, a
    /// clock that is set, and many people whose store stays small. On Spin it has the first two.
    Soak {
        /// How long each part takes, without its starts and ends.
        #[arg(default_value_t = 600, value_parser = value_parser!(u32).range(20..))]
        seconds: u32,
        /// Has the host be as strict as a platform: fermyon-cloud, akamai-functions or a Spin, as spin-3.6.
        #[arg(long)]
        platform: Option<String>,
        /// The host: the project's own, or the `spin` on the path, without the faults that only the former has.
        #[arg(long, value_enum, default_value_t = SoakHost::EdgeHost, conflicts_with = "platform")]
        on: SoakHost,
    },
    /// Sends requests that /openapi.json allows, and others that it forbids, with schemathesis.
    Contract {
        /// The number of examples of each operation.
        #[arg(default_value_t = 500, value_parser = value_parser!(u32).range(1..))]
        examples: u32,
    },
    /// Runs every fuzz target in turn, and keeps what reaches the most code as the corpus.
    Fuzz {
        /// How long in all.
        #[arg(value_parser = parse_hours)]
        hours: f64,
        /// One target for all of that time.
        #[arg(long)]
        target: Option<String>,
    },
    /// Simulates how often the cache answers, how many slots it takes, and how often the database is queried.
    Simulate,
    /// Checks licences, bans, sources and, if their database can be reached, advisories.
    Audit,
    /// Checks the public interface of the library `forest` against that of its last release, with cargo-semver-checks.
    Semver {
        /// The commit or tag to compare with.
        #[arg(value_name = "REV")]
        revision: Option<String>,
    },
}

/// Parses a time in hours: more than none, and at most a week.
fn parse_hours(text: &str) -> Result<f64, String> {
    let hours = text.parse().ok().filter(|hours| (0.001..=168.0).contains(hours));
    hours.ok_or_else(|| "must be a number of hours from 0.001 to 168".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test ends there")]

    use super::Args;
    use clap::{CommandFactory, Parser, error::ErrorKind};
    use std::path::Path;

    /// Returns the commands on a page: lines of its blocks for a console, and code within sentences.
    fn commands(page: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut is_console = false;
        for line in page.lines() {
            if let Some(language) = line.trim_start().strip_prefix("```") {
                is_console = language == "console";
            } else if is_console {
                let line = line.trim_start().trim_start_matches("$ ");
                // A comment, and where the output goes, are the shell's.
                let line =
                    [" #", " >", " &&", " |"].iter().fold(line, |line, end| line.split(end).next().unwrap_or(line));
                found.extend(line.starts_with("cargo xtask").then(|| line.trim().to_owned()));
            } else {
                let code = line.split('`').skip(1).step_by(2);
                found.extend(code.filter(|code| code.starts_with("cargo xtask")).map(str::to_owned));
            }
        }
        found
    }

    /// A sentence may name a command without what it must be given.
    fn is_named_only(error: ErrorKind) -> bool {
        matches!(
            error,
            ErrorKind::DisplayHelp
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                | ErrorKind::MissingRequiredArgument
        )
    }

    #[test]
    fn commands_on_pages_are_those_that_there_are() {
        Args::command().debug_assert();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut count = 0;
        for folder in [root.clone(), root.join("docs")] {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let file = entry.expect("a file").path();
                if file.extension().is_none_or(|ending| ending != "md") {
                    continue;
                }
                for command in commands(&std::fs::read_to_string(&file).expect("text")) {
                    count += 1;
                    let parsed = Args::try_parse_from(command.split_whitespace().skip(1));
                    let error = parsed.err().filter(|error| !is_named_only(error.kind()));
                    assert!(error.is_none(), "{}: {command}: {}", file.display(), error.expect("one"));
                }
            }
        }
        assert!(count > 60, "{count} commands");
    }
}
