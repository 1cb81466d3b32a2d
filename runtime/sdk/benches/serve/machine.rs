//! The machine: its cores, how busy it is, what a process took of it.

use std::time::Duration;

use procfs::process::Process;
use procfs::{Current as _, CurrentSI as _, KernelStats, LoadAverage};
use tokio::process::Command;

use crate::Result;

/// The core of the server that is measured.
pub(crate) const SERVER_CORE: &str = "0";
/// The core of all that puts load on it.
pub(crate) const LOAD_CORE: &str = "1";

/// Puts this process, and what it will start, on the core of the load.
pub(crate) async fn move_to_load_core() -> Result<()> {
    let id = std::process::id().to_string();
    let moved = Command::new("taskset").args(["-a", "-c", "-p", LOAD_CORE, &id]).output().await;
    let moved = moved.map_err(|e| format!("taskset: {e}; it is in the package util-linux"))?;
    if !moved.status.success() {
        return Err("cannot have a core for the server and another for its load: two cores are needed".into());
    }
    Ok(())
}

/// Returns the load average of the last minute.
pub(crate) fn load_average() -> f32 {
    LoadAverage::current().map_or(f32::NAN, |load| load.one)
}

/// Returns the most memory that a process has had resident so far, in bytes.
pub(crate) fn resident_max(id: u32) -> Result<u64> {
    let status = Process::new(i32::try_from(id)?)?.status()?;
    Ok(status.vmhwm.ok_or("the kernel does not say VmHWM")? * 1024)
}

/// Returns what a process has resident now, in bytes.
pub(crate) fn resident(id: u32) -> Result<u64> {
    let status = Process::new(i32::try_from(id)?)?.status()?;
    Ok(status.vmrss.ok_or("the kernel does not say VmRSS")? * 1024)
}

/// How busy the cores were over a while, in parts of one core.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Busy {
    /// The server.
    pub(crate) server: f64,
    /// The load, this process included.
    pub(crate) load: f64,
    /// All else.
    pub(crate) others: f64,
}

/// CPU time so far, in ticks.
pub(crate) struct CpuClock {
    server_id: i32,
    all: u64,
    server: u64,
    load: u64,
}

impl CpuClock {
    /// Starts to count what the server with this process id takes, and all else.
    pub(crate) fn start(server_id: u32) -> Result<Self> {
        let server_id = i32::try_from(server_id)?;
        let all = KernelStats::current()?.total;
        let all = all.user + all.nice + all.system + all.irq.unwrap_or(0) + all.softirq.unwrap_or(0);
        let server = Process::new(server_id)?.stat()?;
        // The load generators that ended are among the children that were waited for.
        let own = Process::myself()?.stat()?;
        let children = u64::try_from(own.cutime + own.cstime)?;
        Ok(Self { server_id, all, server: server.utime + server.stime, load: own.utime + own.stime + children })
    }

    /// Returns what was taken since the start, `took` ago.
    pub(crate) fn stop(&self, took: Duration) -> Result<Busy> {
        let now = Self::start(u32::try_from(self.server_id)?)?;
        let of_core = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64 / took.as_secs_f64();
        let (server, load) = (now.server - self.server, now.load - self.load);
        let others = (now.all - self.all).saturating_sub(server + load);
        Ok(Busy { server: of_core(server), load: of_core(load), others: of_core(others) })
    }
}
