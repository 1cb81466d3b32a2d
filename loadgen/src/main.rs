//! The binary `loadgen`.

mod args;
mod command;
mod size;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::args::{Cli, Command};

/// A request and its answer allocate some twenty times.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("error: {e:#}");
            // As clap says what is wrong with a command line; 1 is for a broken promise.
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    match &cli.command {
        Some(Command::Compare(compare)) => return compare.compare(),
        Some(Command::Schema { rightsize }) => {
            let schema = if *rightsize { loadgen::rightsize::schema() } else { loadgen::report::json::schema() };
            print!("{schema}");
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).without_time();
    // Who comes and goes is what a person at a master wants to see.
    let filter = Targets::new().with_default(LevelFilter::WARN).with_target("loadgen::fleet", LevelFilter::INFO);
    tracing_subscriber::registry().with(filter).with(lines).init();
    // The load has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let done = runtime.block_on(async {
        match &cli.command {
            Some(Command::Master(master)) => command::master(master).await,
            Some(Command::Worker(worker)) => command::worker(worker).await,
            Some(Command::Rightsize(args)) => size::size(&**args).await,
            Some(Command::Capacity(args)) => size::size(&**args).await,
            Some(Command::Scaling(args)) => size::size(&**args).await,
            Some(Command::Matrix(args)) => size::size(&**args).await,
            _ => command::run(&cli.run).await,
        }
    });
    runtime.shutdown_background();
    done
}
