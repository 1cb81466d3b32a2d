//! The settings of a scaling decision, as the job's `scaling { policy { } }` has them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{BadConfig, Reader};
use crate::units;

/// Every setting, as it is written.
const KEYS: [&str; 10] = [
    "target_in_flight",
    "target_requests_per_second",
    "utilisation",
    "stable_window",
    "panic_window",
    "panic_threshold",
    "max_scale_up_rate",
    "max_scale_down_rate",
    "scale_down_delay",
    "zero_after",
];

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How a function follows its load.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// What is measured, and what an instance can carry of it. Default: in flight, up to its slots.
    pub target: Target,
    /// The share of what an instance can carry that it should carry. Default 0.7.
    pub utilisation: f64,
    /// The window of the average that counts while all is well. Default 60 s.
    pub stable_window: Duration,
    /// The window of the average that counts in panic. Default 6 s.
    pub panic_window: Duration,
    /// How many times the ready instances the panic window must ask for to begin a panic. Default 2.
    pub panic_threshold: f64,
    /// The highest ratio of wanted to ready instances. Default 1000.
    pub max_scale_up_rate: f64,
    /// The highest ratio of ready to wanted instances. Default 2.
    pub max_scale_down_rate: f64,
    /// For how long fewer instances must be enough before any goes, the last one apart. Default 0 s.
    pub scale_down_delay: Duration,
    /// For how long nothing may be in flight or arrive before the last instance goes. Default 60 s.
    pub zero_after: Duration,
}

/// What an instance can carry; `utilisation` is the share of it that is aimed at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// Invocations in flight; its slots when none is given.
    InFlight(Option<f64>),
    /// Requests per second.
    RequestsPerSecond(f64),
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            target: Target::InFlight(None),
            utilisation: 0.7,
            stable_window: Duration::from_secs(60),
            panic_window: Duration::from_secs(6),
            panic_threshold: 2.0,
            max_scale_up_rate: 1000.0,
            max_scale_down_rate: 2.0,
            scale_down_delay: Duration::ZERO,
            zero_after: Duration::from_secs(60),
        }
    }
}

impl Policy {
    /// Reads a policy from its settings; what is not set has its default.
    ///
    /// # Errors
    /// Every mistake, one line each: a value out of its range, an unknown setting, two targets at once.
    pub fn read(map: &BTreeMap<String, String>) -> Result<Self, Vec<String>> {
        let (known, unknown): (BTreeMap<_, _>, BTreeMap<_, _>) =
            map.clone().into_iter().partition(|(key, _)| KEYS.contains(&key.as_str()));
        let default = Self::default();
        let mut reader = Reader::new(&known);
        let in_flight = reader.read("target_in_flight", target);
        let per_second = reader.read("target_requests_per_second", target);
        let stable_window = duration(&mut reader, "stable_window", default.stable_window, SECOND, HOUR);
        // A short stable window alone is no mistake.
        let panic_window = default.panic_window.min(stable_window);
        let policy = Self {
            target: per_second.map_or(Target::InFlight(in_flight), Target::RequestsPerSecond),
            utilisation: reader.number("utilisation", default.utilisation, 0.01..=1.0),
            stable_window,
            panic_window: duration(&mut reader, "panic_window", panic_window, SECOND, stable_window),
            panic_threshold: reader.number("panic_threshold", default.panic_threshold, 1.1..=100.0),
            max_scale_up_rate: reader.number("max_scale_up_rate", default.max_scale_up_rate, 1.1..=1e6),
            max_scale_down_rate: reader.number("max_scale_down_rate", default.max_scale_down_rate, 1.1..=1e6),
            scale_down_delay: duration(&mut reader, "scale_down_delay", default.scale_down_delay, Duration::ZERO, HOUR),
            zero_after: duration(&mut reader, "zero_after", default.zero_after, SECOND, DAY),
        };
        if known.contains_key("target_in_flight") && known.contains_key("target_requests_per_second") {
            reader.mistake("target_in_flight and target_requests_per_second: only one of them may be set");
        }
        for key in unknown.keys() {
            reader.mistake(format!("{key}: no such setting, there are {}", KEYS.join(", ")));
        }
        reader.finish("").map(|()| policy).map_err(|BadConfig(lines)| lines)
    }

    /// Returns the load that one instance with so many slots should carry.
    pub(super) fn per_instance(&self, slots: u32) -> f64 {
        let most = match self.target {
            Target::InFlight(given) => given.unwrap_or_else(|| f64::from(slots.max(1))),
            Target::RequestsPerSecond(given) => given,
        };
        // A policy that was not read may hold anything; the decision divides by this.
        (most * self.utilisation).max(0.001)
    }
}

fn target(text: &str) -> Result<f64, String> {
    let right = |value: &f64| (0.01..=1e6).contains(value);
    let value = text.trim().parse().ok().filter(right);
    value.ok_or_else(|| format!("`{text}` is not a number from 0.01 to 1000000"))
}

fn duration(reader: &mut Reader<'_>, key: &str, default: Duration, least: Duration, most: Duration) -> Duration {
    let parse = |text: &str| match units::parse_duration(text)? {
        value if (least..=most).contains(&value) => Ok(value),
        _ => {
            let [least, most] = [least, most].map(humantime::format_duration);
            Err(format!("`{text}` is not a duration from {least} to {most}"))
        }
    };
    reader.read(key, parse).unwrap_or(default)
}
