//! What the kernel counts of this process, as metrics under the names that Prometheus's client libraries have agreed on.

use metrics::{Unit, describe_gauge, gauge};
use procfs::process::{Process, Stat};

/// Describes the metrics, and sets the one that never changes: when the process started. To be called once, since the
/// kernel's time of boot moves with the clock.
pub fn begin() {
    describe_gauge!("process_start_time_seconds", Unit::Seconds, "when the process started, Unix time");
    describe_gauge!("process_resident_memory_bytes", Unit::Bytes, "resident memory of the process");
    describe_gauge!("process_open_fds", "open file descriptors of the process");
    if let (Some(stat), Ok(booted)) = (stat(), procfs::boot_time_secs()) {
        gauge!("process_start_time_seconds").set(booted as f64 + seconds(stat.starttime));
    }
}

/// Brings the metrics up to now; a value that the kernel withholds is left out.
pub fn update() {
    let Ok(me) = Process::myself() else { return };
    if let Ok(stat) = me.stat() {
        gauge!("process_resident_memory_bytes").set((stat.rss * procfs::page_size()) as f64);
    }
    if let Ok(n) = me.fd_count() {
        gauge!("process_open_fds").set(n as f64);
    }
}

/// Returns the process's CPU time as Prometheus text: the exporter's counters are whole numbers.
#[must_use]
pub fn cpu_time() -> String {
    let line = |value: f64| {
        let name = "process_cpu_seconds_total";
        format!("# HELP {name} CPU time of the process, user and system\n# TYPE {name} counter\n{name} {value}\n")
    };
    stat().map(|stat| line(seconds(stat.utime + stat.stime))).unwrap_or_default()
}

fn stat() -> Option<Stat> {
    Process::myself().and_then(|me| me.stat()).ok()
}

/// Returns what the kernel counts in ticks of its clock.
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / procfs::ticks_per_second().max(1) as f64
}
