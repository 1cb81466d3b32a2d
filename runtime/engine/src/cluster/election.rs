//! Which gateway scales: the one whose Consul session holds a lock.
//!
//! Consul frees the lock of a session that is not renewed only after one to two times its TTL. Two shortcuts
//! make that faster: a gateway frees the lock of an earlier process at its own address, and a follower frees
//! the lock of a leader whose address refuses connections. After either, Consul keeps the lock free for
//! [`LOCK_DELAY`], in which a leader that lives after all sees that it leads no more.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use drover_core::RequestId;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::api::{Api, ApiError, Ask};
use super::blocking::{Backoff, Query};
use super::claim::{Claim, Entry, Step, step};
use super::party::PartyBoard;

/// The least that Consul takes. A leader that could not renew for so long leads no more.
const TTL: Duration = Duration::from_secs(10);
/// How often a session is renewed.
const RENEWAL: Duration = Duration::from_secs(3);
/// How long a lock that was taken from a leader stays free.
const LOCK_DELAY: &str = "1s";
/// How often a free lock is tried.
const RETRY: Duration = Duration::from_millis(300);
/// How often a follower tries the leader's address.
const PROBE: Duration = Duration::from_secs(1);
/// So many refused connections in a row mean that the leader is gone.
const REFUSALS: u32 = 3;

/// One gateway in the election.
#[derive(Debug)]
pub(super) struct Election {
    consul: Api,
    claim: Claim,
    board: Arc<PartyBoard>,
    /// The session that may hold the lock.
    session: Mutex<Option<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    #[serde(rename = "ID")]
    id: String,
}

/// A leader as a follower knows it: session and address.
type Leader = Option<(String, SocketAddr)>;

impl Election {
    pub(super) fn new(consul: Api, address: SocketAddr, board: Arc<PartyBoard>) -> Self {
        let claim = Claim { address, id: RequestId::generate().as_str().into() };
        Self { consul, claim, board, session: Mutex::default() }
    }

    /// Takes part until dropped.
    pub(super) async fn run(self: Arc<Self>) {
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            let Err(why) = self.term().await;
            self.board.follows(None);
            tracing::warn!(%why, "cannot take part in the choice of the gateway that scales");
            if began.elapsed() > TTL {
                backoff = Backoff::default();
            }
            sleep(backoff.next()).await;
        }
    }

    /// Gives the lock back, so that another gateway leads at once. [`Election::run`] must have been dropped.
    pub(super) async fn leave(&self) {
        self.board.follows(None);
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(session) = session else { return };
        let release = lock().with("release", session.clone());
        let released: Result<Option<bool>, _> = self.consul.send(Method::PUT, &release, &self.claim).await;
        if let Err(e) = released.and(self.destroy(&session).await) {
            tracing::warn!(error = %e, "the lock of the gateway that scales could not be given back: it runs out");
        }
    }

    /// Takes part with one session, until that is gone or cannot be renewed.
    async fn term(&self) -> Result<std::convert::Infallible, ApiError> {
        let created = Instant::now();
        let wish = json!({"Name": "drover gateway", "TTL": "10s", "Behavior": "release", "LockDelay": LOCK_DELAY});
        let session: Option<Created> =
            self.consul.send(Method::PUT, &Ask::new(&["v1", "session", "create"]), &wish).await?;
        let session = session.ok_or_else(|| gone("Consul made no session"))?.id;
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
        let valid = watch::Sender::new(created + TTL);
        let leader = watch::Sender::new(None);
        // One that waits must not keep the clock from ending the term.
        tokio::select! {
            end = self.renew(&session, &valid) => end,
            end = expire(&valid) => end,
            end = self.contest(&session, &leader) => end,
            end = self.probe(&leader) => end,
        }
    }

    /// Renews the session until it is gone. That it cannot be asked for is for [`expire`] to judge.
    async fn renew(&self, session: &str, valid: &watch::Sender<Instant>) -> Result<std::convert::Infallible, ApiError> {
        let ask = Ask::new(&["v1", "session", "renew", session]);
        loop {
            sleep(RENEWAL).await;
            let asked = Instant::now();
            let renewed = timeout(RENEWAL, self.consul.send::<Value>(Method::PUT, &ask, &())).await;
            match renewed {
                Ok(Ok(Some(_))) => drop(valid.send_replace(asked + TTL)),
                Ok(Ok(None)) => return Err(gone("the session is gone")),
                Ok(Err(e)) => tracing::warn!(error = %e, "the session could not be renewed"),
                Err(_) => tracing::warn!("the session could not be renewed in time"),
            }
        }
    }

    /// Follows the lock, and takes it when it is free.
    async fn contest(
        &self,
        session: &str,
        leader: &watch::Sender<Leader>,
    ) -> Result<std::convert::Infallible, ApiError> {
        let acquire = lock().with("acquire", session);
        let mut query = Query::new(&self.consul, lock());
        let mut is_free = false;
        loop {
            let entries: Option<Vec<Entry>> = tokio::select! {
                entries = query.next() => entries?,
                // The lock delay ends without a word.
                () = sleep(RETRY), if is_free => None,
            };
            let now = step(&self.claim, session, entries.iter().flatten().next());
            is_free = now == Step::Acquire;
            let known = match now {
                Step::Acquire => {
                    self.board.follows(None);
                    if self.consul.send::<bool>(Method::PUT, &acquire, &self.claim).await? == Some(true) {
                        is_free = false;
                        self.board.leads();
                    }
                    None
                }
                Step::Lead => {
                    self.board.leads();
                    None
                }
                Step::Free { session } => {
                    self.board.follows(None);
                    self.destroy(&session).await?;
                    None
                }
                Step::Follow { session, leader } => {
                    self.board.follows(leader);
                    leader.map(|leader| (session, leader))
                }
            };
            leader.send_replace(known);
        }
    }

    /// Frees the lock of a leader whose address refuses connections.
    async fn probe(&self, leader: &watch::Sender<Leader>) -> Result<std::convert::Infallible, ApiError> {
        let mut tick = interval(PROBE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut last, mut n_refused) = (String::new(), 0);
        loop {
            tick.tick().await;
            let Some((session, address)) = leader.borrow().clone() else { continue };
            let connected = timeout(PROBE, TcpStream::connect(address)).await;
            let is_refused = matches!(connected, Ok(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused);
            n_refused = if is_refused && session == last { n_refused + 1 } else { u32::from(is_refused) };
            if n_refused >= REFUSALS {
                tracing::warn!(%address, "the gateway that scales is gone: its lock is freed");
                self.destroy(&session).await?;
                n_refused = 0;
            }
            last = session;
        }
    }

    async fn destroy(&self, session: &str) -> Result<(), ApiError> {
        let ask = Ask::new(&["v1", "session", "destroy", session]);
        self.consul.send::<bool>(Method::PUT, &ask, &()).await.map(|_| ())
    }
}

/// Returns where the lock is.
fn lock() -> Ask {
    Ask::new(&["v1", "kv", "drover", "leader"])
}

/// Waits until a session was not renewed in time, by our own clock.
async fn expire(valid: &watch::Sender<Instant>) -> Result<std::convert::Infallible, ApiError> {
    loop {
        let until = *valid.borrow();
        if Instant::now() >= until {
            return Err(gone("the session could not be renewed for its time to live"));
        }
        sleep_until(until).await;
    }
}

fn gone(why: &str) -> ApiError {
    ApiError::Unreadable(why.into())
}
