//! What the generator itself needs.

use std::time::{Duration, Instant};

use procfs::process::Process;
use procfs::{CurrentSI as _, KernelStats};
use rustix::time::{ClockId, clock_gettime};

use crate::report::{Range, Usage};

/// CPU above which the generator is taken for the limit, percent of its cores.
const FULL_PERCENT: f64 = 95.0;

/// A while that is shorter, such as the run's last one, says nothing of how busy a second is.
const SHORT: Duration = Duration::from_millis(500);

/// Time in which this process would have run.
#[derive(Debug, Clone, Copy, Default)]
struct Lost {
    /// Its threads waited for a core that others had.
    waited: Duration,
    /// A hypervisor ran others than this machine.
    stolen: Duration,
}

/// Measures this process, a while after the other.
#[derive(Debug)]
pub struct Meter {
    cores: f64,
    began: (Instant, Duration),
    last: (Instant, Duration),
    most_percent: f64,
    last_lost: Lost,
    most_lost: Lost,
    /// Whiles, and those of them in which nearly all of the CPU was used.
    whiles: (u32, u32),
}

impl Meter {
    /// Begins to measure a process that may use `cores` cores.
    #[must_use]
    pub fn new(cores: usize) -> Self {
        let now = (Instant::now(), cpu());
        let (last_lost, most_lost) = (Lost::now(), Lost::default());
        Self { cores: cores as f64, began: now, last: now, most_percent: 0.0, last_lost, most_lost, whiles: (0, 0) }
    }

    /// Ends a while and returns its CPU, percent of one core.
    pub fn lap(&mut self) -> f64 {
        let (now, lost) = ((Instant::now(), cpu()), Lost::now());
        let percent = share(self.last, now);
        let since = lost.since(self.last_lost);
        if now.0.duration_since(self.last.0) >= SHORT {
            self.most_percent = self.most_percent.max(percent);
            self.most_lost = self.most_lost.max(since);
            self.whiles.0 += 1;
            self.whiles.1 += u32::from(percent > FULL_PERCENT * self.cores);
        }
        (self.last, self.last_lost) = (now, lost);
        percent
    }

    /// Returns what was used so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let mean = share(self.began, self.last);
        let memory_bytes = Process::myself().and_then(|own| own.status()).ok().and_then(|status| status.vmhwm);
        Usage {
            cpu_percent: Range { mean, max: self.most_percent.max(mean) },
            memory_bytes: memory_bytes.unwrap_or_default() * 1024,
            cores: self.cores,
            waited_ms: self.most_lost.waited.as_secs_f64() * 1e3,
            stolen_ms: self.most_lost.stolen.as_secs_f64() * 1e3,
        }
    }

    /// Returns why the figures are the generator's own, if it had no CPU left for more than one second in twenty.
    #[must_use]
    pub fn invalid(&self) -> Option<String> {
        let (all, full) = self.whiles;
        (full * 20 > all).then(|| {
            let cores = self.cores;
            format!(
                "the generator used more than {FULL_PERCENT} % of its {cores} cores in {full} of {all} seconds: its own speed is measured; give it more cores or workers"
            )
        })
    }
}

impl Lost {
    /// Returns what was lost so far; nothing of what the kernel does not tell.
    fn now() -> Self {
        let threads = Process::myself().and_then(|own| own.tasks()).into_iter().flatten();
        // A thread may end meanwhile.
        let waited = threads.filter_map(|thread| Some(thread.ok()?.schedstat().ok()?.run_delay)).sum();
        let stolen = KernelStats::current().ok().and_then(|all| all.total.steal_duration());
        Self { waited: Duration::from_nanos(waited), stolen: stolen.unwrap_or_default() }
    }

    fn since(self, before: Self) -> Self {
        Self { waited: self.waited.saturating_sub(before.waited), stolen: self.stolen.saturating_sub(before.stolen) }
    }

    fn max(self, other: Self) -> Self {
        Self { waited: self.waited.max(other.waited), stolen: self.stolen.max(other.stolen) }
    }
}

/// Returns the CPU time of this process.
fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
}

fn share(from: (Instant, Duration), to: (Instant, Duration)) -> f64 {
    let wall = to.0.duration_since(from.0).as_secs_f64();
    if wall > 0.0 { 100.0 * to.1.saturating_sub(from.1).as_secs_f64() / wall } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_wait_for_a_core_are_seen() {
        let (n, until) = (std::thread::available_parallelism().unwrap().get() + 1, Instant::now() + 2 * SHORT);
        std::thread::scope(|scope| {
            let mut meter = Meter::new(n);
            for _ in 0..n {
                scope.spawn(|| {
                    while Instant::now() < until {
                        std::hint::spin_loop();
                    }
                });
            }
            // One more than there are cores: at any time one waits, at least.
            std::thread::sleep(SHORT + SHORT / 10);
            meter.lap();
            let Usage { waited_ms, stolen_ms, .. } = meter.usage();
            assert!(waited_ms > 100.0 && stolen_ms >= 0.0, "{waited_ms} {stolen_ms}");
        });
    }

    #[test]
    fn the_last_moment_of_a_run_is_no_second() {
        let mut meter = Meter::new(1);
        let until = Instant::now() + Duration::from_millis(20);
        // All of a core, for less than a while that counts.
        while Instant::now() < until {
            std::hint::black_box(meter.lap());
        }
        assert_eq!((meter.invalid(), meter.whiles), (None, (0, 0)));
        let usage = meter.usage();
        assert!(usage.cpu_percent.max >= usage.cpu_percent.mean, "{usage:?}");
    }
}
