//! The machine: its cores, how busy it is, what a process took of it.

use std::time::Duration;

use procfs::process::{LimitValue, Process};
use procfs::{Current as _, CurrentSI as _, KernelStats, LoadAverage};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::process::Command;

use super::Result;

/// The core of the server that is measured.
pub const SERVER_CORE: &str = "0";
/// The core of all that puts load on it, and of what stands behind it.
pub const LOAD_CORE: &str = "1";

/// Puts this process, and what it will start, on the core of the load.
pub async fn move_to_load_core() -> Result<()> {
    let id = std::process::id().to_string();
    let moved = Command::new("taskset").args(["-a", "-c", "-p", LOAD_CORE, &id]).output().await;
    let moved = moved.map_err(|e| format!("taskset: {e}; it is in the package util-linux"))?;
    if !moved.status.success() {
        return Err("cannot have a core for the server and another for its load: two cores are needed".into());
    }
    Ok(())
}

/// Calls `start` on a core, and returns what it gives: a process that is started there stays there, with
/// nothing between as [`super::server::on_core`] has.
pub fn on_core_of<T>(core: &str, start: impl FnOnce() -> T) -> Result<T> {
    let before = sched_getaffinity(None)?;
    let mut there = CpuSet::new();
    there.set(core.parse()?);
    sched_setaffinity(None, &there)?;
    let started = start();
    sched_setaffinity(None, &before)?;
    Ok(started)
}

/// Returns the load average of the last minute.
#[must_use]
pub fn load_average() -> f32 {
    LoadAverage::current().map_or(f32::NAN, |load| load.one)
}

/// Returns the most memory that a process has had resident so far, in bytes, with what descends from it.
pub fn resident_max(id: u32) -> Result<u64> {
    let each = tree(i32::try_from(id)?)?.into_iter().map(|process| process.status().map(|status| status.vmhwm));
    Ok(each.sum::<procfs::ProcResult<Option<u64>>>()?.ok_or("the kernel does not say VmHWM")? * 1024)
}

/// Returns what a process has resident now, in bytes, with what descends from it.
pub fn resident(id: u32) -> Result<u64> {
    let each = tree(i32::try_from(id)?)?.into_iter().map(|process| process.status().map(|status| status.vmrss));
    Ok(each.sum::<procfs::ProcResult<Option<u64>>>()?.ok_or("the kernel does not say VmRSS")? * 1024)
}

/// Fails if a process may open fewer than `n` files.
pub fn may_open(id: u32, n: u64) -> Result<()> {
    match Process::new(i32::try_from(id)?)?.limits()?.max_open_files.soft_limit {
        LimitValue::Value(limit) if limit < n => {
            Err(format!("a process may open {limit} files, {n} are needed: raise `ulimit -n`").into())
        }
        _ => Ok(()),
    }
}

/// Returns a process and all that descend from it and still run.
pub(super) fn tree(id: i32) -> Result<Vec<Process>> {
    let process = Process::new(id)?;
    let mut all = Vec::new();
    for task in process.tasks()? {
        // A thread may end meanwhile.
        for child in task.and_then(|task| task.children()).unwrap_or_default() {
            all.extend(tree(i32::try_from(child)?).unwrap_or_default());
        }
    }
    all.push(process);
    Ok(all)
}

/// How busy the cores were over a while, in parts of one core.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Busy {
    /// The server.
    pub server: f64,
    /// The load: this process and all others that it started.
    pub load: f64,
    /// All else.
    pub others: f64,
}

/// CPU time so far, in ticks.
pub struct CpuClock {
    server_id: u32,
    all: u64,
    server: u64,
    load: u64,
}

impl CpuClock {
    /// Starts to count what the server with this process id takes, and all else.
    pub fn start(server_id: u32) -> Result<Self> {
        let all = KernelStats::current()?.total;
        let all = all.user + all.nice + all.system + all.irq.unwrap_or(0) + all.softirq.unwrap_or(0);
        let server = tree(i32::try_from(server_id)?)?;
        // The load generators that ended are among the children that were waited for.
        let own = Process::myself()?;
        let mut load = u64::try_from(own.stat()?.cutime + own.stat()?.cstime)?;
        for process in tree(own.pid)? {
            if !server.iter().any(|part| part.pid == process.pid) {
                load += ticks(&process);
            }
        }
        Ok(Self { server_id, all, server: server.iter().map(ticks).sum(), load })
    }

    /// Returns what was taken since the start, `took` ago.
    pub fn stop(&self, took: Duration) -> Result<Busy> {
        let now = Self::start(self.server_id)?;
        let of_core = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64 / took.as_secs_f64();
        let (server, load) = (now.server.saturating_sub(self.server), now.load.saturating_sub(self.load));
        let others = (now.all - self.all).saturating_sub(server + load);
        Ok(Busy { server: of_core(server), load: of_core(load), others: of_core(others) })
    }
}

/// Returns the CPU time that a process took; none if it has ended and was waited for.
fn ticks(process: &Process) -> u64 {
    process.stat().map_or(0, |stat| stat.utime + stat.stime)
}
