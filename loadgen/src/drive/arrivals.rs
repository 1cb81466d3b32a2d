//! Requests of one thread that do not wait for answers, and the connections that they go out on.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::alarm::Alarm;
use super::client::{Client, Start};
use super::course::Course;
use super::here::Here;
use super::schedule::Schedule;
use crate::plan::{Arrivals, Load};

/// Lanes of one thread. The one that was used last is used next, so that those that are not needed stay idle.
struct Lanes {
    here: Rc<Here>,
    most: usize,
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
        most: here.share.count(*connections).max(1),
        idle: RefCell::default(),
        queue: RefCell::default(),
        all: RefCell::default(),
        n_given: Cell::new(0),
        stop: Cell::new(false),
    });
    loop {
        let now_course = course.borrow_and_update().clone();
        let arrivals = if now_course.is_changed && matches!(arrivals, Arrivals::Replay(_)) {
            &Arrivals::Constant
        } else {
            arrivals
        };
        let schedule = Schedule::new(arrivals, now_course.from, &now_course.stages, here.share, here.plan.seed);
        if follow(&lanes, &alarm, &now_course, schedule, course).await? {
            break;
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

/// Sends what is due until the course's end, or until it changes; whether it was its end.
async fn follow(
    lanes: &Rc<Lanes>,
    alarm: &Alarm,
    now_course: &Course,
    schedule: Schedule,
    course: &mut watch::Receiver<Course>,
) -> io::Result<bool> {
    let is_due = |due: &Duration| now_course.began.checked_add(*due);
    let mut schedule =
        schedule.map_while(|due| is_due(&due)).take_while(|due| now_course.end.is_none_or(|end| *due < end));
    loop {
        let next = schedule.next();
        // After the last one the run still has its end, or goes on without one until somebody ends it.
        let Some(until) = next.or(now_course.end) else {
            return Ok(course.changed().await.is_err());
        };
        tokio::select! {
            biased;
            changed = course.changed() => return Ok(changed.is_err()),
            rung = alarm.until(until) => rung?,
        }
        match next {
            Some(due) => lanes.send(due),
            None => return Ok(true),
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
        if open < self.most {
            let lane = Lane::new(due);
            let id = self.here.share.index + open * self.here.share.of;
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
