//! The command line.

mod fleet;
mod load;
mod request;
mod show;
mod sizing;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::fleet::{MASTER_PORT, MasterArgs, WorkerArgs};
pub(crate) use self::load::LoadArgs;
pub(crate) use self::request::RequestArgs;
pub(crate) use self::show::ShowArgs;
pub(crate) use self::sizing::{Ask, CapacityArgs, CommonArgs, EngineArg, MatrixArgs, RightsizeArgs, ScalingArgs};

/// Loads functions as their users would, and says honestly what they held.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs on the workers of a fleet; takes all options of a run.
    Master(Box<MasterArgs>),
    /// Is a worker of a fleet: does what its master says, until that ends.
    Worker(WorkerArgs),
    /// Compares runs with the first of them; exit code 1 if one is worse.
    Compare(CompareArgs),
    /// Finds the least CPU, memory and number of instances that keep a promise; see docs/rightsizing.md.
    #[command(after_help = "Example:
  loadgen rightsize penguins --users 10000 --slo 'p95<1s,failures<1%,cpu<90%,ram<90%'")]
    Rightsize(Box<RightsizeArgs>),
    /// Finds the most users, or requests a second, that a size holds.
    Capacity(Box<CapacityArgs>),
    /// Measures how throughput and response times grow with instances, and fits the universal scalability law.
    Scaling(Box<ScalingArgs>),
    /// Tries each of some sizes with each of some loads: the classic table.
    Matrix(Box<MatrixArgs>),
    /// Prints the JSON Schema of what --json writes.
    Schema {
        /// Of rightsize, capacity, scaling and matrix, not of a run.
        #[arg(long)]
        rightsize: bool,
    },
}

/// A run.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// A function's name, or a URL; the scenario's by default.
    pub(crate) target: Option<String>,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Reports that --json has written, the one to compare with first.
    #[arg(required = true, num_args = 2..)]
    files: Vec<PathBuf>,
    /// By how many percent a figure may be worse.
    #[arg(long, default_value_t = 10.0)]
    threshold: f64,
    /// Writes it as Markdown, too.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Writes it as a page with charts, too.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl CompareArgs {
    /// Compares, and says so in the exit code.
    pub(crate) fn compare(&self) -> anyhow::Result<ExitCode> {
        use anyhow::Context as _;
        use loadgen::report::{compare::Comparison, html, json};

        let mut runs = Vec::new();
        for file in &self.files {
            let text = std::fs::read(file).with_context(|| file.display().to_string())?;
            let report = json::read(&text).with_context(|| file.display().to_string())?;
            runs.push((file.display().to_string(), report));
        }
        let comparison = Comparison::of(&runs, self.threshold);
        print!("{}", comparison.text());
        let write = |file: &Option<PathBuf>, text: &dyn Fn() -> String| match file {
            Some(file) => std::fs::write(file, text()).with_context(|| file.display().to_string()),
            None => Ok(()),
        };
        write(&self.markdown, &|| comparison.markdown())?;
        write(&self.html, &|| html::comparison(&runs, &comparison))?;
        Ok(if comparison.has_regression() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
