//! Ten thousand clients that each ask once a second.

use std::process::Stdio;
use std::time::Instant;

use procfs::process::{LimitValue, Process};
use tokio::process::Command;

use crate::hold::Held;
use crate::machine::{CpuClock, LOAD_CORE, load_average, resident_max};
use crate::prepare::Prepared;
use crate::report::{Report, Row, Target, per_second};
use crate::server::Server;
use crate::{Plan, Result};

/// Clients, each with its own connection.
const CLIENTS: u64 = 10_000;
/// Descriptors that either end needs, with some to spare.
const DESCRIPTORS: u64 = CLIENTS + 200;

/// What penguins takes for them, and how fast it answers.
pub(crate) async fn measure(prepared: &Prepared, plan: &Plan, report: &mut Report) -> Result<()> {
    let penguins = prepared.function("penguins")?;
    let load_average = load_average();
    let server = Server::function(penguins, &[]).await?;
    // The load has the same limit: both are raised the same way.
    if let LimitValue::Value(limit) = Process::new(i32::try_from(server.id)?)?.limits()?.max_open_files.soft_limit
        && limit < DESCRIPTORS
    {
        let least = DESCRIPTORS;
        return Err(format!("a process may open {limit} files, {least} are needed: raise `ulimit -n`").into());
    }
    let before = resident_max(server.id)?;
    let (clock, started) = (CpuClock::start(server.id)?, Instant::now());
    let held = hold(&server, &penguins.row, plan).await?;
    let busy = clock.stop(started.elapsed())?;
    let bytes = resident_max(server.id)?;
    report
        .raw("connections", &serde_json::json!({"held": held, "busy": busy, "bytes": bytes, "bytes_before": before}))?;

    let mut add = |what: &str, value: f64, unit, target, absolute: String| {
        let what = format!("penguins, 10,000 at 1/s each: {what}");
        let others = Some(busy.others);
        report.add(Row { measure: "connections", what, value, unit, target, absolute, load_average, others });
    };
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let each = bytes.saturating_sub(before) as f64 / CLIENTS as f64 / 1024.0;
    let memory = format!("{:.0} MiB before, {each:.1} KiB a connection", mib(before));
    add("most resident", mib(bytes), " MiB", Target::AtMost(256.0), memory.clone());
    add("the same, stretch", mib(bytes), " MiB", Target::AtMost(160.0), memory);
    let n_failures: usize = held.failures.values().sum();
    let mut answers = format!("{} answered", per_second(held.per_second));
    held.failures.iter().for_each(|(what, n)| answers += &format!(", {n} x {what}"));
    add("failures", n_failures as f64, "", Target::AtMost(0.0), answers);
    let cpu =
        format!("p50 {:.2}, p99 {:.1}; server {:.0}% busy", held.sent_ms.p50, held.sent_ms.p99, busy.server * 100.0);
    add("p95 from sent", held.sent_ms.p95, " ms", Target::None, cpu);
    let due = format!("p50 {:.2}, p99 {:.1}", held.due_ms.p50, held.due_ms.p99);
    add("p95 from due", held.due_ms.p95, " ms", Target::None, due);
    Ok(())
}

/// Has the bench itself, on the core of the load, hold the connections.
async fn hold(server: &Server, row: &str, plan: &Plan) -> Result<Held> {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 12000 2>/dev/null; exec taskset -c \"$0\" \"$@\"", LOAD_CORE]);
    command.arg(std::env::current_exe()?).args(["--hold", &server.address, &CLIENTS.to_string()]);
    command.arg(plan.hold.as_secs().to_string()).arg(row);
    command.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = command.output().await?;
    if !output.status.success() {
        return Err(format!("the clients failed: {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
