//! A Nomad job file as one machine understands it.

mod fields;
mod findings;
mod functions;
mod interpolate;
mod policy;
mod read;
mod service;
mod syntax;
mod task;
#[cfg(test)]
mod tests;
mod variables;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

pub use findings::BadJob;
pub use interpolate::{UnknownWord, interpolate};
pub use read::{Loaded, load};
pub use variables::Variables;

/// A job with its one group and task, which is one function.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The job's id, `NOMAD_JOB_ID`.
    pub id: String,
    /// The job's name, `NOMAD_JOB_NAME`.
    pub name: String,
    /// The namespace; `default` unless set.
    pub namespace: String,
    /// The region; `global` unless set.
    pub region: String,
    /// `meta` of job, group and task, the inner one winning.
    pub meta: BTreeMap<String, String>,
    /// What runs.
    pub group: Group,
}

/// So many instances of a task, and how they are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its label in the file.
    pub name: String,
    /// Instances at the start.
    pub count: u32,
    /// The bounds of the count.
    pub scaling: Scaling,
    /// What happens when an instance ends by itself.
    pub restart: Restart,
    /// What happens when its restarts are used up.
    pub reschedule: Reschedule,
    /// The ports that an instance gets.
    pub ports: Vec<Port>,
    /// What the catalog shows; the first names the function.
    pub services: Vec<Service>,
    /// How long an instance that left the catalog still answers before it is told to stop.
    pub shutdown_delay: Duration,
    /// The process.
    pub task: Task,
}

/// The bounds of the count, and how it changes by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scaling {
    /// The fewest instances.
    pub min: u32,
    /// The most instances.
    pub max: u32,
    /// Whether the count changes by itself.
    pub enabled: bool,
    /// What `policy` says, for `drover_core::scale::Policy` to read.
    pub policy: BTreeMap<String, String>,
}

/// What happens when an instance ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// How many restarts one `interval` may have; 2 unless set.
    pub attempts: u32,
    /// The span in which restarts are counted; 30 min unless set.
    pub interval: Duration,
    /// The wait before a restart; 15 s unless set.
    pub delay: Duration,
    /// What follows when the attempts of an interval are used up.
    pub mode: RestartMode,
}

/// What follows when the attempts of an interval are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartMode {
    /// The instance has failed for good.
    Fail,
    /// It waits for the next interval.
    Delay,
}

impl Default for Restart {
    fn default() -> Self {
        let (interval, delay) = (Duration::from_secs(30 * 60), Duration::from_secs(15));
        Self { attempts: 2, interval, delay, mode: RestartMode::Fail }
    }
}

/// What happens when the restarts of an instance are used up: on one machine, it begins anew here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reschedule {
    /// The wait before the first new beginning; 30 s unless set.
    pub delay: Duration,
    /// How the wait grows.
    pub growth: Growth,
    /// The longest wait; 1 h unless set.
    pub max_delay: Duration,
    /// The most new beginnings; nothing is no limit.
    pub attempts: Option<u32>,
}

impl Default for Reschedule {
    fn default() -> Self {
        let (delay, max_delay) = (Duration::from_secs(30), Duration::from_secs(3600));
        Self { delay, growth: Growth::Exponential, max_delay, attempts: None }
    }
}

/// How a wait grows from one time to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// It stays.
    Constant,
    /// It doubles.
    Exponential,
    /// It is the sum of the two before.
    Fibonacci,
}

/// A port of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its label, as in `NOMAD_PORT_label`.
    pub label: String,
    /// The number, if the job asks for one.
    pub fixed: Option<u16>,
}

/// What the catalog shows of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name, which is the name of the function.
    pub name: String,
    /// The label of its port.
    pub port: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its meta, e.g. `function` and `version`.
    pub meta: BTreeMap<String, String>,
    /// What must pass before it counts as ready.
    pub checks: Vec<Check>,
}

/// One health check.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Its name, or its type and path.
    pub name: String,
    /// What is asked.
    pub kind: CheckKind,
    /// The label of the port, if not the service's.
    pub port: Option<String>,
    /// The time between two checks.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// How many must pass in a row; 1 unless set.
    pub passes_needed: u32,
    /// How many must fail in a row; 1 unless set.
    pub failures_needed: u32,
    /// Whether failing checks restart the instance.
    pub restart: Option<CheckRestart>,
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckKind {
    /// An HTTP request that must be answered with 2xx.
    Http {
        /// The method; GET unless set.
        method: String,
        /// The path.
        path: String,
    },
    /// A TCP connection that must be accepted.
    Tcp,
}

/// When failing checks restart an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckRestart {
    /// After so many failures in a row.
    pub limit: u32,
    /// Not before this time after the start.
    pub grace: Duration,
}

/// The process of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its label in the file.
    pub name: String,
    /// The program.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment beyond Nomad's own.
    pub env: BTreeMap<String, String>,
    /// What it may use.
    pub resources: Resources,
    /// The signal that asks it to stop, by name; `SIGINT` unless set, as on Nomad.
    pub kill_signal: String,
    /// How long it may take to stop before it is killed; 5 s unless set.
    pub kill_timeout: Duration,
    /// As the group's, added to it.
    pub shutdown_delay: Duration,
    /// What is kept of its output.
    pub logs: Logs,
}

/// What an instance may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// CPU in MHz; 100 unless set.
    pub cpu_mhz: u64,
    /// Whole cores, which win over `cpu_mhz`.
    pub cores: Option<u64>,
    /// Memory in MiB; 300 unless set.
    pub memory_mib: u64,
    /// Memory in MiB that it may take while there is some to spare.
    pub memory_max_mib: Option<u64>,
}

impl Resources {
    /// Returns the hard limit of memory in bytes.
    #[must_use]
    pub fn memory_limit_bytes(&self) -> u64 {
        self.memory_max_mib.unwrap_or(0).max(self.memory_mib) << 20
    }
}

/// What is kept of an instance's output, per stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logs {
    /// Files kept; 10 unless set.
    pub max_files: u32,
    /// Size of one in bytes; 10 MB unless set.
    pub max_file_bytes: u64,
}
