//! What an instance counts: every name, its help and its buckets are in this file.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use drover_core::ErrorKind;
use drover_telemetry::process;
use metrics::{
    Counter, Gauge, Histogram, Label, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::drift::{Drift, Index};
use crate::function::Class;
use crate::{Model, cpu};

/// Bucket bounds of durations, in seconds: 1-2.5-5 steps from 5 us, a small model's inference, to
/// 10 s, the default deadline.
const SECONDS: [f64; 20] = [
    5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];
/// Bucket bounds of batch sizes, in rows.
const ROWS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0, 4096.0];
/// Bucket bounds of confidences: finer near 1, where most models live.
const CONFIDENCE: [f64; 10] = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0];

/// How often recorded samples are folded into their buckets, so that they hold little memory.
pub(crate) const FOLD_EVERY: Duration = Duration::from_millis(250);

/// The counters of one instance.
pub(crate) struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    started: Instant,
    ok: Counter,
    failed: Vec<(ErrorKind, Counter)>,
    pub(crate) duration: Histogram,
    pub(crate) queue_wait: Histogram,
    pub(crate) inference: Histogram,
    pub(crate) batch_rows: Histogram,
    pub(crate) in_flight: Gauge,
    pub(crate) panics: Counter,
    pub(crate) dropped: Counter,
    confidence: Histogram,
    slots: Gauge,
    classes: OnceLock<Vec<Counter>>,
    drift: OnceLock<Drift>,
}

impl Metrics {
    /// Makes the counters, all at zero.
    pub(crate) fn new() -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?
            .set_buckets_for_metric(Matcher::Full("drover_batch_rows".into()), &ROWS)?
            .set_buckets_for_metric(Matcher::Full("drover_confidence".into()), &CONFIDENCE)?
            .build_recorder();
        let recorder = Arc::new(recorder);
        Ok(metrics::with_local_recorder(&*recorder, || {
            describe();
            process::begin();
            let failed = |kind: ErrorKind| {
                let code = kind.status().to_string();
                (kind, counter!("drover_invocations_total", "code" => code, "kind" => kind.label()))
            };
            Self {
                handle: recorder.handle(),
                recorder: Arc::clone(&recorder),
                started: Instant::now(),
                ok: counter!("drover_invocations_total", "code" => "200", "kind" => "ok"),
                failed: ErrorKind::ALL.map(failed).to_vec(),
                duration: histogram!("drover_invocation_duration_seconds"),
                queue_wait: histogram!("drover_queue_wait_seconds"),
                inference: histogram!("drover_inference_duration_seconds"),
                batch_rows: histogram!("drover_batch_rows"),
                in_flight: gauge!("drover_in_flight"),
                panics: counter!("drover_panics_total"),
                dropped: counter!("drover_dropped_total"),
                confidence: histogram!("drover_confidence"),
                slots: gauge!("drover_slots"),
                classes: OnceLock::new(),
                drift: OnceLock::new(),
            }
        }))
    }

    /// Says which model is served, and how many slots there are.
    pub(crate) fn serving(&self, model: &Model, slots: usize) {
        self.slots.set(slots as f64);
        metrics::with_local_recorder(&*self.recorder, || {
            let labels = vec![
                // Who scrapes gives an instance the labels `function` and `version` of its service.
                Label::new("model", model.name().to_owned()),
                Label::new("model_version", model.version().to_owned()),
                Label::new("sha256", model.sha256().to_owned()),
            ];
            gauge!("drover_model_info", labels).set(1.0);
            gauge!("drover_ready_seconds").set(self.started.elapsed().as_secs_f64());
            let class = |label: &String| counter!("drover_predictions_total", "class" => label.clone());
            self.classes.get_or_init(|| model.labels().iter().map(class).collect());
            self.drift.get_or_init(|| Drift::new(model.card()));
        });
    }

    /// Says what this process may use: cores, and bytes of memory if that is known.
    pub(crate) fn limits(&self, cores: f64, memory_bytes: Option<u64>) {
        metrics::with_local_recorder(&*self.recorder, || {
            gauge!("drover_cpu_limit_cores").set(cores);
            if let Some(bytes) = memory_bytes {
                gauge!("drover_memory_limit_bytes").set(bytes as f64);
            }
        });
    }

    /// Counts one invocation and its outcome.
    pub(crate) fn invocation(&self, failed: Option<ErrorKind>, took: Duration) {
        match failed {
            None => self.ok.increment(1),
            Some(kind) => self.failed.iter().filter(|(k, _)| *k == kind).for_each(|(_, counter)| counter.increment(1)),
        }
        self.duration.record(took);
    }

    /// Counts one prediction by its class.
    pub(crate) fn prediction(&self, answer: Class) {
        if let Some(class) = self.classes.get().and_then(|classes| classes.get(answer.index)) {
            class.increment(1);
        }
        self.confidence.record(f64::from(answer.confidence));
        if let Some(drift) = self.drift.get() {
            drift.prediction(answer.index);
        }
    }

    /// Notes what a valid request asks.
    pub(crate) fn input(&self, body: &[u8]) {
        if let Some(drift) = self.drift.get() {
            drift.input(body);
        }
    }

    /// Folds recorded samples into their buckets; to be called every [`FOLD_EVERY`].
    pub(crate) fn fold(&self) {
        self.handle.run_upkeep();
        if let Some(drift) = self.drift.get() {
            drift.age();
        }
    }

    /// Returns all counters as Prometheus text, with the process's CPU time and memory as of now.
    pub(crate) fn render(&self) -> String {
        metrics::with_local_recorder(&*self.recorder, || {
            counted();
            process::update();
            for Index { of, field, psi } in self.drift.get().map(Drift::indices).unwrap_or_default() {
                gauge!("drover_drift_psi", "of" => of, "field" => field).set(psi);
            }
        });
        self.handle.render() + &process::cpu_time()
    }
}

