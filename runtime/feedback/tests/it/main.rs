//! The feedback service on real sockets, with SQLite and, where it is installed, with PostgreSQL.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy sees the functions that tests share as production code"
)]

mod find;
mod keep;
mod service;
