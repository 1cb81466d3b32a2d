//! How fast and how small a function is, as ratios that are all measured in one run.
//!
//! ```text
//! cargo bench -p drover --bench serve                      everything, about five minutes
//! cargo bench -p drover --bench serve -- throughput batch  some of it
//! cargo bench -p drover --bench serve -- --quick           short rounds: whether it works, no more
//! cargo bench -p drover --bench serve -- --json FILE       the raw figures, too
//! ```
//!
//! It needs Linux, two cores, `taskset`, `wrk` (Debian and Ubuntu: `apt-get install wrk`) and, for
//! `python`, Python 3.11 or later: it makes a virtual environment below `target`. A server has
//! core 0 and its load has core 1. What is compared runs in turns (A B A B A B, each after a
//! warm-up) and the medians count. Measure on a machine that does nothing else: beside every figure
//! stands the load average at its start and, where it is known, how much of a core others took
//! meanwhile; above a few percent, measure again.
//!
//! A target that is missed is printed and does not fail the run; a figure that could not be had does.

mod bare;
mod batch;
mod connections;
mod hold;
mod machine;
mod memory;
mod prepare;
mod report;
mod rounds;
mod server;
mod start;
mod throughput;
mod wire;
mod wrk;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::prepare::Prepared;
use crate::report::Report;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

/// What is measured, by the name on the command line.
const MEASURES: [&str; 6] = ["throughput", "python", "memory", "connections", "start", "batch"];

/// How long and how often.
struct Plan {
    n_rounds: usize,
    warm_up: Duration,
    window: Duration,
    hold: Duration,
    n_starts: usize,
}

impl Plan {
    const FULL: Self = Self {
        n_rounds: 3,
        warm_up: Duration::from_secs(1),
        window: Duration::from_secs(3),
        hold: Duration::from_secs(20),
        n_starts: 15,
    };
    const QUICK: Self = Self {
        n_rounds: 1,
        warm_up: Duration::from_secs(1),
        window: Duration::from_secs(1),
        hold: Duration::from_secs(3),
        n_starts: 3,
    };
}

/// What the command line asks for.
struct Options {
    measures: Vec<&'static str>,
    plan: Plan,
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["--bare"] => block_on(bare::serve()),
        ["--hold", address, n, hold_s, request] => block_on(hold::run(address, n, hold_s, request)),
        words => options(words).and_then(|options| block_on(run(options))),
    };
    match done {
        Ok(code) => code,
        Err(why) => {
            eprintln!("serve: {why}");
            ExitCode::FAILURE
        }
    }
}

fn block_on(future: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

fn options(words: &[&str]) -> Result<Options> {
    let mut options = Options { measures: Vec::new(), plan: Plan::FULL, json: None };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            // Cargo says it to every bench.
            "--bench" => {}
            "--quick" => options.plan = Plan::QUICK,
            "--json" => options.json = Some(words.next().ok_or("--json takes a file")?.into()),
            word => match MEASURES.iter().find(|measure| **measure == word) {
                Some(measure) => options.measures.push(measure),
                None => return Err(format!("no measure `{word}`; there are {}", MEASURES.join(", ")).into()),
            },
        }
    }
    if options.measures.is_empty() {
        options.measures = MEASURES.to_vec();
    }
    Ok(options)
}

/// Measures until all is done or a signal comes; either way every process that was started is ended,
/// since each lives in a value that ends it when dropped.
async fn run(options: Options) -> Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        done = measure(&options) => done,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        _ = terminate.recv() => Err("told to stop".into()),
    }
}

async fn measure(options: &Options) -> Result<ExitCode> {
    let prepared = Prepared::new(options.measures.contains(&"python")).await?;
    machine::move_to_load_core().await?;
    let mut report = Report::new(&prepared);
    for name in &options.measures {
        println!("measuring {name} ...");
        let done = match *name {
            "throughput" => throughput::against_bare(&prepared, &options.plan, &mut report).await,
            "python" => throughput::against_python(&prepared, &options.plan, &mut report).await,
            "memory" => memory::measure(&prepared, &options.plan, &mut report).await,
            "connections" => connections::measure(&prepared, &options.plan, &mut report).await,
            "start" => start::measure(&prepared, &options.plan, &mut report).await,
            _ => batch::measure(&prepared, &options.plan, &mut report).await,
        };
        if let Err(why) = done {
            report.failed(name, &why.to_string());
        }
    }
    report.print();
    if let Some(file) = &options.json {
        std::fs::write(file, report.json()?).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok(if report.complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
