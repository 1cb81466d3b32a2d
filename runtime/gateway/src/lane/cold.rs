//! What a cold start took, phase by phase.

use std::time::{Duration, Instant, SystemTime};

/// A cold start that is being measured, or none.
#[derive(Debug, Default)]
pub(super) struct Cold(Option<Timeline>);

/// When what happened in a cold start. The instance's own times come from its clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeline {
    began: (Instant, SystemTime),
    opened: Option<(Instant, SystemTime)>,
    /// When the instance's process started, listened and was ready, as it says.
    pub(crate) instance: Option<[SystemTime; 3]>,
    /// When the first answer began.
    pub(crate) answered: Option<Instant>,
}

/// What a cold start took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Phases {
    /// From the request to the start of a process.
    pub(crate) schedule: Duration,
    /// From there until it listened.
    pub(crate) start: Duration,
    /// From there until its model was loaded and warm.
    pub(crate) load: Duration,
    /// From there until the gateway knew.
    pub(crate) register: Duration,
    /// From there to the first byte of the first answer.
    pub(crate) first_byte: Duration,
    /// From the request to that byte.
    pub(crate) total: Duration,
}

impl Phases {
    /// Returns every phase with its name.
    pub(crate) fn all(&self) -> [(&'static str, Duration); 6] {
        [
            ("schedule", self.schedule),
            ("start", self.start),
            ("load", self.load),
            ("register", self.register),
            ("first_byte", self.first_byte),
            ("total", self.total),
        ]
    }
}

impl Cold {
    /// Begins one, unless one is on its way: a request found no instance.
    pub(super) fn begin(&mut self, now: Instant) {
        let began = || Timeline { began: (now, SystemTime::now()), opened: None, instance: None, answered: None };
        self.0.get_or_insert_with(began);
    }

    /// Notes that an instance takes requests.
    pub(super) fn opened(&mut self, now: Instant) {
        if let Some(timeline) = &mut self.0 {
            timeline.opened.get_or_insert((now, SystemTime::now()));
        }
    }

    /// Notes more of it; returns the phases and forgets it when it is complete.
    pub(super) fn note(&mut self, note: impl FnOnce(&mut Timeline)) -> Option<Phases> {
        let timeline = self.0.as_mut()?;
        note(timeline);
        let phases = timeline.phases()?;
        self.0 = None;
        Some(phases)
    }

    pub(super) fn is_running(&self) -> bool {
        self.0.is_some()
    }
}

impl Timeline {
    fn phases(&self) -> Option<Phases> {
        let (opened, opened_at) = self.opened?;
        let ([started, listened, ready], answered) = (self.instance?, self.answered?);
        let (began, began_at) = self.began;
        // Clocks of two machines differ: what would be negative is nothing.
        let between = |a: SystemTime, b: SystemTime| b.duration_since(a).unwrap_or_default();
        Some(Phases {
            schedule: between(began_at, started),
            start: between(started, listened),
            load: between(listened, ready),
            register: between(ready, opened_at),
            first_byte: answered.saturating_duration_since(opened),
            total: answered.saturating_duration_since(began),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cold_start_is_complete_when_all_has_been_noted() {
        let (mut cold, now, ms) = (Cold::default(), Instant::now(), Duration::from_millis);
        assert!(cold.note(|_| panic!("there is none")).is_none());
        cold.begin(now);
        let wall = SystemTime::now();
        cold.begin(now + ms(9_000));
        cold.opened(now + ms(500));
        assert!(cold.note(|t| t.instance = Some([wall + ms(100), wall + ms(110), wall + ms(400)])).is_none());
        let phases = cold.note(|t| t.answered = Some(now + ms(503))).unwrap();
        assert_eq!((phases.load, phases.first_byte, phases.total), (ms(290), ms(3), ms(503)));
        assert!((ms(100)..ms(200)).contains(&phases.schedule) && phases.start == ms(10));
        assert!(!cold.is_running());
    }
}
