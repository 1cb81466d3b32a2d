//! One function's queue and instances. A waiting request takes the next free slot of any instance and
//! is never parked on a busy one; an instance never holds more than its slots.

mod cold;
mod load;
mod seats;
#[cfg(test)]
mod tests;
mod waiting;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use drover_core::{ErrorKind, FunctionName};
use drover_engine::Function;
use http::HeaderValue;
use tokio::sync::{Notify, oneshot};

use self::cold::Cold;
pub(crate) use self::cold::{Phases, Timeline};
pub(crate) use self::load::Load;
use self::seats::Seats;
use self::waiting::{Ticket, Waiting};
use crate::Settings;
use crate::access::Grant;
use crate::backend::{Backend, Out};
use crate::budget::Budget;
use crate::error::Error;
use crate::hedge::Latencies;
use crate::metrics::LaneMetrics;

/// How long an instance that said it is full gets nothing.
const FULL_FOR: Duration = Duration::from_millis(50);

/// One function's queue and instances.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) function: FunctionName,
    /// The path below which clients see it.
    pub(crate) prefix: HeaderValue,
    pub(crate) metrics: LaneMetrics,
    settings: Settings,
    /// Told when a request waits and no instance can take it.
    wake: Arc<Notify>,
    /// Whether somebody would start an instance if there is none.
    may_wake: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    shown: Arc<Function>,
    seats: Seats,
    waiting: Waiting,
    load: Load,
    budget: Budget,
    cold: Cold,
    latencies: Latencies,
}

/// A request's presence in a lane, from its arrival to the end of its answer.
#[derive(Debug)]
pub(crate) struct Visit {
    lane: Arc<Lane>,
    /// Its place among the requests of its key.
    _grant: Option<Grant>,
}

/// A slot of an instance; dropping it gives the slot to the next request.
#[derive(Debug)]
pub(crate) struct Lease {
    lane: Arc<Lane>,
    pub(crate) backend: Arc<Backend>,
    /// Keeps the request counted for as long as its answer goes on.
    visit: Option<Visit>,
}

