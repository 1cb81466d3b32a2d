//! How many failures are logged: an error storm must not fill a disk.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Failures that may be written at once, and then per second.
const BURST: f64 = 20.0;
const PER_SECOND: f64 = 10.0;

/// A token bucket over log lines.
#[derive(Debug)]
pub struct Throttle(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
    left_out: u64,
}

impl Default for Throttle {
    fn default() -> Self {
        Self(Mutex::new(Bucket { tokens: BURST, at: Instant::now(), left_out: 0 }))
    }
}

impl Throttle {
    /// Returns how many lines were left out before this one, if this one may be written.
    #[must_use]
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let earned = now.saturating_duration_since(bucket.at).as_secs_f64() * PER_SECOND;
        bucket.tokens = (bucket.tokens + earned).min(BURST);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            bucket.left_out += 1;
            return None;
        }
        bucket.tokens -= 1.0;
        Some(std::mem::take(&mut bucket.left_out))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
