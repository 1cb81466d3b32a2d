//! Where the load stands at a moment, and how it is changed while it goes on. Pure: no clock, no socket.
//!
//! Moments are counted from the run's beginning, so that all workers of a fleet can follow the same course.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::schedule::Share;
use crate::control::Control;
use crate::plan::{Load, Plan, Stage, level};

/// For how long what held before is kept, for a thread that is behind.
const KEPT: Duration = Duration::from_secs(10);

/// What a process follows: how much load, which part of it is its own, until when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// The earliest first.
    legs: Vec<Leg>,
    /// When nothing new is sent any more.
    end: Option<Duration>,
}

/// What holds from one moment to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Leg {
    /// From when on it holds, until the next one does.
    starts: Duration,
    /// When its stages began.
    pub(super) began: Duration,
    /// The level before them.
    pub(super) from: f64,
    pub(super) stages: Vec<Stage>,
    /// Whether a person has changed it, so that a schedule that was replayed counts no more.
    pub(super) is_changed: bool,
    /// Which part of the load this process is to put on, if any.
    pub(super) share: Option<Share>,
}

impl Course {
    /// Makes the course of a plan, all of which one process is to put on.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let (Load::Users(stages) | Load::Rate { stages, .. }) = &plan.load;
        let leg = Leg {
            starts: Duration::ZERO,
            began: Duration::ZERO,
            from: 0.0,
            stages: stages.clone(),
            is_changed: false,
            share: Some(Share::ALL),
        };
        Self { legs: vec![leg], end: plan.end() }
    }

    /// Returns the users or requests a second at `at`, and whether they are on their way to others.
    #[must_use]
    pub fn level(&self, at: Duration) -> (f64, bool) {
        self.leg(at).map_or((0.0, false), |leg| level(leg.from, &leg.stages, at.saturating_sub(leg.began)))
    }

    /// Follows a person's wish from `at` on, which must not be before what was changed last; whether that changed
    /// anything. From then on only `run_time` ends the run.
    pub fn follow(&mut self, control: Control, plan: &Plan, at: Duration) -> bool {
        let from = self.level(at).0;
        let stage = match (control, &plan.load) {
            (Control::Stop, _) => {
                self.end = Some(at);
                return true;
            }
            (Control::Users { count, spawn_rate }, Load::Users(_)) => Stage::ramp(from, count as f64, spawn_rate),
            (Control::Rate(rate), Load::Rate { .. }) if rate.is_finite() && rate >= 0.0 => Stage::step(rate),
            (Control::Start | Control::Reset | Control::Users { .. } | Control::Rate(_), _) => return false,
        };
        self.end = plan.run_time;
        self.push(at, |leg| Leg { began: at, from, stages: vec![stage], is_changed: true, ..leg });
        true
    }

    /// Has another leg begin at `at`, which must not be before what was changed last, that differs in shares only.
    pub fn turn(&mut self, at: Duration) {
        self.push(at, |leg| leg);
    }

    /// Returns the course of one of several who share the load, whose part from a moment on `share` says.
    #[must_use]
    pub fn of(&self, share: impl Fn(Duration) -> Option<Share>) -> Self {
        let legs = self.legs.iter().map(|leg| Leg { share: share(leg.starts), ..leg.clone() });
        Self { legs: legs.collect(), end: self.end }
    }

    /// Returns the same course, over at `at` at the latest.
    #[must_use]
    pub fn until(mut self, at: Duration) -> Self {
        self.end = Some(self.end.map_or(at, |end| end.min(at)));
        self
    }

    /// Whether nothing new is sent at `at`.
    #[must_use]
    pub fn is_over(&self, at: Duration) -> bool {
        self.end.is_some_and(|end| at >= end)
    }

    /// Returns what is left of it at `at`.
    #[must_use]
    pub fn remaining(&self, at: Duration) -> Option<Duration> {
        self.end.map(|end| end.saturating_sub(at))
    }

    /// Returns what holds at `at`.
    pub(super) fn leg(&self, at: Duration) -> Option<&Leg> {
        self.legs.iter().rev().find(|leg| leg.starts <= at)
    }

    /// Returns until when that holds: to the next leg, or the end.
    pub(super) fn ends(&self, at: Duration) -> Option<Duration> {
        let next = self.legs.iter().map(|leg| leg.starts).find(|starts| *starts > at);
        match (next, self.end) {
            (Some(next), Some(end)) => Some(next.min(end)),
            (next, end) => next.or(end),
        }
    }

    fn push(&mut self, at: Duration, make: impl Fn(Leg) -> Leg) {
        let Some(last) = self.legs.last().cloned() else { return };
        let starts = at.max(last.starts);
        self.legs.push(make(Leg { starts, ..last }));
        let old = self.legs.iter().skip(1).take_while(|next| next.starts + KEPT < at).count();
        self.legs.drain(..old);
    }
}

#[cfg(test)]
mod tests;
