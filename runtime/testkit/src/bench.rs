//! What benches share: a server on one core and its load on another, windows of load in turns, and a
//! report of ratios with their targets.
//!
//! It needs Linux, two cores, `taskset` and `wrk`. Nothing here fails because a figure is bad.
#![expect(clippy::missing_errors_doc, reason = "each error says what could not be measured, and why")]

mod bare;
mod build;
pub mod hold;
pub mod machine;
mod peers;
pub mod report;
pub mod rounds;
mod run;
pub mod server;
pub mod wire;
pub mod wrk;

pub use build::{build, build_with, end, revision};
pub use peers::peers;
pub use run::{Options, Plan, main};

/// What could not be measured, and why.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// A figure, or why there is none.
pub type Result<T> = std::result::Result<T, Error>;
