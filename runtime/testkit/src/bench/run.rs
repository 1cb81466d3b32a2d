//! A bench from its command line to its exit code.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::report::Report;
use super::{Result, bare, hold};

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Windows of each that is compared.
    pub n_rounds: usize,
    /// Load before each window that does not count, in whole seconds.
    pub warm_up: Duration,
    /// One window, in whole seconds.
    pub window: Duration,
    /// How long many connections are held, in whole seconds.
    pub hold: Duration,
    /// Starts of each process whose start is measured.
    pub n_starts: usize,
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

/// What the command line asks for: the names of measures (all, if there are none), `--quick` and
/// `--json FILE`.
#[derive(Debug)]
pub struct Options {
    /// What is to be measured.
    pub measures: Vec<&'static str>,
    /// How long and how often.
    pub plan: Plan,
    json: Option<PathBuf>,
}

/// Measures what the command line asks for out of `measures`, until all is done or a signal comes, and
/// prints the report. Either way every process that was started is ended, since each lives in a value
/// that ends it when dropped.
///
/// A bench starts its own binary as the yardstick and as clients too: that is done here.
pub fn main(measures: &[&'static str], measure: impl AsyncFnOnce(&Options) -> Result<Report>) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["--bare"] => block_on(bare::serve()),
        ["--hold", words @ ..] => block_on(hold::run(words)),
        words => Options::read(words, measures).and_then(|options| block_on(run(options, measure))),
    };
    match done {
        Ok(code) => code,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn block_on(future: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

async fn run(options: Options, measure: impl AsyncFnOnce(&Options) -> Result<Report>) -> Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let report = tokio::select! {
        done = measure(&options) => done?,
        _ = tokio::signal::ctrl_c() => return Err("interrupted".into()),
        _ = terminate.recv() => return Err("told to stop".into()),
    };
    report.print();
    if let Some(file) = &options.json {
        std::fs::write(file, report.json()?).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok(if report.complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Options {
    fn read(words: &[&str], measures: &[&'static str]) -> Result<Self> {
        let mut options = Self { measures: Vec::new(), plan: Plan::FULL, json: None };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                // Cargo says it to every bench.
                "--bench" => {}
                "--quick" => options.plan = Plan::QUICK,
                "--json" => options.json = Some(words.next().ok_or("--json takes a file")?.into()),
                word => match measures.iter().find(|measure| **measure == word) {
                    Some(measure) => options.measures.push(measure),
                    None => return Err(format!("no measure `{word}`; there are {}", measures.join(", ")).into()),
                },
            }
        }
        if options.measures.is_empty() {
            options.measures = measures.to_vec();
        }
        Ok(options)
    }
}
