//! Requests of one thread that do not wait for answers, and the connections that they go out on.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::alarm::Alarm;
use super::client::{Client, Start};
use super::course::Course;
use super::here::Here;
use super::schedule::{Schedule, Share};
use crate::plan::{Arrivals, Load};

/// Lanes of one thread. The one that was used last is used next, so that those that are not needed stay idle.
struct Lanes {
    here: Rc<Here>,
    /// Which part of the connections is this thread's, and how many that may be.
    share: Cell<Share>,
    most: Cell<usize>,
    idle: RefCell<Vec<Rc<Lane>>>,
    /// When requests were due for which no lane was free.
    queue: RefCell<VecDeque<Instant>>,
    all: RefCell<Vec<JoinHandle<()>>>,
    /// Requests that were given to lanes that have not begun with them.
    n_given: Cell<usize>,
    stop: Cell<bool>,
}

/// A connection and the task that sends on it.
struct Lane {
    /// What it is to send next.
    due: Cell<Option<Instant>>,
    waker: RefCell<Option<Waker>>,
}

/// Sends what is due until the end of the course. Returns what still waits for answers.
///
/// # Errors
/// The kernel has no timer left.
pub(super) async fn run(here: &Rc<Here>, course: &mut watch::Receiver<Course>) -> io::Result<Vec<JoinHandle<()>>> {
    let Load::Rate { arrivals, connections, .. } = &here.plan.load else { return Ok(Vec::new()) };
    let alarm = Alarm::new()?;
    let lanes = Rc::new(Lanes {
        here: Rc::clone(here),
        share: Cell::new(here.thread),
        most: Cell::new(1),
        idle: RefCell::default(),
        queue: RefCell::default(),
        all: RefCell::default(),
        n_given: Cell::new(0),
        stop: Cell::new(false),
    });
    let mut reached = Duration::ZERO;
    loop {
        let now_course = course.borrow_and_update().clone();
        if now_course.is_over(reached) {
            break;
        }
        let leg = now_course.leg(reached).cloned();
        let share = leg.as_ref().and_then(|leg| leg.share);
        let share = share.map(|share| share.split(here.thread.index, here.thread.of));
        if let Some(share) = share {
            lanes.share.set(share);
            lanes.most.set(share.count(*connections).max(1));
        }
        let schedule = leg.zip(share).map(|(leg, share)| {
            let arrivals = match arrivals {
                Arrivals::Replay(_) if leg.is_changed => &Arrivals::Constant,
                arrivals => arrivals,
            };
            let schedule = Schedule::new(arrivals, leg.from, &leg.stages, share, here.plan.seed);
            schedule.map(move |due| leg.began.saturating_add(due))
        });
        let from = reached;
        let due = schedule.into_iter().flatten().skip_while(move |due| *due < from);
        match follow(&lanes, &alarm, now_course.ends(reached), due, course, &mut reached).await? {
            ControlFlow::Continue(()) => {}
            ControlFlow::Break(()) => break,
        }
    }
    // What was given to a lane is sent, even if the lane has had no turn yet.
    while lanes.n_given.get() > 0 {
        tokio::task::yield_now().await;
    }
    lanes.stop.set(true);
    here.recorder.borrow_mut().unsent(lanes.queue.take().len() as u64);
    for lane in lanes.idle.take() {
        lane.wake();
    }
    here.users.set(0);
    Ok(lanes.all.take())
}

/// Sends what is due before `ends`, or until the course changes, and says in `reached` how far it came; whether
/// there may be more.
async fn follow(
    lanes: &Rc<Lanes>,
    alarm: &Alarm,
    ends: Option<Duration>,
    due: impl Iterator<Item = Duration>,
    course: &mut watch::Receiver<Course>,
    reached: &mut Duration,
) -> io::Result<ControlFlow<()>> {
    let began = lanes.here.began;
    let goes_on = |changed: Result<(), _>| changed.map_or(ControlFlow::Break(()), ControlFlow::Continue);
    // What is due after all that a clock can say is never due.
    let mut due = due.take_while(|due| ends.is_none_or(|ends| *due < ends) && began.checked_add(*due).is_some());
    loop {
        let next = due.next();
        // After the last one the run still has its end, or goes on without one until somebody ends it.
        let Some(at) = next.or(ends).and_then(|at| began.checked_add(at)) else {
            return Ok(goes_on(course.changed().await));
        };
        tokio::select! {
            biased;
            changed = course.changed() => return Ok(goes_on(changed)),
            rung = alarm.until(at) => rung?,
        }
        match next {
            Some(due) => {
                lanes.send(at);
                // It is not sent again if the course changes now.
                *reached = due + Duration::from_nanos(1);
            }
            None => {
                *reached = ends.unwrap_or(*reached);
                return Ok(ControlFlow::Continue(()));
            }
        }
    }
}

impl Lanes {
    fn send(self: &Rc<Self>, due: Instant) {
        self.n_given.set(self.n_given.get() + 1);
        if let Some(lane) = self.idle.borrow_mut().pop() {
            lane.give(due);
            return;
        }
        let open = self.all.borrow().len();
        if open < self.most.get() {
            let lane = Lane::new(due);
            let id = self.share.get().index + open * self.share.get().of;
            let task = tokio::task::spawn_local(drive(Rc::clone(self), Rc::new(lane), id));
            self.all.borrow_mut().push(task);
            self.here.users.set(open as u64 + 1);
        } else {
            self.n_given.set(self.n_given.get() - 1);
            self.queue.borrow_mut().push_back(due);
        }
    }
}

impl Lane {
    fn new(due: Instant) -> Self {
        Self { due: Cell::new(Some(due)), waker: RefCell::default() }
    }

    fn give(&self, due: Instant) {
        self.due.set(Some(due));
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Waits for the next request; nothing at the run's end.
    async fn next(&self, stop: &Cell<bool>) -> Option<Instant> {
        poll_fn(|context| {
            if let Some(due) = self.due.take() {
                return Poll::Ready(Some(due));
            }
            if stop.get() {
                return Poll::Ready(None);
            }
            self.waker.borrow_mut().get_or_insert_with(|| context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

async fn drive(lanes: Rc<Lanes>, lane: Rc<Lane>, id: usize) {
    let mut client = Client::new(Rc::clone(&lanes.here), id);
    while let Some(due) = lane.next(&lanes.stop).await {
        let mut start = Start::Due(due);
        lanes.n_given.set(lanes.n_given.get() - 1);
        loop {
            client.iterate(start, &lanes.stop).await;
            match lanes.queue.borrow_mut().pop_front() {
                Some(due) => start = Start::Queued(due),
                None => break,
            }
        }
        if !lanes.stop.get() {
            lanes.idle.borrow_mut().push(Rc::clone(&lane));
        }
    }
}
