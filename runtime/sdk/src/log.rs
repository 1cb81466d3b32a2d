//! What an instance writes: JSON when nobody looks, readable text on a terminal.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use drover_core::throttle::Throttle;
use drover_core::{RequestId, trace};
use http::request;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry};

use crate::error::Error;

/// Starts logging to standard error, filtered by `DROVER_LOG` (default `info`).
pub(crate) fn start() {
    let asked =
        std::env::var("DROVER_LOG").map_or(Ok(Targets::new().with_default(LevelFilter::INFO)), |text| text.parse());
    let wrong = asked.as_ref().err().map(ToString::to_string);
    let filter: Targets = asked.unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    // Another subscriber may be there already, in tests: it is then kept.
    let _ = if std::io::stderr().is_terminal() {
        tracing::subscriber::set_global_default(Registry::default().with(lines.compact().with_filter(filter)))
    } else {
        let lines = lines.json().flatten_event(true);
        tracing::subscriber::set_global_default(Registry::default().with(lines.with_filter(filter)))
    };
    if let Some(wrong) = wrong {
        tracing::warn!("DROVER_LOG is not a filter such as `info` or `drover=debug,warn`: {wrong}");
    }
}

/// Writes one failed request, unless too many have been written just now.
pub(crate) fn failure(throttle: &Throttle, head: &request::Parts, id: &RequestId, error: &Error, took: Duration) {
    // What a client did wrong is its own affair until someone looks for it.
    let (kind, took_us) = (error.kind.label(), took.as_micros());
    if error.kind.status() < 500 {
        tracing::debug!(request_id = id.as_str(), kind, detail = error.detail, took_us, "refused");
        return;
    }
    let Some(left_out) = throttle.admit(Instant::now()) else { return };
    let header = head.headers.get("traceparent").and_then(|value| value.to_str().ok());
    tracing::warn!(
        request_id = id.as_str(),
        trace_id = header.and_then(trace::trace_id),
        kind,
        detail = error.detail,
        cause = error.private,
        path = head.uri.path(),
        took_us,
        left_out,
        "failed"
    );
}
