//! How fast and how small the gateway is beside nginx and haproxy, as ratios that are all measured in
//! one run.
//!
//! ```text
//! cargo bench -p drover-gateway --bench proxy                  everything, about five minutes
//! cargo bench -p drover-gateway --bench proxy -- throughput    some of it
//! cargo bench -p drover-gateway --bench proxy -- --quick       short rounds: whether it works, no more
//! cargo bench -p drover-gateway --bench proxy -- --json FILE   the raw figures, too
//! ```
//!
//! It needs Linux, two cores, `taskset`, `nginx`, `haproxy` and `wrk` (Debian and Ubuntu: `apt-get
//! install nginx haproxy wrk`; the services that this starts are not needed). Each proxy has one
//! worker on core 0, and keeps its connections to the backend, which is hyper alone on core 1 beside
//! the load; `direct` is the backend without a proxy. What is compared runs in turns (A B C A B C,
//! each after a warm-up) and the medians count. Core 1 is nearly full while `throughput` is measured,
//! so the CPU time of a request says more than the requests a second. Measure on a machine that does
//! nothing else: beside every figure stands the load average at its start and how much of a core
//! others took meanwhile; above a few percent, measure again.
//!
//! A target that is missed is printed and does not fail the run; a figure that could not be had does.

mod connections;
mod latency;
mod proxy;
mod throughput;

use std::process::ExitCode;

use drover_testkit::bench::report::Report;
use drover_testkit::bench::{self, Options, Result, machine, revision};

use crate::proxy::Tools;

/// Every request; the gateway has its functions there, and the others have to read as much.
const PATH: &str = "/functions/ok/x";
/// Clients of the measures that are about speed.
const CONNECTIONS: u16 = 64;

fn main() -> ExitCode {
    bench::main(&["throughput", "latency", "connections"], measure)
}

async fn measure(options: &Options) -> Result<Report> {
    let tools = Tools::find().await?;
    machine::move_to_load_core().await?;
    let mut report = Report::new(revision().await?);
    report.raw("versions", &tools.versions)?;
    for name in &options.measures {
        println!("measuring {name} ...");
        let done = match *name {
            "throughput" => throughput::measure(&tools, &options.plan, &mut report).await,
            "latency" => latency::measure(&tools, &options.plan, &mut report).await,
            _ => connections::measure(&tools, &options.plan, &mut report).await,
        };
        if let Err(why) = done {
            report.failed(name, &why.to_string());
        }
    }
    Ok(report)
}
