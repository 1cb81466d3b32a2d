//! Who runs where, and how many.
//!
//! - [`catalog`]: the trait [`Catalog`], which shows who runs where.
//! - [`scheduler`]: the trait [`Scheduler`], which decides how many run.
//! - [`cluster`]: all three traits for Nomad and Consul.
//! - [`job`]: a Nomad job file as one machine understands it.
//! - [`peers`]: the trait [`Peers`], which shows the other gateways and which of all scales.
//! - [`local`]: both traits for one machine without Nomad: processes, ports, limits, checks.

pub mod catalog;
pub mod cluster;
pub mod job;
pub mod local;
pub mod peers;
pub mod scheduler;

pub use catalog::{Catalog, Function, Instance, InstanceState, Snapshot};
pub use peers::{Alone, Party, Peers};
pub use scheduler::{FunctionStatus, LogLine, LogQuery, Scheduler, SchedulerError, Stream};
