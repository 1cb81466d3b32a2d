//! `drover doctor`: what this machine has and lacks.

use std::env;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use drover_engine::local::cgroup::{Limits, Parent};
use drover_engine::local::{Host, Record};
use http::Method;
use serde::Serialize;
use tokio::process::Command;

use crate::args::Place;
use crate::control::print;
use crate::table::table;

/// How long a program may take to tell its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Good,
    /// Something does less than it could.
    Note,
    /// `drover up` will not work.
    Bad,
}

#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    detail: String,
}

/// Checks this machine; fails if `drover up` cannot work here.
pub(crate) async fn doctor(place: &Place, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut findings = vec![machine(), cgroups(), state(place).await, port(place)];
    for (what, why) in [
        ("cargo", "a checkout cannot be built"),
        ("python3", "the inference library cannot be fetched, models cannot be trained"),
        ("pip", "the inference library cannot be fetched"),
        ("nomad", "only one machine, no cluster"),
        ("consul", "only one machine, no cluster"),
    ] {
        findings.push(program(what, why).await);
    }
    findings.push(library());
    findings.push(ca_bundle());
    if as_json {
        print(&format!("{}\n", serde_json::to_string_pretty(&findings)?));
    } else {
        let mark = |verdict| match verdict {
            Verdict::Good => "ok",
            Verdict::Note => "note",
            Verdict::Bad => "BAD",
        };
        let rows: Vec<_> =
            findings.iter().map(|f| vec![mark(f.verdict).into(), f.what.into(), f.detail.clone()]).collect();
        print(&table(&rows));
    }
    let bad = findings.iter().any(|f| f.verdict == Verdict::Bad);
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn finding(what: &'static str, verdict: Verdict, detail: impl Into<String>) -> Finding {
    Finding { what, verdict, detail: detail.into() }
}

fn machine() -> Finding {
    let host = Host::read();
    let mib = host.memory_bytes >> 20;
    let verdict = if mib < 512 { Verdict::Note } else { Verdict::Good };
    finding("machine", verdict, format!("{} cores of {} MHz, {mib} MiB of memory", host.n_cores, host.core_mhz))
}

fn cgroups() -> Finding {
    let tried = Parent::create(&format!("drover-doctor-{}", std::process::id())).and_then(|parent| {
        let limits = Limits { cpu_cores: 0.5, memory_bytes: 64 << 20 };
        let made = parent.instance("probe", limits).map(|group| group.remove());
        parent.remove();
        made
    });
    match tried {
        Ok(()) => finding("cgroups", Verdict::Good, "limits of CPU and memory hold"),
        Err(why) => finding("cgroups", Verdict::Note, format!("limits do not hold: {why}")),
    }
}

async fn state(place: &Place) -> Finding {
    let running = async { place.client()?.call(Method::GET, "/health", None).await }.await;
    let dir = place.state_dir.display();
    match (Record::read(&place.state_dir), running) {
        (Some(record), Ok(_)) => {
            finding("state", Verdict::Good, format!("drover up runs (process {}), state in {dir}", record.pid))
        }
        (Some(record), Err(_)) => {
            let detail = format!("process {} left its state in {dir}; the next drover up cleans up", record.pid);
            finding("state", Verdict::Note, detail)
        }
        (None, _) => finding("state", Verdict::Good, format!("drover up does not run here, state in {dir}")),
    }
}

fn port(place: &Place) -> Finding {
    let ours = Record::read(&place.state_dir).and_then(|record| record.gateway);
    if ours.is_some_and(|address| address.port() == 8080) {
        return finding("port 8080", Verdict::Good, "held by the drover up that runs here");
    }
    match TcpListener::bind(("127.0.0.1", 8080)) {
        Ok(_) => finding("port 8080", Verdict::Good, "free"),
        Err(e) => finding("port 8080", Verdict::Note, format!("{e}; use drover up --port")),
    }
}

async fn program(what: &'static str, without: &str) -> Finding {
    let Some(path) = on_path(what) else {
        let verdict = if what == "cargo" { Verdict::Bad } else { Verdict::Note };
        return finding(what, verdict, format!("not on PATH: {without}"));
    };
    let mut command = Command::new(&path);
    command.arg("--version").kill_on_drop(true);
    let version = match tokio::time::timeout(VERSION_TIMEOUT, command.output()).await {
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned(),
        Ok(Err(e)) => return finding(what, Verdict::Note, format!("{} does not run: {e}", path.display())),
        Err(_) => return finding(what, Verdict::Note, format!("{} does not answer", path.display())),
    };
    finding(what, Verdict::Good, format!("{version} ({})", path.display()))
}

fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(program)).find(|path| path.is_file())
}

fn library() -> Finding {
    match env::var_os("ORT_DYLIB_PATH") {
        Some(path) if Path::new(&path).is_file() => finding("onnxruntime", Verdict::Good, path.to_string_lossy()),
        Some(path) => {
            finding("onnxruntime", Verdict::Bad, format!("ORT_DYLIB_PATH is {}, no such file", path.to_string_lossy()))
        }
        None => finding("onnxruntime", Verdict::Good, "fetched by the functions themselves when first needed"),
    }
}

fn ca_bundle() -> Finding {
    match env::var("AWS_CA_BUNDLE") {
        Ok(value) if on_path("nomad").is_some() => {
            let detail = format!("is {value}: unset it for the Nomad agent, or its env_aws fingerprinter stops it");
            finding("AWS_CA_BUNDLE", Verdict::Note, detail)
        }
        _ => finding("AWS_CA_BUNDLE", Verdict::Good, "nothing to do"),
    }
}
