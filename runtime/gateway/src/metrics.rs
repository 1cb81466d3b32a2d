//! What the gateway counts: every name, its help and its buckets are in this file.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use drover_core::ErrorKind;
use drover_telemetry::process;
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::lane::Phases;

/// Bucket bounds of durations, in seconds: 1-2.5-5 steps from 100 us to 60 s, the longest wait for an answer.
const SECONDS: [f64; 18] =
    [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// How often recorded samples are folded into their buckets, so that they hold little memory.
pub(crate) const FOLD_EVERY: Duration = Duration::from_millis(250);

/// The counters of a gateway.
pub(crate) struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    /// Requests that are for no function.
    others: Answers,
    pub(crate) connections: Gauge,
    pub(crate) catalog_lost: Gauge,
    pub(crate) leads: Gauge,
    pub(crate) decided: Gauge,
}

/// The counters of one function.
pub(crate) struct LaneMetrics {
    recorder: Arc<PrometheusRecorder>,
    function: String,
    answers: Answers,
    pub(crate) first_byte: Histogram,
    pub(crate) queue: Histogram,
    pub(crate) upstream: Histogram,
    pub(crate) in_flight: Gauge,
    pub(crate) waiting: Gauge,
    pub(crate) ready: Gauge,
    pub(crate) asked: Gauge,
    pub(crate) wanted: Gauge,
    /// Cold starts, as [`Phases::all`] orders them.
    cold: [Histogram; 6],
}

/// Answers by status and kind of failure. Those of the kinds that there are begin at 0, so that Prometheus sees
/// the first of them too; any other status of an instance is made when it first comes.
struct Answers {
    recorder: Arc<PrometheusRecorder>,
    function: String,
    made: Mutex<Vec<((u16, &'static str), Counter)>>,
}

impl Answers {
    fn new(recorder: Arc<PrometheusRecorder>, function: String) -> Self {
        let answers = Self { recorder, function, made: Mutex::default() };
        answers.add(200, "none", 0);
        for kind in ErrorKind::ALL {
            answers.add(kind.status(), "none", 0);
            answers.add(kind.status(), kind.label(), 0);
        }
        answers
    }

    fn count(&self, status: u16, kind: &'static str) {
        self.add(status, kind, 1);
    }

    fn add(&self, status: u16, kind: &'static str, n: u64) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counter)) = made.iter().find(|(key, _)| *key == (status, kind)) {
            return counter.increment(n);
        }
        let counter = metrics::with_local_recorder(&*self.recorder, || {
            let function = self.function.clone();
            counter!("drover_gateway_requests_total", "function" => function, "code" => status.to_string(), "kind" => kind)
        });
        counter.increment(n);
        made.push(((status, kind), counter));
    }
}

impl Metrics {
    /// Makes the counters of a gateway, all at zero.
    pub(crate) fn new() -> Result<Self, BuildError> {
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?;
        let recorder = Arc::new(builder.build_recorder());
        Ok(metrics::with_local_recorder(&*recorder, || {
            describe();
            process::begin();
            Self {
                handle: recorder.handle(),
                others: Answers::new(Arc::clone(&recorder), String::new()),
                recorder: Arc::clone(&recorder),
                connections: gauge!("drover_gateway_connections"),
                catalog_lost: gauge!("drover_gateway_catalog_lost"),
                leads: gauge!("drover_gateway_leads"),
                decided: gauge!("drover_gateway_last_decision_timestamp_seconds"),
            }
        }))
    }

    /// Makes the counters of one function.
    pub(crate) fn lane(&self, function: &str) -> LaneMetrics {
        let name = || function.to_owned();
        metrics::with_local_recorder(&*self.recorder, || LaneMetrics {
            recorder: Arc::clone(&self.recorder),
            function: name(),
            answers: Answers::new(Arc::clone(&self.recorder), name()),
            first_byte: histogram!("drover_gateway_first_byte_seconds", "function" => name()),
            queue: histogram!("drover_gateway_queue_seconds", "function" => name()),
            upstream: histogram!("drover_gateway_upstream_seconds", "function" => name()),
            in_flight: gauge!("drover_gateway_in_flight", "function" => name()),
            waiting: gauge!("drover_gateway_waiting", "function" => name()),
            ready: gauge!("drover_gateway_instances_ready", "function" => name()),
            asked: gauge!("drover_gateway_instances_asked", "function" => name()),
            wanted: gauge!("drover_gateway_instances_wanted", "function" => name()),
            cold: Phases::default().all().map(|(phase, _)| cold(name(), phase)),
        })
    }

