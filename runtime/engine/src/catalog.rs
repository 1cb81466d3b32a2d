//! Who runs where.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use drover_core::{FunctionName, InstanceId};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Shows who runs where, and every change of it.
pub trait Catalog: Send + Sync {
    /// Returns a view that always has the newest [`Snapshot`] and can wait for the next one.
    fn watch(&self) -> watch::Receiver<Arc<Snapshot>>;
}

/// Who runs where at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Every known function with its instances, also functions that have none.
    pub functions: BTreeMap<FunctionName, Arc<Function>>,
    /// Why this is only what was known last, if the catalog cannot be asked.
    pub lost: Option<String>,
}

impl Snapshot {
    /// Returns the instances of `function`; nothing if there is no such function.
    #[must_use]
    pub fn instances(&self, function: &FunctionName) -> Option<&[Arc<Instance>]> {
        self.functions.get(function).map(|f| f.instances.as_slice())
    }

    /// Returns the instances of all functions.
    pub fn all_instances(&self) -> impl Iterator<Item = &Arc<Instance>> {
        self.functions.values().flat_map(|f| &f.instances)
    }
}

/// A function as its service describes it, and who runs it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Function {
    /// Who runs it.
    pub instances: Vec<Arc<Instance>>,
    /// The tags of its service: `host=NAME` makes it answer to that host name too.
    pub tags: Vec<String>,
    /// The meta of its service: see [`Function::is_pure`] and [`Instance::slots`].
    pub meta: BTreeMap<String, String>,
}

impl Function {
    /// Returns whether the same request may be run twice: meta `pure = "true"`.
    #[must_use]
    pub fn is_pure(&self) -> bool {
        self.meta.get("pure").is_some_and(|value| value == "true")
    }

    /// Returns the host names that its tags `host=NAME` give it.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().filter_map(|tag| tag.strip_prefix("host="))
    }
}

/// One running process of a function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// The function that it serves.
    pub function: FunctionName,
    /// Its number among the function's instances, from 0.
    pub index: u32,
    /// Where it listens; nothing before its first start.
    pub address: Option<SocketAddr>,
    /// What it does now.
    pub state: InstanceState,
    /// Why it is in this state, where that is not plain.
    pub reason: Option<String>,
    /// How often it was started again.
    pub restarts: u32,
    /// The machine that it runs on, by the name that the catalog has for it.
    pub node: Option<String>,
    /// Its process, on this machine.
    pub pid: Option<u32>,
    /// What its service says of itself, e.g. `version`.
    pub meta: BTreeMap<String, String>,
}

impl Instance {
    /// Returns how many requests it takes at once: meta `slots`.
    #[must_use]
    pub fn slots(&self) -> Option<usize> {
        self.meta.get("slots")?.parse().ok().filter(|n| *n > 0)
    }

    /// Returns the version of the function that it runs: meta `version`.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.meta.get("version").map(String::as_str)
    }
}

/// What an instance does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// It runs, and its checks have not passed yet.
    Starting,
    /// Its checks pass: it takes requests.
    Ready,
    /// Its checks passed once and fail now.
    Unhealthy,
    /// It ended and will be started again.
    Waiting,
    /// It finishes what it has and takes nothing new.
    Draining,
    /// It ended and will not be started again.
    Failed,
}

impl InstanceState {
    /// Returns whether it takes requests.
    #[must_use]
    pub const fn is_ready(self) -> bool {
        matches!(self, Self::Ready)
    }

    /// Returns the state as one word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unhealthy => "unhealthy",
            Self::Waiting => "waiting",
            Self::Draining => "draining",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}
