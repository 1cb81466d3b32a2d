//! The limits of the gateway.

use std::time::Duration;

/// The limits of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The largest request body in bytes; 10 MiB unless set.
    pub max_body_bytes: usize,
    /// How long a client may take to send its headers; 10 s unless set.
    pub header_timeout: Duration,
    /// How long an instance may take until its answer begins; 60 s unless set. A client's
    /// `X-Deadline-Ms` can only shorten it.
    pub answer_timeout: Duration,
    /// How long a connection to an instance may take; 1 s unless set.
    pub connect_timeout: Duration,
    /// The most client connections at once; 20,000 unless set.
    pub max_connections: usize,
    /// How long requests in flight may take to finish when the gateway stops; 20 s unless set.
    pub drain_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_body_bytes: 10 << 20,
            header_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(1),
            max_connections: 20_000,
            drain_timeout: Duration::from_secs(20),
        }
    }
}
