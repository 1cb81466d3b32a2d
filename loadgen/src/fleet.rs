//! A fleet: one load, put on by several workers, each a process on this machine or another.
//!
//! The [`Master`] waits for workers, gives each the brief that says what is sent, and a share of the course that
//! says how much. A [`Worker`] is a run whose seconds go to the master instead of into a report. Both sides show
//! that they know the fleet's [`Key`] before anything else is said. What they say later is not encrypted: a fleet
//! belongs into a network of its own.
//!
//! - What was counted is exact: each second has the histograms of all workers, whole, and a worker's last seconds
//!   come after its last answer.
//! - Workers begin at one moment: the master measures how their clocks stand to its own.
//! - When a worker comes or goes, all change to the new shares at one moment of the course, a little ahead.
//! - A worker that says nothing for [`SILENCE`] is lost: the others take over its share, and the run is invalid, as
//!   nobody knows what it had sent and not told.

mod clock;
mod going;
mod key;
mod link;
mod master;
mod message;
mod packed;
mod wire;
mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub(crate) use self::going::Going;
pub use self::key::{Key, KeyError};
pub use self::master::{Master, is_own};
pub use self::wire::Lost;
pub use self::worker::{Ended, Refused, Worker};
use crate::drive::Share;
use crate::plan::Plan;

/// Who says nothing for so long is lost.
pub const SILENCE: Duration = Duration::from_secs(4);
/// How far ahead a change of the course is told, so that all know of it in time.
const AHEAD: Duration = Duration::from_millis(500);
/// How often the master asks whether a worker is there, and how its clock stands.
const PING_EVERY: Duration = Duration::from_secs(1);
/// Bytes of all files together that a brief may have.
pub const FILES_BYTES_MAX: usize = 32 << 20;

/// What a worker must know to take part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Brief {
    /// How the run goes.
    pub plan: Plan,
    /// What is sent and to whom, as those who prepare a run understand it.
    pub request: serde_json::Value,
    /// The files that this speaks of, by the paths that it has for them.
    #[serde(with = "packed::files")]
    pub files: BTreeMap<PathBuf, Bytes>,
    /// Which rows of files are this worker's.
    pub share: Share,
}

/// Why there is no fleet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A worker cannot do what the others do.
    #[error("worker {name} at {address} cannot take part: {why}")]
    Unable {
        /// Which.
        name: String,
        /// Where it is.
        address: String,
        /// Why not, in its words.
        why: String,
    },
    /// What workers must know is too much.
    #[error("what workers must know is {bytes} bytes, limit is {}: use smaller files", wire::BRIEF_BYTES_MAX)]
    Large {
        /// How much it is.
        bytes: usize,
    },
    /// The brief cannot be said.
    #[error("what workers must know cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}
