//! How a run goes: [`Plan`]. How many users, or how many requests a second, when, and for how long.

mod preset;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::preset::Preset;
pub use self::wait::{Wait, time};

/// How a run goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What puts the load on.
    pub load: Load,
    /// How long it goes on; by default to the end of the stages, and without an end if the last one has none.
    pub run_time: Option<Duration>,
    /// How long answers are waited for once nothing new is sent. Default: 30 s.
    pub stop_timeout: Duration,
    /// How long an answer may take. Default: 60 s.
    pub timeout: Duration,
    /// How long a user waits after an iteration. Default: not at all.
    pub wait: Wait,
    /// What all that is drawn at random begins from. Default: 1.
    pub seed: u64,
}

/// What puts the load on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Load {
    /// Users, each of whom waits for an answer before the next request. Their number follows the stages.
    Users(Vec<Stage>),
    /// Requests a second, whatever the answers do. The rate follows the stages.
    Rate {
        /// Their rate.
        stages: Vec<Stage>,
        /// How they are spread.
        arrivals: Arrivals,
        /// Connections at most. Default: 10,000.
        connections: usize,
    },
}

/// How requests that do not wait for answers are spread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Arrivals {
    /// At equal distances.
    Constant,
    /// As if by many people who do not know of each other: distances are exponentially distributed.
    Poisson,
    /// At these moments from the beginning, in order; the stages are not looked at.
    Replay(Arc<[Duration]>),
}

/// A part of a run: from the level of the stage before it to `target`, then on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Users or requests a second at its end.
    pub target: f64,
    /// How long it takes to get there, in a straight line; 0 is a step.
    pub ramp: Duration,
    /// How long it stays there; nothing is until the end of the run.
    pub hold: Option<Duration>,
}

impl Default for Plan {
    /// One user without an end.
    fn default() -> Self {
        Self {
            load: Load::Users(vec![Stage::step(1.0)]),
            run_time: None,
            stop_timeout: Duration::from_secs(30),
            timeout: Duration::from_secs(60),
            wait: Wait::None,
            seed: 1,
        }
    }
}

impl Plan {
    /// Connections at most of a run by rate, if nothing is said.
    pub const CONNECTIONS: usize = 10_000;

    /// Returns when nothing new is sent any more, from the beginning; nothing if only a person ends it.
    #[must_use]
    pub fn end(&self) -> Option<Duration> {
        let by_load = match &self.load {
            // Just after the last, so that it is sent.
            Load::Rate { arrivals: Arrivals::Replay(moments), .. } => {
                Some(moments.last().copied().unwrap_or_default().saturating_add(Duration::from_millis(1)))
            }
            Load::Users(stages) | Load::Rate { stages, .. } => length(stages),
        };
        match (self.run_time, by_load) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Multiplies the times of stages and run by `factor`: 0.1 makes a smoke test of an hour.
    pub fn scale_time(&mut self, factor: f64) {
        let (Load::Users(stages) | Load::Rate { stages, .. }) = &mut self.load;
        let scaled = |time: Duration| Duration::try_from_secs_f64(time.as_secs_f64() * factor).unwrap_or(Duration::MAX);
        for stage in stages {
            stage.ramp = scaled(stage.ramp);
            stage.hold = stage.hold.map(scaled);
        }
        self.run_time = self.run_time.map(scaled);
    }
}

impl Stage {
    /// Goes to `target` at once and stays there.
    #[must_use]
    pub fn step(target: f64) -> Self {
        Self { target, ramp: Duration::ZERO, hold: None }
    }

    /// Goes from `from` to `target` by `per_second` a second and stays there; at once if it is not above 0.
    #[must_use]
    pub fn ramp(from: f64, target: f64, per_second: f64) -> Self {
        let seconds = (target - from).abs() / per_second;
        let ramp = if per_second > 0.0 {
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
        } else {
            Duration::ZERO
        };
        Self { target, ramp, hold: None }
    }
}

/// Returns how long the stages take together; nothing if one of them has no end.
#[must_use]
pub fn length(stages: &[Stage]) -> Option<Duration> {
    stages
        .iter()
        .try_fold(Duration::ZERO, |sum, stage| Some(sum.saturating_add(stage.ramp).saturating_add(stage.hold?)))
}

/// Returns the level at `at`, which begins at `from`, and whether it is on the way to another; after the last
/// stage, that one's.
#[must_use]
pub fn level(from: f64, stages: &[Stage], at: Duration) -> (f64, bool) {
    let (mut level, mut left) = (from, at);
    for stage in stages {
        if left < stage.ramp {
            let share = left.as_secs_f64() / stage.ramp.as_secs_f64();
            return (level + (stage.target - level) * share, true);
        }
        level = stage.target;
        left -= stage.ramp;
        match stage.hold {
            Some(hold) if left >= hold => left -= hold,
            _ => return (level, false),
        }
    }
    (level, false)
}

#[cfg(test)]
mod tests;
