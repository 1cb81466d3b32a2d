//! A whole run: what all threads have seen since its beginning, second by second.

use std::time::Duration;

use hdrhistogram::Histogram;
use http::Method;

use super::{Snapshot, Tally};
use crate::report::{FailureReport, Latency, Point, TaskReport};

/// Seconds that are kept; of a longer run every other one is dropped, then again.
const POINTS_MAX: usize = 7_200;

/// A whole run.
#[derive(Debug)]
pub struct Totals {
    tasks: Vec<String>,
    all: Snapshot,
    history: Vec<Point>,
    /// How many seconds one point stands for.
    stride: u64,
    seconds: u64,
}

impl Totals {
    /// Begins with nothing, of tasks with these names.
    #[must_use]
    pub fn new(tasks: Vec<String>) -> Self {
        let all = Snapshot::new(tasks.len());
        Self { tasks, all, history: Vec::new(), stride: 1, seconds: 0 }
    }

    /// Adds a second that took `took`. What `point` cannot know from elsewhere is filled in.
    pub fn add(&mut self, second: &Snapshot, took: Duration, mut point: Point) {
        self.all.add(second);
        let (now, total) = (second.all(), self.all.all());
        let per_second = |count: u64| count as f64 / took.as_secs_f64().max(1e-3);
        point.users = second.users;
        point.in_flight = second.in_flight;
        point.late = second.late;
        point.rps = per_second(now.requests);
        point.failures_per_s = per_second(now.failures);
        point.p50_ms = ms(&now.latency, 0.5);
        point.p95_ms = ms(&now.latency, 0.95);
        point.p99_ms = ms(&now.latency, 0.99);
        point.requests = total.requests;
        point.failures = total.failures;
        point.latency = latency(&total.latency);
        point.mean_bytes = mean_bytes(&total);
        self.seconds += 1;
        if self.seconds.is_multiple_of(self.stride) {
            self.history.push(point);
        }
        if self.history.len() > POINTS_MAX {
            let mut place = 0;
            self.history.retain(|_| {
                place += 1;
                place % 2 == 0
            });
            self.stride *= 2;
        }
    }

    /// Returns all that was seen.
    #[must_use]
    pub fn all(&self) -> &Snapshot {
        &self.all
    }

    /// Returns the seconds, the oldest first.
    #[must_use]
    pub fn history(&self) -> &[Point] {
        &self.history
    }

    /// Returns all tasks as one, and each.
    #[must_use]
    pub fn reports(&self, elapsed: Duration) -> (TaskReport, Vec<TaskReport>) {
        let report = |name: &str, method: Option<&Method>, tally: &Tally| TaskReport {
            name: name.to_owned(),
            method: method.map(ToString::to_string).unwrap_or_default(),
            requests: tally.requests,
            failures: tally.failures,
            rps: if elapsed.is_zero() { 0.0 } else { tally.requests as f64 / elapsed.as_secs_f64() },
            mean_bytes: mean_bytes(tally),
            latency: latency(&tally.latency),
            service: latency(&tally.service),
        };
        let tasks = self.tasks.iter().zip(&self.all.tasks);
        let tasks = tasks.map(|(name, tally)| report(name, tally.method.as_ref(), tally));
        (report("Aggregated", None, &self.all.all()), tasks.collect())
    }

    /// Returns what failed, the most frequent first.
    #[must_use]
    pub fn failures(&self) -> Vec<FailureReport> {
        let method = |task: usize| self.all.tasks.get(task).and_then(|tally| tally.method.as_ref());
        let all = self.all.failures.by_count().into_iter().map(|(kind, seen)| FailureReport {
            task: self.tasks.get(kind.task).cloned().unwrap_or_default(),
            method: method(kind.task).map(ToString::to_string).unwrap_or_default(),
            kind: kind.kind.clone(),
            detail: kind.detail.clone(),
            count: seen.count,
            samples: seen.samples.clone(),
        });
        all.collect()
    }
}

fn mean_bytes(tally: &Tally) -> f64 {
    if tally.requests == 0 { 0.0 } else { tally.bytes as f64 / tally.requests as f64 }
}

fn ms(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    if histogram.is_empty() { 0.0 } else { histogram.value_at_quantile(quantile) as f64 / 1e3 }
}

fn latency(histogram: &Histogram<u64>) -> Latency {
    if histogram.is_empty() {
        return Latency::default();
    }
    let at = |quantile| ms(histogram, quantile);
    Latency {
        min_ms: histogram.min() as f64 / 1e3,
        mean_ms: histogram.mean() / 1e3,
        max_ms: histogram.max() as f64 / 1e3,
        p50_ms: at(0.5),
        p66_ms: at(0.66),
        p75_ms: at(0.75),
        p80_ms: at(0.8),
        p90_ms: at(0.9),
        p95_ms: at(0.95),
        p98_ms: at(0.98),
        p99_ms: at(0.99),
        p999_ms: at(0.999),
        p9999_ms: at(0.9999),
    }
}
