//! The master: waits for workers, and begins runs on them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::going::Going;
use super::key::Key;
use super::link::{Event, Host, Link, Order};
use super::wire::BRIEF_BYTES_MAX;
use super::{AHEAD, Brief, Error};
use crate::run::Run;

/// Connections at once, workers and strangers.
const CONNECTIONS_MAX: usize = 1024;
/// How long workers may take to go once they are dismissed.
const DISMISS_LIMIT: Duration = Duration::from_secs(2);

/// The master of a fleet. Its workers are dismissed by [`Master::dismiss`]; if it is dropped, they wait for another.
#[derive(Debug, Clone)]
pub struct Master {
    hall: Arc<Mutex<Hall>>,
    expected: usize,
    _accepting: Arc<AbortOnDropHandle<()>>,
}

/// Who is there. A run holds it as long as it goes on.
#[derive(Debug)]
pub(super) struct Hall {
    pub(super) links: BTreeMap<usize, Link>,
    pub(super) events: mpsc::UnboundedReceiver<(usize, Event)>,
    /// Runs that have begun.
    pub(super) n_runs: u64,
}

impl Master {
    /// Waits on `listener` for workers who know `key`, and gives each of them `brief`. A run begins once `expected`
    /// of them are there.
    ///
    /// # Errors
    /// A brief that is too large.
    pub fn start(listener: TcpListener, key: Key, brief: Brief, expected: usize) -> Result<Self, Error> {
        let bytes = serde_json::to_vec(&brief)?.len();
        // Some room for what stands around it.
        if bytes + 1024 > BRIEF_BYTES_MAX {
            return Err(Error::Large { bytes });
        }
        let (sender, events) = mpsc::unbounded_channel();
        let host = Host { key, brief, expected, epoch: Instant::now(), events: sender };
        let accepting = tokio::spawn(accept(listener, Arc::new(host)));
        Ok(Self {
            hall: Arc::new(Mutex::new(Hall { links: BTreeMap::new(), events, n_runs: 0 })),
            expected,
            _accepting: Arc::new(AbortOnDropHandle::new(accepting)),
        })
    }

    /// Waits until enough workers are there, and begins a run on them. Cancel safe.
    ///
    /// # Errors
    /// A worker cannot do what the others do.
    pub(crate) async fn begin(&self, run: &Run) -> Result<Going, Error> {
        let mut hall = Arc::clone(&self.hall).lock_owned().await;
        hall.gather(self.expected).await?;
        Ok(Going::begin(hall, run, Instant::now() + AHEAD))
    }

    /// Tells all workers that there will be no other run.
    pub async fn dismiss(self) {
        let mut hall = self.hall.lock().await;
        for link in hall.links.values() {
            link.order(Order::Bye);
        }
        let all_gone = async {
            while !hall.links.is_empty()
                && let Some((number, event)) = hall.events.recv().await
            {
                if matches!(event, Event::Gone(_)) {
                    hall.links.remove(&number);
                }
            }
        };
        // Who does not go in time finds the connection closed.
        let _late = tokio::time::timeout(DISMISS_LIMIT, all_gone).await;
    }
}

impl Hall {
    /// Waits until `n` workers are there.
    async fn gather(&mut self, n: usize) -> Result<(), Error> {
        loop {
            // All who have come or gone meanwhile are taken note of, even if enough are there.
            let next = match self.events.try_recv() {
                Ok(next) => Some(next),
                Err(_) if self.links.len() >= n => return Ok(()),
                Err(_) => self.events.recv().await,
            };
            let Some((number, event)) = next else { std::future::pending().await };
            match event {
                Event::Joined(link) => {
                    tracing::info!("worker {} at {} is there", link.name, link.address);
                    self.links.insert(number, link);
                    tracing::info!("{} of {n} workers are there", self.links.len());
                }
                Event::Unable(why) => return Err(why),
                Event::Leaving | Event::Gone(_) => {
                    if let Some(link) = self.links.remove(&number) {
                        tracing::info!("worker {} at {} has gone", link.name, link.address);
                    }
                }
                // Of a run that is over.
                Event::Told(_) => {}
            }
        }
    }
}

async fn accept(listener: TcpListener, host: Arc<Host>) {
    let (room, numbers) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), Arc::new(AtomicUsize::new(0)));
    let mut open = JoinSet::new();
    loop {
        // It is never closed.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let (stream, address) = loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => break accepted,
                    Err(error) => {
                        tracing::warn!(%error, "a worker's connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_ended) = open.join_next() => {}
            }
        };
        let (host, numbers) = (Arc::clone(&host), Arc::clone(&numbers));
        open.spawn(async move {
            host.serve(|| numbers.fetch_add(1, Ordering::Relaxed), stream, address).await;
            drop(place);
        });
    }
}

/// Whether an address is this machine's own, which nobody else reaches.
#[must_use]
pub fn is_own(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
