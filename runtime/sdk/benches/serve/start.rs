//! From the start of a process to its first prediction, beside what ONNX Runtime alone takes of it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use drover_testkit::Instance;
use drover_testkit::bench::machine::{SERVER_CORE, load_average, on_core_of};
use drover_testkit::bench::report::{Report, Row, Target};
use drover_testkit::bench::rounds::median;
use drover_testkit::bench::server::Line;
use drover_testkit::bench::wire::{Wire, predict};
use drover_testkit::bench::{Plan, Result};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::prepare::{Function, Prepared};
use crate::server::JOB;

/// What this program is called with to load ONNX Runtime and a model, and nothing else.
pub(crate) const ONLY_LOAD: &str = "--only-load";
/// How long a start may take.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The middle of several starts of each function, with its files in the page cache, and how many times what ONNX
/// Runtime takes alone, from the start of a process that does nothing but load it and the model.
pub(crate) async fn measure(prepared: &Prepared, plan: &Plan, report: &mut Report) -> Result<()> {
    for function in &prepared.functions {
        let load_average = load_average();
        let (mut took_ms, mut alone_ms) = (Vec::new(), Vec::new());
        // The first of each fills the page cache.
        for n in 0..=plan.n_starts {
            let (took, alone) = (start(function).await?, only_load(function).await?);
            if n > 0 {
                took_ms.push(took.as_secs_f64() * 1e3);
                alone_ms.push(alone.as_secs_f64() * 1e3);
            }
        }
        report.raw(&format!("start_{}_ms", function.name), &took_ms)?;
        report.raw(&format!("load_{}_ms", function.name), &alone_ms)?;
        let (value, alone) = (median(took_ms.iter().copied()), median(alone_ms.iter().copied()));
        println!("  {:<28} {value:>9.1} ms, ONNX Runtime alone {alone:.1} ms", function.name);
        let row = |what: &str, value, unit, target, absolute| Row {
            measure: "start",
            what: format!("{}: {what}", function.name),
            value,
            unit,
            target,
            absolute,
            load_average,
            others: None,
        };
        let target = match function.name {
            "penguins" => Target::AtMost(60.0),
            "covertype" => Target::AtMost(200.0),
            _ => Target::None,
        };
        report.add(row("process start to first 200", value, " ms", target, range(&took_ms)));
        let what = "the same : a process that only loads ONNX Runtime and the model";
        let absolute = format!("{alone:.1} ms; {}", range(&alone_ms));
        report.add(row(what, value / alone, " times", Target::None, absolute));
    }
    Ok(())
}

fn range(ms: &[f64]) -> String {
    let (least, most) = ms.iter().fold((f64::MAX, 0.0_f64), |(a, b), ms| (a.min(*ms), b.max(*ms)));
    format!("{} starts, {least:.0} to {most:.0} ms", ms.len())
}

/// Starts a function and asks as soon as it says that it is ready: who asks before takes of the time that the start has.
async fn start(function: &Function) -> Result<Duration> {
    let mut command = Instance::command(&function.binary);
    command.env("DROVER_CPU", "1").env("DROVER_MODEL", &function.model).envs(JOB);
    let (started, mut child) = spawn(command)?;
    let took = async {
        let address = ready(&mut child).await?.ok_or("it does not say where it listens")?;
        let (status, body) = Wire::connect(&address).await?.call(predict(&function.row).as_bytes()).await?;
        match status {
            200 => Ok(started.elapsed()),
            _ => Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into()),
        }
    };
    let took = timeout(START_LIMIT, took).await.map_err(|_| format!("{} does not start", function.name))?;
    child.kill().await?;
    took
}

/// Starts this program to load what a function loads.
async fn only_load(function: &Function) -> Result<Duration> {
    let mut command = Instance::command(&std::env::current_exe()?);
    command.arg(ONLY_LOAD).arg(&function.onnx_runtime).arg(function.model.join("model.onnx")).envs(JOB);
    let (started, mut child) = spawn(command)?;
    ready(&mut child).await?;
    let took = started.elapsed();
    child.kill().await?;
    Ok(took)
}

fn spawn(command: std::process::Command) -> Result<(Instant, Child)> {
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    let started = Instant::now();
    Ok((started, on_core_of(SERVER_CORE, || command.spawn())??))
}

/// Reads what a process says until it is ready, and returns where it listens, if it said that.
async fn ready(child: &mut Child) -> Result<Option<String>> {
    let said = child.stderr.take().ok_or("its standard error is no pipe")?;
    let (mut lines, mut address, mut all) = (BufReader::new(said).lines(), None, String::new());
    while let Some(line) = lines.next_line().await? {
        all.push_str(&line);
        let Ok(line) = serde_json::from_str::<Line>(&line) else { continue };
        address = line.address.or(address);
        if line.message == "ready" {
            return Ok(address);
        }
    }
    Err(format!("it ended: {all}").into())
}

/// Loads ONNX Runtime from `library` and a model from `model`, as a function does, and says that it is ready.
pub(crate) fn load_only(library: &str, model: &str) -> ort::Result<ExitCode> {
    let environment = ort::init_from(library).map_err(ort::Error::wrap)?.with_telemetry(false).build()?;
    let _session = ort::session::Session::builder(&environment)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_memory_pattern(false)?
        .with_execution_providers([ort::ep::CPU::default().with_arena_allocator(false).build()])?
        .commit_from_file(model)?;
    eprintln!(r#"{{"message":"ready"}}"#);
    Ok(ExitCode::SUCCESS)
}
