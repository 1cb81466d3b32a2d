//! What may be changed while a run goes on, and what may be chosen while none does.

use drover_core::FunctionName;
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::plan::Preset;

/// A wish of the person who watches a run. What does not fit the run, e.g. a rate for a run by users, changes
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Control {
    /// Begins the run, or begins it anew after its end.
    Start,
    /// Sends nothing new, waits for answers as long as the plan says, and ends the run.
    Stop,
    /// Goes to `count` users, from however many there are.
    Users {
        /// How many.
        count: u64,
        /// How many a second are added or taken away; all at once if it is not above 0.
        spawn_rate: f64,
    },
    /// Forgets what was counted so far, such as a warm-up, and goes on.
    Reset,
    /// Goes to this many requests a second at once.
    Rate(f64),
}

/// A load by name, on a function of the gateway.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// Who is loaded.
    pub function: FunctionName,
    /// How.
    pub preset: Preset,
    /// What its times are multiplied by, above 0; 1 unless given.
    #[serde(default = "unscaled")]
    pub scale_time: f64,
}

/// A [`Choice`] that somebody waits for.
#[derive(Debug)]
pub struct Chosen {
    /// What.
    pub choice: Choice,
    /// Told that the run begins, or why it cannot.
    pub told: oneshot::Sender<Result<(), String>>,
}

const fn unscaled() -> f64 {
    1.0
}
