//! What runs now, for whoever looks: once a second one picture of all functions and instances, made and written
//! once for all open consoles, and not at all while none is open.
//!
//! It holds counts since the start, as `/metrics` has them: rates and percentiles are the consoles' own affair.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::Method;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use crate::ask::ask;
use crate::exposition::{Sample, samples};
use crate::gateway::{Gateway, unix_ms};

/// The time between two pictures.
const EVERY: Duration = Duration::from_secs(1);
/// The time between two questions to an instance about what it uses.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// How long an instance may take to answer that.
const ASK_LIMIT: Duration = Duration::from_millis(500);
/// Instances that are asked at once.
const ASKED_AT_ONCE: usize = 16;

/// The newest picture, and who waits for the next.
pub(crate) struct Live {
    newest: watch::Sender<Bytes>,
    opened: Notify,
}

/// What an instance uses of what it may use; nothing where it does not tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
struct Usage {
    /// CPU time since its start, and when that was read.
    cpu_seconds: Option<f64>,
    read_unix_ms: u64,
    cpu_limit_cores: Option<f64>,
    memory_bytes: Option<f64>,
    memory_limit_bytes: Option<f64>,
}

/// What was counted of one function since the start.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Counted {
    /// Answers by status.
    answers: BTreeMap<String, f64>,
    /// Failures by kind.
    kinds: BTreeMap<String, f64>,
    /// Answers within each bound, in seconds, as `[bound, count]`, where that changes; the last without a bound.
    first_byte: Vec<(Option<f64>, f64)>,
    /// Cold starts by phase: how many, and the seconds of all together.
    cold: BTreeMap<String, (f64, f64)>,
}

impl Default for Live {
    fn default() -> Self {
        Self { newest: watch::Sender::new(Bytes::new()), opened: Notify::new() }
    }
}

impl Live {
    /// Returns every picture from now on, in the format of server-sent events.
    pub(crate) fn listen(&self) -> BoxStream<'static, Bytes> {
        let is_fresh = self.newest.receiver_count() > 0;
        let mut receiver = self.newest.subscribe();
        if is_fresh {
            receiver.mark_changed();
        }
        self.opened.notify_one();
        let pictures = stream::unfold(receiver, |mut receiver| async move {
            receiver.changed().await.ok()?;
            let picture = receiver.borrow_and_update().clone();
            Some((picture, receiver))
        });
        pictures.filter(|picture| std::future::ready(!picture.is_empty())).boxed()
    }

    fn is_looked_at(&self) -> bool {
        self.newest.receiver_count() > 0
    }
}

impl Gateway {
    /// Makes pictures for as long as the gateway serves, while somebody looks.
    pub(crate) async fn show_live(self: Arc<Self>) {
        let mut usages = BTreeMap::new();
        loop {
            self.live.opened.notified().await;
            let mut tick = tokio::time::interval(EVERY);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut asked: Option<Instant> = None;
            while self.live.is_looked_at() {
                tick.tick().await;
                // The first picture does not wait for instances.
                let text = self.picture(&usages).await.to_string();
                self.live.newest.send_replace(format!("event: live\ndata: {text}\n\n").into());
                if asked.is_none_or(|at| at.elapsed() >= ASK_EVERY) {
                    asked = Some(Instant::now());
                    usages = self.usages().await;
                }
            }
        }
    }

    /// Asks all instances what they use.
    async fn usages(&self) -> BTreeMap<String, Usage> {
        let snapshot = self.snapshot();
        let all = snapshot.all_instances().filter(|instance| instance.state.is_ready());
        let all: Vec<_> = all.filter_map(|instance| Some((instance.id.to_string(), instance.address?))).collect();
        let asked = stream::iter(all).map(|(id, address)| async move {
            let (_, answer) = ask(address, Method::GET, "/metrics", ASK_LIMIT).await.ok()?;
            Some((id, Usage::read(std::str::from_utf8(&answer).ok()?)))
        });
        asked.buffer_unordered(ASKED_AT_ONCE).filter_map(std::future::ready).collect().await
    }

    async fn picture(&self, usages: &BTreeMap<String, Usage>) -> Value {
        let text = self.metrics.render();
        let mut counted = Counted::read(&text);
        let (mut functions, lost) = match self.functions().await {
            Ok(functions) => (functions, None),
            Err(e) => (self.known_functions(), Some(e.detail)),
        };
        for function in &mut functions {
            let name = function["name"].as_str().unwrap_or_default().to_owned();
            function["counted"] = json!(counted.remove(name.as_str()).unwrap_or_default());
        }
        let mut instances = self.instances();
        for instance in &mut instances {
            instance["usage"] = json!(instance["id"].as_str().and_then(|id| usages.get(id)));
        }
        json!({
            "at_unix_ms": unix_ms(),
            "version": env!("CARGO_PKG_VERSION"),
            "catalog_lost": self.snapshot().lost,
            "scheduler_lost": lost,
            "functions": functions,
            "instances": instances,
        })
    }
}

