//! Whether and when an instance that ended is started again. No clock: the caller says what time it is.

use std::time::Duration;

use crate::job::{Restart, RestartMode};

/// Counts the restarts of one instance against its job's `restart` block.
#[derive(Debug, Clone)]
pub(crate) struct Restarts {
    policy: Restart,
    window_start: Option<Duration>,
    n_in_window: u32,
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
    pub(crate) fn new(policy: Restart) -> Self {
        Self { policy, window_start: None, n_in_window: 0 }
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
            RestartMode::Fail => Next::Never,
            RestartMode::Delay => {
                Next::After((start + self.policy.interval).saturating_sub(now).max(self.policy.delay))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn policy(mode: RestartMode) -> Restart {
        Restart { attempts: 2, interval: secs(60), delay: secs(1), mode }
    }

    #[test]
    fn attempts_are_counted_within_the_interval() {
        let mut restarts = Restarts::new(policy(RestartMode::Fail));
        assert_eq!(restarts.ended(secs(0)), Next::After(secs(1)));
        assert_eq!(restarts.ended(secs(10)), Next::After(secs(1)));
        assert_eq!(restarts.ended(secs(20)), Next::Never);
        assert_eq!(restarts.ended(secs(60)), Next::After(secs(1)), "a new interval has new attempts");
    }

    #[test]
    fn mode_delay_waits_for_the_next_interval() {
        let mut restarts = Restarts::new(policy(RestartMode::Delay));
        for (now, wait) in [(0, 1), (10, 1), (20, 40), (60, 1), (61, 1), (62, 58)] {
            assert_eq!(restarts.ended(secs(now)), Next::After(secs(wait)), "at {now} s");
        }
    }

    #[test]
    fn no_attempts_means_no_restart() {
        let none = Restart { attempts: 0, ..policy(RestartMode::Fail) };
        assert_eq!(Restarts::new(none).ended(secs(5)), Next::Never);
    }

    proptest! {
        #[test]
        fn never_more_attempts_than_allowed_in_one_interval(gaps in prop::collection::vec(0u64..40, 1..60)) {
            let mut restarts = Restarts::new(policy(RestartMode::Delay));
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
