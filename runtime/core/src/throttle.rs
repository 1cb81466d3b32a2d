//! How many failures are logged: an error storm must not fill a disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures that may be written at once, and then per second.
const BURST: f64 = 20.0;
const PER_SECOND: f64 = 10.0;

/// A token bucket over log lines. While it is empty, a line that is left out costs two atomic operations: every
/// prediction asks.
#[derive(Debug)]
pub struct Throttle {
    born: Instant,
    /// Until when it is empty, microseconds since its birth.
    empty_until_us: AtomicU64,
    left_out: AtomicU64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Default for Throttle {
    fn default() -> Self {
        let born = Instant::now();
        let (empty_until_us, left_out) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { born, empty_until_us, left_out, bucket: Mutex::new(Bucket { tokens: BURST, at: born }) }
    }
}

impl Throttle {
    /// Returns how many lines were left out before this one, if this one may be written.
    #[must_use]
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let now_us = u64::try_from(now.saturating_duration_since(self.born).as_micros()).unwrap_or(u64::MAX);
        if now_us < self.empty_until_us.load(Ordering::Relaxed) || !self.take(now, now_us) {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.left_out.swap(0, Ordering::Relaxed))
    }

    fn take(&self, now: Instant, now_us: u64) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let earned = now.saturating_duration_since(bucket.at).as_secs_f64() * PER_SECOND;
        bucket.tokens = (bucket.tokens + earned).min(BURST);
        bucket.at = bucket.at.max(now);
        let has_token = bucket.tokens >= 1.0;
        if has_token {
            bucket.tokens -= 1.0;
        }
        if bucket.tokens < 1.0 {
            let wait = Duration::from_secs_f64((1.0 - bucket.tokens) / PER_SECOND);
            let wait_us = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
            self.empty_until_us.store(now_us.saturating_add(wait_us), Ordering::Relaxed);
        }
        has_token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_storm_is_cut_short_and_counted() {
        let throttle = Throttle::default();
        let start = Instant::now();
        let written = (0..1000).filter(|_| throttle.admit(start).is_some()).count();
        assert_eq!(written, 20);
        assert_eq!(throttle.admit(start + Duration::from_millis(101)), Some(980));
        assert_eq!(throttle.admit(start + Duration::from_millis(102)), None);
        // A long silence earns no longer storm.
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..1000).filter(|_| throttle.admit(later).is_some()).count(), 20);
    }
}
