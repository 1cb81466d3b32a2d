//! How long an answer takes at a constant rate that no proxy is busy with.

use drover_testkit::bench::hold::{self, Clients, Steady};
use drover_testkit::bench::machine::LOAD_CORE;
use drover_testkit::bench::report::{Report, Row, Target};
use drover_testkit::bench::rounds::{Done, turns};
use drover_testkit::bench::server::Server;
use drover_testkit::bench::{Plan, Result, wire};

use crate::proxy::{self, Tools};
use crate::{CONNECTIONS, PATH};

const CLIENTS: Clients = Clients { n: CONNECTIONS as u32, per_second: 5_000 };

/// At most 1.2 times the better of both is at most 1.2 times each.
const PAIRS: [(&str, &str, Target); 5] = [
    ("gateway", "nginx", Target::AtMost(1.2)),
    ("gateway", "haproxy", Target::AtMost(1.2)),
    ("gateway", "direct", Target::None),
    ("nginx", "direct", Target::None),
    ("haproxy", "direct", Target::None),
];

pub(crate) async fn measure(tools: &Tools, plan: &Plan, report: &mut Report) -> Result<()> {
    let backend = Server::bare(LOAD_CORE).await?;
    let proxies = proxy::all(tools, &backend, report).await;
    let request = wire::get(PATH);
    let direct = std::iter::once(("direct", &backend));
    let contenders = direct.chain(proxies.iter().map(|(name, server)| (*name, server)));
    let rounds = turns(plan, contenders, async |server| {
        let steady = hold::load(server, CLIENTS, &request, plan.window).await?;
        match steady.held.n_failures() {
            0 => Ok(steady),
            _ => Err(format!("not all were answered: {:?}", steady.held.failures).into()),
        }
    })
    .await?;
    report.raw("latency", &rounds.done)?;

    for (a_name, b_name, target) in PAIRS {
        let (Some(a), Some(b)) = (rounds.of(a_name), rounds.of(b_name)) else { continue };
        report.add(Row {
            measure: "latency",
            what: format!("{a_name} : {b_name}, p99 from sent at {}/s", CLIENTS.per_second),
            value: p99(a) / p99(b),
            unit: "x",
            target,
            absolute: format!("{} : {}", shown(a), shown(b)),
            load_average: rounds.load_average,
            others: Some(rounds.others()),
        });
    }
    Ok(())
}

fn p99(done: &Done<Steady>) -> f64 {
    done.median(|steady| steady.held.sent_ms.p99)
}

fn shown(done: &Done<Steady>) -> String {
    format!(
        "p50 {:.2}, p99 {:.2}, from due {:.2}, {:.2} ms, {:.0}% busy",
        done.median(|steady| steady.held.sent_ms.p50),
        p99(done),
        done.median(|steady| steady.held.due_ms.p50),
        done.median(|steady| steady.held.due_ms.p99),
        done.median(|steady| steady.busy.server) * 100.0
    )
}
