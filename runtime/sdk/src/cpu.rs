//! How many cores this process may use, and holding it to that.
//!
//! In this order: `DROVER_CPU` (cores, such as `0.25`); `NOMAD_CPU_CORES` (cores of our own, such as
//! `0-1,3`); `NOMAD_CPU_LIMIT` (MHz) of cores of `DROVER_CORE_MHZ`; the quota of the control group;
//! all cores that we may run on.
//!
//! Nomad's drivers `raw_exec` and `exec` turn `cpu` into shares, which limit nothing while the node
//! is idle: then an instance does fine until its neighbour wakes. [`cap_self`] makes the limit real, once
//! the model is loaded.

use std::path::Path;

use drover_core::config::Source;
use procfs::process::Process;

use self::cgroup::CpuGroup;

mod cgroup;

/// The settings that are read here.
pub const SETTINGS: [&str; 2] = ["DROVER_CPU", "DROVER_CORE_MHZ"];

/// The most cores that are believed.
const CORES_MAX: f64 = 4096.0;

/// How many cores this process may use, and who says so.
#[derive(Debug, Clone, Copy, PartialEq)]
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
    /// Reads the limit of this process. A setting that is no number counts as unset: report it
    /// with [`parse_cores`] first.
    #[must_use]
    pub fn read(source: &dyn Source) -> Self {
        let quota = CpuGroup::of_this_process().and_then(|group| group.quota(&read_text));
        Self::decide(source, quota, allowed_cores())
    }

    /// Returns how many threads can be kept busy: the limit rounded up, at least 1.
    #[must_use]
    pub fn threads(&self) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 4096")]
        let threads = self.cores.ceil().clamp(1.0, CORES_MAX) as usize;
        threads
    }

    fn decide(source: &dyn Source, quota: Option<f64>, allowed: f64) -> Self {
        let (cores, from) = promised(source)
            .or_else(|| quota.map(|cores| (cores, LimitSource::Cgroup)))
            .unwrap_or((allowed, LimitSource::Machine));
        Self { cores: cores.min(allowed), from }
    }
}

/// Returns the quota of the control group as it is now, in cores; nothing if there is none.
pub(crate) fn quota() -> Option<f64> {
    CpuGroup::of_this_process()?.quota(&read_text).map(|cores| cores.min(allowed_cores()))
}

/// Reads a number of cores, or of MHz.
///
/// # Errors
/// A line that says what is wrong with it.
pub fn parse_cores(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        _ => Err(format!("`{text}` is not a number above 0")),
    }
}

/// Gives this process's own control group the quota that Nomad promised, where none is set. Says
/// what it did, or why it could not, in one log line; says nothing where nothing was promised.
///
/// A control group that is not this instance's own is left alone: others live in it.
pub fn cap_self(source: &dyn Source) {
    let Some(instance) = source.get("NOMAD_ALLOC_ID").filter(|id| !id.is_empty()) else { return };
    let cores = match promised(source) {
        Some((cores, LimitSource::Setting | LimitSource::NomadMhz)) => cores,
        // Nomad keeps others off these cores, and us on them.
        Some(_) => return,
        None => {
            tracing::warn!("cpu_limit_not_enforced: set DROVER_CORE_MHZ to \"${{attr.cpu.frequency}}\" in the job");
            return;
        }
    };
    if cores >= allowed_cores() {
        return;
    }
    let Some(group) = CpuGroup::of_this_process() else {
        tracing::warn!(
            cores,
            "cpu_limit_not_enforced: no control group can be seen from here, as under the driver exec; raw_exec and docker limit CPU"
        );
        return;
    };
    if let Some(quota) = group.quota(&read_text) {
        tracing::debug!(cores, quota, "the control group has a CPU quota already");
        return;
    }
    match group.set_quota(cores, &instance) {
        Ok(set) => tracing::info!(cores = set, group = %group.path().display(), "capped this instance's CPU"),
        Err(why) => tracing::warn!(cores, "cpu_limit_not_enforced: {why}"),
    }
}

/// Returns in how many periods of its CPU quota this process's control group ran, and in how many of them it had
/// used the quota up; nothing where that cannot be seen.
pub(crate) fn periods() -> Option<(u64, u64)> {
    CpuGroup::of_this_process()?.periods(&read_text)
}

/// Returns the cores that someone promised in so many words.
fn promised(source: &dyn Source) -> Option<(f64, LimitSource)> {
    let number = |key| source.get(key).and_then(|text| parse_cores(&text).ok());
    if let Some(cores) = number("DROVER_CPU") {
        return Some((cores, LimitSource::Setting));
    }
    if let Some(cores) = source.get("NOMAD_CPU_CORES").and_then(|list| count_cores(&list)) {
        return Some((cores, LimitSource::NomadCores));
    }
    Some((number("NOMAD_CPU_LIMIT")? / number("DROVER_CORE_MHZ")?, LimitSource::NomadMhz))
}

/// Counts the cores of a list such as `0-1,3`.
fn count_cores(list: &str) -> Option<f64> {
    let mut cores = 0;
    for part in list.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        cores += last.checked_sub(first)?.checked_add(1)?;
    }
    Some(f64::from(cores))
}

/// Returns how many cores this process may run on, whatever any quota says.
fn allowed_cores() -> f64 {
    let mask = Process::myself().and_then(|me| me.status()).ok().and_then(|status| status.cpus_allowed);
    let cores: u32 = mask.unwrap_or_default().iter().map(|word| word.count_ones()).sum();
    f64::from(cores).max(1.0)
}

fn read_text(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests;
