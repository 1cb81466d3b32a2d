//! One user: asks the script, sends, judges, counts.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::Full;

use super::deadline::Deadline;
use super::here::Here;
use super::line::{Line, failure};
use crate::work::{Answer, Ask, Failure, Script};

/// Behind its time by more than this, a request is late.
const LATE: Duration = Duration::from_millis(10);

/// One user.
pub(super) struct Client {
    here: Rc<Here>,
    id: usize,
    script: Box<dyn Script>,
    line: Line,
    deadline: Deadline,
    /// The last path and what became of it: most users have only one.
    path: Option<(Bytes, Uri)>,
    /// The task of the last request.
    task: usize,
}

/// Why an iteration begins when it does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    /// Nothing was waited for.
    Now,
    /// A user's wait was to end then. Its requests count from when they are sent: it is the user who waited.
    Rested(Instant),
    /// It is the schedule's: requests count from then on.
    Due(Instant),
    /// As `Due`, after waiting for one of the connections that are allowed.
    Queued(Instant),
}

/// How an iteration went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Went {
    /// The target has answered.
    Well,
    /// Nothing was sent, or no connection was had: without a pause the next would fail as fast.
    Nowhere,
}

impl Client {
    pub(super) fn new(here: Rc<Here>, id: usize) -> Self {
        let seed = here.plan.seed.wrapping_add(id as u64);
        let script = here.work.user(seed);
        Self { here, id, script, line: Line::default(), deadline: Deadline::default(), path: None, task: 0 }
    }

    /// Goes through one iteration, or the part of it before `stop` is said.
    pub(super) async fn iterate(&mut self, start: Start, stop: &Cell<bool>) -> Went {
        let (mut start, mut went) = (start, Went::Nowhere);
        loop {
            match self.script.next() {
                Ok(Some(ask)) => {
                    if let Err(failed) = self.exchange(ask, start).await {
                        return if failed.kind == "connect" { Went::Nowhere } else { Went::Well };
                    }
                    (start, went) = (Start::Now, Went::Well);
                    if stop.get() {
                        return went;
                    }
                }
                Ok(None) => return went,
                Err(failure) => {
                    self.here.unmade(self.task, &failure);
                    return went;
                }
            }
        }
    }

    /// Gives back what is not needed while nothing is sent.
    pub(super) fn park(&mut self) {
        self.line.park();
    }

    async fn exchange(&mut self, ask: Ask, start: Start) -> Result<(), Failure> {
        let here = &*self.here;
        self.task = ask.task;
        let uri = match self.path.as_ref().filter(|(path, _)| is_same(path, &ask.path)) {
            Some((_, uri)) => Ok(uri.clone()),
            None => here.uris.make(&ask.path).inspect(|uri| self.path = Some((ask.path.clone(), uri.clone()))),
        };
        let uri = uri.inspect_err(|e| here.unmade(ask.task, e))?;
        let request = request(here, &ask, uri);
        let began = Instant::now();
        let (due, late, waited) = match start {
            Start::Now => (began, false, false),
            Start::Rested(at) => (began, began.saturating_duration_since(at) > LATE, false),
            Start::Due(at) => (at, began.saturating_duration_since(at) > LATE, false),
            Start::Queued(at) => (at, false, began.saturating_duration_since(at) > LATE),
        };
        here.recorder.borrow_mut().sent(late, waited);
        let flight = here.depart(ask.task, &ask.method, due, began);
        let limit = ask.timeout.unwrap_or(here.plan.timeout);
        let got = self.deadline.within(began + limit, self.line.exchange(here, self.id, request)).await;
        let now = Instant::now();
        let went = self.line.address();
        match got {
            Some(Ok(got)) => {
                let took = now.duration_since(got.sent);
                let answer = Answer { status: got.parts.status, headers: got.parts.headers, body: got.body, took };
                let verdict = self.script.judge(&answer);
                flight.arrive(now, Some(got.sent), went, &answer.body, verdict.as_ref().err());
                verdict
            }
            Some(Err(e)) => {
                flight.arrive(now, None, went, &[], Some(&e));
                Err(e)
            }
            None => {
                let e = failure("timeout", &format!("no answer within {}", humantime::format_duration(limit)));
                flight.arrive(now, None, went, &[], Some(&e));
                Err(e)
            }
        }
    }
}

/// Whether both are the same bytes in the same place.
fn is_same(a: &Bytes, b: &Bytes) -> bool {
    a.as_ptr() == b.as_ptr() && a.len() == b.len()
}

fn request(here: &Here, ask: &Ask, uri: Uri) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(ask.body.clone()));
    *request.method_mut() = ask.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = here.headers(&ask.headers);
    request
}
