//! Room for invocations: at most so many are inside at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::Gauge;
use tokio::sync::Notify;

/// The slots of one instance.
pub(crate) struct Slots {
    taken: AtomicUsize,
    limit: usize,
    in_flight: Gauge,
    emptied: Notify,
}

/// One taken slot; dropping it gives the slot back.
pub(crate) struct Slot(Arc<Slots>);

impl Slots {
    pub(crate) fn new(limit: usize, in_flight: Gauge) -> Arc<Self> {
        Arc::new(Self { taken: AtomicUsize::new(0), limit, in_flight, emptied: Notify::new() })
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes a slot, or says at once that there is none.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Slot> {
        let one_more = |taken| (taken < self.limit).then_some(taken + 1);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        self.in_flight.increment(1.0);
        Some(Slot(Arc::clone(self)))
    }

    /// Waits until no slot is taken.
    pub(crate) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.taken.load(Ordering::Acquire) == 0 {
                return;
            }
            emptied.await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.in_flight.decrement(1.0);
        if self.0.taken.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_are_inside_and_a_dropped_slot_comes_back() {
        let slots = Slots::new(2, Gauge::noop());
        let (a, b) = (slots.enter(), slots.enter());
        assert!(a.is_some() && b.is_some() && slots.enter().is_none());
        drop(a);
        assert!(slots.enter().is_some());
    }
}
