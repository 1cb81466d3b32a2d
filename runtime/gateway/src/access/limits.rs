//! How much one key may ask for: its rate and its requests at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use drover_core::ErrorKind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::bucket::{Bucket, Rate};
use crate::error::Error;

/// When a place among a key's requests is free again cannot be known: a request may end any moment.
const FREE_SOON: Duration = Duration::from_secs(1);

/// How much one key may ask for, and what of it is in use.
#[derive(Debug)]
pub(super) struct Limits {
    rate: Option<Rate>,
    concurrency: Option<usize>,
    bucket: Option<Mutex<Bucket>>,
    places: Option<Arc<Semaphore>>,
}

impl Limits {
    /// Makes limits of which nothing is in use.
    pub(super) fn new(rate: Option<Rate>, concurrency: Option<usize>) -> Self {
        Self {
            rate,
            concurrency,
            bucket: rate.map(|rate| Mutex::new(Bucket::new(rate, Instant::now()))),
            places: concurrency.map(|n| Arc::new(Semaphore::new(n))),
        }
    }

    /// Returns whether these are the limits that were written for a key.
    pub(super) fn are(&self, rate: Option<Rate>, concurrency: Option<usize>) -> bool {
        self.rate == rate && self.concurrency == concurrency
    }

    /// Lets one more request in, or says when to come again.
    pub(super) fn enter(&self, now: Instant) -> Result<Option<OwnedSemaphorePermit>, Error> {
        // The place first: a request that finds none has used nothing of the rate.
        let place = match &self.places {
            Some(places) => Some(Arc::clone(places).try_acquire_owned().map_err(|_| self.full())?),
            None => None,
        };
        if let (Some(bucket), Some(rate)) = (&self.bucket, self.rate) {
            let taken = bucket.lock().unwrap_or_else(PoisonError::into_inner).take(now);
            taken.map_err(|wait| too_often(rate, wait))?;
        }
        Ok(place)
    }

    fn full(&self) -> Error {
        let n = self.concurrency.unwrap_or_default();
        Error::new(ErrorKind::RateLimited, format!("the key has its {n} requests at once in flight"))
            .with_retry_after(FREE_SOON)
    }
}

fn too_often(rate: Rate, wait: Duration) -> Error {
    let detail = format!("the key may send {} requests a second, at once at most {}", rate.per_second, rate.burst);
    Error::new(ErrorKind::RateLimited, detail).with_retry_after(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_finds_no_place_uses_nothing_of_the_rate() {
        let limits = Limits::new(Some(Rate { per_second: 0.001, burst: 2 }), Some(1));
        let now = Instant::now();
        let place = limits.enter(now).unwrap();
        assert_eq!(limits.enter(now).unwrap_err().retry_after, Some(FREE_SOON));
        drop(place);
        assert!(limits.enter(now).is_ok());
        let wait = limits.enter(now).unwrap_err().retry_after.unwrap();
        assert!(wait > Duration::from_secs(900), "{wait:?}");
    }
}
