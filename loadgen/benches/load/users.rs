//! Ten thousand users, each on a connection of its own, each once a second.

use drover_testkit::bench::report::{Report, Row, Target};
use drover_testkit::bench::server::Server;
use drover_testkit::bench::{Plan, Result, machine};

use crate::generator::{Kind, load};

const USERS: u32 = 10_000;

pub(crate) async fn measure(plan: &Plan, report: &mut Report) -> Result<()> {
    let load_average = machine::load_average();
    let server = Server::bare(machine::SERVER_CORE).await?;
    let window = load(&server, Kind::Paced(USERS), plan.hold).await?;
    report.raw("users", &window)?;
    let said = &window.said;
    // A core that others have, or that a hypervisor takes, is the reason of what is late on a machine that is not idle.
    let absolute = format!(
        "p50 {:.2}, p99 {:.2} ms, {} failures; in the worst second {:.0} ms without a core, {:.0} ms stolen",
        said.p50_ms, said.p99_ms, said.failures, said.waited_ms, said.stolen_ms
    );
    let mut row = |what: &str, value: f64, unit: &'static str, target: Target| {
        report.add(Row {
            measure: "users",
            what: what.to_owned(),
            value,
            unit,
            target,
            absolute: absolute.clone(),
            load_average,
            others: Some(window.busy.others),
        });
    };
    let off = 100.0 * (said.per_second / f64::from(USERS) - 1.0).abs();
    row("10,000 users once a second: rate off by", off, "%", Target::AtMost(1.0));
    row("CPU of a core", said.cpu_percent, "%", Target::AtMost(25.0));
    row("memory", said.memory_bytes as f64 / 1e6, " MB", Target::AtMost(100.0));
    row("sent late", said.late as f64, "", Target::AtMost(0.0));
    Ok(())
}
