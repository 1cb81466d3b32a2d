//! Where the load stands at a moment, and how a person changes it. Pure: no clock, no socket.

use std::time::{Duration, Instant};

use crate::control::Control;
use crate::plan::{Load, Plan, Stage, level};

/// What all threads follow.
#[derive(Debug, Clone)]
pub(super) struct Course {
    /// When the run began.
    pub(super) run_began: Instant,
    /// When the stages began.
    pub(super) began: Instant,
    /// The level before them.
    pub(super) from: f64,
    pub(super) stages: Vec<Stage>,
    /// Whether a person has changed it, so that a schedule that was replayed counts no more.
    pub(super) is_changed: bool,
    /// When nothing new is sent any more.
    pub(super) end: Option<Instant>,
}

impl Course {
    pub(super) fn new(plan: &Plan, began: Instant) -> Self {
        let (Load::Users(stages) | Load::Rate { stages, .. }) = &plan.load;
        Self {
            run_began: began,
            began,
            from: 0.0,
            stages: stages.clone(),
            is_changed: false,
            end: plan.end().and_then(|end| began.checked_add(end)),
        }
    }

    /// Returns the users or requests a second at `now`, and whether they are on their way to others.
    pub(super) fn level(&self, now: Instant) -> (f64, bool) {
        level(self.from, &self.stages, now.saturating_duration_since(self.began))
    }

    /// Follows a person's wish; whether that changed anything. From then on only `run_time` ends the run.
    pub(super) fn follow(&mut self, control: Control, plan: &Plan, now: Instant) -> bool {
        let from = self.level(now).0;
        let stage = match (control, &plan.load) {
            (Control::Stop, _) => {
                self.end = Some(now);
                return true;
            }
            (Control::Users { count, spawn_rate }, Load::Users(_)) => Stage::ramp(from, count as f64, spawn_rate),
            (Control::Rate(rate), Load::Rate { .. }) if rate.is_finite() && rate >= 0.0 => Stage::step(rate),
            (Control::Start | Control::Users { .. } | Control::Rate(_), _) => return false,
        };
        (self.began, self.from, self.stages) = (now, from, vec![stage]);
        self.is_changed = true;
        self.end = plan.run_time.and_then(|time| self.run_began.checked_add(time));
        true
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.end.is_some_and(|end| now >= end)
    }

    /// Returns what is left of it.
    pub(super) fn remaining(&self, now: Instant) -> Option<Duration> {
        self.end.map(|end| end.saturating_duration_since(now))
    }
}
