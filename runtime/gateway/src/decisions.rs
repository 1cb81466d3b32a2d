//! The last decisions on how many instances run, and why.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use drover_core::FunctionName;
use drover_core::scale::Decision;
use serde::Serialize;

/// Decisions that are kept, of all functions.
const KEPT: usize = 500;

/// The last decisions that changed something, and the newest on each function.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    changes: Mutex<VecDeque<Decided>>,
    newest: Mutex<BTreeMap<FunctionName, Decision>>,
}

/// A decision on a function.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Decided {
    pub(crate) at_unix_ms: u64,
    pub(crate) function: FunctionName,
    /// Instances that the scheduler was asked for before.
    pub(crate) from: u32,
    /// Instances that it is asked for now.
    pub(crate) to: u32,
    /// Why, in words.
    pub(crate) why: String,
    /// The numbers behind it; nothing if a person decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decision: Option<Decision>,
}

impl Decisions {
    /// Adds one that changed something.
    pub(crate) fn add(&self, decided: Decided) {
        let mut kept = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(decided);
    }

    /// Notes the newest on a function, whether it changed something or not.
    pub(crate) fn note(&self, function: &FunctionName, decision: Decision) {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).insert(function.clone(), decision);
    }

    /// Returns all that changed something and are kept, the newest first.
    pub(crate) fn all(&self) -> Vec<Decided> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }

    /// Returns the newest on a function.
    pub(crate) fn newest(&self, function: &FunctionName) -> Option<Decision> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).get(function).cloned()
    }
}
