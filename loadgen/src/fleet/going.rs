//! A run that goes on, on the workers of a fleet.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;

use super::AHEAD;
use super::link::{Event, Link, Order};
use super::master::Hall;
use super::message::Told;
use crate::control::Control;
use crate::drive::{Course, Share};
use crate::plan::Plan;
use crate::report::{Range, Usage, WorkerReport};
use crate::run::{Run, Second, Seconds, Standing, is_much};

/// A run on the workers of a fleet, second by second.
#[derive(Debug)]
pub(crate) struct Going {
    hall: OwnedMutexGuard<Hall>,
    run: u64,
    plan: Plan,
    n_tasks: usize,
    began: Instant,
    course: Course,
    /// Who shares the load from when on, the earliest first; the place in the list is the share.
    turns: Vec<(Duration, Vec<usize>)>,
    seconds: Seconds,
    /// Everybody who has taken part.
    members: BTreeMap<usize, Member>,
}

/// A worker that takes part, or did.
#[derive(Debug)]
struct Member {
    report: WorkerReport,
    sent: u64,
    cpu_percent: f64,
    invalid: Vec<String>,
    /// Whether it has told all that it saw.
    has_ended: bool,
}

impl Going {
    /// Begins a run at `began` on all who are there.
    pub(super) fn begin(mut hall: OwnedMutexGuard<Hall>, run: &Run, began: Instant) -> Self {
        hall.n_runs += 1;
        let mut going = Self {
            run: hall.n_runs,
            plan: run.plan.clone(),
            n_tasks: run.work.tasks().len(),
            began,
            course: Course::new(&run.plan),
            turns: vec![(Duration::ZERO, hall.links.keys().copied().collect())],
            seconds: Seconds::new(began, []),
            members: BTreeMap::new(),
            hall,
        };
        for number in going.hall.links.keys().copied().collect::<Vec<_>>() {
            going.start(number);
        }
        going
    }

    /// Returns when the run began.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Waits for the next second, and says how the workers stand; nothing after the end. Cancel safe.
    pub(crate) async fn second(&mut self) -> Option<(Second, Standing)> {
        let second = loop {
            if let Some(second) = self.seconds.next() {
                break second;
            }
            if self.seconds.are_over() {
                break self.seconds.rest()?;
            }
            let Some((number, event)) = self.hall.events.recv().await else { std::future::pending().await };
            self.take(number, event);
        };
        Some((second, self.standing()))
    }

    /// Follows a person's wish.
    pub(crate) fn follow(&mut self, control: Control) {
        let now = self.began.elapsed();
        // The end need not be at one moment, and is not to be waited for.
        let at = if control == Control::Stop { now } else { now + AHEAD };
        if self.course.follow(control, &self.plan, at) {
            self.steer();
        }
    }

    /// Returns the users or requests a second that are aimed at now, whether they are on their way to others,
    /// and what is left of the run.
    pub(crate) fn stands(&self) -> (f64, bool, Option<Duration>) {
        let now = self.began.elapsed();
        let (level, is_changing) = self.course.level(now);
        (level, is_changing, self.course.remaining(now))
    }

    fn take(&mut self, number: usize, event: Event) {
        match event {
            Event::Joined(link) => {
                tracing::info!("worker {} at {} is there", link.name, link.address);
                self.hall.links.insert(number, link);
                if !self.course.is_over(self.began.elapsed() + AHEAD) {
                    self.turn(|all| all.push(number));
                    self.start(number);
                }
            }
            Event::Unable(why) => tracing::warn!("{why}; the run goes on without it"),
            Event::Told(told) if told.run == self.run => self.told(number, *told),
            Event::Told(_) => {}
            Event::Leaving => self.without(number),
            Event::Gone(why) => {
                self.hall.links.remove(&number);
                self.lose(number, &why);
            }
        }
    }

    /// Has a worker begin.
    fn start(&mut self, number: usize) {
        let course = self.of(number);
        let Some(link) = self.hall.links.get(&number) else { return };
        link.order(Order::Begin { run: self.run, began: self.began, course });
        self.members.insert(number, Member::new(link));
        self.seconds.join(number);
    }

