//! From a request that finds no instance to the first byte of its answer; and from a tenfold step in load
//! to the instances that it needs.
//!
//! ```text
//! cargo bench -p drover-gateway --bench wake            on this machine and, where `nomad` and `consul`
//!                                                       are on PATH, on a cluster: about two minutes
//! cargo bench -p drover-gateway --bench wake -- local   some of it
//! ```
//!
//! The function `penguins` of `jobs/predict.nomad`, at its default of 500 MHz and 128 MiB, is scaled to
//! zero and woken twenty times. Locally `drover up` starts it; on a cluster `drover gateway` asks Nomad,
//! which runs it by `raw_exec`, and finds it through Consul. See [`step`] for the other measure.

mod step;

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use drover_testkit::bench::machine::load_average;
use drover_testkit::bench::report::{Report, Row, Target};
use drover_testkit::bench::{self, Options, Result, build, revision};
use drover_testkit::process::{Process, free_ports};
use drover_testkit::{Nomad, Scrape, checkout, client, eventually};
use serde_json::Value;
use tempfile::TempDir;

/// Wakes of a full run, and of a quick one.
const WAKES: [usize; 2] = [20, 3];
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
const ROW: &str = r#"{"bill_length_mm":39.1,"bill_depth_mm":18.7,"flipper_length_mm":181.0,"body_mass_g":3750.0}"#;
const PHASES: [&str; 5] = ["schedule", "start", "load", "register", "first_byte"];

fn main() -> ExitCode {
    bench::main(&["local", "cluster", "step"], measure)
}

async fn measure(options: &Options) -> Result<Report> {
    build("penguins").await?;
    let binaries = build("drover-cli").await?;
    let n = if options.plan.n_rounds > 1 { WAKES[0] } else { WAKES[1] };
    let mut report = Report::new(revision().await?);
    for name in &options.measures {
        println!("measuring {name} ...");
        let done = match *name {
            "local" => local(&binaries, n, &mut report).await,
            "step" => step::measure(&mut report).await,
            _ => cluster(&binaries, n, &mut report).await,
        };
        if let Err(why) = done {
            report.failed(name, &why.to_string());
        }
    }
    Ok(report)
}

async fn local(binaries: &std::path::Path, n: usize, report: &mut Report) -> Result<()> {
    let (dir, [port]) = (TempDir::new()?, free_ports());
    let mut up = Command::new(binaries.join("drover"));
    up.current_dir(checkout()).args(["up", "--no-build", "--quiet", "--count", "0", "--port", &port.to_string()]);
    up.args(["--var", &format!("binary_dir={}", binaries.display()), "--state-dir"]).arg(dir.path().join("state"));
    up.arg("jobs/predict.nomad");
    let _up = Process::start(up, &dir.path().join("up.txt"));
    let url = format!("http://127.0.0.1:{port}");
    let to_zero = || async {
        let scale = client().post(format!("{url}/api/functions/penguins/scale"));
        let sent = scale.json(&serde_json::json!({"count": 0})).send().await;
        sent.is_ok_and(|answer| answer.status().is_success())
    };
    wakes("local", &url, n, 150.0, to_zero, report).await
}

async fn cluster(binaries: &std::path::Path, n: usize, report: &mut Report) -> Result<()> {
    let Some(nomad) = Nomad::start().await else {
        report.skipped("cluster: nomad is not on PATH".into());
        return Ok(());
    };
    let (dir, [port]) = (TempDir::new()?, free_ports());
    let variable = format!("binary_dir={}", binaries.display());
    let run = nomad.run(&checkout(), &["job", "run", "-detach", "-var", &variable, "jobs/predict.nomad"]);
    if !run.status.success() {
        return Err(String::from_utf8_lossy(&run.stderr).into());
    }
    let mut gateway = Command::new(binaries.join("drover"));
    gateway.args(["gateway", "--listen", &format!("127.0.0.1:{port}")]);
    gateway.args(["--consul", &nomad.consul.url, "--nomad", &nomad.url]);
    let _gateway = Process::start(gateway, &dir.path().join("gateway.txt"));
    let url = format!("http://127.0.0.1:{port}");
    let to_zero = || async { nomad.run(&checkout(), &["job", "scale", "-detach", "penguins", "0"]).status.success() };
    wakes("cluster", &url, n, 700.0, to_zero, report).await
}

/// Wakes the function `n` times from zero.
async fn wakes<F: Future<Output = bool>>(
    measure: &'static str,
    url: &str,
    n: usize,
    target_ms: f64,
    to_zero: impl Fn() -> F,
    report: &mut Report,
) -> Result<()> {
    let predict = format!("{url}/functions/penguins/predict");
    let ask = || client().post(&predict).header("content-type", "application/json").body(ROW).send();
    // The first one fills the page cache.
    eventually("the function answers", PATIENCE, || async { ask().await.ok().filter(|a| a.status().is_success()) })
        .await;
    let (load_average, before) = (load_average(), Scrape::of(url).await);
    let mut took_ms = Vec::new();
    for _ in 0..n {
        eventually("it is scaled to zero", PATIENCE, || async { to_zero().await.then_some(()) }).await;
        eventually("no instance is left", PATIENCE, || async {
            let answer = client().get(format!("{url}/api/functions")).send().await.ok()?;
            let all: Value = answer.json().await.ok()?;
            let is_zero = |field: &str| all.pointer(field).is_some_and(|n| *n == 0);
            (is_zero("/0/count") && is_zero("/0/n_instances")).then_some(())
        })
        .await;
        let started = Instant::now();
        let answer = ask().await?;
        took_ms.push(started.elapsed().as_secs_f64() * 1e3);
        if !answer.status().is_success() {
            return Err(format!("{}: {}", answer.status(), answer.text().await?).into());
        }
    }
    took_ms.sort_by(f64::total_cmp);
    report.raw(measure, &took_ms)?;
    let after = Scrape::of(url).await;
    let mean_ms = |phase: &str| {
        let label = format!("phase=\"{phase}\"");
        let of = |kind: &str| {
            let name = format!("drover_gateway_cold_start_seconds_{kind}");
            after.sum(&name, &[&label]) - before.sum(&name, &[&label])
        };
        of("sum") / of("count").max(1.0) * 1e3
    };
    let phases: Vec<_> = PHASES.iter().map(|phase| format!("{phase} {:.0}", mean_ms(phase))).collect();
    let at = |share: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place among a few")]
        let place = ((took_ms.len() as f64 * share).ceil() as usize).max(1) - 1;
        took_ms.get(place).copied().unwrap_or_default()
    };
    report.add(Row {
        measure,
        what: format!("penguins, {n} wakes from zero: p95 to the first byte"),
        value: at(0.95),
        unit: " ms",
        target: Target::AtMost(target_ms),
        absolute: format!("p50 {:.0}, most {:.0} ms; mean of phases: {} ms", at(0.5), at(1.0), phases.join(", ")),
        load_average,
        others: None,
    });
    Ok(())
}
