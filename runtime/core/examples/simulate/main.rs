//! What the scaling rule does with recorded load, next to the rule of the stock Nomad Autoscaler.
//!
//! ```text
//! cargo run -p drover-core --example simulate
//! ```
//!
//! draws `docs/scaling-TRACE.svg` and prints the table of `docs/scaling.md`. Nothing in it is random but by a fixed
//! seed, so it prints and draws the same each time.

mod draw;
mod rule;
mod trace;
mod world;

use std::error::Error;
use std::path::Path;

use drover_core::scale::{Bounds, Policy};

use rule::{Metric, Rule, Stock};
use trace::Trace;
use world::Run;

/// Slots of an instance. An invocation takes half a second to one and a half of one of them.
const SLOTS: u32 = 2;
/// What both rules aim at: invocations in flight per instance.
const TARGET: f64 = 1.4;
const BOUNDS: Bounds = Bounds { min: 0, max: 40 };

fn main() -> Result<(), Box<dyn Error>> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    println!("| trace | rule | requests | waited over 1 s | failed after 30 s | p95 wait | instance-hours |");
    println!("|---|---|--:|--:|--:|--:|--:|");
    for trace in Trace::all()? {
        let drover = world::run(&trace, Rule::drover(Policy::default()));
        let stock = world::run(&trace, Rule::Stock(Stock::new(Metric::Average)));
        let newest = world::run(&trace, Rule::Stock(Stock::new(Metric::Newest)));
        print_row(&trace, "Drover", &drover);
        print_row(&trace, "Nomad Autoscaler, average of 1 min", &stock);
        print_row(&trace, "Nomad Autoscaler, newest value", &newest);
        draw::draw(&docs.join(format!("scaling-{}.svg", trace.name)), &trace, &drover, &stock)?;
    }
    Ok(())
}

fn print_row(trace: &Trace, rule: &str, run: &Run) {
    let n = run.waits_ms.len();
    let percent = |part: usize| 100.0 * part as f64 / n as f64;
    let late = run.waits_ms.iter().filter(|&&wait| wait > 1000).count();
    let p95 = run.waits_ms.get(n * 95 / 100).map_or(0.0, |&ms| ms as f64 / 1000.0);
    println!(
        "| {} | {rule} | {n} | {late} ({:.1} %) | {} ({:.1} %) | {p95:.2} s | {:.2} |",
        trace.name,
        percent(late),
        run.n_failed,
        percent(run.n_failed),
        run.instance_ms as f64 / 3_600_000.0,
    );
}
