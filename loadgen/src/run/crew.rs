//! Who puts the load on: this process, or the workers of a fleet.

use std::time::{Duration, Instant};

use super::local::{Local, Standing};
use super::second::Second;
use super::{Error, Run};
use crate::control::Control;
use crate::drive::Course;
use crate::fleet::Going;

/// So long after the call a run begins, so that all threads begin at once.
const BEGINS_AFTER: Duration = Duration::from_millis(20);

/// Who puts the load on.
#[derive(Debug)]
pub(super) enum Crew {
    Local(Instant, Local),
    Fleet(Going),
}

impl Crew {
    /// Begins, once all are there. Cancel safe.
    pub(super) async fn begin(run: &Run) -> Result<Self, Error> {
        if let Some(master) = &run.fleet {
            return Ok(Self::Fleet(master.begin(run).await?));
        }
        let began = Instant::now() + BEGINS_AFTER;
        Ok(Self::Local(began, Local::start(run, began, Course::new(&run.plan))?))
    }

    pub(super) fn began(&self) -> Instant {
        match self {
            Self::Local(began, _) => *began,
            Self::Fleet(going) => going.began(),
        }
    }

    /// As [`Local::second`].
    pub(super) async fn second(&mut self) -> Option<(Second, Standing)> {
        match self {
            Self::Local(_, local) => local.second().await,
            Self::Fleet(going) => going.second().await,
        }
    }

    /// As [`Local::stands`].
    pub(super) fn stands(&self) -> (f64, bool, Option<Duration>) {
        match self {
            Self::Local(_, local) => local.stands(),
            Self::Fleet(going) => going.stands(),
        }
    }

    /// Follows a person's wish.
    pub(super) fn follow(&mut self, control: Control) {
        match self {
            Self::Local(_, local) => local.follow(control),
            Self::Fleet(going) => going.follow(control),
        }
    }
}
