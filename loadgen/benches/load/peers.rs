//! Requests a second of 64 users that do not wait: loadgen beside what others put load on with, in turns on the same
//! cores. Who is not there is left out, with a line that says how to get it.

mod tools;

use std::process::Stdio;
use std::time::{Duration, Instant};

use drover_testkit::bench::machine::{Busy, CpuClock, LOAD_CORE, SERVER_CORE};
use drover_testkit::bench::report::{Report, Row, Target, per_second};
use drover_testkit::bench::rounds::{Done, Measured, turns};
use drover_testkit::bench::server::{Server, on_core};
use drover_testkit::bench::{Plan, Result};
use serde::Serialize;

use self::tools::{Tool, Tools};
use crate::generator::{self, Kind};

const CONNECTIONS: u32 = 64;

/// Each with how many times its requests a second are wanted.
const PEERS: [(&str, Tool, f64); 7] = [
    ("wrk", Tool::Wrk, 0.85),
    ("oha", Tool::Oha, 1.0),
    ("goose", Tool::Goose, 1.0),
    ("hey", Tool::Hey, 1.0),
    ("k6", Tool::K6, 1.0),
    ("Locust FastHttpUser", Tool::LocustFast, 9.0),
    ("Locust HttpUser", Tool::LocustPlain, 40.0),
];

/// What a generator reached.
#[derive(Debug, Clone, Serialize)]
struct Window {
    per_second: f64,
    /// The generator's CPU time for a request.
    cpu_us: f64,
    busy: Busy,
}

impl Measured for Window {
    fn busy(&self) -> Busy {
        self.busy
    }

    fn shown(&self) -> String {
        format!("{:>9.0}/s, CPU {:.1} us each", self.per_second, self.cpu_us)
    }
}

pub(crate) async fn measure(plan: &Plan, report: &mut Report) -> Result<()> {
    let (tools, missing) = Tools::prepare().await?;
    missing.into_iter().for_each(|line| report.skipped(line));
    // Most need a second until all users are there, and Locust more on a machine that is busy.
    let time = (plan.window * 2).max(Duration::from_secs(5));
    let server = Server::bare(SERVER_CORE).await?;
    let there: Vec<_> = PEERS.iter().filter(|(_, tool, _)| tools.has(*tool)).collect();
    let contenders = [("loadgen", None)].into_iter().chain(there.iter().map(|(name, tool, _)| (*name, Some(*tool))));
    let rounds = turns(plan, contenders, async |tool| {
        let Some(tool) = tool else {
            let window = generator::load(&server, Kind::Greedy(CONNECTIONS), time).await?;
            let generator::Said { per_second, cpu_us, .. } = window.said;
            return Ok(Window { per_second, cpu_us, busy: window.busy });
        };
        let (program, words) = tools.command(tool, &format!("http://{}/", server.address), CONNECTIONS, time)?;
        let (clock, began) = (CpuClock::start(server.id)?, Instant::now());
        let mut command = on_core(LOAD_CORE, program);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = command.output().await?;
        let took = began.elapsed();
        let busy = clock.stop(took)?;
        let per_second = tools.rate(tool, &output)?;
        // The time to start and to end counts here too, which is little beside the whole.
        let cpu_us = busy.load * took.as_secs_f64() * 1e6 / (per_second * time.as_secs_f64());
        Ok(Window { per_second, cpu_us, busy })
    })
    .await?;
    report.raw("peers", &rounds.done)?;
    let rate = |done: &Done<Window>| done.median(|window| window.per_second);
    let cpu = |done: &Done<Window>| done.median(|window| window.cpu_us);
    let ours = rounds.of("loadgen").ok_or("loadgen did not run")?;
    for (name, _, aim) in there {
        let Some(theirs) = rounds.of(name) else { continue };
        report.add(Row {
            measure: "peers",
            what: format!("loadgen : {name}, requests a second"),
            value: rate(ours) / rate(theirs),
            unit: "x",
            target: Target::AtLeast(*aim),
            absolute: format!(
                "{} : {}, CPU {:.1} : {:.1} us each",
                per_second(rate(ours)),
                per_second(rate(theirs)),
                cpu(ours),
                cpu(theirs)
            ),
            load_average: rounds.load_average,
            others: Some(rounds.others()),
        });
    }
    Ok(())
}
