//! What a lane has had to do so far.

use std::time::Instant;

/// What a lane has had to do so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Requests, running or waiting, times seconds.
    pub(crate) request_seconds: f64,
    /// Requests that came.
    pub(crate) n_requests: u64,
    /// Requests that run or wait now.
    pub(crate) n_inside: usize,
    /// Requests that wait now.
    pub(crate) n_waiting: usize,
    pub(super) at: Instant,
}

impl Load {
    /// Begins with nothing.
    pub(super) fn new(now: Instant) -> Self {
        Self { request_seconds: 0.0, n_requests: 0, n_inside: 0, n_waiting: 0, at: now }
    }

    /// Counts the time since it was last asked.
    pub(super) fn advance(&mut self, now: Instant) {
        self.request_seconds += self.n_inside as f64 * now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
    }
}
