//! Where the time of one request went.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use drover_core::RequestId;
use drover_telemetry::Trace;
use http::{HeaderMap, HeaderValue};

use crate::headers::TRACEPARENT;

/// Where the time of one request went; noted from wherever the request is.
#[derive(Debug)]
pub(crate) struct Times {
    pub(crate) started: Instant,
    queue_us: AtomicU64,
    upstream_us: AtomicU64,
    is_cold: AtomicBool,
    /// The request's part of a trace, if traces are sent.
    trace: OnceLock<Box<Trace>>,
}

impl Times {
    /// Begins now.
    pub(crate) fn new(started: Instant) -> Self {
        let nothing = || AtomicU64::new(0);
        let is_cold = AtomicBool::new(false);
        Self { started, queue_us: nothing(), upstream_us: nothing(), is_cold, trace: OnceLock::new() }
    }

    /// Begins the request's part of a trace, if traces are sent, and puts what is sent on below it.
    pub(crate) fn trace(&self, headers: &mut HeaderMap) {
        if let Some(trace) = Trace::begin("gateway", headers, self.started) {
            if let Some(parent) = trace.traceparent() {
                headers.insert(TRACEPARENT, parent);
            }
            let _once_for_a_request = self.trace.set(trace);
        }
    }

    /// Returns the trace's id, for log lines.
    pub(crate) fn trace_id(&self) -> Option<String> {
        self.trace.get().map(|trace| trace.id())
    }

    /// Ends it, once the head of the answer is known.
    pub(crate) fn finish_trace(self, status: u16, function: &str, id: &RequestId, kind: &str) {
        if let Some(trace) = self.trace.into_inner() {
            trace.end(status, &[("function", function), ("request_id", id.as_str()), ("kind", kind)]);
        }
    }

    /// Adds a wait for a slot; `cold` if there was no instance.
    pub(crate) fn queued(&self, took: Duration, is_cold: bool) {
        self.queue_us.fetch_add(us(took), Ordering::Relaxed);
        self.is_cold.fetch_or(is_cold, Ordering::Relaxed);
        self.stage(if is_cold { "wake" } else { "queue" }, took);
    }

    /// Adds an attempt, from its begin to the head of the answer.
    pub(crate) fn sent(&self, took: Duration) {
        self.upstream_us.fetch_add(us(took), Ordering::Relaxed);
        self.stage("forward", took);
    }

    /// Adds a stage that ends now to the trace.
    fn stage(&self, name: &'static str, took: Duration) {
        if let Some(trace) = self.trace.get() {
            let now = Instant::now();
            trace.stage(name, now.checked_sub(took).unwrap_or(now), now);
        }
    }

    /// Returns the wait for a slot.
    pub(crate) fn queue(&self) -> Duration {
        Duration::from_micros(self.queue_us.load(Ordering::Relaxed))
    }

    /// Returns the time at instances.
    pub(crate) fn upstream(&self) -> Duration {
        Duration::from_micros(self.upstream_us.load(Ordering::Relaxed))
    }

    /// Returns all as a `Server-Timing` header, in milliseconds. A wait without any instance is `cold`.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let wait = if self.is_cold.load(Ordering::Relaxed) { "cold" } else { "queue" };
        let (queue, upstream) = (self.queue_us.load(Ordering::Relaxed), self.upstream_us.load(Ordering::Relaxed));
        let mut text = Vec::with_capacity(48);
        text.extend_from_slice(wait.as_bytes());
        text.extend_from_slice(b";dur=");
        push_ms(&mut text, queue);
        text.extend_from_slice(b", upstream;dur=");
        push_ms(&mut text, upstream);
        HeaderValue::from_bytes(&text).ok()
    }
}

/// Adds microseconds as milliseconds with three decimals. Every answer has two: `write!` took five times as
/// long.
fn push_ms(text: &mut Vec<u8>, us: u64) {
    let mut digits = [b'0'; 20];
    let (mut rest, mut n) = (us, 0);
    for place in digits.iter_mut().rev() {
        *place = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        (rest, n) = (rest / 10, n + 1);
        if rest == 0 {
            break;
        }
    }
    let (whole, decimals) = digits.split_at(digits.len() - 3);
    text.extend_from_slice(whole.get(whole.len() - (n.max(4) - 3)..).unwrap_or_default());
    text.push(b'.');
    text.extend_from_slice(decimals);
}

fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_are_shown_as_milliseconds() {
        for (us, ms) in [(0, "0.000"), (7, "0.007"), (999, "0.999"), (1_000, "1.000"), (12_345_678, "12345.678")] {
            let mut text = Vec::new();
            push_ms(&mut text, us);
            assert_eq!(String::from_utf8(text).unwrap(), ms);
        }
        let mut longest = Vec::new();
        push_ms(&mut longest, u64::MAX);
        assert_eq!(longest, b"18446744073709551.615");
    }
}
