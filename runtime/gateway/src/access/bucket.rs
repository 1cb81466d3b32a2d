//! A token bucket: how many requests a key may send, as a plain decision about times.

use std::time::{Duration, Instant};

use drover_core::units::parse_duration;

/// How many requests a key may send.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate {
    pub(super) per_second: f64,
    /// How many may come at once.
    pub(super) burst: u32,
}

impl Rate {
    /// Reads `100/s`, `6000/min` or `50000/h`; `burst` is what comes in a second, at least 1, unless given.
    pub(super) fn parse(text: &str, burst: Option<u32>) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a rate such as 100/s, 6000/min or 50000/h");
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let count: u32 = count.trim().parse().map_err(|_| wrong())?;
        let unit = Some(unit.trim()).filter(|unit| unit.bytes().all(|b| b.is_ascii_alphabetic())).ok_or_else(wrong)?;
        let period = parse_duration(&format!("1{unit}")).map_err(|_| wrong())?;
        if count == 0 || period.is_zero() {
            return Err(format!("{}: use at least 1", wrong()));
        }
        let per_second = f64::from(count) / period.as_secs_f64();
        let of_a_second = u32::try_from(u128::from(count) * 1000 / period.as_millis().max(1)).unwrap_or(u32::MAX);
        Ok(Self { per_second, burst: burst.unwrap_or(of_a_second).max(1) })
    }
}

/// What is left of a [`Rate`].
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Rate,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// Makes a full bucket.
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, tokens: f64::from(rate.burst), at: now }
    }

    /// Takes one token at `now`, or says how long it takes until there is one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * self.rate.per_second;
        self.tokens = (self.tokens + earned).min(f64::from(self.rate.burst));
        self.at = self.at.max(now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / self.rate.per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_as_people_write_them() {
        let rate = |text| Rate::parse(text, None).map(|r| (r.per_second, r.burst));
        assert_eq!(rate("100/s"), Ok((100.0, 100)));
        assert_eq!(rate("6000/min"), Ok((100.0, 100)));
        assert_eq!(rate(" 6 / min "), Ok((0.1, 1)));
        assert_eq!(rate("7200/h"), Ok((2.0, 2)));
        assert_eq!(Rate::parse("1/s", Some(5)).unwrap().burst, 5);
        for bad in ["", "100", "/s", "0/s", "-1/s", "1/0s", "many/s", "1/parsec", "1.5/s"] {
            assert!(Rate::parse(bad, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_wait_that_is_told_is_true() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Rate { per_second: 10.0, burst: 2 }, start);
        assert_eq!((bucket.take(start), bucket.take(start)), (Ok(()), Ok(())));
        let wait = bucket.take(start).unwrap_err();
        assert!(wait.abs_diff(Duration::from_millis(100)) < Duration::from_micros(1), "{wait:?}");
        assert!(bucket.take(start + wait - Duration::from_millis(1)).is_err());
        assert_eq!(bucket.take(start + wait + Duration::from_micros(1)), Ok(()));
    }

    #[test]
    fn a_bucket_holds_no_more_than_its_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Rate { per_second: 10.0, burst: 3 }, start);
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..100).filter(|_| bucket.take(later).is_ok()).count(), 3);
    }
}
