//! Users of one thread, each of whom waits for an answer before the next request.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::client::{Client, Start, Went};
use super::course::Course;
use super::here::Here;
use crate::plan::Wait;

/// How often users are added or taken away while their number changes.
const TICK: Duration = Duration::from_millis(2);
/// How often it is looked whether it changes.
const LOOK: Duration = Duration::from_millis(20);
/// How long a user waits that got no connection, so that a target that is down is not asked in a busy loop.
const PAUSE: Duration = Duration::from_millis(100);

/// A user, seen from outside.
struct Member {
    task: JoinHandle<()>,
    state: Rc<State>,
}

#[derive(Default)]
struct State {
    is_busy: Cell<bool>,
    stop: Cell<bool>,
}

/// Has as many users as the course says until its end; then none that would send anything. Returns those
/// that still wait for an answer.
pub(super) async fn run(here: &Rc<Here>, course: &mut watch::Receiver<Course>) -> Vec<JoinHandle<()>> {
    let (mut members, mut leaving, mut born) = (Vec::<Member>::new(), Vec::new(), 0_usize);
    loop {
        let now = here.began.elapsed();
        let (level, is_changing, is_over, share) = {
            let course = course.borrow_and_update();
            let (level, is_changing) = course.level(now);
            (level, is_changing, course.is_over(now), course.leg(now).and_then(|leg| leg.share))
        };
        let share = share.filter(|_| !is_over).map(|share| share.split(here.thread.index, here.thread.of));
        let wanted = share.map_or(0, |share| share.count(whole(level)));
        while members.len() < wanted {
            members.push(begin(here, share.map_or(0, |share| share.index + born * share.of)));
            born += 1;
        }
        leaving.retain(|task: &JoinHandle<()>| !task.is_finished());
        leaving.extend(members.drain(wanted..).filter_map(Member::leave));
        here.users.set(members.len() as u64);
        if is_over {
            return leaving;
        }
        let _changed = tokio::time::timeout(if is_changing { TICK } else { LOOK }, course.changed()).await;
    }
}

impl Member {
    /// Ends at once if nothing is in flight, else after its answer.
    fn leave(self) -> Option<JoinHandle<()>> {
        self.state.stop.set(true);
        if self.state.is_busy.get() {
            return Some(self.task);
        }
        self.task.abort();
        None
    }
}

fn begin(here: &Rc<Here>, id: usize) -> Member {
    let state = Rc::new(State::default());
    let task = tokio::task::spawn_local(user(Rc::clone(here), id, Rc::clone(&state)));
    Member { task, state }
}

async fn user(here: Rc<Here>, id: usize, state: Rc<State>) {
    let mut client = Client::new(Rc::clone(&here), id);
    let mut random = fastrand::Rng::with_seed(here.plan.seed.wrapping_add(id as u64));
    let wait = here.plan.wait;
    let (mut start, mut due) = (Start::Now, Instant::now());
    loop {
        let began = Instant::now();
        state.is_busy.set(true);
        let went = client.iterate(start, &state.stop).await;
        state.is_busy.set(false);
        if state.stop.get() {
            return;
        }
        let now = Instant::now();
        due = match wait {
            // From when it was due, so that what timers are late by does not add up.
            Wait::Pacing(every) => (due + every).max(now),
            _ => now + wait.draw(now.duration_since(began), &mut random),
        };
        if went == Went::Nowhere {
            due = due.max(now + PAUSE);
        }
        if due <= now {
            start = Start::Now;
            continue;
        }
        tokio::time::sleep_until(due.into()).await;
        start = Start::Rested(due);
    }
}

/// Part of a user is a user: the first one comes at once.
fn whole(level: f64) -> usize {
    // Digits behind the point that no person asked for.
    let level = (level - 1e-6).ceil().max(0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and not below 0; too large is the most"
    )]
    let whole = level as usize;
    whole
}
