//! What is counted and measured: [`Recorder`] on each thread, [`Snapshot`] what it hands over once a second,
//! [`Totals`] all of them together.
//!
//! Times are kept in whole microseconds with three significant digits, from 1 µs to an hour, in
//! histograms that are added without loss.

mod failures;
mod totals;
mod usage;

use std::net::SocketAddr;
use std::time::Duration;

use hdrhistogram::Histogram;
use http::Method;

use crate::work::Failure;

pub use self::failures::{Failures, Kind, Seen};
pub use self::totals::Totals;
pub use self::usage::Meter;

/// The longest time that is told from longer ones, in microseconds.
const MOST_US: u64 = 3_600_000_000;
/// Significant digits of a time.
const DIGITS: u8 = 3;

/// What one thread has seen since it was last asked.
#[derive(Debug)]
pub struct Recorder {
    now: Snapshot,
}

/// What one thread, or one worker, has seen in a while.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Each task, in the order of [`crate::work::Work::tasks`].
    pub tasks: Vec<Tally>,
    /// What failed.
    pub failures: Failures,
    /// Requests that were sent, or could not be.
    pub sent: u64,
    /// Requests sent late because of the generator.
    pub late: u64,
    /// Requests that waited for more than 10 ms because all connections that are allowed were in use.
    pub waited: u64,
    /// Requests that were due and are not sent any more.
    pub unsent: u64,
    /// Requests that ended, by where they went.
    pub endpoints: Vec<(SocketAddr, u64)>,
    /// Users that run, at the end of the while.
    pub users: u64,
    /// Requests in flight, at its end.
    pub in_flight: u64,
}

/// What one task's requests came to.
#[derive(Debug, Clone)]
pub struct Tally {
    /// How the first of them asked.
    pub method: Option<Method>,
    /// Answered or failed.
    pub requests: u64,
    /// Failed.
    pub failures: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// From the moment they were due.
    pub latency: Histogram<u64>,
    /// From the moment they were sent.
    pub service: Histogram<u64>,
}

/// A request that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// Its task.
    pub task: usize,
    /// How it asked; nothing if it could not be made.
    pub method: Option<&'a Method>,
    /// From the moment it was due, and from the moment it was sent; nothing if it could not be made.
    pub times: Option<(Duration, Duration)>,
    /// The answer's body.
    pub body: &'a [u8],
    /// Why it failed, if it did.
    pub failure: Option<&'a Failure>,
}

impl Recorder {
    /// Makes a recorder of a number of tasks that has seen nothing.
    #[must_use]
    pub fn new(n_tasks: usize) -> Self {
        Self { now: Snapshot::new(n_tasks) }
    }

    /// Counts a request that is being sent.
    pub fn sent(&mut self, late: bool, waited: bool) {
        self.now.sent += 1;
        self.now.late += u64::from(late);
        self.now.waited += u64::from(waited);
    }

    /// Counts requests that were due and are not sent any more.
    pub fn unsent(&mut self, n: u64) {
        self.now.unsent += n;
    }

    /// Counts a request that has ended.
    pub fn ended(&mut self, ended: &Ended<'_>) {
        let Some(tally) = self.now.tasks.get_mut(ended.task) else { return };
        tally.requests += 1;
        tally.bytes += ended.body.len() as u64;
        if tally.method.is_none() {
            tally.method = ended.method.cloned();
        }
        if let Some((latency, service)) = ended.times {
            note(&mut tally.latency, latency);
            note(&mut tally.service, service);
        }
        if let Some(failure) = ended.failure {
            tally.failures += 1;
            self.now.failures.note(ended.task, failure, ended.body);
        }
    }

    /// Counts where a request went that has ended.
    pub fn went(&mut self, address: SocketAddr) {
        match self.now.endpoints.iter_mut().find(|(known, _)| *known == address) {
            Some((_, count)) => *count += 1,
            None => self.now.endpoints.push((address, 1)),
        }
    }

    /// Returns what it has seen since it was last asked.
    pub fn take(&mut self) -> Snapshot {
        let n_tasks = self.now.tasks.len();
        std::mem::replace(&mut self.now, Snapshot::new(n_tasks))
    }
}

impl Snapshot {
    /// Nothing, of a number of tasks.
    #[must_use]
    pub fn new(n_tasks: usize) -> Self {
        Self {
            tasks: (0..n_tasks).map(|_| Tally::default()).collect(),
            failures: Failures::default(),
            sent: 0,
            late: 0,
            waited: 0,
            unsent: 0,
            endpoints: Vec::new(),
            users: 0,
            in_flight: 0,
        }
    }

    /// Adds what another thread saw in the same while.
    pub fn add(&mut self, other: &Self) {
        for (all, one) in self.tasks.iter_mut().zip(&other.tasks) {
            all.add(one);
        }
        self.failures.add(&other.failures);
        self.sent += other.sent;
        self.late += other.late;
        self.waited += other.waited;
        self.unsent += other.unsent;
        for (address, count) in &other.endpoints {
            match self.endpoints.iter_mut().find(|(known, _)| known == address) {
                Some((_, all)) => *all += count,
                None => self.endpoints.push((*address, *count)),
            }
        }
        self.users += other.users;
        self.in_flight += other.in_flight;
    }

    /// Returns all tasks as one.
    #[must_use]
    pub fn all(&self) -> Tally {
        let mut all = Tally::default();
        for task in &self.tasks {
            all.add(task);
        }
        all
    }
}

impl Tally {
    /// Adds another's requests.
    pub fn add(&mut self, other: &Self) {
        if self.method.is_none() {
            self.method.clone_from(&other.method);
        }
        self.requests += other.requests;
        self.failures += other.failures;
        self.bytes += other.bytes;
        // It grows by itself, so that nothing is out of its range.
        let added = self.latency.add(&other.latency).and_then(|()| self.service.add(&other.service));
        debug_assert!(added.is_ok(), "{added:?}");
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self { method: None, requests: 0, failures: 0, bytes: 0, latency: histogram(), service: histogram() }
    }
}

#[expect(clippy::expect_used, reason = "a constant number of digits that is allowed")]
fn histogram() -> Histogram<u64> {
    Histogram::new(DIGITS).expect("3 significant digits are allowed")
}

fn note(histogram: &mut Histogram<u64>, time: Duration) {
    let us = u64::try_from(time.as_micros()).unwrap_or(MOST_US).clamp(1, MOST_US);
    let noted = histogram.record(us);
    debug_assert!(noted.is_ok(), "{noted:?}");
}

#[cfg(test)]
mod tests;
