//! Ten thousand clients that each ask once a second.

use drover_testkit::bench::hold::{self, Clients, Steady};
use drover_testkit::bench::machine::{load_average, resident_max};
use drover_testkit::bench::report::{Report, Row, Target, per_second};
use drover_testkit::bench::wire::predict;
use drover_testkit::bench::{Plan, Result};

use crate::prepare::Prepared;
use crate::server;

const CLIENTS: Clients = Clients { n: 10_000, per_second: 10_000 };

/// What penguins takes for them, and how fast it answers.
pub(crate) async fn measure(prepared: &Prepared, plan: &Plan, report: &mut Report) -> Result<()> {
    let penguins = prepared.function("penguins")?;
    let load_average = load_average();
    let server = server::function(penguins, &[]).await?;
    let before = resident_max(server.id)?;
    let steady = hold::load(&server, CLIENTS, &predict(&penguins.row), plan.hold).await?;
    let bytes = resident_max(server.id)?;
    report.raw("connections", &serde_json::json!({"steady": steady, "bytes": bytes, "bytes_before": before}))?;
    let Steady { held, busy } = steady;

    let mut add = |what: &str, value: f64, unit, target, absolute: String| {
        let what = format!("penguins, 10,000 at 1/s each: {what}");
        let others = Some(busy.others);
        report.add(Row { measure: "connections", what, value, unit, target, absolute, load_average, others });
    };
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let each = bytes.saturating_sub(before) as f64 / f64::from(CLIENTS.n) / 1024.0;
    let memory = format!("{:.0} MiB before, {each:.1} KiB a connection", mib(before));
    add("most resident", mib(bytes), " MiB", Target::AtMost(256.0), memory.clone());
    add("the same, stretch", mib(bytes), " MiB", Target::AtMost(160.0), memory);
    let mut answers = format!("{} answered", per_second(held.per_second));
    held.failures.iter().for_each(|(what, n)| answers += &format!(", {n} x {what}"));
    add("failures", held.n_failures() as f64, "", Target::AtMost(0.0), answers);
    let cpu =
        format!("p50 {:.2}, p99 {:.1}; server {:.0}% busy", held.sent_ms.p50, held.sent_ms.p99, busy.server * 100.0);
    add("p95 from sent", held.sent_ms.p95, " ms", Target::None, cpu);
    let due = format!("p50 {:.2}, p99 {:.1}", held.due_ms.p50, held.due_ms.p99);
    add("p95 from due", held.due_ms.p95, " ms", Target::None, due);
    Ok(())
}
