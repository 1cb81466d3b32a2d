//! One user: asks the script, sends, judges, counts.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Uri;

use super::deadline::Deadline;
use super::here::Here;
use super::line::{Line, failure};
use super::wire::Answered;
use crate::work::{Answer, Ask, Failure, Script};

/// Behind its time by more than this, a request is late: so much more than a timer is wrong by that somebody else had
/// the core, or this thread had more to do than it can. A user's first request has no time to be behind of.
const LATE: Duration = Duration::from_millis(10);

/// One user.
pub(super) struct Client {
    here: Rc<Here>,
    id: usize,
    /// Nothing before the first request, and after a panic.
    script: Option<Box<dyn Script>>,
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
        Self { here, id, script: None, line: Line::default(), deadline: Deadline::default(), path: None, task: 0 }
    }

    /// Goes through one iteration, or the part of it before `stop` is said.
    pub(super) async fn iterate(&mut self, start: Start, stop: &Cell<bool>) -> Went {
        let (mut start, mut went) = (start, Went::Nowhere);
        loop {
            match asked(&self.here, self.id, &mut self.script, |script| script.next()) {
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

    async fn exchange(&mut self, ask: Ask, start: Start) -> Result<(), Failure> {
        let here = &*self.here;
        self.task = ask.task;
        if !self.path.as_ref().is_some_and(|(path, _)| is_same(path, &ask.path)) {
            let uri = here.uris.make(&ask.path).inspect_err(|e| here.unmade(ask.task, e))?;
            self.path = Some((ask.path.clone(), uri));
        }
        let Some((_, uri)) = &self.path else { return Ok(()) };
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
        let got = self.deadline.within(began + limit, self.line.exchange(here, self.id, began, &ask, uri)).await;
        let now = Instant::now();
        let went = self.line.address();
        match got {
            Some(Ok((answer, sent))) => {
                let took = now.duration_since(sent);
                let Answered { status, headers, body, .. } = answer;
                let answer = Answer { status, headers, body, took };
                let verdict = asked(here, self.id, &mut self.script, |script| script.judge(&answer));
                flight.arrive(now, Some(sent), went, &answer.body, verdict.as_ref().err());
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

/// Asks a user's script. One that panics fails with what it says, and is made anew: its own state is lost, and the run
/// goes on.
fn asked<T>(
    here: &Here,
    id: usize,
    script: &mut Option<Box<dyn Script>>,
    ask: impl FnOnce(&mut dyn Script) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let asked = catch_unwind(AssertUnwindSafe(|| {
        let seed = here.plan.seed.wrapping_add(id as u64);
        ask(script.get_or_insert_with(|| here.work.user(seed)).as_mut())
    }));
    asked.unwrap_or_else(|panic| {
        *script = None;
        Err(failure("panic", said(&*panic)))
    })
}

/// Returns what a panic says.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a script has panicked")
}

/// Whether both are the same bytes in the same place.
fn is_same(a: &Bytes, b: &Bytes) -> bool {
    a.as_ptr() == b.as_ptr() && a.len() == b.len()
}
