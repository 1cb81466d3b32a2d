//! Why a count was decided, as a person reads it.

use std::fmt;
use std::time::Duration;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// A load over a window, and what one instance should carry of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Average in flight, or requests per second.
    pub average: f64,
    /// The window of that average.
    pub window: Duration,
    /// What one instance should carry, in the same unit.
    pub target: f64,
    /// Whether it is requests per second, not in flight.
    pub is_rate: bool,
}

/// What decided a count. Its text is a short sentence; its label is for metrics and programs.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// The load of the stable window.
    Load(Load),
    /// The load of the panic window, which is more than the ready instances can carry.
    Panic(Load),
    /// A panic keeps its highest count until a stable window passed without overload.
    PanicHolds {
        /// That count.
        count: u32,
        /// The stable window.
        window: Duration,
    },
    /// A request waits and there is no instance.
    Wakes,
    /// There is no instance and no request.
    Asleep,
    /// Nothing was in flight or arrived for so long that no instance is needed.
    Idle {
        /// The delay from one instance to none.
        zero_after: Duration,
    },
    /// Nothing is in flight, but not for long enough, or there is always one instance.
    LastInstance {
        /// For how long.
        silence: Duration,
        /// The delay from one instance to none, where there may be none.
        zero_after: Option<Duration>,
    },
    /// Fewer are needed, but not for the whole scale-down delay.
    Delayed {
        /// That delay.
        delay: Duration,
        /// How many are needed.
        wanted: u32,
    },
    /// More are needed than may be added at once.
    RateUp {
        /// The highest ratio of wanted to ready instances.
        rate: f64,
        /// Ready instances, at least 1.
        n_ready: u32,
    },
    /// Fewer are needed than may be left at once.
    RateDown {
        /// The highest ratio of ready to wanted instances.
        rate: f64,
        /// Ready instances, at least 1.
        n_ready: u32,
    },
    /// The job's `min`.
    BoundMin {
        /// That bound.
        min: u32,
    },
    /// The job's `max`.
    BoundMax {
        /// That bound.
        max: u32,
    },
}

impl Reason {
    /// Returns the one word for this reason in metrics and JSON.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Load(_) => "load",
            Self::Panic(_) => "panic",
            Self::PanicHolds { .. } => "panic_holds",
            Self::Wakes => "wakes",
            Self::Asleep => "asleep",
            Self::Idle { .. } => "idle",
            Self::LastInstance { .. } => "last_instance",
            Self::Delayed { .. } => "scale_down_delay",
            Self::RateUp { .. } => "max_scale_up_rate",
            Self::RateDown { .. } => "max_scale_down_rate",
            Self::BoundMin { .. } => "min",
            Self::BoundMax { .. } => "max",
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.is_rate { "requests/s" } else { "in flight" };
        write!(f, "{:.1} {unit} over {}, {:.1} per instance", self.average, seconds(self.window), self.target)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(load) => load.fmt(f),
            Self::Panic(load) => write!(f, "panic: {load}"),
            Self::PanicHolds { count, window } => {
                write!(f, "panic: keeps {count} until {} without overload", seconds(*window))
            }
            Self::Wakes => f.write_str("a request waits and there is no instance"),
            Self::Asleep => f.write_str("no request and no instance"),
            Self::Idle { zero_after } => write!(f, "no request for {}", seconds(*zero_after)),
            Self::LastInstance { silence, zero_after } => {
                write!(f, "no request for {}", seconds(Duration::from_secs(silence.as_secs())))?;
                zero_after.map_or(Ok(()), |delay| write!(f, ", to 0 after {}", seconds(delay)))
            }
            Self::Delayed { delay, wanted } => {
                write!(f, "waits scale_down_delay = {} before {wanted}", seconds(*delay))
            }
            Self::RateUp { rate, n_ready } => write!(f, "bound by max_scale_up_rate = {rate}, {n_ready} ready"),
            Self::RateDown { rate, n_ready } => write!(f, "bound by max_scale_down_rate = {rate}, {n_ready} ready"),
            Self::BoundMin { min } => write!(f, "bound by min = {min}"),
            Self::BoundMax { max } => write!(f, "bound by max = {max}"),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Reason", 2)?;
        fields.serialize_field("label", self.label())?;
        fields.serialize_field("text", &self.to_string())?;
        fields.end()
    }
}

/// Returns a duration in seconds, so that two of them are compared at a glance.
fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs_f64())
}
