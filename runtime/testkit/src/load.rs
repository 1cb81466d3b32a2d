//! A steady load over real sockets that knows what became of each request.
//!
//! It is open: a request is sent when it is due, whether or not those before it were answered, and its
//! time counts from then. It has a thread of its own, so that nothing in a test holds it up.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::eventually;

/// A load that nobody stops ends by itself.
const LONGEST: Duration = Duration::from_secs(180);
/// A request that is not answered for so long is lost.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// Idle connections kept: few, so that each is in use again soon.
const IDLE_MAX: usize = 32;

/// A load that runs; it ends when dropped.
#[derive(Debug)]
pub struct Load {
    tally: Arc<Tally>,
    ends: Arc<AtomicBool>,
    counts: oneshot::Receiver<Counts>,
}

/// What became of the requests of a load.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Requests, each counted once.
    pub sent: u64,
    /// Answered with 200, the whole body included.
    pub answered: u64,
    /// What else came, or did not, and how often.
    pub failed: Vec<(String, u64)>,
    /// Sent again by the client, because the server had closed the idle connection on which nothing of
    /// the request was written yet.
    pub resent: u64,
    /// Of 100 answers, 95 took at most so long.
    pub p95: Duration,
    /// The slowest answer.
    pub slowest: Duration,
}

#[derive(Debug, Default)]
struct Tally {
    sent: AtomicU64,
    answered: AtomicU64,
    resent: AtomicU64,
    failed: Mutex<BTreeMap<String, u64>>,
    took: Mutex<Vec<Duration>>,
}

/// Where the requests go, what they are, and the connections there.
struct Target {
    address: SocketAddr,
    uri: Uri,
    body: Bytes,
    idle: Mutex<VecDeque<SendRequest<Full<Bytes>>>>,
    idle_max: usize,
    tally: Arc<Tally>,
}

impl Load {
    /// Begins to `POST body`, JSON, to `url`, so many times a second.
    ///
    /// # Panics
    /// If `url` is not `http://IP:PORT/...`.
    #[must_use]
    pub fn start(url: &str, body: &str, per_second: u32) -> Self {
        Self::run(url, body, IDLE_MAX, move |target, ends| steady(target, ends, per_second))
    }

    /// As [`Load::start`], each request on a connection of its own.
    ///
    /// # Panics
    /// As [`Load::start`].
    #[must_use]
    pub fn on_new_connections(url: &str, body: &str, per_second: u32) -> Self {
        Self::run(url, body, 0, move |target, ends| steady(target, ends, per_second))
    }

    /// Sends `n` requests at once, and waits for all answers.
    ///
    /// # Panics
    /// As [`Load::start`].
    pub async fn burst(url: &str, body: &str, n: u64) -> Counts {
        let load = Self::run(url, body, 0, move |target, _| async move {
            let mut all = JoinSet::new();
            (0..n).for_each(|_| drop(all.spawn(Arc::clone(&target).request(Instant::now()))));
            all
        });
        load.stop().await
    }

