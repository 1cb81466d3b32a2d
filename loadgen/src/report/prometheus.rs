//! The run as Prometheus reads it, so that a dashboard can lay the load over the instances.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::figures::plain;
use super::{Latency, Report, RunState, TaskReport};

/// The longest text of a label.
const LABEL_MAX: usize = 200;

/// Returns the metrics of `report` in the text format 0.0.4.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = Page { text: String::new() };
    let now = report.history.last().cloned().unwrap_or_default();

    out.family("loadgen_requests_total", "counter", "Requests that were answered or have failed.");
    for task in &report.tasks {
        out.sample("loadgen_requests_total", &of_task(task), task.requests as f64);
    }
    out.family("loadgen_failures_total", "counter", "Those of them that failed, by kind.");
    // Without the words: a server that answers something else each time would make ever more series.
    let mut kinds = BTreeMap::<_, u64>::new();
    for failure in &report.failures {
        let labels = [("task", &*failure.task), ("method", &*failure.method), ("kind", &*failure.kind)];
        *kinds.entry(labels).or_default() += failure.count;
    }
    for (labels, count) in kinds {
        out.sample("loadgen_failures_total", &labels, count as f64);
    }
    out.family("loadgen_late_total", "counter", "Requests sent late because the generator was not ready.");
    out.sample("loadgen_late_total", &[], report.late as f64);

    let help = "How long answers took since the run's beginning, from the moment a request was due.";
    out.summaries("loadgen_latency_seconds", help, &report.tasks, |task| &task.latency);
    let help = "How long answers took since the run's beginning, from the moment a request was sent.";
    out.summaries("loadgen_service_seconds", help, &report.tasks, |task| &task.service);

    let help = "How long the last second's answers took, from the moment a request was due.";
    out.family("loadgen_current_latency_seconds", "gauge", help);
    // The label `quantile` is for summaries only.
    for (percentile, ms) in [("50", now.p50_ms), ("95", now.p95_ms), ("99", now.p99_ms)] {
        out.sample("loadgen_current_latency_seconds", &[("percentile", percentile)], ms / 1000.0);
    }
    let running = matches!(report.state, RunState::Ramping | RunState::Holding | RunState::Stopping);
    out.gauge(
        "loadgen_running",
        "1 while requests are sent or answers waited for.",
        Some(f64::from(u8::from(running))),
    );
    let valid = f64::from(u8::from(report.invalid.is_empty()));
    out.gauge("loadgen_valid", "0 if the figures must not be believed.", Some(valid));
    out.gauge("loadgen_elapsed_seconds", "How long the run has measured.", Some(report.elapsed_s));
    out.gauge("loadgen_users", "Users that run.", Some(now.users as f64));
    out.gauge("loadgen_in_flight", "Requests in flight.", Some(now.in_flight as f64));
    out.gauge("loadgen_wanted_rate", "Requests a second that are aimed at.", now.rate);
    out.gauge("loadgen_rate", "Requests that ended in the last second.", Some(now.rps));
    out.gauge("loadgen_failure_rate", "Failures in the last second.", Some(now.failures_per_s));
    out.gauge("loadgen_instances", "Instances that run.", now.instances.map(|n| n as f64));
    let ratio = |percent: f64| percent / 100.0;
    out.gauge("loadgen_instance_cpu_ratio", "CPU of the busiest instance, of its limit.", now.cpu_percent.map(ratio));
    out.gauge("loadgen_instance_memory_ratio", "Memory of the fullest, of its limit.", now.ram_percent.map(ratio));
    let cpu = Some(ratio(now.generator_cpu_percent));
    out.gauge("loadgen_generator_cpu_ratio", "The generator's CPU in the last second, of one core.", cpu);
    let memory = Some(report.generator.memory_bytes as f64);
    out.gauge("loadgen_generator_memory_bytes", "The generator's largest resident memory.", memory);

    if !report.promises.is_empty() {
        out.family("loadgen_promise_kept", "gauge", "1 while a promise is kept, 0 when it is broken.");
    }
    for promise in &report.promises {
        let labels = [("promise", promise.promise.as_str()), ("task", promise.task.as_deref().unwrap_or(""))];
        let value = promise.kept.map_or(f64::NAN, |kept| f64::from(u8::from(kept)));
        out.sample("loadgen_promise_kept", &labels, value);
    }
    if !report.workers.is_empty() {
        out.family("loadgen_worker_up", "gauge", "1 while a worker reports.");
    }
    for worker in &report.workers {
        let labels = [("worker", worker.id.as_str()), ("address", worker.address.as_str())];
        out.sample("loadgen_worker_up", &labels, f64::from(u8::from(!worker.lost)));
    }
    out.text
}

struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _to_memory = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        for (i, (label, text)) in labels.iter().enumerate() {
            let before = if i == 0 { '{' } else { ',' };
            let _to_memory = write!(self.text, "{before}{label}=\"{}\"", escaped(text));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _to_memory = writeln!(self.text, "{end} {value}");
    }

    /// A gauge without labels, if it has a value.
    fn gauge(&mut self, name: &str, help: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.family(name, "gauge", help);
            self.sample(name, &[], value);
        }
    }

    fn summaries(&mut self, name: &str, help: &str, tasks: &[TaskReport], of: impl Fn(&TaskReport) -> &Latency) {
        self.family(name, "summary", help);
        for task in tasks.iter().filter(|task| task.requests > 0) {
            let l = of(task);
            let quantiles = [("0.5", l.p50_ms), ("0.9", l.p90_ms), ("0.95", l.p95_ms), ("0.99", l.p99_ms)];
            for (quantile, ms) in quantiles.into_iter().chain([("0.999", l.p999_ms)]) {
                let [task, method] = of_task(task);
                self.sample(name, &[task, method, ("quantile", quantile)], ms / 1000.0);
            }
            let sum = l.mean_ms * task.requests as f64 / 1000.0;
            self.sample(&format!("{name}_sum"), &of_task(task), sum);
            self.sample(&format!("{name}_count"), &of_task(task), task.requests as f64);
        }
    }
}

fn of_task(task: &TaskReport) -> [(&str, &str); 2] {
    [("task", &task.name), ("method", &task.method)]
}

/// Returns `text` as it may stand between the quotes of a label.
fn escaped(text: &str) -> String {
    plain(text, LABEL_MAX).replace('\\', "\\\\").replace('"', "\\\"")
}
