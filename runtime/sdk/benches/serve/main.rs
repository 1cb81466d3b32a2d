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

mod batch;
mod connections;
mod cost;
mod memory;
mod prepare;
mod server;
mod start;
mod throughput;

use std::process::ExitCode;

use drover_testkit::bench::report::Report;
use drover_testkit::bench::{self, Options, Result, machine};

use crate::prepare::Prepared;

/// A process that only loads has the allocator of functions, too.
use drover as _;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    if let [_, start::ONLY_LOAD, library, model] = words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        return start::load_only(library, model).unwrap_or_else(|why| {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        });
    }
    bench::main(&["throughput", "python", "memory", "connections", "start", "batch", "cost"], measure)
}

async fn measure(options: &Options) -> Result<Report> {
    let prepared = Prepared::new(options.measures.contains(&"python")).await?;
    machine::move_to_load_core().await?;
    let mut report = prepared.report().await?;
    for name in &options.measures {
        println!("measuring {name} ...");
        let done = match *name {
            "throughput" => throughput::against_bare(&prepared, &options.plan, &mut report).await,
            "python" => throughput::against_python(&prepared, &options.plan, &mut report).await,
            "memory" => memory::measure(&prepared, &options.plan, &mut report).await,
            "connections" => connections::measure(&prepared, &options.plan, &mut report).await,
            "cost" => cost::measure(&prepared, &options.plan, &mut report).await,
            "start" => start::measure(&prepared, &options.plan, &mut report).await,
            _ => batch::measure(&prepared, &options.plan, &mut report).await,
        };
        if let Err(why) = done {
            report.failed(name, &why.to_string());
        }
    }
    Ok(report)
}
