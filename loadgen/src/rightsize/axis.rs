//! The least rung of one dimension that holds, where each rung above it holds too.
//!
//! Bounds come from exponential search (J. Bentley, A. Yao, An Almost Optimal Algorithm for Unbounded Searching,
//! Information Processing Letters 5, 1976): ever longer steps from the start until one rung holds and one below it
//! does not. Bisection narrows them; each rung is tried once so far. At the edge both neighbours are tried until
//! [`Wald`] has decided on both, which also finds a rung that was only lucky, or only unlucky, before.

use super::wald::{Standing, Tally, Wald};

/// Where a search begins, and how far its first step goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// Rungs that there are.
    pub len: usize,
    /// The first that is tried.
    pub start: usize,
    /// The first step from there, in rungs; each further one goes twice as far from the start, up to `octave`.
    pub stride: usize,
    /// The longest step, in rungs: a factor of two.
    pub octave: usize,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try this rung.
    Try(usize, Why),
    /// This is the least that holds: decided, and so is the one below it.
    Found(usize),
    /// None holds.
    Nothing,
}

/// Why a rung is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is the first.
    Start,
    /// Nothing held so far: a long step up.
    Up,
    /// All held so far: a long step down.
    Down,
    /// It lies between one that did not hold and one that did.
    Between,
    /// It may be the answer, which more trials must show.
    Confirm,
    /// It may have been unlucky, and is just below the answer.
    Doubt,
}

impl Why {
    /// Returns it in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Start => "where the search begins",
            Self::Up => "nothing held so far: a long step up",
            Self::Down => "all held so far: a long step down",
            Self::Between => "halfway between what broke and what held",
            Self::Confirm => "it may be the answer: once more, to be sure",
            Self::Doubt => "just below the answer: once more, as it may have been unlucky",
        }
    }
}

impl Axis {
    /// Returns what to do next by what the trials of each rung have shown.
    #[must_use]
    pub fn next(&self, wald: Wald, seen: &dyn Fn(usize) -> Tally) -> Next {
        let standing = |rung: usize| wald.standing(&seen(rung));
        let Some(top) = self.len.checked_sub(1) else { return Next::Nothing };
        let start = self.start.min(top);
        let Some(high) = (0..self.len).find(|rung| standing(*rung).is_good()) else {
            return self.up(start, top, &standing);
        };
        let Some(low) = (0..high).rev().find(|rung| standing(*rung).is_bad()) else {
            // Something above the start may be known from another axis.
            if start < high && standing(start) == Standing::Untried {
                return Next::Try(start, Why::Start);
            }
            if high > 0 {
                let far = self.far(start.saturating_sub(high));
                return Next::Try(high.saturating_sub(far), Why::Down);
            }
            return match standing(high) {
                Standing::Good => Next::Found(high),
                _ => Next::Try(high, Why::Confirm),
            };
        };
        match (high - low, standing(high), standing(low)) {
            (2.., _, _) => Next::Try(low + (high - low) / 2, Why::Between),
            (_, Standing::Good, Standing::Bad) => Next::Found(high),
            (_, Standing::Good, _) => Next::Try(low, Why::Doubt),
            _ => Next::Try(high, Why::Confirm),
        }
    }

    /// Returns how far the next step goes, so far from the start.
    fn far(&self, from_start: usize) -> usize {
        from_start.clamp(self.stride, self.octave.max(self.stride))
    }

    /// Nothing is good yet.
    fn up(&self, start: usize, top: usize, standing: &dyn Fn(usize) -> Standing) -> Next {
        match (start..self.len).rev().find(|rung| standing(*rung).is_bad()) {
            None => Next::Try(start, Why::Start),
            Some(low) if low < top => Next::Try((low + self.far(low - start)).min(top), Why::Up),
            Some(_) if standing(top) == Standing::Bad => Next::Nothing,
            Some(_) => Next::Try(top, Why::Confirm),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{Axis, Next};
    use crate::rightsize::wald::{Tally, Wald};

    /// Searches with a judge; returns the answer and how many trials it took.
    fn search(axis: Axis, mut judge: impl FnMut(usize) -> bool) -> (Option<usize>, usize) {
        let mut seen: BTreeMap<usize, Tally> = BTreeMap::new();
        for n in 0.. {
            assert!(n < 500, "it does not end: {seen:?}");
            match axis.next(Wald::default(), &|rung| seen.get(&rung).cloned().unwrap_or_default()) {
                Next::Try(rung, _) => {
                    assert!(rung < axis.len);
                    let tally = seen.entry(rung).or_default();
                    if judge(rung) { tally.held += 1 } else { tally.broken += 1 }
                }
                Next::Found(rung) => return (Some(rung), n),
                Next::Nothing => return (None, n),
            }
        }
        unreachable!()
    }

    #[test]
    fn bounds_are_doubled_and_then_halved() {
        let axis = Axis { len: 33, start: 14, stride: 6, octave: 6 };
        // 14, 8, 2 (a step of six, as far as from the start), then 5, 3, 4; 4 three times more, 3 once.
        assert_eq!(search(axis, |rung| rung >= 4), (Some(4), 10));
        assert_eq!(search(axis, |rung| rung >= 33), (None, 5));
        assert_eq!(search(axis, |_| true), (Some(0), 7));
        assert_eq!(search(Axis { len: 0, ..axis }, |_| true), (None, 0));
    }

    proptest! {
        #[test]
        fn without_noise_the_edge_is_found(len in 1_usize..200, start in 0_usize..200, stride in 1_usize..13, edge in 0_usize..220) {
            let (found, n) = search(Axis { len, start, stride, octave: 12 }, |rung| rung >= edge);
            prop_assert_eq!(found, (edge < len).then_some(edge));
            prop_assert!(n <= 20 + 8 + 5, "{} trials", n);
        }

        /// Rungs at the edge hold with a chance that rises from almost never to almost always.
        #[test]
        fn with_noise_it_is_off_by_little(seed: u64, edge in 8_usize..50) {
            let mut random = fastrand::Rng::with_seed(seed);
            let chance = |rung: usize| match rung.cmp(&edge) {
                std::cmp::Ordering::Less if rung + 1 == edge => 0.3,
                std::cmp::Ordering::Less => 0.02,
                std::cmp::Ordering::Equal => 0.97,
                std::cmp::Ordering::Greater => 0.99,
            };
            let (found, n) = search(Axis { len: 60, start: 14, stride: 6, octave: 6 }, |rung| random.f64() < chance(rung));
            let found = found.expect("one holds");
            prop_assert!(found.abs_diff(edge) <= 2, "{} for {}", found, edge);
            prop_assert!(n < 60, "{} trials", n);
        }
    }

    #[test]
    fn two_searches_agree_within_a_step_nearly_always() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut once = || {
            let chance = |rung: usize| 1.0 / (1.0 + (-3.0 * (rung as f64 - 20.0)).exp());
            search(Axis { len: 40, start: 14, stride: 6, octave: 6 }, |rung| random.f64() < chance(rung))
                .0
                .expect("one holds")
        };
        let agree = (0..1000).filter(|_| once().abs_diff(once()) <= 1).count();
        assert!(agree >= 990, "{agree} of 1000");
    }
}
