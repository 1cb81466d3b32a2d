//! loadgen against real servers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking; clippy's own exemption covers `#[test]` only")]

mod drive;
mod run;
mod server;
