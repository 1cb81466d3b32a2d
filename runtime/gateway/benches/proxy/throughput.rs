//! Requests a second through each proxy, and the CPU time that it takes for one.

use drover_testkit::bench::machine::LOAD_CORE;
use drover_testkit::bench::report::{Report, Row, Target};
use drover_testkit::bench::rounds::{self, Contender, Done};
use drover_testkit::bench::server::Server;
use drover_testkit::bench::wrk::{Shot, Window};
use drover_testkit::bench::{Plan, Result};

use crate::proxy::{self, Tools};
use crate::{CONNECTIONS, PATH};

/// Pairs whose requests a second are compared.
const PAIRS: [(&str, &str, Target); 5] = [
    ("gateway", "nginx", Target::AtLeast(1.0)),
    ("gateway", "haproxy", Target::AtLeast(1.0)),
    ("gateway", "direct", Target::None),
    ("nginx", "direct", Target::None),
    ("haproxy", "direct", Target::None),
];

pub(crate) async fn measure(tools: &Tools, plan: &Plan, report: &mut Report) -> Result<()> {
    let backend = Server::bare(LOAD_CORE).await?;
    let proxies = proxy::all(tools, &backend, report).await;
    let shot = Shot::get(PATH)?;
    let mut contenders = vec![Contender { name: "direct", server: &backend, shot: &shot }];
    contenders.extend(proxies.iter().map(|(name, server)| Contender { name, server, shot: &shot }));
    let rounds = rounds::run(plan, usize::from(CONNECTIONS), &contenders).await?;
    report.raw("throughput", &rounds.done)?;

    for (a_name, b_name, target) in PAIRS {
        let (Some(a), Some(b)) = (rounds.of(a_name), rounds.of(b_name)) else { continue };
        report.add(rounds.row("throughput", &format!("{a_name} : {b_name}, requests/s"), a, b, target));
    }
    for peer in ["nginx", "haproxy"] {
        let (Some(gateway), Some(peer)) = (rounds.of("gateway"), rounds.of(peer)) else { continue };
        let (ours, theirs) = (spread(gateway), spread(peer));
        report.add(Row {
            measure: "throughput",
            what: format!("gateway : {}, CPU of a request", peer.name()),
            value: gateway.cpu_us() / peer.cpu_us(),
            unit: "x",
            target: Target::None,
            absolute: format!("{ours} : {theirs}"),
            load_average: rounds.load_average,
            others: Some(rounds.others()),
        });
    }
    Ok(())
}

/// Writes the CPU times of a request in all windows.
fn spread(done: &Done<Window>) -> String {
    let each: Vec<String> = done.windows().iter().map(|window| format!("{:.1}", window.cpu_us)).collect();
    format!("{} us", each.join(" "))
}
