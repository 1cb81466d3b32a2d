//! What one instance of a function may use.

use serde::{Deserialize, Serialize};

use crate::SchedulerError;

/// The least CPU of an instance, cores: the kernel takes no quota below a hundredth of its period.
const CPU_MIN_CORES: f64 = 0.01;
/// The most that is believed, cores.
const CPU_MAX_CORES: f64 = 4096.0;
/// The least memory of an instance, MiB: no process starts with less.
const MEMORY_MIN_MIB: u64 = 4;

/// What one instance may use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Size {
    /// CPU, in cores' worth of time.
    pub cpu_cores: f64,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Memory that it may take while there is some to spare, MiB: then this is the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_max_mib: Option<u64>,
}

/// How instances come to another size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resize {
    /// As they run, where the engine can; else as [`Resize::Replace`].
    #[default]
    InPlace,
    /// New instances replace them, which are made for that size from the start.
    Replace,
}

impl Size {
    /// Returns the size if an instance can have it.
    ///
    /// # Errors
    /// [`SchedulerError::Size`].
    pub fn checked(self) -> Result<Self, SchedulerError> {
        let wrong = |text: String| Err(SchedulerError::Size(text));
        if !(CPU_MIN_CORES..=CPU_MAX_CORES).contains(&self.cpu_cores) {
            return wrong(format!("{} CPU: an instance has {CPU_MIN_CORES} to {CPU_MAX_CORES} cores", self.cpu_cores));
        }
        if self.memory_mib < MEMORY_MIN_MIB {
            return wrong(format!("{} MiB of memory: an instance has at least {MEMORY_MIN_MIB}", self.memory_mib));
        }
        match self.memory_max_mib {
            Some(max) if max < self.memory_mib => {
                wrong(format!("{max} MiB of memory at most is less than {} MiB", self.memory_mib))
            }
            _ => Ok(self),
        }
    }

    /// Returns the limit of memory, MiB.
    #[must_use]
    pub fn limit_mib(&self) -> u64 {
        self.memory_max_mib.unwrap_or(0).max(self.memory_mib)
    }

    /// Returns the CPU in MHz of cores with this clock.
    #[must_use]
    pub fn cpu_mhz(&self, core_mhz: u64) -> u64 {
        #[expect(clippy::cast_precision_loss, reason = "a clock in MHz")]
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "4096 cores at most")]
        let mhz = (self.cpu_cores * core_mhz as f64).round() as u64;
        mhz.max(1)
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Four digits are more than any kernel keeps.
        write!(f, "{} CPU, {} MiB", (self.cpu_cores * 1e4).round() / 1e4, self.limit_mib())
    }
}

#[cfg(test)]
mod tests {
    use super::Size;

    #[test]
    fn a_size_that_no_instance_can_have_is_refused() {
        let of = |cpu_cores, memory_mib, memory_max_mib| Size { cpu_cores, memory_mib, memory_max_mib };
        for (size, words) in [
            (of(0.0, 64, None), "0 CPU: an instance has 0.01 to 4096 cores"),
            (of(f64::NAN, 64, None), "NaN CPU"),
            (of(1.0, 3, None), "3 MiB of memory: an instance has at least 4"),
            (of(1.0, 64, Some(32)), "32 MiB of memory at most is less than 64 MiB"),
        ] {
            let said = size.checked().unwrap_err().to_string();
            assert!(said.starts_with(words), "{said}");
        }
        let size = of(0.056, 64, Some(128)).checked().unwrap();
        assert_eq!((size.limit_mib(), size.cpu_mhz(2445), size.to_string()), (128, 137, "0.056 CPU, 128 MiB".into()));
    }
}
