//! Who runs where, and how many.
//!
//! - [`catalog`]: the trait [`Catalog`], which shows who runs where.
//! - [`scheduler`]: the trait [`Scheduler`], which decides how many run.
//! - [`job`]: a Nomad job file as one machine understands it.
//! - [`local`]: both traits for one machine without Nomad: processes, ports, limits, checks.

pub mod catalog;
pub mod job;
pub mod local;
pub mod scheduler;

pub use catalog::{Catalog, Instance, InstanceState, Snapshot};
pub use scheduler::{FunctionStatus, LogLine, LogQuery, Scheduler, SchedulerError, Stream};
