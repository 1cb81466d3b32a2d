//! What ten thousand clients take that each ask once a second.

use drover_testkit::bench::hold::{self, Clients};
use drover_testkit::bench::machine::{LOAD_CORE, load_average, resident_max};
use drover_testkit::bench::report::{Report, Row, Target, per_second};
use drover_testkit::bench::rounds::Measured as _;
use drover_testkit::bench::server::Server;
use drover_testkit::bench::{Plan, Result, wire};
use serde_json::json;

use crate::PATH;
use crate::proxy::{Proxy, Tools};

const CLIENTS: Clients = Clients { n: 10_000, per_second: 10_000 };

pub(crate) async fn measure(tools: &Tools, plan: &Plan, report: &mut Report) -> Result<()> {
    let backend = Server::bare(LOAD_CORE).await?;
    for proxy in Proxy::ALL {
        if let Err(why) = through(proxy, tools, &backend, plan, report).await {
            report.failed(proxy.name(), &why.to_string());
        }
    }
    Ok(())
}

async fn through(proxy: Proxy, tools: &Tools, backend: &Server, plan: &Plan, report: &mut Report) -> Result<()> {
    let load_average = load_average();
    let name = proxy.name();
    let server = proxy.start(tools, backend).await?;
    let before = resident_max(server.id)?;
    let steady = hold::load(&server, CLIENTS, &wire::get(PATH), plan.hold).await?;
    let bytes = resident_max(server.id)?;
    println!("  {name:<28} {}", steady.shown());
    report.raw(&format!("connections_{name}"), &json!({"steady": steady, "bytes": bytes, "bytes_before": before}))?;

    let (held, busy) = (steady.held, steady.busy);
    let (memory, failures) = match proxy {
        Proxy::Gateway => (Target::AtMost(200.0), Target::AtMost(0.0)),
        Proxy::Nginx | Proxy::Haproxy => (Target::None, Target::None),
    };
    let mut add = |what: &str, value: f64, unit, target, absolute: String| {
        let what = format!("{name}, 10,000 at 1/s each: {what}");
        let others = Some(busy.others);
        report.add(Row { measure: "connections", what, value, unit, target, absolute, load_average, others });
    };
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let each = bytes.saturating_sub(before) as f64 / f64::from(CLIENTS.n) / 1e3;
    let parts = format!("{:.1} MB before, {each:.1} kB a connection", mb(before));
    add("most resident", mb(bytes), " MB", memory, parts);
    let mut answers = format!(
        "{} answered, p50 {:.2}, p99 {:.2} ms, {:.0}% busy",
        per_second(held.per_second),
        held.sent_ms.p50,
        held.sent_ms.p99,
        busy.server * 100.0
    );
    held.failures.iter().for_each(|(what, n)| answers += &format!(", {n} x {what}"));
    add("failures", held.n_failures() as f64, "", failures, answers);
    Ok(())
}
