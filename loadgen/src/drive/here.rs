//! What all users of one thread share.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Uri};

use super::h1::{self, Buffers};
use super::line::failure;
use super::schedule::Share;
use super::tls::Tls;
use crate::plan::Plan;
use crate::stats::{Ended, Recorder};
use crate::target::Endpoint;
use crate::work::{Failure, Work};

/// How many merged headers are kept.
const MERGED_MAX: usize = 16;

/// How requests are sent.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Threads, each with its own share of the users or arrivals. Default: as many as cores.
    pub threads: usize,
    /// What is spoken. Default: HTTP/1.1.
    pub protocol: Protocol,
    /// Whether a connection is used again. Default: yes.
    pub keep_alive: bool,
    /// TLS, if it is spoken.
    pub tls: Option<Tls>,
    /// Headers of every request, `Host` among them for HTTP/1.1.
    pub headers: HeaderMap,
}

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    H1,
    /// HTTP/2, from the first byte on (without TLS: h2c with prior knowledge).
    H2,
}

/// What all users of one thread share.
pub(super) struct Here {
    pub(super) settings: Settings,
    /// Which of the process's threads this is.
    pub(super) thread: Share,
    /// When the run begins.
    pub(super) began: Instant,
    pub(super) work: Arc<dyn Work>,
    pub(super) plan: Arc<Plan>,
    pub(super) uris: Uris,
    pub(super) merged: Merged,
    pub(super) buffers: Buffers,
    pub(super) places: Places,
    pub(super) recorder: RefCell<Recorder>,
    pub(super) users: Cell<u64>,
    pub(super) in_flight: Cell<u64>,
}

/// How paths become what hyper sends.
#[derive(Debug, Clone)]
pub(super) struct Uris {
    /// What stands before every path.
    pub(super) base: String,
    /// HTTP/2 says both with every request.
    pub(super) authority: Option<(Scheme, Authority)>,
}

/// Headers of requests with those of every request: those that were made last.
pub(super) type Merged = RefCell<Vec<(Arc<HeaderMap>, Rc<Headers>)>>;

/// Headers of a request.
#[derive(Debug)]
pub(super) struct Headers {
    map: HeaderMap,
    /// As HTTP/1.1 has them.
    lines: OnceCell<Vec<u8>>,
}

/// Where the target listens.
#[derive(Debug, Default)]
pub(super) struct Places {
    all: RefCell<Arc<Vec<Endpoint>>>,
    turn: Cell<u64>,
}

/// A request on its way. One that is dropped on its way has failed.
pub(super) struct Flight<'a> {
    here: &'a Here,
    task: usize,
    method: &'a http::Method,
    /// When it was due, and when the generator began with it.
    due: Instant,
    began: Instant,
    has_ended: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            protocol: Protocol::H1,
            keep_alive: true,
            tls: None,
            headers: HeaderMap::new(),
        }
    }
}

impl Uris {
    /// Makes the URI of a path.
    pub(super) fn make(&self, path: &Bytes) -> Result<Uri, Failure> {
        let wrong = |e: &dyn std::fmt::Display| {
            failure("make", &format!("`{}` is not a path: {e}", String::from_utf8_lossy(path)))
        };
        let path = if self.base.is_empty() {
            PathAndQuery::from_maybe_shared(path.clone())
        } else {
            PathAndQuery::from_maybe_shared(Bytes::from([self.base.as_bytes(), path].concat()))
        };
        let mut parts = http::uri::Parts::default();
        parts.path_and_query = Some(path.map_err(|e| wrong(&e))?);
        if let Some((scheme, authority)) = &self.authority {
            (parts.scheme, parts.authority) = (Some(scheme.clone()), Some(authority.clone()));
        }
        Uri::from_parts(parts).map_err(|e| wrong(&e))
    }
}

impl Places {
    /// Takes a new list.
    pub(super) fn set(&self, all: Arc<Vec<Endpoint>>) {
        *self.all.borrow_mut() = all;
        self.turn.set(self.turn.get() + 1);
    }

    /// Returns how often the list has changed.
    pub(super) fn turn(&self) -> u64 {
        self.turn.get()
    }

    /// Returns where a user's requests go.
    pub(super) fn of(&self, user: usize) -> Option<SocketAddr> {
        let all = self.all.borrow();
        all.get(user.checked_rem(all.len())?).map(|endpoint| endpoint.address)
    }
}

impl Headers {
    pub(super) fn map(&self) -> &HeaderMap {
        &self.map
    }

    pub(super) fn lines(&self) -> &[u8] {
        self.lines.get_or_init(|| h1::lines(&self.map))
    }
}

impl Here {
    /// Begins a request.
    pub(super) fn depart<'a>(
        &'a self,
        task: usize,
        method: &'a http::Method,
        due: Instant,
        began: Instant,
    ) -> Flight<'a> {
        self.in_flight.set(self.in_flight.get() + 1);
        Flight { here: self, task, method, due, began, has_ended: false }
    }

    /// Returns headers with those of every request.
    pub(super) fn headers(&self, own: &Arc<HeaderMap>) -> Rc<Headers> {
        let mut merged = self.merged.borrow_mut();
        if let Some((_, all)) = merged.iter().find(|(known, _)| Arc::ptr_eq(known, own)) {
            return Rc::clone(all);
        }
        let mut all = self.settings.headers.clone();
        for (name, value) in own.iter() {
            all.insert(name, value.clone());
        }
        if merged.len() == MERGED_MAX {
            merged.remove(0);
        }
        let all = Rc::new(Headers { map: all, lines: OnceCell::new() });
        merged.push((Arc::clone(own), Rc::clone(&all)));
        all
    }

    /// Counts a request that could not be made.
    pub(super) fn unmade(&self, task: usize, failure: &Failure) {
        let mut recorder = self.recorder.borrow_mut();
        recorder.sent(false, false);
        recorder.ended(&Ended { task, method: None, times: None, body: &[], failure: Some(failure) });
    }
}

impl Flight<'_> {
    /// Ends it.
    pub(super) fn arrive(
        mut self,
        now: Instant,
        sent: Option<Instant>,
        went: Option<SocketAddr>,
        body: &[u8],
        failure: Option<&Failure>,
    ) {
        self.has_ended = true;
        let service = now.duration_since(sent.unwrap_or(self.began));
        self.note(now, service, body, failure);
        if let Some(address) = went {
            self.here.recorder.borrow_mut().went(address);
        }
    }

    fn note(&self, now: Instant, service: Duration, body: &[u8], failure: Option<&Failure>) {
        let latency = now.duration_since(self.due);
        let ended =
            Ended { task: self.task, method: Some(self.method), times: Some((latency, service)), body, failure };
        self.here.recorder.borrow_mut().ended(&ended);
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.here.in_flight.set(self.here.in_flight.get() - 1);
        if !self.has_ended {
            let now = Instant::now();
            let failure = failure("unfinished", "no answer before the run's end");
            self.note(now, now.duration_since(self.began), &[], Some(&failure));
        }
    }
}
