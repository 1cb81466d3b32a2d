//! The feedback service: users' verdicts on answers, kept durably in SQLite or PostgreSQL.
//!
//! - [`Store`]: what is kept, for how long, and how it is found again.
//! - [`serve`]: its HTTP service, which gateways use.

mod entry;
mod error;
mod export;
mod filter;
mod metrics;
mod migrate;
mod server;
mod service;
mod sql;
mod store;
mod summary;

pub use error::StoreError;
pub use server::{Service, serve};
pub use store::{Retention, Store};
