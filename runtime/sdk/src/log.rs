//! What an instance says: lines on standard error, JSON when nobody looks and readable text on a terminal; and the
//! same for Graylog, where every prediction is kept, since nothing cuts a storm short there but the queue's end.

use std::borrow::Cow;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use drover_core::throttle::Throttle;
use drover_core::{RequestId, trace};
use drover_telemetry::{Gelf, Trace};
use http::request;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry};

use crate::config::{Config, Inputs};
use crate::error::Error;
use crate::function::Class;
use crate::model::Model;

/// The target of predictions.
const PREDICTION: &str = "drover::prediction";
/// The target of those that go to Graylog only, since enough were written just now.
const PREDICTION_UNWRITTEN: &str = "drover::prediction::unwritten";

/// Of so many requests one is logged with its input, if inputs are sampled.
const SAMPLE: u64 = 100;
/// The most of an input that is logged, in bytes; search engines refuse a field of more than 32 KiB.
const INPUT_BYTES: usize = 8 << 10;

/// Starts logging, filtered by `DROVER_LOG` (default `info`).
pub(crate) fn start(function: &str, config: &Config) {
    let asked =
        std::env::var("DROVER_LOG").map_or(Ok(Targets::new().with_default(LevelFilter::INFO)), |text| text.parse());
    let wrong = asked.as_ref().err().map(ToString::to_string);
    let filter: Targets = asked.unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));

    let fields = [("function", function), ("instance", config.instance.as_deref().unwrap_or_default())];
    let gelf = config.gelf.clone().map(|server| Gelf::start(server, &fields)).transpose();
    let failed = gelf.as_ref().err().map(ToString::to_string);
    let all = Registry::default().with(gelf.ok().flatten().with_filter(filter.clone()));

    let filter = filter.with_target(PREDICTION_UNWRITTEN, LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    // Another subscriber may be there already, in tests: it is then kept.
    let _ = if std::io::stderr().is_terminal() {
        tracing::subscriber::set_global_default(all.with(lines.compact().with_filter(filter)))
    } else {
        let lines = lines.json().flatten_event(true);
        tracing::subscriber::set_global_default(all.with(lines.with_filter(filter)))
    };
    if let Some(wrong) = wrong {
        tracing::warn!("DROVER_LOG is not a filter such as `info` or `drover=debug,warn`: {wrong}");
    }
    if let Some(failed) = failed {
        tracing::warn!("nothing is sent to DROVER_GELF: {failed}");
    }
}

/// What is logged of requests.
pub(crate) struct Log {
    function: &'static str,
    inputs: Inputs,
    /// Whether Graylog gets what is not written here.
    to_graylog: bool,
    n_asked: AtomicU64,
    failures: Throttle,
    predictions: Throttle,
}

/// One request, as a line tells of it.
pub(crate) struct Call<'a> {
    pub(crate) head: &'a request::Parts,
    pub(crate) id: &'a RequestId,
    /// When its head had come.
    pub(crate) started: Instant,
    /// Its part of a trace, if traces are sent.
    pub(crate) trace: Option<&'a Trace>,
}

impl Call<'_> {
    /// Says where the time went, until the model had answered.
    pub(crate) fn stages(&self, queued_at: Instant, queued: Duration, inference: Duration) {
        let Some(trace) = self.trace else { return };
        let inferred_at = queued_at + queued;
        trace.stage("decode", self.started, queued_at);
        trace.stage("queue", queued_at, inferred_at);
        trace.stage("inference", inferred_at, inferred_at + inference);
    }

    fn trace_id(&self) -> Option<Cow<'_, str>> {
        if let Some(trace) = self.trace {
            return Some(trace.id().into());
        }
        let header = self.head.headers.get("traceparent")?.to_str().ok()?;
        trace::trace_id(header).map(Cow::from)
    }
}

impl Log {
    pub(crate) fn new(function: &'static str, config: &Config) -> Self {
        let (failures, predictions) = (Throttle::default(), Throttle::default());
        let (inputs, to_graylog) = (config.log_inputs, config.gelf.is_some());
        Self { function, inputs, to_graylog, n_asked: AtomicU64::new(0), failures, predictions }
    }

    /// Returns the texts of a request's rows if they are to be logged, else nothing.
    pub(crate) fn inputs(&self, rows: impl FnOnce() -> Vec<String>) -> Vec<String> {
        let wanted = match self.inputs {
            Inputs::Off => false,
            Inputs::Sample => self.n_asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(SAMPLE),
            Inputs::All => true,
        };
        if !wanted {
            return Vec::new();
        }
        let mut rows = rows();
        rows.iter_mut().for_each(|row| row.truncate(row.floor_char_boundary(INPUT_BYTES)));
        rows
    }

    /// Writes one prediction, unless too many have been written just now; Graylog gets it all the same.
    pub(crate) fn prediction(
        &self,
        model: &Model,
        call: &Call<'_>,
        now: Instant,
        class: Option<Class>,
        input: Option<&str>,
    ) {
        let left_out = self.predictions.admit(now);
        if left_out.is_none() && !self.to_graylog || !tracing::enabled!(target: PREDICTION, tracing::Level::INFO) {
            return;
        }
        let labels = model.labels();
        let trace_id = call.trace_id();
        // Two events that differ in their target only, which must be known where the event is.
        macro_rules! say {
            ($target:expr) => {
                tracing::info!(
                    target: $target,
                    function = self.function,
                    class = class.and_then(|class| labels.get(class.index)).map(String::as_str),
                    // As many digits as the model's own numbers have.
                    score = class.map(|class| (f64::from(class.confidence) * 1e6).round() / 1e6),
                    took_us = micros(now - call.started),
                    request_id = call.id.as_str(),
                    trace_id = trace_id.as_deref(),
                    model_version = model.version(),
                    input,
                    left_out,
                    "predicted"
                )
            };
        }
        match left_out {
            Some(_) => say!(PREDICTION),
            None => say!(PREDICTION_UNWRITTEN),
        }
    }

    /// Writes one failed request, unless too many have been written just now.
    pub(crate) fn failure(&self, call: &Call<'_>, error: &Error, took: Duration) {
        // What a client did wrong is its own affair until someone looks for it.
        let (request_id, kind, took_us) = (call.id.as_str(), error.kind.label(), micros(took));
        if error.kind.status() < 500 {
            tracing::debug!(request_id, kind, detail = error.detail, took_us, "refused");
            return;
        }
        let Some(left_out) = self.failures.admit(Instant::now()) else { return };
        tracing::warn!(
            function = self.function,
            request_id,
            trace_id = call.trace_id().as_deref(),
            kind,
            detail = error.detail,
            cause = error.private,
            path = call.head.uri.path(),
            took_us,
            left_out,
            "failed"
        );
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}
