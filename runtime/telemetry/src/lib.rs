//! What a process tells others about itself: log lines for Graylog ([`Gelf`]).
//!
//! Nothing here ever makes a request wait: what cannot be sent in time is dropped, and counted.

mod gelf;

pub use gelf::{Gelf, Server, dropped, flush};
