//! Promises: what a run must show, `p95<1s,failures<1%,rps>900,cpu<90%`, and whether it did.

mod parse;

use std::fmt;

use crate::report::{InstanceReport, Latency, PromiseReport, Report, TaskReport};

pub use self::parse::{ParseError, parse};

/// What must hold at the end of a run, of one task or all.
#[derive(Debug, Clone, PartialEq)]
pub struct Promise {
    /// The task; all if there is none.
    pub task: Option<String>,
    /// What is looked at.
    pub what: Measure,
    /// How it is to stand to the limit.
    pub order: Order,
    /// Milliseconds, percent, a number a second or a number, as the measure has it.
    pub limit: f64,
    /// As it was given.
    pub text: String,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measure {
    /// A percentile of the latency: one of those that a report has.
    Percentile(Percentile),
    /// Failed requests, percent.
    FailurePercent,
    /// Failed requests, a number.
    Failures,
    /// Requests a second.
    Rps,
    /// Requests, a number.
    Requests,
    /// CPU of the busiest instance on average, percent of its limit.
    Cpu,
    /// The most memory of the fullest instance, percent of its limit.
    Ram,
}

/// Which figure of the latency.
#[derive(Debug, Clone, Copy)]
pub struct Percentile {
    /// As it is written.
    pub name: &'static str,
    pick: fn(&Latency) -> f64,
}

/// How a value is to stand to its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Below it.
    Less,
    /// Not above it.
    LessOrEqual,
    /// Above it.
    More,
    /// Not below it.
    MoreOrEqual,
}

impl PartialEq for Percentile {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Percentile {
    /// All that a report has.
    const ALL: [Self; 13] = [
        Self { name: "min", pick: |latency| latency.min_ms },
        Self { name: "mean", pick: |latency| latency.mean_ms },
        Self { name: "max", pick: |latency| latency.max_ms },
        Self { name: "p50", pick: |latency| latency.p50_ms },
        Self { name: "p66", pick: |latency| latency.p66_ms },
        Self { name: "p75", pick: |latency| latency.p75_ms },
        Self { name: "p80", pick: |latency| latency.p80_ms },
        Self { name: "p90", pick: |latency| latency.p90_ms },
        Self { name: "p95", pick: |latency| latency.p95_ms },
        Self { name: "p98", pick: |latency| latency.p98_ms },
        Self { name: "p99", pick: |latency| latency.p99_ms },
        Self { name: "p99.9", pick: |latency| latency.p999_ms },
        Self { name: "p99.99", pick: |latency| latency.p9999_ms },
    ];
}

impl Order {
    /// Whether `value` stands so to `limit`.
    #[must_use]
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Less => value < limit,
            Self::LessOrEqual => value <= limit,
            Self::More => value > limit,
            Self::MoreOrEqual => value >= limit,
        }
    }
}

impl Promise {
    /// Looks whether it is kept by what `report` shows so far.
    #[must_use]
    pub fn judge(&self, report: &Report) -> PromiseReport {
        let seen = self.seen(report);
        PromiseReport {
            promise: self.text.clone(),
            task: self.task.clone(),
            seen: seen.map_or_else(|| "not known".to_owned(), |seen| self.what.show(seen)),
            kept: seen.map(|seen| self.order.holds(seen, self.limit)),
        }
    }

    /// Whether it is broken already while a run goes on: one that only asks for more may still be kept.
    #[must_use]
    pub fn is_broken_for_good(&self, report: &Report) -> bool {
        let asks_for_less = matches!(self.order, Order::Less | Order::LessOrEqual);
        asks_for_less && self.judge(report).kept == Some(false)
    }

    /// Returns by what factor it is missed, above 1, or kept, so far; nothing if that cannot be known or the limit is 0.
    #[must_use]
    pub fn missed_by(&self, report: &Report) -> Option<f64> {
        let seen = self.seen(report)?;
        let (part, whole) = match self.order {
            Order::Less | Order::LessOrEqual => (seen, self.limit),
            Order::More | Order::MoreOrEqual => (self.limit, seen),
        };
        (whole > 0.0).then_some(part / whole)
    }

    fn seen(&self, report: &Report) -> Option<f64> {
        let task = match &self.task {
            Some(name) => report.tasks.iter().find(|task| task.name == *name)?,
            None => &report.total,
        };
        self.what.of(task, &report.instances)
    }
}

impl Measure {
    fn of(self, task: &TaskReport, instances: &[InstanceReport]) -> Option<f64> {
        let most = |values: &mut dyn Iterator<Item = f64>| values.reduce(f64::max);
        match self {
            Self::Percentile(percentile) => (task.requests > 0).then(|| (percentile.pick)(&task.latency)),
            Self::FailurePercent => (task.requests > 0).then(|| 100.0 * task.failures as f64 / task.requests as f64),
            Self::Failures => Some(task.failures as f64),
            Self::Rps => Some(task.rps),
            Self::Requests => Some(task.requests as f64),
            Self::Cpu => most(&mut instances.iter().filter_map(|one| one.cpu_percent.map(|cpu| cpu.mean))),
            Self::Ram => most(&mut instances.iter().filter_map(|one| one.ram_percent.map(|ram| ram.max))),
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Percentile(_) => format!("{value:.1} ms"),
            Self::FailurePercent | Self::Cpu | Self::Ram => format!("{value:.2} %"),
            Self::Rps => format!("{value:.1}/s"),
            Self::Failures | Self::Requests => format!("{value}"),
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.task {
            Some(task) => write!(f, "{task}:{}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// Makes sure that the tasks which are promised something exist.
///
/// # Errors
/// The first promise of a task that there is not.
pub fn check(promises: &[Promise], tasks: &[String]) -> Result<(), UnknownTask> {
    let unknown = promises.iter().find(|promise| promise.task.as_ref().is_some_and(|task| !tasks.contains(task)));
    match unknown {
        Some(promise) => Err(UnknownTask {
            promise: promise.to_string(),
            hint: crate::near::hint(promise.task.as_deref().unwrap_or_default(), tasks.iter().map(String::as_str)),
        }),
        None => Ok(()),
    }
}

/// A promise of a task that there is not, which nothing could break.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{promise}` is of no task{hint}")]
pub struct UnknownTask {
    promise: String,
    hint: String,
}

#[cfg(test)]
mod tests;
