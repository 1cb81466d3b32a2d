//! What a process tells others about itself: log lines for Graylog ([`Gelf`]), traces for OpenTelemetry ([`Trace`]), and
//! what the kernel counts of it for Prometheus ([`process`]).
//!
//! Nothing here ever makes a request wait: what cannot be sent in time is dropped, and counted.

mod gelf;
pub mod process;
#[cfg(feature = "otlp")]
mod trace;
#[cfg(not(feature = "otlp"))]
mod untraced;

pub use gelf::{Gelf, Server, dropped, flush};
#[cfg(feature = "otlp")]
pub use trace::{Trace, finish, start};
#[cfg(not(feature = "otlp"))]
pub use untraced::{Trace, finish, start};

/// Either of these turns traces on.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
