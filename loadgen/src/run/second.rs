//! Puts together what the threads saw in the same second.

use std::collections::BTreeMap;

use crate::drive::Second;
use crate::stats::Snapshot;

/// Seconds that some threads have told of.
pub(super) struct Seconds {
    /// Threads that still go on.
    n_threads: usize,
    open: BTreeMap<u64, (usize, Snapshot)>,
    /// What threads saw after their last whole second.
    rest: Option<Snapshot>,
    n_whole: u64,
}

impl Seconds {
    pub(super) fn new(n_threads: usize) -> Self {
        Self { n_threads, open: BTreeMap::new(), rest: None, n_whole: 0 }
    }

    /// Adds a thread's second; returns it once all threads that go on have told of it.
    pub(super) fn add(&mut self, second: Second) -> Option<Snapshot> {
        if second.is_last {
            self.n_threads = self.n_threads.saturating_sub(1);
            join(&mut self.rest, second.seen);
        } else {
            let mut known = self.open.remove(&second.number).map(|(n, seen)| (n, Some(seen))).unwrap_or_default();
            join(&mut known.1, second.seen);
            self.open.extend(known.1.map(|seen| (second.number, (known.0 + 1, seen))));
        }
        let (n, _) = self.open.first_key_value()?.1;
        if *n < self.n_threads {
            return None;
        }
        self.n_whole += 1;
        self.open.pop_first().map(|(_, (_, all))| all)
    }

    /// Returns how many seconds were whole.
    pub(super) fn n_whole(&self) -> u64 {
        self.n_whole
    }

    /// Returns what is left at the end, as one.
    pub(super) fn rest(&mut self) -> Option<Snapshot> {
        for (_, seen) in std::mem::take(&mut self.open).into_values() {
            join(&mut self.rest, seen);
        }
        self.rest.take()
    }
}

fn join(all: &mut Option<Snapshot>, seen: Snapshot) {
    match all {
        Some(all) => all.add(&seen),
        None => *all = Some(seen),
    }
}
