//! The command line: Spin's own flags, and those that Spin lacks.

use crate::clock::ClockOffset;
use crate::fault::Fault;
use clap::Parser;
use platforms::Platform;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Runs a Spin HTTP application from its spin.toml on machines without Spin.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// The application's manifest.
    #[arg(short, long = "from", default_value = "spin.toml")]
    pub(crate) from: PathBuf,
    /// Address to listen on; port 0 takes a free one, which is printed.
    #[arg(long, default_value = "127.0.0.1:3000")]
    pub(crate) listen: SocketAddr,
    /// Ends a request that takes longer, with status 500. Without it the limit is 60 s.
    #[arg(long, value_parser = duration)]
    pub(crate) request_timeout: Option<Duration>,
    /// Maximum number of requests that one instance serves before it is dropped.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) max_instance_reuse_count: u16,
    /// Maximum number of requests that one instance serves at a time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) max_instance_concurrent_reuse_count: u16,
    /// Time for which an idle instance is kept.
    #[arg(long, default_value = "1s", value_parser = duration)]
    pub(crate) idle_instance_timeout: Duration,
    /// File that configures the key-value stores.
    #[arg(long)]
    pub(crate) runtime_config_file: Option<PathBuf>,
    /// Folder of the SQLite store. [default: .spin beside the manifest]
    #[arg(long)]
    pub(crate) state_dir: Option<PathBuf>,
    /// Folder of compiled components, for hosts with different stores to share. [default: in the state folder]
    #[arg(long)]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Sets an application variable: name=value. Overrides SPIN_VARIABLE_<NAME> in the environment.
    #[arg(long = "variable", value_parser = key_value)]
    pub(crate) variables: Vec<(String, String)>,
    /// Keeps the component's own output to itself.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Offers wasi:otel, and sends what the component exports to this collector (OTLP over HTTP, in JSON):
    /// http://127.0.0.1:4318
    #[arg(long)]
    pub(crate) otlp_endpoint: Option<String>,
    /// Is no faster than Spin: TCP_NODELAY is off, and each operation of a store in SQLite is a transaction of its own,
    /// without a write-ahead log, for which it waits as Spin does.
    #[arg(long)]
    pub(crate) like_spin: bool,
    /// Offers a component what this platform does and no more, within its limits: spin-3.1, spin-3.6, spin-4.0,
    /// spin-4.1, fermyon-cloud or akamai-functions, or @FILE to read one in the form of docs/platforms.toml. Without it
    /// every interface is offered, without limits.
    #[arg(long, value_parser = Platform::named)]
    pub(crate) platform: Option<Platform>,
    /// Ends the guest of a WASI 0.2 component as soon as its response has been sent.
    #[arg(long)]
    pub(crate) end_with_response: bool,
    /// Appends a JSON line for each request to a WASI 0.2 component, with the number of host calls of its guest.
    #[arg(long)]
    pub(crate) calls_file: Option<PathBuf>,
    /// Makes this host a region of its own: what others write to the same SQLite store is seen after this time.
    #[arg(long, value_parser = duration)]
    pub(crate) replica_lag: Option<Duration>,
    /// Makes every key-value store and outbound Redis fail: errors, slow=200ms, loses-writes, traps=50 (every 50th read
    /// ends the instance that reads), or @FILE to read one of these (or nothing) from a file at each operation.
    #[arg(long, value_parser = Fault::parse)]
    pub(crate) store_fault: Option<Fault>,
    /// Sets the component's wall clock ahead of the machine's by so many seconds, or behind it with a minus:
    /// --clock-offset=-3600, or @FILE to read the number (or nothing) from a file whenever the time is asked for.
    #[arg(long, value_parser = ClockOffset::parse, allow_hyphen_values = true)]
    pub(crate) clock_offset: Option<ClockOffset>,
}

/// Parses a number of seconds, or a number with ms, s or m behind it.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        _ => return Err(format!("{text:?}: the unit is one of ms, s and m")),
    };
    let number: f64 = number.parse().map_err(|_| format!("{text:?} is not a duration such as 500ms or 30s"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| format!("{text:?}: {error}"))
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not name=value"))?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_and_without_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1h"), Err("\"1h\": the unit is one of ms, s and m".to_owned()));
        assert_eq!(duration("s"), Err("\"s\" is not a duration such as 500ms or 30s".to_owned()));
    }
}
