//! The instances of one function and their slots.

use std::sync::Arc;

use drover_engine::{Function, Instance, InstanceState};

use crate::backend::{Backend, Out};
use crate::feedback::Keep;
use crate::pick::{Candidate, better_of_two};

/// The instances of one function and their slots.
#[derive(Debug, Default)]
pub(super) struct Seats {
    all: Vec<Seat>,
    /// Kept to save an allocation for each request.
    candidates: Vec<Candidate>,
}

#[derive(Debug)]
struct Seat {
    backend: Arc<Backend>,
    n_slots: usize,
    n_in_flight: usize,
    /// Why it takes nothing, although the catalog lists it.
    out: Option<Out>,
    /// It said that it is full.
    is_paused: bool,
    /// It leaves, or has left, the catalog.
    is_leaving: bool,
}

impl Seat {
    fn is_open(&self) -> bool {
        self.out.is_none() && !self.is_leaving
    }

    fn has_room(&self) -> bool {
        self.is_open() && !self.is_paused && self.n_in_flight < self.n_slots
    }
}

impl Seats {
    /// Takes a slot of an instance, of `not` only if no other is in service.
    pub(super) fn take(&mut self, not: Option<&Arc<Backend>>) -> Option<Arc<Backend>> {
        let is_not = |seat: &Seat| not.is_some_and(|not| Arc::ptr_eq(&seat.backend, not));
        let others = not.is_some() && self.all.iter().any(|seat| seat.is_open() && !is_not(seat));
        self.candidates.clear();
        let free = self.all.iter().enumerate().filter(|(_, seat)| seat.has_room() && !(others && is_not(seat)));
        self.candidates.extend(free.map(|(place, seat)| Candidate { place, n_in_flight: seat.n_in_flight }));
        let place = better_of_two(&self.candidates, |n| fastrand::usize(..n))?;
        let seat = self.all.get_mut(place)?;
        seat.n_in_flight += 1;
        Some(Arc::clone(&seat.backend))
    }

    /// Gives a slot back. An instance that has left and has nothing more in flight is forgotten.
    pub(super) fn give_back(&mut self, backend: &Arc<Backend>) {
        let Some(place) = self.all.iter().position(|seat| Arc::ptr_eq(&seat.backend, backend)) else { return };
        let Some(seat) = self.all.get_mut(place) else { return };
        seat.n_in_flight = seat.n_in_flight.saturating_sub(1);
        if seat.backend.gone.is_cancelled() && seat.n_in_flight == 0 {
            self.all.swap_remove(place);
        }
    }

    /// Follows the catalog; returns the instances that must be asked whether they are ready.
    pub(super) fn follow(&mut self, shown: &Function, default_slots: usize) -> Vec<(Arc<Backend>, Out)> {
        let mut to_ask = Vec::new();
        let is = |seat: &Seat, instance: &Instance| {
            seat.backend.id == instance.id && instance.address.is_none_or(|a| a == seat.backend.address)
        };
        for seat in &mut self.all {
            if !shown.instances.iter().any(|instance| is(seat, instance)) {
                seat.is_leaving = true;
                seat.backend.gone.cancel();
            }
        }
        self.all.retain(|seat| !seat.backend.gone.is_cancelled() || seat.n_in_flight > 0);
        for instance in &shown.instances {
            let n_slots = instance.slots().unwrap_or(default_slots);
            let seat = self.all.iter_mut().find(|seat| is(seat, instance) && !seat.backend.gone.is_cancelled());
            match (seat, instance.address) {
                (Some(seat), _) => to_ask.extend(seat.follow(instance, n_slots)),
                (None, Some(address)) => {
                    let mut seat = Seat {
                        backend: Arc::new(Backend::new(instance, address)),
                        n_slots,
                        n_in_flight: 0,
                        out: (!instance.state.is_ready()).then_some(Out::New),
                        is_paused: false,
                        is_leaving: false,
                    };
                    let ask = seat.follow(instance, n_slots);
                    let is_new = seat.out == Some(Out::New) && !seat.is_leaving;
                    to_ask.extend(ask.or_else(|| is_new.then(|| (Arc::clone(&seat.backend), Out::New))));
                    self.all.push(seat);
                }
                (None, None) => {}
            }
        }
        to_ask
    }

