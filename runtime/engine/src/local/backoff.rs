//! Whether and when an instance that ended is started again. No clock: the caller says what time it is.

use std::time::Duration;

use crate::job::{Growth, Reschedule, Restart, RestartMode};

/// Counts the restarts of one instance against its job's `restart` block.
///
/// When the restarts of an interval are used up, `reschedule` says when the counting begins anew.
#[derive(Debug, Clone)]
pub(crate) struct Restarts {
    policy: Restart,
    again: Reschedule,
    window_start: Option<Duration>,
    n_in_window: u32,
    n_again: u32,
}

/// What follows the end of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is started again after this time.
    After(Duration),
    /// It has failed for good.
    Never,
}

impl Restarts {
    /// Begins to count.
    pub(crate) fn new(policy: Restart, again: Reschedule) -> Self {
        Self { policy, again, window_start: None, n_in_window: 0, n_again: 0 }
    }

    /// Notes that the instance was ready for `span`: after a good while its failures are forgotten.
    pub(crate) fn was_ready(&mut self, span: Duration) {
        if span >= self.again.max_delay {
            self.n_again = 0;
        }
    }

    /// Notes that the instance ended at `now`, a time since any fixed start.
    pub(crate) fn ended(&mut self, now: Duration) -> Next {
        let start = match self.window_start {
            Some(start) if now < start + self.policy.interval => start,
            _ => {
                self.n_in_window = 0;
                *self.window_start.insert(now)
            }
        };
        self.n_in_window += 1;
        if self.n_in_window <= self.policy.attempts {
            return Next::After(self.policy.delay);
        }
        match self.policy.mode {
            RestartMode::Fail => self.anew(),
            RestartMode::Delay => {
                Next::After((start + self.policy.interval).saturating_sub(now).max(self.policy.delay))
            }
        }
    }
}

impl Restarts {
    fn anew(&mut self) -> Next {
        if self.again.attempts.is_some_and(|most| self.n_again >= most) {
            return Next::Never;
        }
        let wait = wait(&self.again, self.n_again);
        (self.window_start, self.n_again) = (None, self.n_again.saturating_add(1));
        Next::After(wait)
    }
}

/// Returns the wait before the new beginning number `n`, from 0.
fn wait(again: &Reschedule, n: u32) -> Duration {
    let factor = match again.growth {
        Growth::Constant => 1,
        Growth::Exponential => 1_u32.checked_shl(n).unwrap_or(u32::MAX),
        Growth::Fibonacci => (0..n).fold((1_u32, 1_u32), |(a, b), _| (b, a.saturating_add(b))).0,
    };
    again.delay.saturating_mul(factor.max(1)).min(again.max_delay.max(again.delay))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    const NEVER: Reschedule = Reschedule {
        delay: Duration::from_secs(5),
        growth: Growth::Exponential,
        max_delay: Duration::from_secs(60),
        attempts: Some(0),
    };

    #[test]
    fn the_wait_before_a_new_beginning_grows_up_to_its_bound() {
        for (growth, wanted) in [
            (Growth::Constant, [5, 5, 5, 5, 5, 5]),
            (Growth::Exponential, [5, 10, 20, 40, 60, 60]),
            (Growth::Fibonacci, [5, 5, 10, 15, 25, 40]),
        ] {
            let again = Reschedule { growth, attempts: None, ..NEVER };
            let none = Restart { attempts: 0, ..policy(RestartMode::Fail) };
            let mut restarts = Restarts::new(none, again);
            let waits = (0..6).map(|n| restarts.ended(secs(n)));
            assert_eq!(waits.collect::<Vec<_>>(), wanted.map(|n| Next::After(secs(n))), "{growth:?}");
        }
        assert_eq!(wait(&Reschedule { attempts: None, ..NEVER }, u32::MAX), secs(60));
    }

    #[test]
    fn a_new_beginning_has_new_restarts() {
        let again = Reschedule { attempts: Some(1), ..NEVER };
        let mut restarts = Restarts::new(policy(RestartMode::Fail), again);
        let next: Vec<_> = (0..6).map(|n| restarts.ended(secs(n))).collect();
        let (soon, anew) = (Next::After(secs(1)), Next::After(secs(5)));
        assert_eq!(next, [soon, soon, anew, soon, soon, Next::Never]);
    }

    fn policy(mode: RestartMode) -> Restart {
        Restart { attempts: 2, interval: secs(60), delay: secs(1), mode }
    }

    #[test]
    fn attempts_are_counted_within_the_interval() {
        let mut restarts = Restarts::new(policy(RestartMode::Fail), NEVER);
        assert_eq!(restarts.ended(secs(0)), Next::After(secs(1)));
        assert_eq!(restarts.ended(secs(10)), Next::After(secs(1)));
        assert_eq!(restarts.ended(secs(20)), Next::Never);
        assert_eq!(restarts.ended(secs(60)), Next::After(secs(1)), "a new interval has new attempts");
    }

    #[test]
    fn mode_delay_waits_for_the_next_interval() {
        let mut restarts = Restarts::new(policy(RestartMode::Delay), NEVER);
        for (now, wait) in [(0, 1), (10, 1), (20, 40), (60, 1), (61, 1), (62, 58)] {
            assert_eq!(restarts.ended(secs(now)), Next::After(secs(wait)), "at {now} s");
        }
    }

    #[test]
    fn no_attempts_means_no_restart() {
        let none = Restart { attempts: 0, ..policy(RestartMode::Fail) };
        assert_eq!(Restarts::new(none, NEVER).ended(secs(5)), Next::Never);
    }

    proptest! {
        #[test]
        fn never_more_attempts_than_allowed_in_one_interval(gaps in prop::collection::vec(0u64..40, 1..60)) {
            let mut restarts = Restarts::new(policy(RestartMode::Delay), NEVER);
            let (mut now, mut starts) = (secs(0), Vec::new());
            for gap in gaps {
                now += secs(gap);
                let Next::After(wait) = restarts.ended(now) else { panic!("mode delay never gives up") };
                prop_assert!(wait >= secs(1));
                now += wait;
                starts.push(now);
            }
            for window in starts.windows(6) {
                prop_assert!(window[5] - window[0] >= secs(59), "{window:?}");
            }
        }
    }
}
