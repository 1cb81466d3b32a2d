//! The front door: finds the function that a request is for and passes it to the instance with the
//! fewest requests in flight.
//!
//! - [`Gateway`]: the whole path of a request, on one screen.
//! - [`serve`]: its HTTP server.
//! - [`Settings`]: its limits.

mod api;
mod body;
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

pub use gateway::Gateway;
pub use serve::serve;
pub use settings::Settings;
