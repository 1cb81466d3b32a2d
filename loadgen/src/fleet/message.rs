//! What a master and its workers say to each other.

use serde::{Deserialize, Serialize};

use super::Brief;
use super::packed::Packed;
use crate::drive::Course;
use crate::report::Usage;

/// What a master says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromMaster {
    /// The first: prove that you know the key, for this word.
    Challenge { version: String, nonce: String },
    /// The proof that the master knows it, too.
    Welcome { proof: String },
    /// There is no place for who asks.
    Refused { why: String },
    /// What is to be sent.
    Brief(Box<Brief>),
    /// What does your clock say?
    Ping { number: u64 },
    /// The run begins at this moment of the worker's clock, in microseconds; its course counts from there.
    Begin { run: u64, at_us: i64, course: Course },
    /// The course of the run that goes on has changed.
    Course { run: u64, course: Course },
    /// There will be no other run.
    Bye {},
}

/// What a worker says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromWorker {
    /// The answer to the challenge, and a word for the master to prove itself.
    Hello { version: String, name: String, nonce: String, proof: String },
    /// What its clocks say: microseconds from its beginning, and since 1970.
    Pong { number: u64, clock_us: i64, unix_us: i64 },
    /// All is prepared.
    Ready {},
    /// It cannot do what the brief says.
    Unable { why: String },
    /// What it saw in a second.
    Second(Box<Told>),
    /// It is to end: take its share from it.
    Leaving {},
}

/// What a worker saw in a second of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) run: u64,
    /// Nothing for what came after its last whole second: then it has told all.
    pub(super) number: Option<u64>,
    pub(super) seen: Packed,
    pub(super) usage: Usage,
    pub(super) cpu_percent: f64,
    pub(super) invalid: Vec<String>,
}
