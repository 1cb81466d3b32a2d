//! Stands for [`trace`](crate) in a process that is built without the feature `otlp`: there are no traces, and all that
//! would make one is compiled away.

use std::time::Instant;

use http::{HeaderMap, HeaderValue};

use crate::ENDPOINTS;

/// Refuses to send traces, if that is asked for.
///
/// # Errors
/// If `OTEL_EXPORTER_OTLP_ENDPOINT` is set.
pub fn start(_service: &str, _instance: Option<&str>) -> Result<(), String> {
    match ENDPOINTS.iter().find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty())) {
        Some(name) => Err(format!("{name} is set, but this is built without them: build it with the feature `otlp`")),
        None => Ok(()),
    }
}

/// There is nothing to send.
pub async fn finish() {}

/// One request's part of a trace: there is none.
#[derive(Debug)]
pub enum Trace {}

impl Trace {
    /// Returns nothing, since no traces are sent.
    #[must_use]
    pub fn begin(_name: &'static str, _headers: &HeaderMap, _started: Instant) -> Option<Box<Self>> {
        None
    }

    /// Returns the trace's id.
    #[must_use]
    pub fn id(&self) -> String {
        match *self {}
    }

    /// Returns the header that makes what is sent on part of the trace.
    #[must_use]
    pub fn traceparent(&self) -> Option<HeaderValue> {
        match *self {}
    }

    /// Adds a stage that has ended.
    pub fn stage(&self, _name: &'static str, _from: Instant, _to: Instant) {
        match *self {}
    }

    /// Ends the request's span.
    pub fn end(self, _status: u16, _fields: &[(&'static str, &str)]) {
        match self {}
    }
}