impl Lane {
    /// Makes the lane of a function that nobody runs yet.
    pub(crate) fn new(
        function: FunctionName,
        settings: Settings,
        metrics: LaneMetrics,
        wake: Arc<Notify>,
    ) -> Arc<Self> {
        let state = State {
            shown: Arc::default(),
            seats: Seats::default(),
            waiting: Waiting::default(),
            load: Load::new(Instant::now()),
            budget: Budget::new(settings.retry_budget),
            cold: Cold::default(),
            latencies: Latencies::default(),
        };
        // A function's name is visible ASCII.
        let prefix = HeaderValue::try_from(format!("/functions/{function}"));
        let prefix = prefix.unwrap_or(HeaderValue::from_static("/functions"));
        let (may_wake, state) = (AtomicBool::new(true), Mutex::new(state));
        Arc::new(Self { function, prefix, metrics, settings, wake, may_wake, state })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the function as the catalog shows it.
    pub(crate) fn shown(&self) -> Arc<Function> {
        Arc::clone(&self.state().shown)
    }

    /// Counts a request that has come.
    pub(crate) fn enter(self: &Arc<Self>, now: Instant, grant: Option<Grant>) -> Visit {
        let mut state = self.state();
        state.load.advance(now);
        state.load.n_requests += 1;
        state.load.n_inside += 1;
        state.budget.earn();
        Visit { lane: Arc::clone(self), _grant: grant }
    }

    /// Waits for a free slot of any instance but `not`, if there is another.
    ///
    /// Dropping the future gives the place in the queue back. A request that comes back keeps its `place`.
    ///
    /// # Errors
    /// [`ErrorKind::Overloaded`] at once if the queue is full, [`ErrorKind::NotReady`] if there is no
    /// instance and none will be started; [`ErrorKind::ColdStartTimeout`] if none takes requests in time.
    pub(crate) async fn lease(
        self: &Arc<Self>,
        place: &mut Option<u64>,
        n_bytes: usize,
        not: Option<&Arc<Backend>>,
    ) -> Result<Lease, Error> {
        let (receiver, unclaimed) = {
            let mut state = self.state();
            if (place.is_some() || state.waiting.is_empty())
                && let Some(backend) = state.seats.take(not)
            {
                return Ok(Lease { lane: Arc::clone(self), backend, visit: None });
            }
            if self.nobody_will(&state) {
                return Err(self.nobody_wakes());
            }
            self.check_room(&state, n_bytes)?;
            let (sender, receiver) = oneshot::channel();
            *place = Some(state.waiting.push(*place, Ticket { sender, n_bytes, not: not.cloned() }));
            if !state.seats.any_open() {
                state.cold.begin(Instant::now());
                self.wake.notify_one();
            }
            // Those before it may not want the slot that is free.
            (receiver, self.hand_out(&mut state))
        };
        drop(unclaimed);
        let _place = place.map(|place| Leave { lane: self, place });
        tokio::pin!(receiver);
        loop {
            let limit = self.settings.cold_start_timeout;
            match tokio::time::timeout(limit, &mut receiver).await {
                Ok(lease) => return lease.map_err(|_| self.nobody_wakes()),
                // There are instances, only busy ones: the deadline ends that wait.
                Err(_) if self.n_open() > 0 => {}
                Err(_) => return Err(self.nobody(limit)),
            }
        }
    }

    fn nobody(&self, limit: Duration) -> Error {
        let shown = self.shown();
        let why = shown.instances.iter().find_map(|instance| instance.reason.as_ref());
        let detail = match (why, shown.instances.len()) {
            (_, 0) => format!("no instance of `{}` came within {limit:?}", self.function),
            (None, n) => format!("none of the {n} instances of `{}` was ready within {limit:?}", self.function),
            (Some(why), n) => format!("none of the {n} instances of `{}` is ready: {why}", self.function),
        };
        Error::new(ErrorKind::ColdStartTimeout, detail)
    }

    /// Notes whether somebody starts an instance if there is none; if nobody does, those who wait for one
    /// are told.
    pub(crate) fn may_wake(&self, may: bool) {
        self.may_wake.store(may, Ordering::Relaxed);
        let mut state = self.state();
        let in_vain = self.nobody_will(&state).then(|| state.waiting.take_all());
        drop(state);
        drop(in_vain);
    }

    /// Returns whether nobody runs, and nobody will.
    fn nobody_will(&self, state: &State) -> bool {
        state.seats.is_empty() && !self.may_wake.load(Ordering::Relaxed)
    }

    fn nobody_wakes(&self) -> Error {
        let detail = format!("no instance of `{}` runs, and none is started for a request", self.function);
        Error::new(ErrorKind::NotReady, detail)
    }

    fn check_room(&self, state: &State, n_bytes: usize) -> Result<(), Error> {
        let (n, bytes, most) = (state.waiting.len(), state.waiting.n_bytes(), &self.settings);
        let full = if n >= most.queue_max {
            format!("{n} requests, limit is {}", most.queue_max)
        } else if bytes + n_bytes > most.queue_max_bytes {
            format!("{bytes} bytes of bodies, limit is {}", most.queue_max_bytes)
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Overloaded, format!("the queue of `{}` is full: {full}", self.function)))
    }

    /// Returns a slot, and hands free slots to those who wait.
    fn release(self: &Arc<Self>, backend: &Arc<Backend>) {
        let mut state = self.state();
        state.seats.give_back(backend);
        let unclaimed = self.hand_out(&mut state);
        drop(state);
        drop(unclaimed);
    }

    /// Hands free slots to those who wait, the oldest first. What nobody took must be dropped outside of
    /// the lock.
    #[must_use]
    fn hand_out(self: &Arc<Self>, state: &mut State) -> Vec<Lease> {
        let mut unclaimed = Vec::new();
        while !state.waiting.is_empty() {
            let Some((place, backend)) = state.waiting.first_for(&mut state.seats) else { break };
            let Some(ticket) = state.waiting.remove(place) else { break };
            let lease = Lease { lane: Arc::clone(self), backend, visit: None };
            unclaimed.extend(ticket.sender.send(lease).err());
        }
        unclaimed
    }

    /// Follows what the catalog shows now; returns the instances that must be asked whether they are ready.
    pub(crate) fn show(self: &Arc<Self>, shown: &Arc<Function>) -> Vec<(Arc<Backend>, Out)> {
        let mut state = self.state();
        state.shown = Arc::clone(shown);
        let to_ask = state.seats.follow(shown, self.settings.slots);
        let opened = state.seats.any_open();
        let unclaimed = self.hand_out(&mut state);
        if opened {
            state.cold.opened(Instant::now());
        }
        let in_vain = self.nobody_will(&state).then(|| state.waiting.take_all());
        drop(state);
        drop((unclaimed, in_vain));
        to_ask
    }

    /// Puts an instance into service, which has said that it is ready.
    pub(crate) fn open(self: &Arc<Self>, backend: &Arc<Backend>) {
        let mut state = self.state();
        state.seats.open(backend);
        state.cold.opened(Instant::now());
        let unclaimed = self.hand_out(&mut state);
        drop(state);
        drop(unclaimed);
    }

