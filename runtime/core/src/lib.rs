//! The words that all parts of Drover share. No input or output happens here.
//!
//! - [`id`]: what functions, instances and requests are called.
//! - [`error`]: every kind of failure, with its one status, label and retry rule.
//! - [`problem`]: a failure as the client reads it (RFC 9457).
//! - [`config`]: settings from a [`config::Source`], all mistakes reported at once.
//! - [`units`]: durations and sizes as people write them (`250ms`, `2MiB`).
//! - [`feedback`]: a user's verdict on one answer, and the answer that it is about.
//! - [`scale`]: how many instances a function needs.
//! - [`throttle`]: how many failures are logged.
//! - [`trace`]: the W3C `traceparent` header.

pub mod config;
pub mod error;
pub mod feedback;
pub mod id;
pub mod problem;
pub mod scale;
pub mod throttle;
pub mod trace;
pub mod units;

pub use error::ErrorKind;
pub use id::{FunctionName, InstanceId, RequestId};
pub use problem::{FieldError, Problem};
