//! What users send and how they judge the answers.
//!
//! A [`Script`] is one user. The driver asks it for its next request, sends that, and shows it the answer;
//! it does no I/O of its own, so that ten thousand of them cost almost nothing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

/// All that the users of a run do. Implement this, and [`Script`], to write a load in code.
pub trait Work: Send + Sync + 'static {
    /// The names of the tasks, in the order of [`Ask::task`].
    fn tasks(&self) -> &[String];

    /// Makes a user. The same `seed` gives the same user, whatever the others do.
    fn user(&self, seed: u64) -> Box<dyn Script>;
}

/// One user. One that panics has failed, with the kind `panic` and its words, and is made anew by [`Work::user`] with
/// the same seed; the run goes on.
pub trait Script: Send {
    /// Returns the next request of the iteration that runs, or begins one; `None` ends the iteration: the
    /// user then waits as the plan says. If the last request had no answer, [`judge`](Self::judge) was not called: the
    /// iteration is over, and another begins. A call without a call of [`Script::judge`] since the last request says
    /// that it got no answer: that iteration has ended, and another begins.
    ///
    /// # Errors
    /// What cannot be made, e.g. a value that no earlier answer gave. Counted as a failed request; the
    /// iteration ends.
    fn next(&mut self) -> Result<Option<Ask>, Failure>;

    /// Judges the answer to the last request, and keeps of it what later ones need.
    ///
    /// # Errors
    /// What was wrong with it. The iteration ends.
    fn judge(&mut self, answer: &Answer) -> Result<(), Failure>;
}

/// A request, ready to be sent. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Which task it counts for: a place in [`Work::tasks`].
    pub task: usize,
    /// Its method.
    pub method: Method,
    /// Its path and query, below the target's own path.
    pub path: Bytes,
    /// Headers beyond those of the target; shared by all requests that have the same, so that a driver can keep
    /// what it makes of them.
    pub headers: Arc<HeaderMap>,
    /// Its body.
    pub body: Bytes,
    /// What [`Script::judge`] wants of its answer.
    pub reads: Reads,
    /// How long its answer may take; the plan's limit if there is none.
    pub timeout: Option<Duration>,
}

/// What is wanted of an answer: headers that nobody reads cost a request more than its own code does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reads {
    /// Its status and its body: [`Answer::headers`] is empty.
    Body,
    /// Its headers too.
    #[default]
    All,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, if they were [wanted](Ask::reads).
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// From the request's first byte out to the answer's last byte in.
    pub took: Duration,
}

/// Why a request counts as failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Failure {
    /// What kind of failure, of few: `http_503`, `timeout`, `connect`, `check`, `extract`.
    pub kind: String,
    /// In words, without what differs from request to request.
    pub detail: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.detail)
    }
}
