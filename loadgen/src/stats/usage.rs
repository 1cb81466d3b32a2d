//! What the generator itself needs.

use std::time::{Duration, Instant};

use procfs::process::Process;
use rustix::time::{ClockId, clock_gettime};

use crate::report::{Range, Usage};

/// CPU above which the generator is taken for the limit, percent of its cores.
const FULL_PERCENT: f64 = 95.0;

/// A while that is shorter, such as the run's last one, says nothing of how busy a second is.
const SHORT: Duration = Duration::from_millis(500);

/// Measures this process, a while after the other.
#[derive(Debug)]
pub struct Meter {
    cores: f64,
    began: (Instant, Duration),
    last: (Instant, Duration),
    most_percent: f64,
    /// Whiles, and those of them in which nearly all of the CPU was used.
    whiles: (u32, u32),
}

impl Meter {
    /// Begins to measure a process that may use `cores` cores.
    #[must_use]
    pub fn new(cores: usize) -> Self {
        let now = (Instant::now(), cpu());
        Self { cores: cores as f64, began: now, last: now, most_percent: 0.0, whiles: (0, 0) }
    }

    /// Ends a while and returns its CPU, percent of one core.
    pub fn lap(&mut self) -> f64 {
        let now = (Instant::now(), cpu());
        let percent = share(self.last, now);
        if now.0.duration_since(self.last.0) >= SHORT {
            self.most_percent = self.most_percent.max(percent);
            self.whiles.0 += 1;
            self.whiles.1 += u32::from(percent > FULL_PERCENT * self.cores);
        }
        self.last = now;
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
