//! The front door: finds the function that a request is for, queues it until an instance has a free slot,
//! and decides how many instances run.
//!
//! - [`Gateway`]: the whole path of a request, on one screen.
//! - [`serve`]: its HTTP server.
//! - [`Settings`]: its limits.
//! - [`config`]: all of its settings, from a file, the environment and flags.
//! - [`access`]: who may use it. [`tls`]: its certificates.

pub mod access;
mod api;
mod ask;
mod autoscale;
mod backend;
mod beside;
mod body;
mod budget;
mod changed;
pub mod config;
mod dashboards;
mod decisions;
mod discover;
mod error;
mod events;
mod exposition;
mod feedback;
mod forward;
mod gateway;
mod guard;
mod headers;
mod hedge;
mod hold;
mod lane;
mod lanes;
mod line;
mod live;
mod load;
mod metrics;
mod page;
mod payload;
mod peer;
mod pick;
mod pool;
mod record;
mod route;
mod serve;
mod settings;
mod times;

pub use gateway::{BuildError, Gateway, Parts};
pub mod tls;

pub use error::Error;
pub use load::{LoadGenerator, RunsAt};
pub use serve::serve;
pub use settings::{FeedbackSettings, Settings};
