//! The front door: finds the function that a request is for and passes it to the instance with the
//! fewest requests in flight.
//!
//! - [`Gateway`]: the whole path of a request, on one screen.
//! - [`serve`]: its HTTP server.
//! - [`Settings`]: its limits.
//! - [`config`]: all of its settings, from a file, the environment and flags.
//! - [`access`]: who may use it. [`tls`]: its certificates.

pub mod access;
mod api;
mod body;
mod changed;
pub mod config;
mod error;
mod flights;
mod forward;
mod gateway;
mod guard;
mod headers;
mod pick;
mod pool;
mod route;
mod serve;
mod settings;
pub mod tls;

pub use error::Error;
pub use gateway::Gateway;
pub use serve::serve;
pub use settings::Settings;
