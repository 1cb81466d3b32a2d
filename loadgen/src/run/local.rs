//! The load of this process: its threads, and what it needs itself.

use std::time::{Duration, Instant};

use super::Run;
use super::second::{Second, Seconds};
use crate::control::Control;
use crate::drive::{Course, Drive, Error};
use crate::report::{Usage, WorkerReport};
use crate::stats::{Meter, Snapshot};

/// The threads of this process, second by second.
#[derive(Debug)]
pub(crate) struct Local {
    /// Nothing once all threads have ended.
    drive: Option<Drive>,
    seconds: Seconds,
    meter: Meter,
    n_tasks: usize,
    n_lost: usize,
}

/// What those who put load on say of themselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    /// Their needs.
    pub(crate) usage: Usage,
    /// Their CPU in the last second, percent of one core.
    pub(crate) cpu_percent: f64,
    /// Why their figures must not be believed.
    pub(crate) invalid: Vec<String>,
    /// Each of a fleet.
    pub(crate) workers: Vec<WorkerReport>,
}

impl Local {
    /// Begins; the moments of `course` count from `began`.
    pub(crate) fn start(run: &Run, began: Instant, course: Course) -> Result<Self, Error> {
        let drive = Drive::start(&run.work, &run.target, &run.plan, &run.settings, began, course)?;
        let n_threads = drive.threads();
        Ok(Self {
            drive: Some(drive),
            seconds: Seconds::new(began, 0..n_threads),
            meter: Meter::new(n_threads),
            n_tasks: run.work.tasks().len(),
            n_lost: 0,
        })
    }

    /// Waits for the next second, and says what the process needed in it; nothing after the end. Cancel safe.
    pub(crate) async fn second(&mut self) -> Option<(Second, Standing)> {
        let second = loop {
            if let Some(second) = self.seconds.next() {
                break second;
            }
            let told = match &mut self.drive {
                Some(drive) => drive.second().await,
                None => None,
            };
            match told {
                Some(told) => self.seconds.add(told.thread, told.number, &told.seen),
                None if self.drive.is_some() => {
                    // A thread that was lost tells nothing any more.
                    self.seconds.end();
                    self.seconds.add(0, None, &Snapshot::new(self.n_tasks));
                    self.n_lost += self.drive.take().map_or(0, Drive::join);
                }
                None => break self.seconds.rest()?,
            }
        };
        let cpu_percent = self.meter.lap();
        let mut invalid: Vec<_> = self.meter.invalid().into_iter().collect();
        if self.n_lost > 0 {
            invalid.push(format!("{} threads of the generator were lost: see its errors above", self.n_lost));
        }
        Some((second, Standing { usage: self.meter.usage(), cpu_percent, invalid, workers: Vec::new() }))
    }

    /// Returns the users or requests a second that are aimed at now, whether they are on their way to others,
    /// and what is left of the run.
    pub(crate) fn stands(&self) -> (f64, bool, Option<Duration>) {
        self.drive.as_ref().map_or((0.0, false, Some(Duration::ZERO)), Drive::stands)
    }

    /// Follows a person's wish.
    pub(crate) fn follow(&self, control: Control) {
        if let Some(drive) = &self.drive {
            drive.follow(control);
        }
    }

    /// Follows another course.
    pub(crate) fn steer(&self, course: Course) {
        if let Some(drive) = &self.drive {
            drive.steer(course);
        }
    }
}
