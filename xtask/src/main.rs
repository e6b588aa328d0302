//! `cargo xtask`: every developer task is one command.

mod args;
mod audit;
mod doctor;
mod documentation;
mod fuzz;
mod load;
mod long_tests;
mod model;
mod npm;
mod run_bench;
mod semver;
mod test;
mod train;
mod up;
mod watch;

use anyhow::Result;
use args::{Args, Command};
use clap::{CommandFactory, Parser};
use std::process::ExitCode;
use xtask::{build, programs, progress, python, spin, step, toolchain};

fn main() -> ExitCode {
    xtask::exit_code(run())
}

fn run() -> Result<ExitCode> {
    if let Some(ended) = documentation::in_place_of_rustdoc() {
        return ended;
    }
    let Some(command) = Args::parse().command else {
        Args::command().print_help()?;
        return Ok(ExitCode::SUCCESS);
    };
    xtask::enter_repository()?;
    match command {
        Command::Up { supabase_demo, flags } => up::run(supabase_demo, &flags)?,
        #[cfg(unix)]
        Command::Announce { address, server } => up::announce(&address, server),
        Command::Watch { flags } => watch::run(&flags)?,
        Command::Doctor => doctor::run()?,
        Command::Test => test::run()?,
        Command::Build { from: Some(manifest), .. } => build::module_from(&manifest)?,
        Command::Build { otel, from: None } => build::run(otel)?,
        Command::Train => train::run()?,
        Command::NewModel { args } => return model::add_and_build(&args),
        Command::Model { args } => return model::run(&args),
        Command::Load { on } => load::run(on)?,
        // Clap has read them, and the other program reads them again.
        Command::Bench { .. } => run_bench::run(&std::env::args_os().skip(2).collect::<Vec<_>>())?,
        Command::Soak { seconds, platform, on } => long_tests::soak(seconds, platform.as_deref(), on)?,
        Command::Contract { examples } => long_tests::contract(examples)?,
        Command::Fuzz { hours, target } => fuzz::run(hours, target.as_deref())?,
        Command::Simulate => run_bench::run(&["simulate".into()])?,
        Command::Audit => audit::run()?,
        Command::Semver { revision } => semver::run(revision)?,
    }
    Ok(ExitCode::SUCCESS)
}
