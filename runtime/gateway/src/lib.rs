//! The front door: finds the function that a request is for, queues it until an instance has a free slot,
//! and decides how many instances run.
//!
//! - [`Gateway`]: the whole path of a request, on one screen.
//! - [`serve`]: its HTTP server.
//! - [`Settings`]: its limits.

mod api;
mod ask;
mod autoscale;
mod backend;
mod body;
mod budget;
mod decisions;
mod error;
mod events;
mod forward;
mod gateway;
mod guard;
mod headers;
mod lane;
mod lanes;
mod metrics;
mod payload;
mod peer;
mod pick;
mod pool;
mod route;
mod serve;
mod settings;
mod times;

pub use gateway::{BuildError, Gateway, Parts};
pub use serve::serve;
pub use settings::Settings;
