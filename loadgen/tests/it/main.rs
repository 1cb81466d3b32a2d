//! loadgen against real servers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; clippy's own exemption covers `#[test]` only"
)]

mod command;
mod crew;
mod drive;
mod fleet;
mod in_code;
mod run;
mod scenario;
mod server;
mod target;
