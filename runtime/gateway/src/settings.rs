//! The limits of the gateway.

use std::fmt;
use std::time::Duration;

/// The limits of the gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What follows a function's name in a host name: `penguins.DOMAIN`; `localhost` unless set.
    pub domain: String,
    /// The largest request body in bytes; 10 MiB unless set.
    pub max_body_bytes: usize,
    /// How long a client may take to send its headers; 10 s unless set.
    pub header_timeout: Duration,
    /// The longest silence of a client's connection between two requests; 10 min unless set.
    pub idle_timeout: Duration,
    /// How long a request may take until its answer begins, queue and cold start included, and the
    /// longest silence between two parts of it; 60 s unless set. A client's `X-Deadline-Ms` can only shorten it.
    pub answer_timeout: Duration,
    /// How long a request may wait for the first instance of a function that has none; 30 s unless set.
    pub cold_start_timeout: Duration,
    /// How long a connection to an instance may take; 1 s unless set.
    pub connect_timeout: Duration,
    /// The most client connections at once; 20,000 unless set.
    pub max_connections: usize,
    /// How long requests in flight may take to finish when the gateway stops; 20 s unless set.
    pub drain_timeout: Duration,
    /// The most requests of one function that wait for a slot; 10,000 unless set.
    pub queue_max: usize,
    /// The most bytes of bodies that the waiting requests of one function hold; 64 MiB unless set.
    pub queue_max_bytes: usize,
    /// The slots of an instance whose service does not say: 64 unless set.
    pub slots: usize,
    /// How often a request to a pure function is sent again when an instance failed it; 1 unless set.
    pub retries: u32,
    /// Retries of a function as a share of its requests; 0.2 unless set. A few are always allowed.
    pub retry_budget: f64,
    /// The largest body in bytes that is kept for a retry; 64 KiB unless set.
    pub retry_max_body_bytes: usize,
    /// Whether a pure function's request that is slower than the p95 is sent to a second instance; off unless set.
    pub hedge: bool,
    /// How long an instance may hold requests without answering any until it is asked whether it lives; 1 s unless set.
    pub hung_after: Duration,
    /// How often the number of instances is decided; 1 s unless set.
    pub scale_interval: Duration,
    /// How long a person's count is left alone; 5 min unless set.
    pub hold_for: Duration,
    /// What is kept for users' verdicts, and where those go.
    pub feedback: FeedbackSettings,
    /// The Prometheus whose figures the console's dashboards show, `http://host:port`; none unless set.
    pub prometheus: Option<String>,
}

/// What is kept for users' verdicts, and where those go.
#[derive(Clone, PartialEq, Eq)]
pub struct FeedbackSettings {
    /// The feedback service, `http://host:port`; unless set, the catalog says where it is.
    pub url: Option<String>,
    /// What the feedback service is called in the catalog; `feedback` unless set.
    pub service: String,
    /// What the feedback service asks for, never shown.
    pub key: Option<String>,
    /// How long an answer waits for a verdict; 1 h unless set.
    pub keep_for: Duration,
    /// The most bytes of answers and inputs that wait for a verdict; 32 MiB unless set.
    pub keep_max_bytes: usize,
}

impl fmt::Debug for FeedbackSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_ref().map(|_| "<redacted>");
        f.debug_struct("FeedbackSettings")
            .field("url", &self.url)
            .field("service", &self.service)
            .field("key", &key)
            .field("keep_for", &self.keep_for)
            .field("keep_max_bytes", &self.keep_max_bytes)
            .finish()
    }
}

impl Default for FeedbackSettings {
    fn default() -> Self {
        Self {
            url: None,
            service: "feedback".into(),
            key: None,
            keep_for: Duration::from_secs(3600),
            keep_max_bytes: 32 << 20,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            domain: "localhost".into(),
            max_body_bytes: 10 << 20,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(600),
            answer_timeout: Duration::from_secs(60),
            cold_start_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(1),
            max_connections: 20_000,
            drain_timeout: Duration::from_secs(20),
            queue_max: 10_000,
            queue_max_bytes: 64 << 20,
            slots: 64,
            retries: 1,
            retry_budget: 0.2,
            retry_max_body_bytes: 64 << 10,
            hedge: false,
            hung_after: Duration::from_secs(1),
            scale_interval: Duration::from_secs(1),
            hold_for: Duration::from_secs(300),
            feedback: FeedbackSettings::default(),
            prometheus: None,
        }
    }
}
