//! What it costs to be seen: the same function with its log, with traces, with Graylog; and the time of `/metrics`.
//!
//! Metrics are always counted, so they are on both sides of every ratio.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::Instant;

use drover_testkit::bench::machine::{SERVER_CORE, load_average};
use drover_testkit::bench::report::{Report, Row, Target};
use drover_testkit::bench::rounds::{self, Contender, median};
use drover_testkit::bench::server::{Server, on_core};
use drover_testkit::bench::wire::{Wire, get};
use drover_testkit::bench::wrk::Shot;
use drover_testkit::bench::{Plan, Result, build, build_with};
use drover_testkit::{Collector, probe};

use crate::prepare::{Function, Prepared};
use crate::server;
use crate::throughput::CONNECTIONS;

/// Classes of the function whose `/metrics` is timed: each is a series of its own.
const CLASSES: usize = 50;
/// How often it is asked for.
const SCRAPES: usize = 200;

/// Measures both.
pub(crate) async fn measure(prepared: &Prepared, plan: &Plan, report: &mut Report) -> Result<()> {
    of_a_prediction(prepared, plan, report).await?;
    of_a_scrape(report).await
}

async fn of_a_prediction(prepared: &Prepared, plan: &Plan, report: &mut Report) -> Result<()> {
    let penguins = prepared.function("penguins")?;
    let traced = Function { binary: traced().await?, ..penguins.clone() };
    let collector = Collector::start().await;
    // Nobody reads what comes: the kernel drops it.
    let graylog = UdpSocket::bind("127.0.0.1:0")?;
    let (graylog, endpoint) =
        (format!("udp://{}", graylog.local_addr()?), ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.url));
    let sampled = [endpoint, ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.01")];
    // The bench must be told where it listens.
    let silent = ("DROVER_LOG", "info,drover::prediction=off");

    let bare = server::function(penguins, &[silent]).await?;
    let logged = server::function(penguins, &[]).await?;
    let off = server::function(&traced, &[silent]).await?;
    let seen = server::function(&traced, &sampled).await?;
    let all = server::function(penguins, &[("DROVER_GELF", &graylog)]).await?;
    let shot = Shot::predict(&penguins.row)?;
    let contenders = [
        Contender { name: "no log of predictions", server: &bare, shot: &shot },
        Contender { name: "log at info", server: &logged, shot: &shot },
        Contender { name: "feature otlp, off", server: &off, shot: &shot },
        Contender { name: "log, traces at 1 %", server: &seen, shot: &shot },
        Contender { name: "log, Graylog", server: &all, shot: &shot },
    ];
    let rounds = rounds::run(plan, CONNECTIONS, &contenders).await?;
    report.raw("cost", &rounds.done)?;
    let [bare, logged, off, seen, all] = rounds.each()?;
    let mut add = |what: &str, a, target| report.add(rounds.row("cost", what, a, bare, target));
    add("penguins, log at info : without", logged, Target::AtLeast(0.9));
    add("penguins, log at info and traces at 1 % : without both", seen, Target::AtLeast(0.9));
    add("penguins with the feature otlp, off : without it", off, Target::None);
    add("penguins, every prediction to Graylog : without", all, Target::None);
    if collector.spans().is_empty() {
        return Err("no span has come to the collector".into());
    }
    Ok(())
}

/// Builds penguins with the feature `otlp`, beside the one without.
async fn traced() -> Result<PathBuf> {
    let dir = build_with("penguins", &["--features", "drover/otlp"]).await?;
    let (built, kept) = (dir.join("penguins"), dir.join("penguins-otlp"));
    std::fs::copy(&built, &kept)?;
    let with = std::fs::metadata(&kept)?.len();
    build("penguins").await?;
    let without = std::fs::metadata(&built)?.len();
    println!("the binary of penguins: {without} bytes, with the feature otlp {with}");
    Ok(kept)
}

async fn of_a_scrape(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    probe::write_model(folder.path());
    let card = folder.path().join("model.toml");
    let labels: Vec<String> = (0..CLASSES).map(|n| format!("'class {n}'")).collect();
    let text = std::fs::read_to_string(&card)?;
    let text = text.replace("'a', 'b'", &labels.join(", ")).replace("[-1, 2]", &format!("[-1, {CLASSES}]"));
    std::fs::write(card, text)?;
    let binary = build_with("drover", &["--example", "probe"]).await?.join("examples/probe");
    let mut command = on_core(SERVER_CORE, binary);
    command.env("DROVER_CPU", "1").env("DROVER_MODEL", folder.path());
    let server = Server::start(command).await?;
    server.ready(&get("/health/ready")).await?;

    let (load_average, mut wire) = (load_average(), Wire::connect(&server.address).await?);
    let (mut took_ms, mut page) = (Vec::with_capacity(SCRAPES), Vec::new());
    for _ in 0..SCRAPES {
        let asked = Instant::now();
        (_, page) = wire.call(get("/metrics").as_bytes()).await?;
        took_ms.push(asked.elapsed().as_secs_f64() * 1e3);
    }
    let page = String::from_utf8(page)?;
    let n_classes = page.lines().filter(|line| line.starts_with("drover_predictions_total{")).count();
    let n_series = page.lines().filter(|line| !line.starts_with('#')).count();
    if n_classes != CLASSES {
        return Err(format!("/metrics has {n_classes} classes, not {CLASSES}").into());
    }
    took_ms.sort_by(f64::total_cmp);
    let slowest = took_ms.last().copied().unwrap_or(f64::NAN);
    report.add(Row {
        measure: "cost",
        what: format!("/metrics with {CLASSES} classes"),
        value: median(took_ms.into_iter()),
        unit: " ms",
        target: Target::AtMost(5.0),
        absolute: format!("{n_series} series, {} bytes, the slowest of {SCRAPES} {slowest:.2} ms", page.len()),
        load_average,
        others: None,
    });
    Ok(())
}
