//! The function server as a client and an operator meet it: real processes and sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must fail, loudly"
)]

mod drain;
mod errors;
mod infer;
mod limits;
mod log;
mod pages;
mod predict;
mod probe;
mod start;
