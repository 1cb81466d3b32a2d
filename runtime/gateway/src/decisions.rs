//! The last decisions on how many instances run, and why.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use drover_core::FunctionName;
use drover_core::scale::Decision;
use serde::Serialize;

/// Decisions that are kept, of all functions.
const KEPT: usize = 500;

/// The last decisions that changed something, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Decisions(Mutex<VecDeque<Decided>>);

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
    /// Adds one.
    pub(crate) fn add(&self, decided: Decided) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(decided);
    }

    /// Returns all that are kept, the newest first.
    pub(crate) fn all(&self) -> Vec<Decided> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }

    /// Returns the newest on a function.
    pub(crate) fn last(&self, function: &FunctionName) -> Option<Decided> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().rev().find(|decided| decided.function == *function).cloned()
    }
}
