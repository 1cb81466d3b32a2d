//! loadgen, as a person starts it, on the core of the load.

use std::process::Stdio;
use std::time::{Duration, Instant};

use drover_testkit::bench::Result;
use drover_testkit::bench::machine::{Busy, CpuClock, LOAD_CORE};
use drover_testkit::bench::rounds::Measured;
use drover_testkit::bench::server::{Server, on_core};
use loadgen::report::{Point, json};
use serde::Serialize;

/// Seconds that do not count, while users are added.
const WARM_UP: u64 = 1;

/// A load.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Users that do not wait.
    Greedy(u32),
    /// Users that ask once a second.
    Paced(u32),
    /// Requests a second.
    Rate(u32),
}

/// What the generator says of a load.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Said {
    pub(crate) failures: u64,
    pub(crate) late: u64,
    /// Requests a second after the warm-up.
    pub(crate) per_second: f64,
    /// Of a request after the warm-up.
    pub(crate) cpu_us: f64,
    /// CPU after the warm-up, percent of a core.
    pub(crate) cpu_percent: f64,
    pub(crate) memory_bytes: u64,
    /// In the worst second, milliseconds: it waited for a core that others had, and a hypervisor took from all cores.
    pub(crate) waited_ms: f64,
    pub(crate) stolen_ms: f64,
    /// Of the whole run, as all that follows.
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
}

/// A load on a server, and how busy the cores were.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Window {
    pub(crate) said: Said,
    pub(crate) busy: Busy,
}

impl Measured for Window {
    fn busy(&self) -> Busy {
        self.busy
    }

    fn shown(&self) -> String {
        let Said { per_second, cpu_us, p50_ms, .. } = self.said;
        format!("{per_second:>9.0}/s, CPU {cpu_us:.1} us each, p50 {p50_ms:.2} ms")
    }
}

/// Puts a load on `server` for `time` after the warm-up, with one thread.
pub(crate) async fn load(server: &Server, kind: Kind, time: Duration) -> Result<Window> {
    let file = tempfile::NamedTempFile::new()?;
    let run_time = time.as_secs() + WARM_UP;
    let mut command = on_core(LOAD_CORE, env!("CARGO_BIN_EXE_loadgen"));
    command.args(["--headless", "--threads", "1", "--run-time", &run_time.to_string(), "--json"]).arg(file.path());
    command.arg(format!("http://{}/", server.address));
    match kind {
        Kind::Greedy(users) => command.args(["--users", &users.to_string()]),
        Kind::Paced(users) => {
            let users = users.to_string();
            command.args(["--users", &users, "--spawn-rate", &users, "--wait-time", "constant_pacing(1)"])
        }
        Kind::Rate(rate) => command.args(["--rate", &rate.to_string()]),
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let (clock, began) = (CpuClock::start(server.id)?, Instant::now());
    // A run that had all of its core, or was late, ends as a failure; its figures are here for that to be seen.
    let output = command.output().await?;
    let busy = clock.stop(began.elapsed())?;
    let said = std::fs::read(file.path())?;
    let report = json::read(&said).map_err(|e| format!("{e}: {}", String::from_utf8_lossy(&output.stderr)))?;
    // What came after the last whole second is no second.
    let seconds = usize::try_from(run_time)?;
    let counted = report.history.get(usize::try_from(WARM_UP)?..seconds).ok_or("the run was cut short")?;
    let mean = |of: fn(&Point) -> f64| counted.iter().map(of).sum::<f64>() / counted.len() as f64;
    let (per_second, cpu_percent) = (mean(|point| point.rps), mean(|point| point.generator_cpu_percent));
    let latency = &report.total.latency;
    let said = Said {
        failures: report.total.failures,
        late: report.late,
        per_second,
        cpu_us: cpu_percent * 1e4 / per_second,
        cpu_percent,
        memory_bytes: report.generator.memory_bytes,
        waited_ms: report.generator.waited_ms,
        stolen_ms: report.generator.stolen_ms,
        p50_ms: latency.p50_ms,
        p95_ms: latency.p95_ms,
        p99_ms: latency.p99_ms,
    };
    Ok(Window { said, busy })
}
