//! How many requests each instance has in flight.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use drover_core::InstanceId;
use drover_engine::Instance;

use crate::pick;

/// Counts the requests that each instance has in flight.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    counts: Mutex<HashMap<InstanceId, Arc<AtomicUsize>>>,
    turn: AtomicUsize,
}

/// One request in flight; dropping it ends the flight.
#[derive(Debug)]
pub(crate) struct Flight(Arc<AtomicUsize>);

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Flights {
    /// Picks the instance with the fewest requests in flight and begins one there.
    pub(crate) fn begin<'a>(&self, among: &[&'a Arc<Instance>]) -> Option<(&'a Arc<Instance>, Flight)> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers: Vec<_> =
            among.iter().map(|i| counts.get(&i.id).map_or(0, |n| n.load(Ordering::Relaxed))).collect();
        let picked = pick::least(&numbers, self.turn.fetch_add(1, Ordering::Relaxed))?;
        let instance = *among.get(picked)?;
        let count = Arc::clone(counts.entry(instance.id.clone()).or_default());
        // Counted under the lock, so that two requests do not see the same least.
        count.fetch_add(1, Ordering::Relaxed);
        Some((instance, Flight(count)))
    }

    /// Returns how many requests `id` has in flight.
    pub(crate) fn count(&self, id: &InstanceId) -> usize {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(id).map_or(0, |n| n.load(Ordering::Relaxed))
    }

    /// Forgets the instances that are not in `known` and have nothing in flight.
    pub(crate) fn keep(&self, known: impl Fn(&InstanceId) -> bool) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|id, n| known(id) || n.load(Ordering::Relaxed) > 0);
    }
}
