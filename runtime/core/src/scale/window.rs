//! The load of the last minutes, in buckets of one second.

use std::collections::VecDeque;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A ring of buckets, the oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Windows {
    buckets: VecDeque<Bucket>,
    last: Option<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    now: Duration,
    in_flight: f64,
    requests_total: u64,
}

/// What was seen of one second.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// When it begins, in whole seconds.
    second: u64,
    /// How much of it was seen, in seconds.
    seen: f64,
    /// In flight times the seconds that it was in flight.
    in_flight: f64,
    requests: f64,
}

impl Windows {
    /// Takes note of a sample, and forgets what is older than `keep`. Time never goes back.
    pub(super) fn observe(&mut self, now: Duration, in_flight: f64, requests_total: u64, keep: Duration) {
        let oldest = now.saturating_sub(keep + SECOND);
        if let Some(last) = self.last {
            // Between two samples the load is taken for a straight line, of which buckets hold the middle.
            let middle = f64::midpoint(last.in_flight, in_flight);
            // A total that fell is one of a gateway that began anew.
            let requests = requests_total.saturating_sub(last.requests_total) as f64;
            self.spread(last.now.max(oldest), now, middle, requests);
        }
        self.last = Some(Sample { now, in_flight, requests_total });
        while self.buckets.front().is_some_and(|b| b.second < oldest.as_secs()) {
            self.buckets.pop_front();
        }
    }

    /// Returns the average in flight over the `window` before `now`, or over as much of it as was seen, if any was.
    pub(super) fn in_flight(&self, now: Duration, window: Duration) -> Option<f64> {
        let (seen, area) = self.sum(now, window, |b| b.in_flight);
        (seen > 0.0).then(|| area / seen)
    }

    /// Returns the requests per second over the `window` before `now`, or over as much of it as was seen.
    ///
    /// That counts as a second at least: one request in the first millisecond is not a thousand a second.
    pub(super) fn requests_per_second(&self, now: Duration, window: Duration) -> f64 {
        let (seen, requests) = self.sum(now, window, |b| b.requests);
        requests / seen.max(1.0)
    }

    /// Puts the time from `from` to `to` into its buckets.
    fn spread(&mut self, from: Duration, to: Duration, in_flight: f64, requests: f64) {
        let whole = to.saturating_sub(from).as_secs_f64();
        for second in from.as_secs()..=to.as_secs() {
            let start = Duration::from_secs(second);
            let seen = to.min(start + SECOND).saturating_sub(from.max(start)).as_secs_f64();
            let share = if whole > 0.0 { seen / whole } else { 1.0 };
            if self.buckets.back().is_none_or(|last| last.second != second) {
                self.buckets.push_back(Bucket { second, seen: 0.0, in_flight: 0.0, requests: 0.0 });
            }
            if let Some(bucket) = self.buckets.back_mut() {
                bucket.seen += seen;
                bucket.in_flight += in_flight * seen;
                bucket.requests += requests * share;
            }
        }
    }

    /// Returns the seconds seen and the sum of `value` over the `window` before `now`.
    fn sum(&self, now: Duration, window: Duration, value: impl Fn(&Bucket) -> f64) -> (f64, f64) {
        let from = now.saturating_sub(window);
        self.buckets.iter().fold((0.0, 0.0), |(seen, sum), bucket| {
            let end = Duration::from_secs(bucket.second) + SECOND;
            // The window begins within its oldest bucket, of which it has this share.
            let share = end.saturating_sub(from).as_secs_f64().min(1.0);
            (seen + share * bucket.seen, sum + share * value(bucket))
        })
    }
}
