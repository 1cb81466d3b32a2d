//! How many run.

use std::collections::BTreeMap;

use drover_core::{ErrorKind, FunctionName, InstanceId};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::{Resize, Size};

/// Decides how many instances run, and knows what they wrote.
pub trait Scheduler: Send + Sync {
    /// Asks for `count` instances of `function`; returns once that is noted, not once they run, with the
    /// [`FunctionStatus::version`] from which on it is shown. Where the scheduler takes no change for a
    /// while, as Nomad during a deployment, it waits until it does; dropping the future withdraws the wish.
    ///
    /// # Errors
    /// [`SchedulerError::UnknownFunction`]; [`SchedulerError::OutOfRange`] outside of the job's bounds;
    /// [`SchedulerError::Refused`] and [`SchedulerError::Unavailable`].
    fn scale<'a>(&'a self, function: &'a FunctionName, count: u32) -> BoxFuture<'a, Result<u64, SchedulerError>>;

    /// Gives every instance of `function` another size, and those to come. In place it returns once the limits hold;
    /// otherwise once new instances have replaced the old ones, or, where the scheduler does that by itself, as Nomad,
    /// once it is noted. Returns as [`Scheduler::scale`].
    ///
    /// # Errors
    /// [`SchedulerError::UnknownFunction`]; [`SchedulerError::Size`] if no instance can have it;
    /// [`SchedulerError::Refused`] with the reason, such as an instance that does not become ready with it, and
    /// [`SchedulerError::Unavailable`].
    fn resize<'a>(
        &'a self,
        function: &'a FunctionName,
        size: Size,
        how: Resize,
    ) -> BoxFuture<'a, Result<u64, SchedulerError>>;

    /// Stops every instance of `function`, whatever the job's least count is; where the scheduler can, until
    /// somebody scales it again.
    ///
    /// # Errors
    /// [`SchedulerError::UnknownFunction`].
    fn stop<'a>(&'a self, function: &'a FunctionName) -> BoxFuture<'a, Result<(), SchedulerError>>;

    /// Returns what is wanted of every function.
    ///
    /// # Errors
    /// [`SchedulerError::Unavailable`] if the scheduler cannot be asked.
    fn status(&self) -> BoxFuture<'_, Result<Vec<FunctionStatus>, SchedulerError>>;

    /// Returns the newest lines that the instances of `function` wrote, then, if asked, all that follow.
    ///
    /// # Errors
    /// [`SchedulerError::UnknownFunction`].
    fn logs<'a>(
        &'a self,
        function: &'a FunctionName,
        query: LogQuery,
    ) -> BoxFuture<'a, Result<BoxStream<'static, LogLine>, SchedulerError>>;
}

/// What runs instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// This machine, without Nomad.
    Local,
    /// Nomad.
    Nomad,
    /// Something of which only addresses are known.
    Fixed,
}

impl EngineKind {
    /// Returns it as one word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Nomad => "nomad",
            Self::Fixed => "fixed",
        }
    }
}

/// What is wanted of a function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunctionStatus {
    /// The function.
    pub function: FunctionName,
    /// What runs it.
    pub engine: EngineKind,
    /// What each instance may use, if the scheduler knows.
    pub size: Option<Size>,
    /// How many instances should run.
    pub count: u32,
    /// Grows with each change of the count or the size, whoever makes it.
    pub version: u64,
    /// The fewest that scaling may leave.
    pub min: u32,
    /// The most that scaling may start.
    pub max: u32,
    /// The `policy` of the job's `scaling` block, as `drover_core::scale::Policy` reads it.
    pub policy: BTreeMap<String, String>,
    /// Whether the job's `scaling` block is enabled.
    pub scales: bool,
    /// Why fewer run than are wanted, if the scheduler knows, such as no node with enough memory.
    pub trouble: Option<String>,
}

/// Which lines of a log are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogQuery {
    /// At most so many of the lines that are there already.
    pub tail: usize,
    /// Whether lines to come are wanted too.
    pub follow: bool,
}

/// One line that an instance wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The function.
    pub function: FunctionName,
    /// The instance.
    pub instance: InstanceId,
    /// The instance's number.
    pub index: u32,
    /// Where it wrote.
    pub stream: Stream,
    /// What it wrote, without the end of the line.
    pub text: String,
}

/// Where an instance writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// What the engine says about the instance.
    Engine,
}

/// Why the scheduler did not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchedulerError {
    /// There is no such function.
    #[error("no function is called `{0}`")]
    UnknownFunction(FunctionName),
    /// The job does not allow so many.
    #[error("`{function}` scales from {min} to {max}, not to {count}")]
    OutOfRange {
        /// The function.
        function: FunctionName,
        /// What was asked for.
        count: u32,
        /// The fewest that the job allows.
        min: u32,
        /// The most that the job allows.
        max: u32,
    },
    /// No instance can have that size.
    #[error("{0}")]
    Size(String),
    /// It is about to end.
    #[error("the engine is about to stop")]
    Stopping,
    /// It does not allow the change now, and said why.
    #[error("the scheduler refuses: {0}")]
    Refused(String),
    /// It cannot be asked.
    #[error("the scheduler cannot be reached: {0}")]
    Unavailable(String),
}

impl SchedulerError {
    /// Returns the kind of failure that a client reads.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownFunction(_) => ErrorKind::UnknownFunction,
            Self::OutOfRange { .. } | Self::Size(_) => ErrorKind::InvalidValue,
            Self::Stopping => ErrorKind::Draining,
            Self::Refused(_) | Self::Unavailable(_) => ErrorKind::UpstreamFailed,
        }
    }
}
