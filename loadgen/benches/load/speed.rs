//! Requests a second of 64 users that do not wait, beside wrk.

use drover_testkit::bench::report::{Report, Row, Target, per_second};
use drover_testkit::bench::rounds::turns;
use drover_testkit::bench::server::Server;
use drover_testkit::bench::wrk::{self, Shot};
use drover_testkit::bench::{Plan, Result, machine};

use crate::generator::{Kind, Said, Window, load};

const CONNECTIONS: u32 = 64;

pub(crate) async fn measure(plan: &Plan, report: &mut Report) -> Result<()> {
    let server = Server::bare(machine::SERVER_CORE).await?;
    let shot = Shot::get("/")?;
    let contenders = [("loadgen", true), ("wrk", false)];
    let rounds = turns(plan, contenders.into_iter(), async |is_ours| {
        if is_ours {
            return load(&server, Kind::Greedy(CONNECTIONS), plan.window).await;
        }
        wrk::load(&server, &shot, CONNECTIONS as usize, plan.warm_up).await?;
        let window = wrk::load(&server, &shot, CONNECTIONS as usize, plan.window).await?;
        let said = Said {
            failures: 0,
            late: 0,
            per_second: window.per_second,
            cpu_us: window.busy.load * 1e6 / window.per_second,
            cpu_percent: window.busy.load * 100.0,
            memory_bytes: 0,
            waited_ms: f64::NAN,
            stolen_ms: f64::NAN,
            p50_ms: window.p50_ms,
            p95_ms: f64::NAN,
            p99_ms: f64::NAN,
        };
        Ok(Window { said, busy: window.busy })
    })
    .await?;
    report.raw("speed", &rounds.done)?;
    let [ours, wrk] = rounds.each()?;
    let rate = |done: &drover_testkit::bench::rounds::Done<Window>| done.median(|window| window.said.per_second);
    let cpu = |done: &drover_testkit::bench::rounds::Done<Window>| done.median(|window| window.said.cpu_us);
    let row = |what: &str, value: f64, target: Target, absolute: String| Row {
        measure: "speed",
        what: what.to_owned(),
        value,
        unit: "x",
        target,
        absolute,
        load_average: rounds.load_average,
        others: Some(rounds.others()),
    };
    let rates = format!("{} : {}", per_second(rate(ours)), per_second(rate(wrk)));
    report.add(row("loadgen : wrk, requests a second", rate(ours) / rate(wrk), Target::AtLeast(0.85), rates));
    let cpus = format!("{:.1} : {:.1} us", cpu(ours), cpu(wrk));
    report.add(row("loadgen : wrk, CPU of a request", cpu(ours) / cpu(wrk), Target::AtMost(1.18), cpus));
    Ok(())
}