impl Usage {
    fn read(text: &str) -> Self {
        let mut usage = Self { read_unix_ms: unix_ms(), ..Self::default() };
        for sample in samples(text) {
            let place = match sample.name {
                "process_cpu_seconds_total" => &mut usage.cpu_seconds,
                "drover_cpu_limit_cores" => &mut usage.cpu_limit_cores,
                "process_resident_memory_bytes" => &mut usage.memory_bytes,
                "drover_memory_limit_bytes" => &mut usage.memory_limit_bytes,
                _ => continue,
            };
            *place = Some(sample.value);
        }
        usage
    }
}

impl Counted {
    /// Reads what the gateway has counted, by function.
    fn read(text: &str) -> BTreeMap<&str, Self> {
        let mut all = BTreeMap::new();
        for sample in samples(text) {
            if let Some(function) = sample.label("function") {
                all.entry(function).or_insert_with(Self::default).add(&sample);
            }
        }
        all.values_mut().for_each(Self::shorten);
        all
    }

    /// Leaves out what says nothing: zeros, and bounds that have as many answers as both of their neighbours.
    fn shorten(&mut self) {
        self.answers.retain(|_, n| *n > 0.0);
        self.kinds.retain(|_, n| *n > 0.0);
        self.cold.retain(|_, (n, _)| *n > 0.0);
        let all = std::mem::take(&mut self.first_byte);
        let n_at = |i: usize| all.get(i).map(|(_, n)| *n);
        let tells = |i: usize, n: f64| {
            let before = i.checked_sub(1).and_then(n_at).unwrap_or_default();
            n_at(i + 1).is_none_or(|after| after != n) || before != n
        };
        self.first_byte = all.iter().enumerate().filter(|(i, (_, n))| tells(*i, *n)).map(|(_, one)| *one).collect();
    }

    fn add(&mut self, sample: &Sample<'_>) {
        let label = |name| sample.label(name).unwrap_or_default();
        match sample.name {
            "drover_gateway_requests_total" => {
                *self.answers.entry(label("code").to_owned()).or_default() += sample.value;
                if label("kind") != "none" {
                    *self.kinds.entry(label("kind").to_owned()).or_default() += sample.value;
                }
            }
            "drover_gateway_first_byte_seconds_bucket" => {
                let bound = label("le").parse::<f64>().ok().filter(|bound| bound.is_finite());
                self.first_byte.push((bound, sample.value));
            }
            "drover_gateway_cold_start_seconds_count" => {
                self.cold.entry(label("phase").to_owned()).or_default().0 = sample.value;
            }
            "drover_gateway_cold_start_seconds_sum" => {
                self.cold.entry(label("phase").to_owned()).or_default().1 = sample.value;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_read_by_function() {
        let text = concat!(
            "drover_gateway_requests_total{function=\"a\",code=\"200\",kind=\"none\"} 5\n",
            "drover_gateway_requests_total{function=\"a\",code=\"504\",kind=\"timeout\"} 1\n",
            "drover_gateway_requests_total{function=\"a\",code=\"504\",kind=\"none\"} 2\n",
            "drover_gateway_requests_total{function=\"b\",code=\"200\",kind=\"none\"} 0\n",
            "drover_gateway_first_byte_seconds_bucket{function=\"a\",le=\"0.0001\"} 0\n",
            "drover_gateway_first_byte_seconds_bucket{function=\"a\",le=\"0.00025\"} 0\n",
            "drover_gateway_first_byte_seconds_bucket{function=\"a\",le=\"0.001\"} 4\n",
            "drover_gateway_first_byte_seconds_bucket{function=\"a\",le=\"0.0025\"} 4\n",
            "drover_gateway_first_byte_seconds_bucket{function=\"a\",le=\"0.005\"} 4\n",
            "drover_gateway_first_byte_seconds_bucket{function=\"a\",le=\"0.01\"} 8\n",
            "drover_gateway_first_byte_seconds_bucket{function=\"a\",le=\"+Inf\"} 8\n",
            "drover_gateway_cold_start_seconds_sum{function=\"a\",phase=\"load\"} 0.5\n",
            "drover_gateway_cold_start_seconds_count{function=\"a\",phase=\"load\"} 2\n",
        );
        let all = Counted::read(text);
        let a = serde_json::to_value(&all["a"]).unwrap();
        let wanted = json!({
            "answers": {"200": 5.0, "504": 3.0},
            "kinds": {"timeout": 1.0},
            "first_byte": [[0.00025, 0.0], [0.001, 4.0], [0.005, 4.0], [0.01, 8.0], [null, 8.0]],
            "cold": {"load": [2.0, 0.5]},
        });
        assert_eq!(a, wanted);
        let idle = serde_json::to_value(&all["b"]).unwrap();
        assert_eq!(idle, json!({"answers": {}, "kinds": {}, "first_byte": [], "cold": {}}));
    }

    #[test]
    fn what_an_instance_uses_is_read() {
        let usage = Usage::read("process_cpu_seconds_total 1.5\ndrover_cpu_limit_cores 0.2\nother 1\n");
        assert_eq!((usage.cpu_seconds, usage.cpu_limit_cores, usage.memory_bytes), (Some(1.5), Some(0.2), None));
    }
}