    /// Takes an instance out of service; returns whether it was in service.
    ///
    /// One that only fails stays if more than half would be out.
    pub(crate) fn eject(&self, backend: &Arc<Backend>, why: Out) -> bool {
        let ejected = self.state().seats.eject(backend, why);
        if ejected {
            self.metrics.ejected(why.label());
        }
        ejected
    }

    /// Sends nothing to an instance for a moment, which said that it is full.
    pub(crate) fn is_full(self: &Arc<Self>, backend: &Arc<Backend>) {
        self.state().seats.pause(backend, true);
        let (lane, backend) = (Arc::clone(self), Arc::clone(backend));
        tokio::spawn(async move {
            tokio::time::sleep(FULL_FOR).await;
            let mut state = lane.state();
            state.seats.pause(&backend, false);
            let unclaimed = lane.hand_out(&mut state);
            drop(state);
            drop(unclaimed);
        });
    }

    /// Takes a slot of another instance than `first`, if one is free at once and the budget has a retry.
    pub(crate) fn second_lease(self: &Arc<Self>, first: &Arc<Backend>) -> Option<Lease> {
        let mut state = self.state();
        if state.seats.n_open() < 2 || !state.waiting.is_empty() || !state.budget.spend() {
            return None;
        }
        let backend = state.seats.take(Some(first))?;
        Some(Lease { lane: Arc::clone(self), backend, visit: None })
    }

    /// Notes how long an instance took to answer.
    pub(crate) fn took(&self, took: Duration) {
        self.state().latencies.add(took);
    }

    /// Returns the time within which 95 % of the last requests were answered.
    pub(crate) fn p95(&self) -> Option<Duration> {
        self.state().latencies.p95()
    }

    /// Takes a retry from the budget, if there is one.
    pub(crate) fn may_retry(&self) -> bool {
        self.state().budget.spend()
    }

    /// Lets time pass: for the budget, and for kept connections that instances have closed. Returns the
    /// instances that hold requests and have not answered any for longer than the settings allow.
    pub(crate) fn tick(&self, passed: Duration) -> Vec<Arc<Backend>> {
        let mut state = self.state();
        state.budget.rest(passed.as_secs_f64());
        let hung_after = self.settings.hung_after;
        let silent = |b: &Arc<Backend>| b.silent_for() > hung_after;
        let (all, busy) = state.seats.in_service();
        let hung = busy.into_iter().filter(silent).collect();
        drop(state);
        all.iter().for_each(|backend| backend.pool.sweep());
        hung
    }

    /// Returns what the lane has had to do so far.
    pub(crate) fn load(&self) -> Load {
        let mut state = self.state();
        state.load.advance(Instant::now());
        Load { n_waiting: state.waiting.len(), ..state.load }
    }

    /// Returns how many instances take requests.
    pub(crate) fn n_open(&self) -> usize {
        self.state().seats.n_open()
    }

    /// Returns the slots of an instance, as the first one or the settings say.
    pub(crate) fn slots(&self) -> usize {
        self.state().seats.slots().unwrap_or(self.settings.slots)
    }

    /// Returns each instance's requests in flight and why it is out, if it is.
    pub(crate) fn instances(&self) -> Vec<(Arc<Backend>, usize, Option<Out>)> {
        self.state().seats.list()
    }

    /// Notes what an instance told of its start, and what the first answer took, of a cold start.
    pub(crate) fn cold(&self, note: impl FnOnce(&mut Timeline)) {
        if let Some(phases) = self.state().cold.note(note) {
            self.metrics.cold_start(&phases);
        }
    }

    /// Returns whether a cold start is being measured.
    pub(crate) fn is_cold(&self) -> bool {
        self.state().cold.is_running()
    }
}

impl Visit {
    /// Returns where it is.
    pub(crate) fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }
}

impl Lease {
    /// Keeps the request counted for as long as the slot is taken.
    pub(crate) fn hold(&mut self, visit: Visit) {
        self.visit = Some(visit);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.lane.release(&self.backend);
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut state = self.lane.state();
        state.load.advance(Instant::now());
        state.load.n_inside = state.load.n_inside.saturating_sub(1);
    }
}

/// Leaves the queue when dropped.
struct Leave<'a> {
    lane: &'a Arc<Lane>,
    place: u64,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        // A ticket that was served is not there any more; dropped here, outside of the lock.
        let _ticket = self.lane.state().waiting.remove(self.place);
    }
}
