//! Load by `wrk`, on its own core.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::process::Command;

use super::Result;
use super::machine::{Busy, CpuClock, LOAD_CORE};
use super::rounds::Measured;
use super::server::Server;

/// The request that is sent over and over.
pub struct Shot {
    dir: TempDir,
}

/// One window of load.
#[derive(Debug, Clone, Serialize)]
pub struct Window {
    /// Answers a second.
    pub per_second: f64,
    /// The middle of the times that answers took, in milliseconds.
    pub p50_ms: f64,
    /// The CPU time that the server took for an answer, in microseconds: on a machine that is not
    /// idle it is disturbed much less than the answers a second.
    pub cpu_us: f64,
    /// How busy the cores were.
    pub busy: Busy,
}

/// What the script says at the end.
#[derive(Deserialize)]
struct Summary {
    requests: f64,
    duration_us: f64,
    p50_us: f64,
    errors: u64,
}

impl Shot {
    /// `GET` of a path without quotes.
    pub fn get(path: &str) -> Result<Self> {
        Self::of(&format!("wrk.path = '{path}'\n"))
    }

    /// `POST /predict` with a body of JSON.
    pub fn predict(body: &str) -> Result<Self> {
        let mut script = String::from("wrk.method = 'POST'\nwrk.path = '/predict'\n");
        // A long bracket that no JSON holds.
        writeln!(script, "wrk.body = [==========[{body}]==========]")?;
        script.push_str("wrk.headers['Content-Type'] = 'application/json'\n");
        Self::of(&script)
    }

    fn of(request: &str) -> Result<Self> {
        const DONE: &str = r#"
function done(summary, latency)
  local e = summary.errors
  local errors = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format('\n{"requests":%d,"duration_us":%d,"p50_us":%d,"errors":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), errors))
end
"#;
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("shot.lua"), format!("{request}{DONE}"))?;
        Ok(Self { dir })
    }

    fn script(&self) -> PathBuf {
        self.dir.path().join("shot.lua")
    }
}

impl Measured for Window {
    fn busy(&self) -> Busy {
        self.busy
    }

    fn shown(&self) -> String {
        format!("{:>9.0}/s, CPU {:.1} us each", self.per_second, self.cpu_us)
    }
}

/// Puts load on `server` for `time`: as much as it takes from `connections` clients that each wait
/// for their answer.
pub async fn load(server: &Server, shot: &Shot, connections: usize, time: Duration) -> Result<Window> {
    let clock = CpuClock::start(server.id)?;
    let started = Instant::now();
    let mut command = Command::new("taskset");
    command.args(["-c", LOAD_CORE, "wrk", "-t1", &format!("-c{connections}"), &format!("-d{}s", time.as_secs())]);
    // Who is slow is not broken: some peers take seconds for an answer when 64 ask.
    command.args(["--timeout", "30s"]);
    command.arg("--script").arg(shot.script()).arg(format!("http://{}", server.address));
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await?;
    let took = started.elapsed();
    let busy = clock.stop(took)?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let summary: Summary = text
        .lines()
        .rev()
        .find_map(|line| serde_json::from_str(line).ok())
        .ok_or_else(|| format!("wrk said no summary: {text}"))?;
    let Summary { requests, duration_us, p50_us, errors } = summary;
    if errors > 0 || requests < 1.0 {
        return Err(format!("{requests} answers of {} in {time:?}, and {errors} errors", server.address).into());
    }
    Ok(Window {
        per_second: requests / (duration_us / 1e6),
        p50_ms: p50_us / 1e3,
        cpu_us: busy.server * took.as_secs_f64() * 1e6 / requests,
        busy,
    })
}

/// Says how to get `wrk` where it is missing.
pub async fn find() -> Result<()> {
    match Command::new("wrk").arg("--version").output().await {
        Ok(_) => Ok(()),
        Err(e) => Err(format!("wrk: {e}; on Debian and Ubuntu: apt-get install wrk").into()),
    }
}
