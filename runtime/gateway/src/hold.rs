//! Counts that somebody keeps as they are for a while: scaling leaves them alone.
//!
//! Whoever measures a function renews its hold; if that ends without a word, so does the hold.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use drover_core::FunctionName;

/// The longest hold: it has to be renewed, so that a count is not kept for ever by one who has gone.
pub(crate) const LONGEST: Duration = Duration::from_secs(3600);

/// Which counts are held, and until when.
#[derive(Debug, Default)]
pub(crate) struct Holds(Mutex<BTreeMap<FunctionName, Instant>>);

impl Holds {
    /// Keeps the count of `function` as it is from now on for `time`, at most [`LONGEST`]; 0 lets it go.
    pub(crate) fn hold(&self, function: &FunctionName, time: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, until| *until > Instant::now());
        if time.is_zero() {
            all.remove(function);
        } else {
            all.insert(function.clone(), Instant::now() + time.min(LONGEST));
        }
    }

    /// Returns how long the count of `function` is still held, if it is.
    pub(crate) fn left(&self, function: &FunctionName) -> Option<Duration> {
        let until = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(function).copied()?;
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_ends_by_itself_or_when_it_is_let_go() {
        let (holds, name) = (Holds::default(), "penguins".parse().unwrap());
        assert_eq!(holds.left(&name), None);
        holds.hold(&name, Duration::from_secs(100_000));
        assert!(holds.left(&name).is_some_and(|left| left <= LONGEST));
        holds.hold(&name, Duration::ZERO);
        assert_eq!(holds.left(&name), None);
        holds.hold(&name, Duration::from_millis(1));
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(holds.left(&name), None);
    }
}