    /// Counts an answer to a request that was for no function.
    pub(crate) fn other(&self, status: u16, kind: &'static str) {
        self.others.count(status, kind);
    }

    /// Folds recorded samples into their buckets; to be called every [`FOLD_EVERY`].
    pub(crate) fn fold(&self) {
        self.handle.run_upkeep();
    }

    /// Returns all counters as Prometheus text.
    pub(crate) fn render(&self) -> String {
        metrics::with_local_recorder(&*self.recorder, process::update);
        self.handle.render() + &process::cpu_time()
    }
}

impl LaneMetrics {
    /// Shows that the function is gone: what was last known of it must not stay.
    pub(crate) fn gone(&self) {
        for gauge in [&self.in_flight, &self.waiting, &self.ready, &self.asked, &self.wanted] {
            gauge.set(0.0);
        }
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, status: u16, kind: &'static str) {
        self.answers.count(status, kind);
    }

    /// Counts a request that goes to another instance.
    pub(crate) fn retried(&self, why: &'static str) {
        self.rare(|function| counter!("drover_gateway_retries_total", "function" => function, "why" => why));
    }

    /// Counts an instance that is taken out of service.
    pub(crate) fn ejected(&self, why: &'static str) {
        self.rare(|function| counter!("drover_gateway_ejections_total", "function" => function, "why" => why));
    }

    /// Counts a call that changes how many instances run.
    pub(crate) fn scaled(&self, outcome: &'static str) {
        self.rare(|function| counter!("drover_gateway_scalings_total", "function" => function, "outcome" => outcome));
    }

    /// Records a cold start.
    pub(crate) fn cold_start(&self, phases: &Phases) {
        for ((_, took), histogram) in phases.all().into_iter().zip(&self.cold) {
            histogram.record(took);
        }
    }

    fn rare(&self, make: impl FnOnce(String) -> Counter) {
        metrics::with_local_recorder(&*self.recorder, || make(self.function.clone())).increment(1);
    }
}

impl fmt::Debug for LaneMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneMetrics").field("function", &self.function).finish_non_exhaustive()
    }
}

fn cold(function: String, phase: &'static str) -> Histogram {
    histogram!("drover_gateway_cold_start_seconds", "function" => function, "phase" => phase)
}

/// Gives every metric its unit and help.
fn describe() {
    let s = Unit::Seconds;
    describe_counter!(
        "drover_gateway_requests_total",
        "requests answered, by function, HTTP status and kind of failure"
    );
    describe_histogram!("drover_gateway_first_byte_seconds", s, "from a request's head to the head of its answer");
    describe_histogram!("drover_gateway_queue_seconds", s, "a request's wait for a slot, cold starts included");
    describe_histogram!("drover_gateway_upstream_seconds", s, "a request's time at instances");
    describe_gauge!("drover_gateway_in_flight", "requests that run or wait");
    describe_gauge!("drover_gateway_waiting", "requests that wait for a slot");
    describe_gauge!("drover_gateway_instances_ready", "instances that take requests");
    describe_gauge!("drover_gateway_instances_asked", "instances that the scheduler is asked for");
    describe_gauge!("drover_gateway_instances_wanted", "instances that the load wants");
    describe_counter!("drover_gateway_retries_total", "requests that went to another instance, and why");
    describe_counter!("drover_gateway_ejections_total", "instances taken out of service, and why");
    describe_counter!("drover_gateway_scalings_total", "calls that change how many instances run, by outcome");
    describe_histogram!("drover_gateway_cold_start_seconds", s, "from a request that finds no instance, by phase");
    describe_gauge!("drover_gateway_connections", "open connections of clients");
    describe_gauge!("drover_gateway_catalog_lost", "1 while the catalog cannot be asked");
    describe_gauge!("drover_gateway_leads", "1 while this gateway is the one that scales");
    describe_gauge!("drover_gateway_last_decision_timestamp_seconds", s, "when scaling was last decided, Unix time");
}
