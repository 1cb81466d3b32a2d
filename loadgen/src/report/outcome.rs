//! What a run has come to, in one word.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Report, RunState};

/// What a run has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has not begun.
    Ready,
    /// It goes on, and no promise is broken so far.
    Running,
    /// Its figures must not be believed.
    Invalid,
    /// A promise was broken.
    Broken,
    /// No promise was broken, but one could not be checked.
    Unknown,
    /// It was ended early, and no promise was broken till then.
    Stopped,
    /// Every promise was kept.
    Kept,
    /// Nothing was promised.
    Finished,
}

impl Outcome {
    /// Returns what `report` has come to.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        if !report.invalid.is_empty() {
            return Self::Invalid;
        }
        if report.promises.iter().any(|promise| promise.kept == Some(false)) {
            return Self::Broken;
        }
        match report.state {
            RunState::Ready => Self::Ready,
            RunState::Ramping | RunState::Holding | RunState::Stopping => Self::Running,
            RunState::Stopped => Self::Stopped,
            RunState::Finished if report.promises.is_empty() => Self::Finished,
            RunState::Finished if report.promises.iter().any(|promise| promise.kept.is_none()) => Self::Unknown,
            RunState::Finished => Self::Kept,
        }
    }

    /// Returns it in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Invalid => "invalid",
            Self::Broken => "promise broken",
            Self::Unknown => "a promise could not be checked",
            Self::Stopped => "ended early",
            Self::Kept => "all promises kept",
            Self::Finished => "finished",
        }
    }

    /// Whether it is bad news: what was promised was not shown to hold.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Invalid | Self::Broken | Self::Unknown)
    }
}

impl RunState {
    /// Returns it in one word, as the JSON has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Ramping => "ramping",
            Self::Holding => "holding",
            Self::Stopping => "stopping",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
        }
    }

    /// Whether it is over.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Stopped)
    }
}
