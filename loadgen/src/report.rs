//! What a run has shown: [`Report`]. Every output is made of it, and a run that goes on shows itself as one.

pub mod compare;
pub mod csv;
pub mod figures;
pub mod html;
pub mod json;
pub mod live;
pub mod markdown;
mod outcome;
pub mod prometheus;
#[cfg(test)]
pub(crate) mod sample;
mod sections;
pub(crate) mod table;
pub mod terminal;
pub(crate) mod thin;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::outcome::Outcome;

/// The version of the JSON form; it changes when a field changes its meaning or goes.
pub const SCHEMA: &str = "drover.loadgen/1";

/// One run, while it goes on or when it has ended. Times are in seconds or milliseconds as the names say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// The version of loadgen.
    pub version: String,
    /// When it began, RFC 3339, UTC.
    pub began: String,
    /// How long it has measured.
    pub elapsed_s: f64,
    /// What is left of it, if it has an end.
    pub remaining_s: Option<f64>,
    /// Where it stands.
    pub state: RunState,
    /// What was loaded, in words: a function's name or a URL.
    pub target: String,
    /// What steers it.
    pub load: LoadKind,
    /// How: the command's settings as a person gave them, by the names of their options without dashes.
    pub plan: BTreeMap<String, String>,
    /// Why the figures must not be believed; empty for a valid run.
    pub invalid: Vec<String>,
    /// All requests together.
    pub total: TaskReport,
    /// Each task.
    pub tasks: Vec<TaskReport>,
    /// What failed, the most frequent first.
    pub failures: Vec<FailureReport>,
    /// One point a second, the oldest first.
    pub history: Vec<Point>,
    /// How the requests were spread, if the target has several instances that are known.
    pub instances: Vec<InstanceReport>,
    /// What was promised and whether it was kept.
    pub promises: Vec<PromiseReport>,
    /// The generator's own needs.
    pub generator: Usage,
    /// Requests that were sent more than 10 ms after they were due because the generator was not ready.
    pub late: u64,
    /// The workers of a fleet.
    pub workers: Vec<WorkerReport>,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Nothing runs yet.
    Ready,
    /// Users are being added, or the rate rises.
    Ramping,
    /// All that was asked for runs.
    Holding,
    /// Nothing new is sent, and answers are waited for.
    Stopping,
    /// It has run to its end.
    Finished,
    /// Somebody ended it early, or a broken promise did.
    Stopped,
}

impl Report {
    /// Returns the report of a run that has not begun.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            schema: SCHEMA.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            began: String::new(),
            elapsed_s: 0.0,
            remaining_s: None,
            state: RunState::Ready,
            target: String::new(),
            load: LoadKind::Users,
            plan: BTreeMap::new(),
            invalid: Vec::new(),
            total: TaskReport::default(),
            tasks: Vec::new(),
            failures: Vec::new(),
            history: Vec::new(),
            instances: Vec::new(),
            promises: Vec::new(),
            generator: Usage::default(),
            late: 0,
            workers: Vec::new(),
        }
    }
}

/// What steers a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoadKind {
    /// A number of users, each of whom waits for its answer.
    Users,
    /// A number of requests a second, whatever the answers.
    Rate,
}

/// The requests of one task, or all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskReport {
    /// The task's name; `Aggregated` for all.
    pub name: String,
    /// Its method, if it has only one.
    pub method: String,
    /// Requests that were answered or have failed.
    pub requests: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Requests a second, over the whole run.
    pub rps: f64,
    /// Bytes of a body, on average.
    pub mean_bytes: f64,
    /// From the moment a request was due: what a user waits. Without a schedule the same as `service`.
    pub latency: Latency,
    /// From the moment it was sent.
    pub service: Latency,
}

/// How long answers took, in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// The least.
    pub min_ms: f64,
    /// The average.
    pub mean_ms: f64,
    /// The most.
    pub max_ms: f64,
    /// Half took at most so long.
    pub p50_ms: f64,
    /// 66 of 100.
    pub p66_ms: f64,
    /// 75 of 100.
    pub p75_ms: f64,
    /// 80 of 100.
    pub p80_ms: f64,
    /// 90 of 100.
    pub p90_ms: f64,
    /// 95 of 100.
    pub p95_ms: f64,
    /// 98 of 100.
    pub p98_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// 999 of 1,000.
    pub p999_ms: f64,
    /// 9,999 of 10,000.
    pub p9999_ms: f64,
}