    fn told(&mut self, number: usize, told: Told) {
        let is_last = told.number.is_none();
        let Some(seen) = told.seen.open(self.n_tasks) else {
            return self.lose(number, &"it told of other tasks than it was given");
        };
        let Some(member) = self.members.get_mut(&number).filter(|member| !member.has_ended) else { return };
        let all = seen.all();
        member.sent += seen.sent;
        member.report.requests += all.requests;
        member.report.late += seen.late;
        member.report.usage = told.usage;
        member.cpu_percent = if is_last { 0.0 } else { told.cpu_percent };
        member.invalid = told.invalid;
        member.has_ended |= is_last;
        if let Some(clock) = self.hall.links.get(&number).and_then(Link::clock) {
            member.report.clock_ahead_ms = clock.unix_ahead_us as f64 / 1e3;
            member.report.round_trip_ms = clock.round_trip_us as f64 / 1e3;
        }
        self.seconds.add(number, told.number, &seen);
        if is_last {
            self.without(number);
        }
    }

    /// Goes on without a worker that has not told all.
    fn lose(&mut self, number: usize, why: &dyn std::fmt::Display) {
        let Some(member) = self.members.get_mut(&number).filter(|member| !member.has_ended) else { return };
        (member.report.lost, member.has_ended) = (true, true);
        tracing::warn!("worker {} is lost: {why}", member.report.id);
        member.invalid.push(format!("it was lost, {why}: what it sent in its last seconds is not known"));
        self.seconds.leave(number);
        self.without(number);
    }

    /// Has the others take over a worker's share, if the run goes on and it has one.
    fn without(&mut self, number: usize) {
        let place = self.turns.last().and_then(|(_, all)| all.iter().position(|one| *one == number));
        if let Some(place) = place.filter(|_| !self.course.is_over(self.began.elapsed())) {
            // The last one takes its place, so that few change theirs.
            self.turn(|all| {
                all.swap_remove(place);
            });
        }
    }

    /// Changes who shares the load, a little later.
    fn turn(&mut self, change: impl Fn(&mut Vec<usize>)) {
        let at = self.began.elapsed() + AHEAD;
        let mut all = self.turns.last().map(|(_, all)| all.clone()).unwrap_or_default();
        change(&mut all);
        self.turns.push((at, all));
        self.course.turn(at);
        self.steer();
    }

    /// Tells all who go on how the course is now.
    fn steer(&self) {
        for (number, _) in self.members.iter().filter(|(_, member)| !member.has_ended) {
            if let Some(link) = self.hall.links.get(number) {
                link.order(Order::Course { run: self.run, course: self.of(*number) });
            }
        }
    }

    /// Returns the course of one worker; who has left is at its end then.
    fn of(&self, number: usize) -> Course {
        let share = |at: Duration| {
            let (_, all) = self.turns.iter().rev().find(|(from, _)| *from <= at)?;
            let index = all.iter().position(|one| *one == number)?;
            Some(Share { index, of: all.len() })
        };
        let course = self.course.of(share);
        match self.turns.last() {
            Some((at, all)) if !all.contains(&number) => course.until(*at),
            _ => course,
        }
    }

    /// Says how all workers stand.
    fn standing(&self) -> Standing {
        let mut all = Standing::default();
        if self.seconds.are_over() && !self.course.is_over(self.began.elapsed()) {
            all.invalid.push("it ended early, as no worker was left".to_owned());
        }
        for member in self.members.values() {
            let (report, usage) = (&member.report, &mut all.usage);
            usage.cpu_percent = Range {
                mean: usage.cpu_percent.mean + report.usage.cpu_percent.mean,
                max: usage.cpu_percent.max + report.usage.cpu_percent.max,
            };
            *usage = Usage {
                memory_bytes: usage.memory_bytes + report.usage.memory_bytes,
                cores: usage.cores + report.usage.cores,
                waited_ms: usage.waited_ms.max(report.usage.waited_ms),
                stolen_ms: usage.stolen_ms.max(report.usage.stolen_ms),
                ..*usage
            };
            all.cpu_percent += if report.lost { 0.0 } else { member.cpu_percent };
            let name = &report.id;
            all.invalid.extend(member.invalid.iter().map(|why| format!("worker {name}: {why}")));
            if is_much(report.late, member.sent) {
                let (late, sent) = (report.late, member.sent);
                all.invalid.push(format!("worker {name}: {late} of its {sent} requests were late"));
            }
            all.workers.push(report.clone());
        }
        all
    }
}

impl Member {
    fn new(link: &Link) -> Self {
        let report = WorkerReport {
            id: link.name.clone(),
            address: link.address.to_string(),
            lost: false,
            requests: 0,
            usage: Usage::default(),
            late: 0,
            clock_ahead_ms: 0.0,
            round_trip_ms: 0.0,
        };
        Self { report, sent: 0, cpu_percent: 0.0, invalid: Vec::new(), has_ended: false }
    }
}
