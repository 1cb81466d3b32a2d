//! The gateway with real sockets, before instances that the tests script.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy sees the functions that tests share as production code"
)]

mod access;
mod console;
mod control;
mod dashboards;
mod feedback;
mod forward;
mod house;
mod log;
mod retry;
mod tls;
mod wake;
