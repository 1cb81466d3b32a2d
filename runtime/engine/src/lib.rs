//! Who runs where, and how many.
//!
//! - [`catalog`]: the trait [`Catalog`], which shows who runs where.
//! - [`scheduler`]: the trait [`Scheduler`], which decides how many run.
//! - [`size`]: what one instance may use.
//! - [`peers`]: the trait [`Peers`], which shows the other gateways and which of all scales.
//! - [`cluster`]: all three traits for Nomad and Consul.
//! - [`local`]: the first two for one machine without Nomad: processes, ports, limits, checks.
//! - [`fixed`]: the first two for functions at addresses that a person wrote down.
//! - [`job`]: a Nomad job file as one machine understands it.

pub mod catalog;
pub mod cluster;
pub mod fixed;
pub mod job;
pub mod local;
pub mod peers;
pub mod scheduler;
pub mod size;

pub use catalog::{Catalog, Function, Instance, InstanceState, Snapshot};
pub use fixed::{Fixed, FixedFunction};
pub use peers::{Alone, Party, Peers};
pub use scheduler::{EngineKind, FunctionStatus, LogLine, LogQuery, Scheduler, SchedulerError, Stream};
pub use size::{Resize, Size};
