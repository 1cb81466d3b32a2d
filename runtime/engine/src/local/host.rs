//! What this machine is, in the words of Nomad's fingerprint.

use std::fs;

use procfs::{CpuInfo, Current, Meminfo};

/// What this machine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The clock of one core, MHz: `attr.cpu.frequency`.
    pub core_mhz: u64,
    /// Cores that this process may use: `attr.cpu.numcores`.
    pub n_cores: u64,
    /// Memory in bytes: `attr.memory.totalbytes`.
    pub memory_bytes: u64,
    /// Its name.
    pub hostname: String,
}

impl Host {
    /// Reads what this machine is; what cannot be read gets a usual value.
    #[must_use]
    pub fn read() -> Self {
        let n_cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
        let memory_bytes = Meminfo::current().map_or(0, |info| info.mem_total);
        let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
        Self { core_mhz: core_mhz(), n_cores, memory_bytes, hostname }
    }
}

/// Reads the base clock as Nomad does: sysfs first, then `/proc/cpuinfo`.
fn core_mhz() -> u64 {
    let sysfs = |file: &str| {
        let text = fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cpufreq/{file}")).ok()?;
        text.trim().parse::<u64>().ok().map(|khz| khz / 1000).filter(|mhz| *mhz > 0)
    };
    let cpuinfo = || {
        let mhz = CpuInfo::current().ok()?.get_field(0, "cpu MHz")?.parse::<f64>().ok()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a clock in MHz")]
        (1.0..1e6).contains(&mhz).then(|| mhz.round() as u64)
    };
    sysfs("base_frequency").or_else(|| sysfs("cpuinfo_max_freq")).or_else(cpuinfo).unwrap_or(1000)
}
