//! loadgen as a process of its own on the core of the load.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use drover_testkit::bench::Result;
use drover_testkit::bench::machine::{Busy, CpuClock, LOAD_CORE};
use drover_testkit::bench::rounds::Measured;
use drover_testkit::bench::server::{Server, on_core};
use http::Method;
use loadgen::drive::{Drive, Settings};
use loadgen::plan::{Arrivals, Load, Plan, Stage, Wait};
use loadgen::report::Point;
use loadgen::stats::{Meter, Totals};
use loadgen::target::Target;
use loadgen::work::{Answer, Ask, Failure, Reads, Script, Work};
use serde::{Deserialize, Serialize};

/// Seconds that do not count while users are added.
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
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) requests: u64,
    pub(crate) failures: u64,
    pub(crate) late: u64,
    /// Requests a second after the warm-up.
    pub(crate) per_second: f64,
    /// Of a request after the warm-up.
    pub(crate) cpu_us: f64,
    /// CPU after the warm-up, percent of a core.
    pub(crate) cpu_percent: f64,
    pub(crate) memory_bytes: u64,
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
        let Said { per_second, cpu_us, p50_ms, p99_ms, .. } = self.said;
        format!("{per_second:>9.0}/s, CPU {cpu_us:.1} us each, p50 {p50_ms:.2}, p99 {p99_ms:.2} ms")
    }
}

/// Puts a load on `server` for `time` after the warm-up.
pub(crate) async fn load(server: &Server, kind: Kind, time: Duration) -> Result<Window> {
    let (name, level) = match kind {
        Kind::Greedy(n) => ("greedy", n),
        Kind::Paced(n) => ("paced", n),
        Kind::Rate(n) => ("rate", n),
    };
    let mut command = on_core(LOAD_CORE, std::env::current_exe()?);
    command.args(["--generate", &server.address, name, &level.to_string(), &time.as_secs().to_string()]);
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let (clock, began) = (CpuClock::start(server.id)?, std::time::Instant::now());
    let output = command.output().await?;
    let busy = clock.stop(began.elapsed())?;
    let said = serde_json::from_slice(&output.stdout)
        .map_err(|e| format!("the generator: {e}: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok(Window { said, busy })
}

/// Is the generator.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let [_, address, kind, level, seconds] = words else { return Err("--generate ADDRESS KIND LEVEL SECONDS".into()) };
    let (address, level, seconds): (SocketAddr, u32, u64) = (address.parse()?, level.parse()?, seconds.parse()?);
    let spawned = Stage::ramp(0.0, f64::from(level), f64::from(level));
    let (load, wait) = match kind.as_str() {
        "rate" => {
            let stages = vec![Stage::step(f64::from(level))];
            (Load::Rate { stages, arrivals: Arrivals::Constant, connections: Plan::CONNECTIONS }, Wait::None)
        }
        "paced" => (Load::Users(vec![spawned]), Wait::Pacing(Duration::from_secs(1))),
        _ => (Load::Users(vec![Stage::step(f64::from(level))]), Wait::None),
    };
    let plan = Plan { load, wait, run_time: Some(Duration::from_secs(seconds + WARM_UP)), ..Plan::default() };
    let settings = Settings { threads: 1, ..Settings::default() };
    let work: Arc<dyn Work> = Arc::new(Get { tasks: vec!["get".into()] });
    let drive = Drive::start(&work, &Target::at(address), &plan, &settings, Duration::from_millis(20))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let said = runtime.block_on(follow(drive, kind == "rate"))?;
    println!("{}", serde_json::to_string(&said)?);
    Ok(())
}

async fn follow(mut drive: Drive, counts_all: bool) -> Result<Said> {
    let (mut totals, mut all) = (Totals::new(vec!["get".into()]), Totals::new(vec!["get".into()]));
    let mut meter = Meter::new(1);
    let mut cpu = Vec::new();
    while let Some(second) = drive.second().await {
        let percent = meter.lap();
        all.add(&second.seen, Duration::from_secs(1), Point::default());
        // A whole second, all of which is load.
        if second.number >= WARM_UP && !second.is_last {
            totals.add(&second.seen, Duration::from_secs(1), Point::default());
            cpu.push(percent);
        }
    }
    if drive.join() > 0 {
        return Err("a thread was lost".into());
    }
    let seconds = cpu.len().max(1);
    let cpu_percent = cpu.iter().sum::<f64>() / seconds as f64;
    let (total, _) = totals.reports(Duration::from_secs(seconds as u64));
    let shown = if counts_all { all.reports(Duration::from_secs(1)).0.latency } else { total.latency };
    Ok(Said {
        requests: all.all().all().requests,
        failures: all.all().all().failures,
        late: all.all().late,
        per_second: total.rps,
        cpu_us: cpu_percent * 1e4 / total.rps,
        cpu_percent,
        memory_bytes: meter.usage().memory_bytes,
        p50_ms: shown.p50_ms,
        p95_ms: shown.p95_ms,
        p99_ms: shown.p99_ms,
    })
}

struct Get {
    tasks: Vec<String>,
}

struct User {
    ask: Ask,
    has_answer: bool,
}

impl Work for Get {
    fn tasks(&self) -> &[String] {
        &self.tasks
    }

    fn user(&self, _seed: u64) -> Box<dyn Script> {
        let ask = Ask {
            task: 0,
            method: Method::GET,
            path: Bytes::from_static(b"/"),
            headers: Arc::default(),
            body: Bytes::new(),
            timeout: None,
            reads: Reads::Status,
        };
        Box::new(User { ask, has_answer: false })
    }
}

impl Script for User {
    fn next(&mut self) -> std::result::Result<Option<Ask>, Failure> {
        let has_answer = std::mem::take(&mut self.has_answer);
        Ok((!has_answer).then(|| self.ask.clone()))
    }

    fn judge(&mut self, answer: &Answer) -> std::result::Result<(), Failure> {
        self.has_answer = answer.status.is_success();
        if self.has_answer { Ok(()) } else { Err(Failure { kind: "status".into(), detail: answer.status.to_string() }) }
    }
}
