//! Whether an instance fails more than the requests explain.
//!
//! One that fails everybody should get no more requests. But a status of 500 or more may be the request's
//! fault: a row on which the model fails, a deadline that nobody could keep. One client that sends such
//! requests must not be able to take instances from all others, and what fails everywhere is no better
//! elsewhere. So an instance is compared with the others: its failures in a row count only as far as the
//! others, asked meanwhile by the same clients, did not fail.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::backend::Backend;
use crate::lane::Lane;

/// So many failures in a row are the least that say anything.
const ROW_LEAST: u32 = 5;
/// A row that the requests explain with a chance of one in two to the power of this is no accident.
const DOUBT_BITS: f64 = 30.0;

/// What instances answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    n_ok: u64,
    n_failed: u64,
}

/// What one instance answered. Two answers at the same time may count as one: it is about shares.
#[derive(Debug, Default)]
pub(crate) struct Record {
    n_ok: AtomicU64,
    n_failed: AtomicU64,
    n_failed_in_row: AtomicU32,
    /// What the others had answered when the row began.
    others_then: Mutex<Tally>,
}

impl Record {
    /// Notes an answer that was no failure.
    pub(crate) fn succeeded(&self) {
        // An atomic addition costs more than the rest of this, on every request.
        self.n_ok.store(self.n_ok.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        if self.n_failed_in_row.load(Ordering::Relaxed) != 0 {
            self.forget_row();
        }
    }

    /// Notes a failure; returns whether the instance fails more than the requests explain, given what the
    /// other instances have answered until now.
    pub(crate) fn failed(&self, others: Tally) -> bool {
        self.n_failed.fetch_add(1, Ordering::Relaxed);
        let n_in_row = self.n_failed_in_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let mut then = self.others_then.lock().unwrap_or_else(PoisonError::into_inner);
        if n_in_row == 1 {
            *then = others;
        }
        stands_out(n_in_row, others.since(*then))
    }

    /// Begins anew after the instance was out of service.
    pub(crate) fn forget_row(&self) {
        self.n_failed_in_row.store(0, Ordering::Relaxed);
    }

    fn tally(&self) -> Tally {
        Tally { n_ok: self.n_ok.load(Ordering::Relaxed), n_failed: self.n_failed.load(Ordering::Relaxed) }
    }
}

impl Tally {
    /// Returns what all instances of a function but one have answered.
    pub(crate) fn of_others(lane: &Lane, but: &Arc<Backend>) -> Self {
        let all = lane.instances();
        let others = all.iter().map(|(backend, ..)| backend).filter(|backend| !Arc::ptr_eq(backend, but));
        others.map(|backend| backend.record.tally()).fold(Self::default(), |sum, one| Self {
            n_ok: sum.n_ok.saturating_add(one.n_ok),
            n_failed: sum.n_failed.saturating_add(one.n_failed),
        })
    }

    /// Returns what came after `then`; less if an instance has left meanwhile.
    fn since(self, then: Self) -> Self {
        Self { n_ok: self.n_ok.saturating_sub(then.n_ok), n_failed: self.n_failed.saturating_sub(then.n_failed) }
    }
}

/// Decides whether `n_in_row` failures in a row are more than the requests explain, of which the others
/// answered `others` meanwhile.
///
/// If requests are to blame, each fails with about the others' share of failures (by Laplace's rule: one half
/// where nothing is known), and the whole row with that share to the power of its length. Where the others
/// never fail, six to nine in a row are enough; where they fail half of all, thirty.
fn stands_out(n_in_row: u32, others: Tally) -> bool {
    if n_in_row < ROW_LEAST || others.n_ok == 0 {
        return false;
    }
    // Exact far beyond any row.
    let number = |n: u64| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    let share = (number(others.n_failed) + 1.0) / (number(others.n_ok) + number(others.n_failed) + 2.0);
    f64::from(n_in_row) * -share.log2() >= DOUBT_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn least(others_of: impl Fn(u64) -> Tally) -> Option<u32> {
        (1..10_000).find(|n| stands_out(*n, others_of(u64::from(*n))))
    }

    #[test]
    fn a_row_stands_out_by_what_the_others_do_meanwhile() {
        // One of two, of five, of a hundred instances: the others are asked as often each and never fail.
        for (n_others, wanted) in [(1, 9), (4, 7), (99, 5)] {
            assert_eq!(least(|n| Tally { n_ok: n * n_others, n_failed: 0 }), Some(wanted), "{n_others}");
        }
        // The others fail half of all, and all of all.
        assert_eq!(least(|n| Tally { n_ok: n, n_failed: n }), Some(30));
        assert_eq!(least(|n| Tally { n_ok: 0, n_failed: n }), None);
        // Ten thousand bad requests in a row, and one good one that went elsewhere.
        assert_eq!(least(|n| Tally { n_ok: 1, n_failed: n }), None);
        // Nobody else was asked.
        assert_eq!(least(|_| Tally::default()), None);
    }

    #[test]
    fn only_what_the_others_did_during_the_row_counts() {
        let record = Record::default();
        let before = Tally { n_ok: 1_000_000, n_failed: 0 };
        // All that succeeded came before: the requests have changed.
        assert!((0..100).all(|n| !record.failed(Tally { n_failed: n, ..before })));
        record.succeeded();
        let n = (1..).find(|n| record.failed(Tally { n_ok: before.n_ok + n, n_failed: 100 }));
        assert_eq!(n, Some(10));
    }
}
