//! The command `drover`: runs functions on this machine and talks to what runs.

mod args;
mod client;
mod control;
mod doctor;
mod feedback;
mod gateway;
mod key;
mod new;
mod signals;
mod table;
mod up;

use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use drover_telemetry::Gelf;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use args::{Cli, Command, KeyCommand};

fn main() -> ExitCode {
    let cli = Cli::parse_from(args::with_long_flags(std::env::args_os()));
    match run(cli) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("drover: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    // Before anything that makes threads: this process becomes the task.
    if let Command::Launch(launch) = cli.command {
        return Err(launch.into_launch().exec()).context("cannot launch");
    }
    let filter: Targets = match std::env::var("DROVER_LOG") {
        Ok(text) => text.parse().context("DROVER_LOG is not a filter such as `info` or `drover_engine=debug,warn`")?,
        Err(_) => Targets::new().with_default(LevelFilter::WARN),
    };
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(colours);
    let gelf = graylog(&cli.command)?;
    tracing_subscriber::registry().with(filter).with(lines.without_time()).with(gelf).init();
    // What speaks HTTP here may speak TLS, and chooses no library for it by itself.
    let _chosen_before = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start")?;
    let done = runtime.block_on(async {
        let place = cli.place;
        let done = match cli.command {
            Command::Up(up) => up::up(up, &place).await,
            Command::Gateway(gateway) => gateway::gateway(&gateway).await,
            Command::Feedback(args) => feedback::feedback(&args).await,
            Command::Key(KeyCommand::New { name, functions }) => key::new(&name, &functions),
            Command::Status { json } => control::status(&place, json).await,
            Command::Scale { name, count } => control::scale(&place, &name, count).await,
            Command::Resize { name, cpu, memory, replace } => {
                control::resize(&place, &name, cpu, memory, replace).await
            }
            Command::Logs { name, follow, tail, json } => control::logs(&place, &name, follow, tail, json).await,
            Command::Invoke { name, body } => control::invoke(&place, &name, &body).await,
            Command::Stop { name } => control::stop(&place, name.as_deref()).await,
            Command::Doctor { json } => doctor::doctor(&place, json).await,
            Command::New { name } => new::new(&name),
            Command::Completions { shell } => {
                clap_complete::generate(shell, &mut Cli::command(), "drover", &mut std::io::stdout());
                Ok(ExitCode::SUCCESS)
            }
            Command::Launch(_) => Ok(ExitCode::FAILURE),
        };
        drover_telemetry::finish().await;
        done
    });
    drover_telemetry::flush();
    // A read of the terminal's input or the like must not hold the exit back.
    runtime.shutdown_background();
    done
}

/// Returns what sends the log of a gateway to `DROVER_GELF` too, if it is set.
fn graylog(command: &Command) -> anyhow::Result<Option<Gelf>> {
    let setting = match command {
        Command::Gateway(_) | Command::Up(_) => std::env::var("DROVER_GELF"),
        _ => return Ok(None),
    };
    // Job files set it to nothing where none is wanted.
    let Some(server) = setting.ok().filter(|server| !server.is_empty()) else { return Ok(None) };
    let server = server.parse().map_err(anyhow::Error::msg).context("DROVER_GELF")?;
    Ok(Some(Gelf::start(server, &[("service", "drover-gateway")])?))
}
