//! Whether this machine lets a function be measured: how busy it was, and how much of its time others took.

use procfs::{CpuInfo, Current as _, CurrentSI as _, KernelStats, LoadAverage, Meminfo};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The time of its cores that a hypervisor gave to others, percent, above which nothing is measured.
const STEAL_PERCENT: f64 = 5.0;
/// The share of its cores that was busy, percent, above which there was nothing left.
const FULL_PERCENT: f64 = 95.0;
/// The share of its CPU, percent, below which an instance was not what held a run up.
const USED_PERCENT: f64 = 90.0;

/// What the machine did while a trial was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// All cores, percent of their time that something ran.
    pub busy_percent: f64,
    /// All cores, percent of their time that a hypervisor gave to others.
    pub steal_percent: f64,
    /// Processes that ran or waited to run, on average over the minute before its end.
    pub load: f64,
    /// Cores.
    pub cores: u64,
}

/// A moment from which on is measured.
#[derive(Debug, Clone, Copy)]
pub struct Since {
    busy: u64,
    steal: u64,
    all: u64,
}

impl Since {
    /// Begins to measure; nothing if the kernel does not tell.
    #[must_use]
    pub fn now() -> Option<Self> {
        let time = KernelStats::current().ok()?.total;
        let steal = time.steal.unwrap_or(0);
        let busy = time.user + time.nice + time.system + time.irq.unwrap_or(0) + time.softirq.unwrap_or(0);
        Some(Self { busy, steal, all: busy + steal + time.idle + time.iowait.unwrap_or(0) })
    }

    /// Returns what the machine did since then.
    #[must_use]
    pub fn machine(self) -> Machine {
        let now = Self::now().unwrap_or(self);
        let all = now.all.saturating_sub(self.all).max(1) as f64;
        let share = |now: u64, then: u64| 100.0 * now.saturating_sub(then) as f64 / all;
        Machine {
            busy_percent: share(now.busy, self.busy),
            steal_percent: share(now.steal, self.steal),
            load: LoadAverage::current().map_or(0.0, |load| f64::from(load.one)),
            cores: cores(),
        }
    }
}

/// Returns what this machine is: its processor, its cores, its memory.
#[must_use]
pub fn described() -> String {
    let model = CpuInfo::current().ok().and_then(|info| info.get_field(0, "model name").map(str::to_owned));
    let memory = Meminfo::current().map_or(0, |memory| memory.mem_total);
    let model = model.unwrap_or_else(|| std::env::consts::ARCH.into());
    format!("{model}, {} cores, {}", cores(), crate::report::figures::bytes(memory))
}

/// Returns how many cores this process may use.
#[must_use]
pub fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |n| n.get() as u64)
}

impl Machine {
    /// Returns why a broken promise says nothing of the function, whose busiest instance used `cpu_percent` of its
    /// limit: it did not get what it may use. A promise that was kept in spite of it is kept.
    #[must_use]
    pub fn was_in_the_way(&self, cpu_percent: Option<f64>) -> Option<String> {
        if self.steal_percent > STEAL_PERCENT {
            return Some(format!("the hypervisor gave {:.0} % of this machine's time to others", self.steal_percent));
        }
        let used = cpu_percent.unwrap_or(0.0);
        (self.busy_percent > FULL_PERCENT && used < USED_PERCENT).then(|| {
            let (busy, cores) = (self.busy_percent, self.cores);
            let used = cpu_percent.map_or_else(|| "an unknown part".into(), |used| format!("{used:.0} %"));
            format!(
                "this machine's {cores} cores were {busy:.0} % busy, and the function could use only {used} of its CPU"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Machine, Since};

    #[test]
    fn a_full_machine_is_no_failure_of_a_function_that_did_not_get_its_cpu() {
        let machine = |busy_percent, steal_percent| Machine { busy_percent, steal_percent, load: 3.0, cores: 2 };
        assert_eq!(machine(99.0, 0.0).was_in_the_way(Some(97.0)), None);
        assert_eq!(machine(80.0, 0.0).was_in_the_way(Some(40.0)), None);
        for (machine, cpu) in
            [(machine(99.0, 0.0), Some(60.0)), (machine(99.0, 0.0), None), (machine(10.0, 9.0), Some(99.0))]
        {
            assert!(machine.was_in_the_way(cpu).is_some(), "{machine:?} {cpu:?}");
        }
    }

    #[test]
    fn a_machine_that_computes_is_busy() {
        let since = Since::now().unwrap();
        let began = std::time::Instant::now();
        while began.elapsed() < std::time::Duration::from_millis(200) {
            std::hint::spin_loop();
        }
        let machine = since.machine();
        assert!(machine.busy_percent > 0.0 && machine.busy_percent <= 100.0 && machine.cores > 0, "{machine:?}");
    }
}