    /// Puts an instance into service.
    pub(super) fn open(&mut self, backend: &Arc<Backend>) {
        if let Some(seat) = self.seat(backend) {
            (seat.out, seat.is_paused) = (None, false);
        }
    }

    /// Takes an instance out of service; returns whether it was in service.
    pub(super) fn eject(&mut self, backend: &Arc<Backend>, why: Out) -> bool {
        let n_in_catalog = self.all.iter().filter(|seat| !seat.is_leaving).count();
        let n_open = self.n_open();
        // One that answers wrongly is better than none.
        let is_one_too_many = why == Out::Failing && 2 * (n_open - n_open.min(1)) < n_in_catalog;
        let Some(seat) = self.seat(backend).filter(|seat| seat.is_open() && !is_one_too_many) else { return false };
        seat.out = Some(why);
        true
    }

    /// Gives an instance nothing new for a while.
    pub(super) fn pause(&mut self, backend: &Arc<Backend>, is_paused: bool) {
        if let Some(seat) = self.seat(backend) {
            seat.is_paused = is_paused;
        }
    }

    fn seat(&mut self, backend: &Arc<Backend>) -> Option<&mut Seat> {
        self.all.iter_mut().find(|seat| Arc::ptr_eq(&seat.backend, backend))
    }

    /// Returns whether the catalog lists no instance that runs or starts.
    pub(super) fn is_empty(&self) -> bool {
        self.all.iter().all(|seat| seat.is_leaving)
    }

    pub(super) fn any_open(&self) -> bool {
        self.all.iter().any(Seat::is_open)
    }

    pub(super) fn n_open(&self) -> usize {
        self.all.iter().filter(|seat| seat.is_open()).count()
    }

    pub(super) fn slots(&self) -> Option<usize> {
        self.all.iter().find(|seat| !seat.is_leaving).map(|seat| seat.n_slots)
    }

    /// Returns all instances, and those that hold requests.
    pub(super) fn in_service(&self) -> (Vec<Arc<Backend>>, Vec<Arc<Backend>>) {
        let all = self.all.iter().map(|seat| Arc::clone(&seat.backend)).collect();
        let busy = self.all.iter().filter(|seat| seat.n_in_flight > 0).map(|seat| Arc::clone(&seat.backend)).collect();
        (all, busy)
    }

    pub(super) fn list(&self) -> Vec<(Arc<Backend>, usize, Option<Out>)> {
        self.all.iter().map(|seat| (Arc::clone(&seat.backend), seat.n_in_flight, seat.out)).collect()
    }
}

impl Seat {
    /// Follows what the catalog says of the instance; returns it if it must be asked itself.
    fn follow(&mut self, instance: &Instance, n_slots: usize) -> Option<(Arc<Backend>, Out)> {
        self.n_slots = n_slots;
        self.backend.keep.set(Keep::of(&instance.meta));
        match instance.state {
            // The catalog may know before the instance was asked again.
            InstanceState::Ready => {
                self.is_leaving = false;
                if matches!(self.out, Some(Out::New | Out::Unhealthy)) {
                    self.out = None;
                }
                None
            }
            InstanceState::Starting => {
                self.is_leaving = false;
                None
            }
            // Its checks may fail for reasons of their own: it is asked before it is out.
            InstanceState::Unhealthy => {
                self.is_leaving = false;
                self.is_open().then(|| (Arc::clone(&self.backend), Out::Unhealthy))
            }
            InstanceState::Waiting | InstanceState::Draining | InstanceState::Failed => {
                self.is_leaving = true;
                None
            }
        }
    }
}
