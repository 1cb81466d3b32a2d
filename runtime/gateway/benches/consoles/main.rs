//! What open consoles cost the gateway, as the ratio of its speed with them and without, in one run.
//!
//! ```text
//! cargo bench -p drover-gateway --bench consoles             about a minute and a half
//! cargo bench -p drover-gateway --bench consoles -- --quick  short rounds: whether it works, no more
//! ```
//!
//! It needs Linux, two cores, `taskset` and `wrk`. The gateway runs on core 0, and knows [`FUNCTIONS`] functions; the
//! load, the instance and the consoles are on core 1. Each console follows `/api/live` as a browser does. What is
//! compared runs in turns and the medians count. Core 1 is nearly full, so the CPU time of a request says more than
//! the requests a second; in it is all that the gateway does meanwhile.

use std::fmt::Write as _;
use std::process::ExitCode;

use drover_testkit::bench::machine::{self, LOAD_CORE, SERVER_CORE, may_open};
use drover_testkit::bench::report::{Report, Row, Target};
use drover_testkit::bench::rounds::{self, Done};
use drover_testkit::bench::server::{Server, on_core};
use drover_testkit::bench::wrk::{self, Shot, Window};
use drover_testkit::bench::{self, Options, Plan, Result, build, revision, wire};
use drover_testkit::process::free_ports;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Consoles that are open.
const CONSOLES: u32 = 200;
/// Functions that a picture shows.
const FUNCTIONS: usize = 10;
/// Clients beside them.
const CONNECTIONS: usize = 64;
const PATH: &str = "/functions/f0/x";

fn main() -> ExitCode {
    bench::main(&["consoles"], measure)
}

async fn measure(options: &Options) -> Result<Report> {
    wrk::find().await?;
    let drover = build("drover-cli").await?.join("drover");
    machine::move_to_load_core().await?;
    let mut report = Report::new(revision().await?);
    let backend = Server::bare(LOAD_CORE).await?;
    let [port] = free_ports();
    let address = format!("127.0.0.1:{port}");
    let dir = tempfile::tempdir()?;
    let config = dir.path().join("gateway.toml");
    std::fs::write(&config, settings(&address, &backend.address)?)?;
    let mut command = on_core(SERVER_CORE, &drover);
    command.args(["gateway", "--config"]).arg(&config).env_remove("DROVER_LISTEN");
    let gateway = Server::start_at(command, &address, &wire::get(PATH)).await?;
    may_open(gateway.id, 1024)?;
    compare(&gateway, &options.plan, &mut report).await?;
    Ok(report)
}

async fn compare(gateway: &Server, plan: &Plan, report: &mut Report) -> Result<()> {
    let shot = Shot::get(PATH)?;
    let contenders = [("without a console", 0), ("with all of them open", CONSOLES)];
    let rounds = rounds::turns(plan, contenders.into_iter(), async |n| {
        let mut consoles = JoinSet::new();
        for _ in 0..n {
            consoles.spawn(follow(gateway.address.clone()));
        }
        wrk::load(gateway, &shot, CONNECTIONS, plan.warm_up).await?;
        let window = wrk::load(gateway, &shot, CONNECTIONS, plan.window).await?;
        // One that has ended has not followed.
        match consoles.try_join_next() {
            Some(ended) => Err(format!("a console has ended: {ended:?}").into()),
            None => Ok(window),
        }
    })
    .await?;
    report.raw("consoles", &rounds.done)?;
    let [without, with]: &[Done<Window>; 2] = rounds.each()?;
    let what = format!("{CONSOLES} consoles : none, requests/s");
    report.add(rounds.row("consoles", &what, with, without, Target::AtLeast(0.95)));
    report.add(Row {
        measure: "consoles",
        what: format!("{CONSOLES} consoles : none, CPU of the gateway for a request"),
        value: with.cpu_us() / without.cpu_us(),
        unit: "x",
        target: Target::AtMost(1.0 / 0.95),
        absolute: format!("{:.1} : {:.1} us", with.cpu_us(), without.cpu_us()),
        load_average: rounds.load_average,
        others: Some(rounds.others()),
    });
    Ok(())
}

fn settings(listen: &str, backend: &str) -> Result<String> {
    let mut text = format!("listen = [\"{listen}\"]\n");
    for n in 0..FUNCTIONS {
        write!(text, "[functions.f{n}]\ninstances = [\"{backend}\"]\nslots = 1024\npure = true\n")?;
    }
    Ok(text)
}

/// Is an open console: takes all that comes, until it is dropped or the gateway ends the answer.
async fn follow(address: String) -> Result<()> {
    let mut stream = TcpStream::connect(&address).await?;
    stream.write_all(wire::get("/api/live").as_bytes()).await?;
    let mut bytes = vec![0; 64 * 1024];
    let mut n_pictures = 0;
    loop {
        let n = stream.read(&mut bytes).await?;
        if n == 0 {
            return Err(format!("the gateway ended the answer after {n_pictures} pieces").into());
        }
        n_pictures += 1;
    }
}
