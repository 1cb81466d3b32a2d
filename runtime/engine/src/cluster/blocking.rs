//! Blocking queries, which Consul and Nomad answer once something is new, in one way for both.

use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::api::{Api, ApiError, Ask};

/// How long the server keeps a query for which nothing is new.
const WAIT: Duration = Duration::from_secs(30);
/// The least time between two queries, however fast things change.
const GAP: Duration = Duration::from_millis(20);
/// How long to wait after the first error, at most.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// How long to wait after any error, at most.
const LAST_DELAY: Duration = Duration::from_secs(10);

/// One question that is asked again and again.
#[derive(Debug)]
pub(super) struct Query {
    api: Api,
    ask: Ask,
    index: u64,
    backoff: Backoff,
    not_before: Instant,
}

/// Longer and longer delays, each with a random share so that not all ask at once.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backoff(u32);

impl Query {
    /// Asks `api` for `ask`, the first time at once.
    pub(super) fn new(api: &Api, ask: Ask) -> Self {
        Self { api: api.clone(), ask, index: 0, backoff: Backoff::default(), not_before: Instant::now() }
    }

    /// Returns the next answer: the first at once, later ones when something is new or nothing was for a
    /// while. After an error it waits before it asks again. Cancel safe: a dropped question is withdrawn,
    /// and the next one asks for the same.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ApiError> {
        tokio::time::sleep_until(self.not_before).await;
        match self.api.newer(&self.ask, self.index, WAIT).await {
            Ok((answer, index)) => {
                self.index = next_index(self.index, index);
                self.backoff = Backoff::default();
                self.not_before = Instant::now() + GAP;
                Ok(answer)
            }
            Err(e) => {
                self.failed();
                Err(e)
            }
        }
    }

    /// Notes that an answer was of no use: the next is asked for anew, after a delay.
    pub(super) fn failed(&mut self) {
        self.index = 0;
        self.not_before = Instant::now() + self.backoff.next();
    }
}

impl Backoff {
    /// Returns how long to wait now.
    pub(super) fn next(&mut self) -> Duration {
        let delay = delay(self.0, fastrand::f64());
        self.0 = self.0.saturating_add(1);
        delay
    }
}

/// Returns the index to ask with next. One that went back belongs to a server that began anew. Zero would
/// not wait: a server that has nothing yet says so.
fn next_index(last: u64, got: u64) -> u64 {
    if got < last { 0 } else { got.max(1) }
}

/// Returns the delay after `n` errors before; `random` is from 0 to 1.
fn delay(n: u32, random: f64) -> Duration {
    let most = FIRST_DELAY.saturating_mul(1 << n.min(20)).min(LAST_DELAY);
    most.mul_f64(0.5 + 0.5 * random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_never_makes_a_hot_loop_or_waits_for_a_past_that_is_gone() {
        assert_eq!(next_index(0, 7), 7);
        assert_eq!(next_index(7, 7), 7);
        assert_eq!(next_index(7, 9), 9);
        assert_eq!(next_index(7, 3), 0, "a server that began anew");
        assert_eq!(next_index(0, 0), 1, "a server that has nothing");
    }

    #[test]
    fn delays_grow_from_a_tenth_of_a_second_to_ten_seconds() {
        let (least, most): (Vec<_>, Vec<_>) = (0..9).map(|n| (delay(n, 0.0), delay(n, 1.0))).unzip();
        assert_eq!(most.first(), Some(&FIRST_DELAY));
        assert_eq!(most.last(), Some(&LAST_DELAY));
        assert!(most.windows(2).all(|pair| pair[1] >= pair[0]), "{most:?}");
        assert!(least.iter().zip(&most).all(|(least, most)| *least * 2 == *most), "{least:?} {most:?}");
        assert_eq!(delay(u32::MAX, 1.0), LAST_DELAY);
    }
}
