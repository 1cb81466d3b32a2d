//! The command `drover` as a person uses it: real processes, sockets and signals.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy sees the functions that tests share as production code"
)]

mod faults;
mod feedback;
mod gateway;
mod observe;
#[path = "../../../engine/tests/it/probe.rs"]
mod probe;
mod running;
mod up;
mod watch;