/// Gives every metric its unit and help.
fn describe() {
    let s = Unit::Seconds;
    describe_counter!("drover_invocations_total", "invocations answered, by HTTP status and kind of failure");
    describe_histogram!("drover_invocation_duration_seconds", s, "from a request's head to its answer");
    describe_histogram!("drover_queue_wait_seconds", s, "from a valid request to the start of its inference");
    describe_histogram!("drover_inference_duration_seconds", s, "one call of the model, over all rows of its batch");
    describe_histogram!("drover_batch_rows", "rows in one call of the model");
    describe_gauge!("drover_in_flight", "invocations inside");
    describe_gauge!("drover_slots", "invocations that may be inside at once");
    describe_counter!("drover_panics_total", "panics of the model that were caught");
    describe_counter!(
        "drover_dropped_total",
        "invocations that were not run because the client had gone or the deadline had passed"
    );
    describe_counter!("drover_predictions_total", "rows answered, by predicted class");
    describe_counter!("drover_log_dropped_total", "log lines that could not be sent to Graylog");
    describe_histogram!("drover_confidence", "confidence of the predicted class, 0 to 1");
    describe_gauge!(
        "drover_drift_psi",
        "population stability index of a field, or of the predicted classes, against the model's training data"
    );
    describe_gauge!("drover_model_info", "the model that is served; always 1");
    describe_gauge!("drover_ready_seconds", s, "from the start of the process to readiness");
    describe_gauge!("drover_cpu_limit_cores", "cores that the process may use");
    describe_counter!("drover_cpu_periods_total", "periods of the CPU quota in which the instance ran");
    describe_counter!("drover_cpu_throttled_periods_total", "those of them whose quota was used up before their end");
    describe_gauge!("drover_memory_limit_bytes", Unit::Bytes, "memory that the process may use");
}

/// Reads what the kernel counts of the CPU quota, and what the log could not send.
fn counted() {
    counter!("drover_log_dropped_total").absolute(drover_telemetry::dropped());
    if let Some((all, throttled)) = cpu::periods() {
        counter!("drover_cpu_periods_total").absolute(all);
        counter!("drover_cpu_throttled_periods_total").absolute(throttled);
    }
}
