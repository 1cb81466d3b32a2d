//! What a function needs, found by measurement: the least CPU, memory and number of instances that keep a promise.
//!
//! - [`Search`]: what is tried next, and what is known; no I/O, so that the same trials give the same answer.
//! - [`ladder`]: which sizes are tried; [`wald`]: how many trials a verdict needs; [`axis`]: one dimension of it.
//! - [`Session`]: deploys and measures: [`deploy`], [`trial`], [`machine`]; [`store`] keeps what it has shown.
//! - [`Sizing`]: what was found, of which every output is made: [`page`], [`text`]; [`apply`] writes it to a job.

pub mod apply;
pub mod axis;
pub mod chart;
mod cost;
pub mod deploy;
pub mod ladder;
pub mod law;
pub mod machine;
pub mod page;
mod search;
mod session;
mod sizing;
pub mod store;
pub mod text;
pub mod trial;
pub mod wald;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::cost::Cost;
pub use self::search::{Found, Search, Space, Step};
pub use self::session::{Progress, Session};
pub use self::sizing::{Answer, Capacity, Kind, SCHEMA, Sizing, schema};

/// Why nothing can be measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The gateway does not do as asked.
    #[error("{0}")]
    Gateway(String),
    /// The limits are not those that were asked for.
    #[error("limits do not hold: {0}")]
    Limits(String),
    /// What is loaded cannot be found.
    #[error(transparent)]
    Target(#[from] crate::target::TargetError),
    /// A run cannot begin.
    #[error(transparent)]
    Run(#[from] crate::run::Error),
    /// The store of trials cannot be used.
    #[error("the store of trials: {0}")]
    Store(String),
    /// What is asked for cannot be done.
    #[error("{0}")]
    Asked(String),
}

/// A size to try: so much for each of so many instances.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// CPU of one instance, in cores' worth of time.
    pub cpu_cores: f64,
    /// Memory of one instance, MiB.
    pub memory_mib: u64,
    /// Instances.
    pub count: u32,
}

/// What a trial of a candidate has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verdict", content = "detail", rename_all = "snake_case")]
pub enum Verdict {
    /// Every promise was kept.
    Held,
    /// A promise was broken, and which.
    Broken(String),
    /// The kernel killed an instance for want of memory.
    OutOfMemory(String),
    /// Something else than the candidate was measured: the generator, or a busy machine.
    Invalid(String),
}

impl Verdict {
    /// Returns it in words, without the reason.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Broken(_) => "broken",
            Self::OutOfMemory(_) => "out of memory",
            Self::Invalid(_) => "invalid",
        }
    }

    /// Returns the reason; nothing if there is none.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Self::Held => "",
            Self::Broken(why) | Self::OutOfMemory(why) | Self::Invalid(why) => why,
        }
    }
}

impl std::fmt::Display for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cpu_cores, memory_mib, count } = self;
        match count {
            1 => write!(f, "{cpu_cores} CPU, {memory_mib} MiB"),
            n => write!(f, "{n} × {cpu_cores} CPU, {memory_mib} MiB"),
        }
    }
}
