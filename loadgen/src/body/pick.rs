//! Which row is next.

use std::sync::atomic::{AtomicUsize, Ordering};

use fastrand::Rng;

use super::{Order, Share};

/// Says which of `n` rows is next; shared by all users.
#[derive(Debug)]
pub(crate) struct Picker {
    n: usize,
    order: Order,
    next: AtomicUsize,
    step: usize,
    /// The places of shuffled rows.
    mixed: Vec<usize>,
}

impl Picker {
    pub(crate) fn new(n: usize, order: Order, seed: u64, share: Share) -> Self {
        let mut mixed = Vec::new();
        if order == Order::Shuffled {
            mixed.extend(0..n);
            Rng::with_seed(seed).shuffle(&mut mixed);
        }
        Self { n, order, next: AtomicUsize::new(share.index), step: share.of.max(1), mixed }
    }

    pub(crate) fn order(&self) -> Order {
        self.order
    }

    /// Returns the place of the next row; 0 if there is none.
    pub(crate) fn pick(&self, rng: &mut Rng) -> usize {
        let following = || self.next.fetch_add(self.step, Ordering::Relaxed) % self.n;
        match (self.order, self.n) {
            (_, 0 | 1) => 0,
            (Order::Sampled, n) => rng.usize(0..n),
            (Order::Sequential, _) => following(),
            (Order::Shuffled, _) => self.mixed.get(following()).copied().unwrap_or_default(),
        }
    }
}
