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
    pub functions: BTreeMap<FunctionName, Vec<Arc<Instance>>>,
}

impl Snapshot {
    /// Returns the instances of `function`; nothing if there is no such function.
    #[must_use]
    pub fn instances(&self, function: &FunctionName) -> Option<&[Arc<Instance>]> {
        self.functions.get(function).map(Vec::as_slice)
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
    /// Its process, on this machine.
    pub pid: Option<u32>,
    /// What its service says of itself, e.g. `version`.
    pub meta: BTreeMap<String, String>,
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
