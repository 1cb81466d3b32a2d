//! A tenfold step in load on a cluster.
//!
//! The function is the SDK's example `probe`, which sleeps 300 ms for each request and takes one at a time:
//! it needs instances, not CPU, so that two cores are enough to see ten of them. At 2 requests a second one
//! instance is enough; at 20 there are 6 in flight, for which, at the usual 70 % of the slots, nine are
//! wanted.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use drover_testkit::bench::machine::load_average;
use drover_testkit::bench::report::{Report, Row, Target};
use drover_testkit::bench::{Result, build, build_with};
use drover_testkit::process::{Process, free_ports};
use drover_testkit::{Gateway, Nomad, checkout, probe};
use tempfile::TempDir;

const BODY: &str = r#"{"length":12.5,"count":3,"text":"hola","colour":"red","act":"sleep"}"#;
/// Requests a second, before and with the step.
const BEFORE: u32 = 2;
const MORE: u32 = 18;
/// Instances that 20 requests a second of 300 ms each want: 20 x 0.3 / 0.7, rounded up.
const NEEDED: f64 = 9.0;
/// When the promise must be kept again, and for how long that is watched.
const RECOVERED: Duration = Duration::from_secs(15);
const WATCHED: Duration = Duration::from_secs(15);

/// Measures one step.
pub(crate) async fn measure(report: &mut Report) -> Result<()> {
    let Some(nomad) = Nomad::start().await else {
        report.skipped("step: nomad is not on PATH".into());
        return Ok(());
    };
    let drover = build("drover-cli").await?.join("drover");
    let functions = build_with("drover", &["--example", "probe"]).await?.join("examples");
    let (dir, [port]) = (TempDir::new()?, free_ports());
    run(&nomad, &functions, dir.path())?;
    let mut gateway = Command::new(drover);
    gateway.args(["gateway", "--listen", &format!("127.0.0.1:{port}")]);
    gateway.args(["--consul", &nomad.consul.url, "--nomad", &nomad.url]);
    let _process = Process::start(gateway, &dir.path().join("gateway.txt"));
    let gateway = Gateway::new(&format!("http://127.0.0.1:{port}"), "probe");
    gateway.serves(1).await;

    let (load_average, ledger) = (load_average(), gateway.ledger().await);
    let before = gateway.load(BODY, BEFORE);
    before.goes_on(20).await;
    let began = Instant::now();
    let first = gateway.load(BODY, MORE);
    let (mut reached, mut most) = (None, 0.0);
    while began.elapsed() < RECOVERED {
        most = gateway.sum("drover_gateway_instances_ready", &[]).await.max(most);
        if most >= NEEDED && reached.is_none() {
            reached = Some(began.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What is sent from now on is what users see once it has recovered.
    let then = gateway.load(BODY, MORE);
    let first = first.stop().await;
    tokio::time::sleep(WATCHED).await;
    let (then, before) = (then.stop().await, before.stop().await);
    let mut all = then.clone();
    for part in [&first, &before] {
        (all.sent, all.answered) = (all.sent + part.sent, all.answered + part.answered);
        all.failed.extend(part.failed.iter().cloned());
    }
    ledger.close("tenfold step", &all).await;

    let row = |what: &str, value: f64, unit: &'static str, most: f64, absolute: String| Row {
        measure: "step",
        what: what.into(),
        value,
        unit,
        target: Target::AtMost(most),
        absolute,
        load_average,
        others: None,
    };
    let reached = reached.ok_or_else(|| format!("{most} instances after {RECOVERED:?}, {NEEDED} are needed"))?;
    let (sent, slowest) = (all.sent, format!("slowest meanwhile {:.1?}", first.slowest));
    let n_failed: u64 = all.failed.iter().map(|(_, n)| n).sum();
    let ms = then.p95.as_secs_f64() * 1e3;
    report.add(row("from 1 to 9 instances", reached.as_secs_f64(), " s", 10.0, format!("at most {most} of them")));
    report.add(row("p95 of what is sent 15 s after the step", ms, " ms", 1_000.0, slowest));
    report.add(row("failed requests", n_failed as f64, "", 0.0, format!("of {sent}")));
    Ok(())
}

fn run(nomad: &Nomad, functions: &Path, dir: &Path) -> Result<()> {
    let model = dir.join("probe/model");
    std::fs::create_dir_all(&model)?;
    probe::write_model(&model);
    let variables = [
        "function=probe".into(),
        format!("binary_dir={}", functions.display()),
        format!("model_dir={}", dir.display()),
        "slots=1".into(),
        "min=1".into(),
        "max=12".into(),
        "cpu=100".into(),
        "memory=64".into(),
    ];
    let mut args = vec!["job", "run", "-detach"];
    variables.iter().for_each(|variable| args.extend(["-var", variable]));
    args.push("jobs/predict.nomad");
    let run = nomad.run(&checkout(), &args);
    if !run.status.success() {
        return Err(String::from_utf8_lossy(&run.stderr).into());
    }
    Ok(())
}
