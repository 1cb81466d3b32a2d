//! How fast and how honest loadgen is, as ratios and errors that are all measured in one run.
//!
//! ```text
//! cargo bench -p loadgen --bench load                  everything, about five minutes
//! cargo bench -p loadgen --bench load -- speed         some of it: speed, peers, users, stall
//! cargo bench -p loadgen --bench load -- --quick       short rounds: whether it works, no more
//! cargo bench -p loadgen --bench load -- --json FILE   the raw figures, too
//! ```
//!
//! It needs Linux, two cores, `taskset` and `wrk`; what `peers` needs, it says. The server is hyper alone on core 0, and the generator has
//! core 1. What is compared runs in turns and the medians count. Measure on a machine that does nothing else: beside
//! every figure stands the load average at its start and how much of a core others took meanwhile; the CPU time
//! of a request says more than the requests a second on a machine that is not idle.
//!
//! A target that is missed is printed and does not fail the run; a figure that could not be had does.

mod generator;
mod peers;
mod speed;
mod stall;
mod users;

use std::process::ExitCode;

use drover_testkit::bench::report::Report;
use drover_testkit::bench::{self, Options, Result, machine, revision, wrk};

fn main() -> ExitCode {
    // This binary is the server that stalls, too, as a process of its own.
    if std::env::args().nth(1).as_deref() != Some("--stalling") {
        return bench::main(&["speed", "peers", "users", "stall"], measure);
    }
    match stall::serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: &Options) -> Result<Report> {
    wrk::find().await?;
    machine::move_to_load_core().await?;
    let mut report = Report::new(revision().await?);
    for name in &options.measures {
        println!("measuring {name} ...");
        let done = match *name {
            "speed" => speed::measure(&options.plan, &mut report).await,
            "peers" => peers::measure(&options.plan, &mut report).await,
            "users" => users::measure(&options.plan, &mut report).await,
            _ => stall::measure(&mut report).await,
        };
        if let Err(why) = done {
            report.failed(name, &why.to_string());
        }
    }
    Ok(report)
}