    fn run<W, F>(url: &str, body: &str, idle_max: usize, work: W) -> Self
    where
        W: FnOnce(Arc<Target>, Arc<AtomicBool>) -> F + Send + 'static,
        F: Future<Output = JoinSet<()>>,
    {
        let uri: Uri = url.parse().unwrap_or_else(|e| panic!("{url}: {e}"));
        let address = uri.authority().and_then(|a| a.as_str().parse().ok());
        let Some(address) = address else { panic!("{url} is not http://IP:PORT/...") };
        let (tally, ends) = (Arc::<Tally>::default(), Arc::<AtomicBool>::default());
        let body = Bytes::from(body.to_owned());
        let idle = Mutex::default();
        let target = Arc::new(Target { address, uri, body, idle, idle_max, tally: Arc::clone(&tally) });
        let (done, counts) = oneshot::channel();
        let load = Self { tally: Arc::clone(&tally), ends: Arc::clone(&ends), counts };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(async {
                let mut all = work(target, ends).await;
                while all.join_next().await.is_some() {}
            });
            let _nobody_asks = done.send(tally.counts());
        });
        load
    }

    /// Returns how many requests were answered so far.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.tally.answered.load(Ordering::Relaxed)
    }

    /// Waits until `n` more requests were answered.
    ///
    /// # Panics
    /// If they are not.
    pub async fn goes_on(&self, n: u64) {
        let least = self.answered() + n;
        let what = format!("{n} more requests are answered");
        eventually(&what, ANSWER_LIMIT, || async { (self.answered() >= least).then_some(()) }).await;
    }

    /// Sends nothing more, waits for all answers, and returns what became of the requests.
    ///
    /// # Panics
    /// If the load's thread did.
    pub async fn stop(mut self) -> Counts {
        self.ends.store(true, Ordering::Relaxed);
        (&mut self.counts).await.expect("the load counts to its end")
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

impl Counts {
    /// Checks that every request was answered.
    ///
    /// # Panics
    /// If one failed or was lost.
    #[track_caller]
    pub fn all_answered(&self) {
        assert!(self.failed.is_empty() && self.answered == self.sent && self.sent > 0, "{self}");
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_failed: u64 = self.failed.iter().map(|(_, n)| n).sum();
        write!(f, "{} sent, {} answered, {n_failed} failed, {} resent", self.sent, self.answered, self.resent)?;
        write!(f, "; p95 {:.0?}, slowest {:.0?}", self.p95, self.slowest)?;
        self.failed.iter().try_for_each(|(what, n)| write!(f, "\n  {n} times: {what}"))
    }
}

impl Tally {
    fn counts(&self) -> Counts {
        let mut took = std::mem::take(&mut *locked(&self.took));
        took.sort_unstable();
        Counts {
            sent: self.sent.load(Ordering::Relaxed),
            answered: self.answered.load(Ordering::Relaxed),
            failed: std::mem::take(&mut *locked(&self.failed)).into_iter().collect(),
            resent: self.resent.load(Ordering::Relaxed),
            p95: took.get(took.len() * 95 / 100).copied().unwrap_or_default(),
            slowest: took.last().copied().unwrap_or_default(),
        }
    }
}

impl Target {
    /// Sends one request that was due at `due`, and counts what becomes of it.
    async fn request(self: Arc<Self>, due: Instant) {
        self.tally.sent.fetch_add(1, Ordering::Relaxed);
        let answer = timeout(ANSWER_LIMIT, self.exchange()).await;
        match answer.unwrap_or_else(|_| Err(format!("no answer within {ANSWER_LIMIT:?}"))) {
            Ok(()) => {
                self.tally.answered.fetch_add(1, Ordering::Relaxed);
                locked(&self.tally.took).push(due.elapsed());
            }
            Err(what) => *locked(&self.tally.failed).entry(what).or_default() += 1,
        }
    }

    async fn exchange(&self) -> Result<(), String> {
        let (mut sender, response) = loop {
            let kept = self.take();
            let is_new = kept.is_none();
            let mut sender = match kept {
                Some(sender) => sender,
                None => self.connect().await.map_err(|e| format!("connect: {e}"))?,
            };
            match sender.try_send_request(self.message()).await {
                Ok(response) => break (sender, response),
                Err(mut e) => {
                    let is_unsent = e.take_message().is_some();
                    if is_new || !is_unsent {
                        return Err(format!("on a {} connection: {:?}", kind(is_new), e.into_error()));
                    }
                    // Nothing was written: the server cannot have acted on it.
                    self.tally.resent.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|e| format!("the body of {status}: {e:?}"))?.to_bytes();
        if status != StatusCode::OK {
            return Err(format!("{status}: {}", String::from_utf8_lossy(body.get(..300).unwrap_or(&body))));
        }
        if sender.ready().await.is_ok() && locked(&self.idle).len() < self.idle_max {
            locked(&self.idle).push_back(sender);
        }
        Ok(())
    }

    fn message(&self) -> Request<Full<Bytes>> {
        let mut request = Request::post(self.uri.path()).body(Full::new(self.body.clone())).expect("a path is a URI");
        let host = self.address.to_string().parse().expect("an address is a header");
        request.headers_mut().insert(header::HOST, host);
        request.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        request
    }

    /// Returns the connection that was idle for longest, unless the server has closed it.
    fn take(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = locked(&self.idle);
        std::iter::from_fn(|| idle.pop_front()).find(|sender| !sender.is_closed())
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Box<dyn std::error::Error>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // What ends it, whoever waits for an answer is told.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }
}

async fn steady(target: Arc<Target>, ends: Arc<AtomicBool>, per_second: u32) -> JoinSet<()> {
    let (mut all, started) = (JoinSet::new(), Instant::now());
    let mut tick = interval(Duration::from_secs(1) / per_second);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while !ends.load(Ordering::Relaxed) && started.elapsed() < LONGEST {
        let due = tick.tick().await;
        all.spawn(Arc::clone(&target).request(due));
        while all.try_join_next().is_some() {}
    }
    all
}

const fn kind(is_new: bool) -> &'static str {
    if is_new { "new" } else { "kept" }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
