//! How many retries a function may have, so that a failing one is not loaded twice.

/// Retries that are there at the start, and that a quiet function saves up to.
const RESERVE: f64 = 20.0;
/// The most that is saved.
const SAVED_MAX: f64 = 1_000.0;
/// Retries that are earned each second, whatever the load.
const PER_SECOND: f64 = 2.0;

/// A retry budget: each request earns a share of a retry, as in Finagle.
#[derive(Debug)]
pub(crate) struct Budget {
    share: f64,
    saved: f64,
}

impl Budget {
    /// Begins with the reserve; each request earns `share` of a retry.
    pub(crate) fn new(share: f64) -> Self {
        Self { share, saved: RESERVE }
    }

    /// Counts a request.
    pub(crate) fn earn(&mut self) {
        self.saved = (self.saved + self.share).min(SAVED_MAX);
    }

    /// Counts the time that has passed, in seconds.
    pub(crate) fn rest(&mut self, seconds: f64) {
        if self.saved < RESERVE {
            self.saved = (self.saved + PER_SECOND * seconds).min(RESERVE);
        }
    }

    /// Takes a retry, if there is one.
    pub(crate) fn spend(&mut self) -> bool {
        let has = self.saved >= 1.0;
        if has {
            self.saved -= 1.0;
        }
        has
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_share_of_requests() {
        let mut budget = Budget::new(0.2);
        while budget.spend() {}
        (0..1_000).for_each(|_| budget.earn());
        let n_retries = std::iter::from_fn(|| budget.spend().then_some(())).count();
        assert!((199..=200).contains(&n_retries), "{n_retries}");
    }

    #[test]
    fn a_quiet_function_may_retry_too() {
        let mut budget = Budget::new(0.2);
        assert_eq!(std::iter::from_fn(|| budget.spend().then_some(())).count(), 20);
        budget.rest(0.5);
        assert!(budget.spend() && !budget.spend());
        budget.rest(3_600.0);
        assert_eq!(std::iter::from_fn(|| budget.spend().then_some(())).count(), 20);
    }
}
