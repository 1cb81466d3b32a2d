//! A second chance for slow requests: what takes longer than most is sent to another instance too, and the
//! first answer counts (Dean and Barroso, *The Tail at Scale*, 2013). For pure functions only.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;

use crate::error::Error;
use crate::forward::Attempt;
use crate::gateway::Gateway;
use crate::lane::{Lane, Lease};
use crate::payload::Payload;

/// Answers whose times are remembered.
const REMEMBERED: usize = 256;
/// The least wait: a model of microseconds is slow only by accident, and a second one would not help.
const WAIT_LEAST: Duration = Duration::from_millis(5);
/// Fewer say nothing about the slowest twentieth.
const LEAST: usize = 64;

/// How long instances took to answer, lately.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    took_us: Vec<u32>,
    next: usize,
}

impl Latencies {
    /// Adds an answer.
    pub(crate) fn add(&mut self, took: Duration) {
        let us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        match self.took_us.get_mut(self.next) {
            Some(place) => *place = us,
            None => self.took_us.push(us),
        }
        self.next = (self.next + 1) % REMEMBERED;
    }

    /// Returns the time within which 95 % were answered; nothing until enough were.
    pub(crate) fn p95(&self) -> Option<Duration> {
        if self.took_us.len() < LEAST {
            return None;
        }
        let mut sorted = self.took_us.clone();
        let place = sorted.len() * 95 / 100;
        let (_, p95, _) = sorted.select_nth_unstable(place);
        Some(Duration::from_micros(u64::from(*p95)))
    }
}

impl Gateway {
    /// Sends a request to the instance of `lease`, and to a second one if the first is slower than most.
    /// Returns the first answer, and the lease of the instance that gave it.
    pub(crate) async fn hedged(
        self: &Arc<Self>,
        lane: &Arc<Lane>,
        lease: Lease,
        head: &Parts,
        payload: &mut Payload,
        deadline: Instant,
    ) -> Result<(Attempt, Lease), Error> {
        let left = || deadline.saturating_duration_since(Instant::now());
        let request = payload.request(head, left())?;
        let is_whole = payload.is_whole();
        let may_hedge = self.settings.hedge && is_whole && lane.shown().is_pure();
        let Some(p95) = may_hedge.then(|| lane.p95()).flatten() else {
            return Ok((self.attempt(lane, &lease.backend, request, is_whole).await, lease));
        };
        let first_backend = Arc::clone(&lease.backend);
        let mut first = Box::pin(self.attempt(lane, &first_backend, request, is_whole));
        let wait = p95.max(WAIT_LEAST);
        tokio::select! {
            biased;
            attempt = &mut first => return Ok((attempt, lease)),
            () = tokio::time::sleep(wait) => {}
        }
        let Some(other) = lane.second_lease(&lease.backend) else { return Ok((first.await, lease)) };
        lane.metrics.retried("hedged");
        let request = payload.request(head, left())?;
        let second_backend = Arc::clone(&other.backend);
        let mut second = Box::pin(self.attempt(lane, &second_backend, request, is_whole));
        // The one that is dropped closes its connection, so that its instance can drop the work.
        tokio::select! {
            attempt = &mut first => match attempt {
                Attempt::Answered(..) => Ok((attempt, lease)),
                _ => Ok((second.await, other)),
            },
            attempt = &mut second => match attempt {
                Attempt::Answered(..) => Ok((attempt, other)),
                _ => Ok((first.await, lease)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_p95_is_that_of_the_last_answers() {
        let mut latencies = Latencies::default();
        (0..63).for_each(|_| latencies.add(Duration::from_millis(1)));
        assert_eq!(latencies.p95(), None);
        (0..1_000).for_each(|n| latencies.add(Duration::from_micros(1_000 + n % 100)));
        let p95 = latencies.p95().unwrap();
        assert!((1_090..=1_099).contains(&p95.as_micros()), "{p95:?}");
        (0..256).for_each(|_| latencies.add(Duration::from_millis(7)));
        assert_eq!(latencies.p95(), Some(Duration::from_millis(7)));
    }
}
