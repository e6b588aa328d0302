//! `cargo xtask`: every developer habit is one command.

mod audit;
mod bench;
mod build;
mod doctor;
mod drive;
mod load;
mod longer;
mod model;
mod npm;
mod plot;
mod python;
mod server;
mod simulate;
mod step;
mod test;
mod toolchain;
mod train;
mod up;
mod watch;

use anyhow::{Result, bail};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <command>

  up [-- FLAGS]   build and serve on http://127.0.0.1:3000, on Spin 4.1 or later if `spin` is on the path, else on
                  the project's own host; FLAGS are Spin's (--listen, --request-timeout, --variable, ...); with
                  --supabase-demo first, from a PostgreSQL with the demo people in it, as a Supabase project would have
  watch [-- FLAGS]  the same, built and served anew whenever a source, a model or the manifest is changed
  doctor          say what is here, what is missing, and what for; installs nothing
  test            set up what is missing and run every check and test
  build           build the Wasm module, as `spin build` does; with --otel also one for a Spin that offers wasi:otel
  train           train the shipped models and write them to models/ (same sources, same bytes)
  new-model FILE  add a model and build the module with it: cargo xtask new-model low_energy.txt
  model ...       add, inspect, verify or remove a model: cargo xtask model help
  load            run the k6 scripts of tests/load; --on own (the default), spin, or running with BASE_URL (k6 or Python 3)
  bench forest    time the forest beside LightGBM, XGBoost, gbdt and lleaves (Python 3 is needed)
  bench serve     time answers beside a hello-world, a native server and the old stack (Python 3 and Redis are needed)
  bench start     time first answers, of a server and of an instance, and count answers that stall, beside the same
  bench curves    plot how an answer's time grows with trees, rows, check-ins, connections and entries (Python 3 is needed)
  bench inference time the Open Inference Protocol beside MLServer (Python 3 is needed)
  bench limit     time a cached answer with and without counting its caller
  bench log       time a cached answer with and without its line in the log
  soak [SECONDS]  mixed traffic while everything around the service fails, for ten minutes or as long as is said
  contract [EXAMPLES]  ask what /openapi.json allows and what it does not, with schemathesis, 500 examples of each or as many as is said
  simulate        what the cache is worth, and what the database is asked, by how people check in and look in
  audit           check licences, bans, sources and, where their database can be reached, advisories

Each installs what it needs, says what it does, and does nothing twice.";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // Cargo runs us from wherever the developer stands.
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))?;
    let (command, rest) = args.split_first().map_or(("help", args.as_slice()), |(first, rest)| (first.as_str(), rest));
    let rest = rest.strip_prefix(&["--".to_owned()]).unwrap_or(rest);
    if !["up", "watch", "model", "new-model", "build", "bench", "load", "soak", "contract"].contains(&command)
        && !rest.is_empty()
    {
        bail!("`cargo xtask {command}` takes no arguments; it was given {rest:?}");
    }
    match command {
        "up" => up::run(rest)?,
        "watch" => watch::run(rest)?,
        "doctor" => doctor::run()?,
        "test" => test::run()?,
        "build" => build::run(rest)?,
        "train" => train::run()?,
        "model" => return model::run(rest),
        "new-model" => return model::add_and_build(rest),
        "load" => load::run(rest)?,
        "bench" => bench::run(rest)?,
        "soak" => longer::soak(rest)?,
        "contract" => longer::contract(rest)?,
        "simulate" => simulate::run()?,
        "audit" => audit::run()?,
        "help" | "--help" | "-h" => println!("{HELP}"),
        other => bail!("there is no command {other:?}\n\n{HELP}"),
    }
    Ok(ExitCode::SUCCESS)
}