/// One kind of failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FailureReport {
    /// The task's name.
    pub task: String,
    /// The task's method.
    pub method: String,
    /// As [`crate::work::Failure`].
    pub kind: String,
    /// In words.
    pub detail: String,
    /// How often.
    pub count: u64,
    /// Bodies of a few such answers, cut.
    pub samples: Vec<String>,
}

/// One second of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// Its end, from the run's beginning.
    pub at_s: f64,
    /// Its end, in seconds since 1970, UTC.
    pub unix_s: f64,
    /// Users that run.
    pub users: u64,
    /// Requests a second that are aimed at, of a run by rate.
    pub rate: Option<f64>,
    /// Requests a second that ended.
    pub rps: f64,
    /// Failures a second.
    pub failures_per_s: f64,
    /// Requests in flight.
    pub in_flight: u64,
    /// Of this second's answers.
    pub p50_ms: f64,
    /// Of this second's answers.
    pub p95_ms: f64,
    /// Of this second's answers.
    pub p99_ms: f64,
    /// Sent late in this second.
    pub late: u64,
    /// The generator's CPU in this second, percent of one core.
    pub generator_cpu_percent: f64,
    /// Instances that run, if that is known.
    pub instances: Option<u64>,
    /// Requests that have ended since the run's beginning.
    pub requests: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Of all answers since the run's beginning.
    pub latency: Latency,
    /// Bytes of a body, on average since the run's beginning.
    pub mean_bytes: f64,
    /// CPU of the busiest instance, percent of its limit, if that is known.
    pub cpu_percent: Option<f64>,
    /// Memory of the fullest instance, percent of its limit, if that is known.
    pub ram_percent: Option<f64>,
}

/// One instance's share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceReport {
    /// Its id, or its address.
    pub id: String,
    /// Where it listens.
    pub address: String,
    /// Requests that it answered during the run.
    pub requests: u64,
    /// Its CPU limit in cores, if it has one that is known.
    pub cpu_limit_cores: Option<f64>,
    /// Its memory limit in bytes, if it has one that is known.
    pub memory_limit_bytes: Option<u64>,
    /// Its CPU, percent of the limit: on average and at most.
    pub cpu_percent: Option<Range>,
    /// Its memory, percent of the limit: on average and at most.
    pub ram_percent: Option<Range>,
}

/// A value's average and its most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Range {
    /// The average.
    pub mean: f64,
    /// The most.
    pub max: f64,
}

/// A promise and whether it was kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PromiseReport {
    /// As it was given: `p95<1s`.
    pub promise: String,
    /// The task that it is for; all if there is none.
    pub task: Option<String>,
    /// What was seen, in the promise's unit.
    pub seen: String,
    /// Whether it was kept; nothing if it could not be known.
    pub kept: Option<bool>,
}

/// What a process used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// CPU, percent of one core.
    pub cpu_percent: Range,
    /// The largest resident memory in bytes.
    pub memory_bytes: u64,
    /// Cores that it may use.
    pub cores: f64,
    /// The most that its threads waited in one second for a core that others had, milliseconds of all of them.
    #[serde(default)]
    pub waited_ms: f64,
    /// The most that a hypervisor took in one second from the machine's cores, milliseconds of all of them.
    #[serde(default)]
    pub stolen_ms: f64,
}

/// A worker of a fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerReport {
    /// Its name.
    pub id: String,
    /// From where it reports.
    pub address: String,
    /// Whether it was lost before it had reported all.
    pub lost: bool,
    /// Requests that it counted.
    pub requests: u64,
    /// Its needs.
    pub usage: Usage,
    /// Sent late by it.
    pub late: u64,
    /// How far its system clock was ahead of the master's, in milliseconds; right to half of the round trip. The
    /// run's beginning does not depend on it.
    #[serde(default)]
    pub clock_ahead_ms: f64,
    /// The quickest round trip between it and the master, in milliseconds.
    #[serde(default)]
    pub round_trip_ms: f64,
}

#[cfg(test)]
mod tests;
