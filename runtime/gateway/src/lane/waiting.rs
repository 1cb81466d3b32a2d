//! The requests of one function that wait, the oldest first.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::Lease;
use super::seats::Seats;
use crate::backend::Backend;

/// How many of the oldest are looked at for one that takes a given slot: all but those that an
/// instance has just failed take any.
const LOOK_AT: usize = 16;

/// A request that waits.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) sender: oneshot::Sender<Lease>,
    /// What its body holds meanwhile.
    pub(super) n_bytes: usize,
    /// The instance that has failed it.
    pub(super) not: Option<Arc<Backend>>,
}

/// The requests that wait, by their place: a lower one came earlier.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    tickets: BTreeMap<u64, Ticket>,
    next: u64,
    n_bytes: usize,
}

impl Waiting {
    /// Adds a request at the end, or where it stood before.
    pub(super) fn push(&mut self, place: Option<u64>, ticket: Ticket) -> u64 {
        let place = place.unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        self.n_bytes += ticket.n_bytes;
        self.tickets.insert(place, ticket);
        place
    }

    /// Takes a request out.
    pub(super) fn remove(&mut self, place: u64) -> Option<Ticket> {
        let ticket = self.tickets.remove(&place)?;
        self.n_bytes -= ticket.n_bytes;
        Some(ticket)
    }

    /// Takes all requests out; dropping them, outside of the lock, tells them.
    pub(super) fn take_all(&mut self) -> Vec<Ticket> {
        self.n_bytes = 0;
        std::mem::take(&mut self.tickets).into_values().collect()
    }

    /// Takes a free slot for the oldest request that may have it; returns its place.
    pub(super) fn first_for(&self, seats: &mut Seats) -> Option<(u64, Arc<Backend>)> {
        let mut oldest = self.tickets.iter().take(LOOK_AT);
        oldest.find_map(|(place, ticket)| Some((*place, seats.take(ticket.not.as_ref())?)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.tickets.len()
    }

    pub(super) fn n_bytes(&self) -> usize {
        self.n_bytes
    }
}
