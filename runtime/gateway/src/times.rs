//! Where the time of one request went.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::HeaderValue;

/// Where the time of one request went; noted from wherever the request is.
#[derive(Debug)]
pub(crate) struct Times {
    pub(crate) started: Instant,
    queue_us: AtomicU64,
    upstream_us: AtomicU64,
    is_cold: AtomicBool,
}

impl Times {
    /// Begins now.
    pub(crate) fn new(started: Instant) -> Self {
        let nothing = || AtomicU64::new(0);
        Self { started, queue_us: nothing(), upstream_us: nothing(), is_cold: AtomicBool::new(false) }
    }

    /// Adds a wait for a slot; `cold` if there was no instance.
    pub(crate) fn queued(&self, took: Duration, is_cold: bool) {
        self.queue_us.fetch_add(us(took), Ordering::Relaxed);
        self.is_cold.fetch_or(is_cold, Ordering::Relaxed);
    }

    /// Adds an attempt, from its begin to the head of the answer.
    pub(crate) fn sent(&self, took: Duration) {
        self.upstream_us.fetch_add(us(took), Ordering::Relaxed);
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
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        let wait = if self.is_cold.load(Ordering::Relaxed) { "cold" } else { "queue" };
        let mut text = String::with_capacity(48);
        let _never_fails = write!(text, "{wait};dur={:.3}, upstream;dur={:.3}", ms(self.queue()), ms(self.upstream()));
        HeaderValue::try_from(text).ok()
    }
}

fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
