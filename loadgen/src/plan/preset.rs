//! Loads by name.

use std::time::Duration;

use serde::Deserialize;

use super::{Load, Plan, Stage, Wait};

/// A load by name; each of its users waits a second after each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// 500 users, 50 more a second, 5 minutes.
    Quick,
    /// 2,000 users, 100 more a second, 10 minutes.
    Medium,
    /// 5,000 users, 250 more a second, 15 minutes.
    Load,
    /// 10,000 users, 500 more a second, 20 minutes.
    Stress,
}

impl Preset {
    /// Returns its plan.
    #[must_use]
    pub fn plan(self) -> Plan {
        let (users, spawn_rate, minutes) = match self {
            Self::Quick => (500.0, 50.0, 5),
            Self::Medium => (2_000.0, 100.0, 10),
            Self::Load => (5_000.0, 250.0, 15),
            Self::Stress => (10_000.0, 500.0, 20),
        };
        Plan {
            load: Load::Users(vec![Stage::ramp(0.0, users, spawn_rate)]),
            run_time: Some(Duration::from_secs(60 * minutes)),
            wait: Wait::Constant(Duration::from_secs(1)),
            ..Plan::default()
        }
    }
}
