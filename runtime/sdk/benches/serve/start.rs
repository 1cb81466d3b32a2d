//! From the start of a process to its first prediction.

use std::time::{Duration, Instant};

use drover_testkit::bench::machine::{SERVER_CORE, load_average};
use drover_testkit::bench::report::{Report, Row, Target};
use drover_testkit::bench::rounds::median;
use drover_testkit::bench::server::on_core;
use drover_testkit::bench::wire::{Wire, predict};
use drover_testkit::bench::{Plan, Result};
use tokio::time::sleep;

use crate::prepare::{Function, Prepared};
use crate::server::JOB;

/// How often to ask again; tokio's timers round up to a millisecond, so about twice that.
const ASK_EVERY: Duration = Duration::from_millis(1);
/// How long a start may take.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The middle of several starts of each function, with its files in the page cache.
pub(crate) async fn measure(prepared: &Prepared, plan: &Plan, report: &mut Report) -> Result<()> {
    for function in &prepared.functions {
        let load_average = load_average();
        // The first fills the page cache.
        start(function).await?;
        let mut took_ms = Vec::new();
        for _ in 0..plan.n_starts {
            took_ms.push(start(function).await?.as_secs_f64() * 1e3);
        }
        report.raw(&format!("start_{}_ms", function.name), &took_ms)?;
        let (least, most) = took_ms.iter().fold((f64::MAX, 0.0_f64), |(a, b), ms| (a.min(*ms), b.max(*ms)));
        let value = median(took_ms.iter().copied());
        println!("  {:<28} {value:>9.1} ms", function.name);
        report.add(Row {
            measure: "start",
            what: format!("{}: process start to first 200", function.name),
            value,
            unit: " ms",
            target: match function.name {
                "penguins" => Target::AtMost(60.0),
                "covertype" => Target::AtMost(200.0),
                _ => Target::None,
            },
            absolute: format!("{} starts, {least:.0} to {most:.0} ms", plan.n_starts),
            load_average,
            others: None,
        });
    }
    Ok(())
}

/// Starts a function and asks until it answers.
async fn start(function: &Function) -> Result<Duration> {
    // Freed at once; nobody else is likely to be given the same one within milliseconds.
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let request = predict(&function.row);
    let mut command = on_core(SERVER_CORE, &function.binary);
    command.env("DROVER_CPU", "1").env("DROVER_MODEL", &function.model).env("DROVER_LISTEN", &address).envs(JOB);
    let started = Instant::now();
    let mut child = command.spawn()?;
    let took = loop {
        if answers(&address, &request, started).await? {
            break started.elapsed();
        }
        if started.elapsed() > START_LIMIT || child.try_wait()?.is_some() {
            return Err(format!("{} does not start", function.name).into());
        }
        sleep(ASK_EVERY).await;
    };
    child.kill().await?;
    Ok(took)
}

/// Connects, and asks on that connection until the model is ready; false if that is not possible.
async fn answers(address: &str, request: &str, started: Instant) -> Result<bool> {
    let Ok(mut wire) = Wire::connect(address).await else { return Ok(false) };
    while started.elapsed() < START_LIMIT {
        match wire.call(request.as_bytes()).await {
            Ok((200, _)) => return Ok(true),
            Ok((503, _)) => sleep(ASK_EVERY).await,
            Ok((status, body)) => return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into()),
            Err(_) => return Ok(false),
        }
    }
    Ok(false)
}
