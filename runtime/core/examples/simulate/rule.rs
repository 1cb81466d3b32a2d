//! The two rules that are compared.

use std::collections::VecDeque;
use std::time::Duration;

use drover_core::scale::{Input, Policy, Scaler};

use crate::{BOUNDS, SLOTS, TARGET};

/// What a rule sees, each second.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) now: Duration,
    pub(crate) in_flight: u32,
    pub(crate) waiting: u32,
    pub(crate) requests_total: u64,
    pub(crate) n_ready: u32,
    pub(crate) count: u32,
}

/// What a rule says.
#[derive(Clone, Copy, Default)]
pub(crate) struct Answer {
    /// How many instances it finds right.
    pub(crate) wanted: u32,
    /// How many it asks the scheduler for.
    pub(crate) count: u32,
}

pub(crate) enum Rule {
    Drover(Box<Scaler>),
    Stock(Stock),
}

/// What the stock rule is told of the load.
#[derive(Clone, Copy)]
pub(crate) enum Metric {
    /// A query that averages over its window of a minute, such as `avg_over_time(in_flight[1m])`.
    Average,
    /// A query of the bare value. The strategy uses the newest of the values in its window only.
    Newest,
}

/// The Nomad Autoscaler with strategy `target-value` and defaults: an evaluation each 10 s, a query window of a
/// minute, a cooldown of 5 minutes after each change, a dead band of 1 %.
///
/// It is given what it does not have by itself: a gateway that holds requests while there is no instance, and
/// a count of what is in flight without delay.
pub(crate) struct Stock {
    metric: Metric,
    window: VecDeque<f64>,
    next: Duration,
    cools_until: Duration,
    answer: Answer,
}

impl Rule {
    pub(crate) fn drover(policy: Policy) -> Self {
        Self::Drover(Box::new(Scaler::new(policy)))
    }

    /// Whether the rule is asked at once when a request waits and there is no instance.
    pub(crate) fn wakes(&self) -> bool {
        matches!(self, Self::Drover(_))
    }

    pub(crate) fn decide(&mut self, seen: &Seen) -> Answer {
        let Seen { now, in_flight, waiting, requests_total, n_ready, count } = *seen;
        match self {
            Self::Drover(scaler) => {
                let (in_flight, waiting) = (f64::from(in_flight), waiting.into());
                let (slots, bounds) = (SLOTS, BOUNDS);
                let wanted = scaler
                    .decide(Input { now, in_flight, requests_total, waiting, slots, n_ready, count, bounds })
                    .wanted;
                Answer { wanted, count: wanted }
            }
            Self::Stock(stock) => stock.decide(seen),
        }
    }
}

impl Stock {
    pub(crate) fn new(metric: Metric) -> Self {
        let (next, cools_until) = (Duration::ZERO, Duration::ZERO);
        Self { metric, window: VecDeque::new(), next, cools_until, answer: Answer::default() }
    }

    fn decide(&mut self, seen: &Seen) -> Answer {
        self.window.push_back(seen.in_flight.into());
        if self.window.len() > 60 {
            self.window.pop_front();
        }
        if seen.now < self.next {
            return self.answer;
        }
        self.next = seen.now + Duration::from_secs(10);
        self.answer.wanted = self.wanted(seen.n_ready);
        if self.answer.wanted != seen.n_ready && seen.now >= self.cools_until {
            self.answer.count = self.answer.wanted;
            self.cools_until = seen.now + Duration::from_secs(300);
        }
        self.answer
    }

    fn wanted(&self, n_running: u32) -> u32 {
        let in_flight = match self.metric {
            Metric::Average => self.window.iter().sum::<f64>() / self.window.len() as f64,
            Metric::Newest => self.window.back().copied().unwrap_or_default(),
        };
        let needed = in_flight / TARGET;
        // The smallest count that is not less than what is needed; within the dead band nothing changes.
        let is_right = (f64::from(n_running) * 0.99..=f64::from(n_running) * 1.01).contains(&needed);
        let enough = (BOUNDS.min..BOUNDS.max).find(|&count| f64::from(count) >= needed);
        if n_running > 0 && is_right { n_running } else { enough.unwrap_or(BOUNDS.max) }
    }
}
