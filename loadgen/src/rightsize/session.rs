//! Makes the trials that a question needs, or finds them in the store.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::axis::{Axis, Next};
use super::ladder::Ladder;
use super::store::{Question, Store};
use super::trial::{Offer, Setup, Trial};
use super::wald::{Tally, Wald};
use super::{Candidate, Capacity, Error, Search, Step, Verdict};

/// What a trial takes besides its run: new instances, and answers that are waited for.
const BESIDE: Duration = Duration::from_secs(6);
/// Invalid trials in a row after which the machine is taken for unable.
const INVALID_MAX: u32 = 3;

/// Makes trials and keeps them.
pub struct Session<'a> {
    setup: Setup<'a>,
    store: &'a Store,
    question: Question,
    /// Stored trials that have not been looked at yet.
    stored: Vec<Trial>,
    trials: Vec<Trial>,
    n_reused: usize,
    ends: Option<Instant>,
    tell: &'a (dyn Fn(&Progress<'_>) + Sync),
}

/// What happens.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A trial begins.
    Tries {
        /// The size.
        candidate: Candidate,
        /// The load.
        offer: Offer,
        /// Why.
        because: &'a str,
        /// Trials that are left with this one, if nothing surprises.
        n_left: usize,
        /// How long they take.
        left: Duration,
        /// The best so far.
        best: Option<Candidate>,
    },
    /// A trial has ended, or is found in the store.
    Shown {
        /// The trial.
        trial: &'a Trial,
        /// Whether it was made before.
        is_reused: bool,
    },
}

/// What is left to do.
#[derive(Debug, Clone, Copy, Default)]
struct Left {
    n: usize,
    best: Option<Candidate>,
}

impl<'a> Session<'a> {
    /// Begins with what the store has of this question, unless that is not wanted. Ends after `max_time`, if there is
    /// one, with what is known then.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn new(
        setup: Setup<'a>,
        store: &'a Store,
        question: Question,
        uses_stored: bool,
        max_time: Option<Duration>,
        tell: &'a (dyn Fn(&Progress<'_>) + Sync),
    ) -> Result<Self, Error> {
        let stored = if uses_stored { store.trials(&question)? } else { Vec::new() };
        let ends = max_time.map(|time| Instant::now() + time);
        Ok(Self { setup, store, question, stored, trials: Vec::new(), n_reused: 0, ends, tell })
    }

    /// Returns all trials so far, in the order in which they were looked at.
    #[must_use]
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Returns how many of them were made before.
    #[must_use]
    pub fn n_reused(&self) -> usize {
        self.n_reused
    }

    /// Searches to the end; returns why it ended before, if it did.
    ///
    /// # Errors
    /// As [`Setup::trial`].
    pub async fn search(&mut self, search: &mut Search, offer: Offer) -> Result<Option<String>, Error> {
        loop {
            let (candidate, because) = match search.next() {
                Step::Try(candidate, because) => (candidate, because),
                Step::Done(_) => return Ok(None),
                Step::Stuck(candidate, why) => return Ok(Some(format!("{candidate} cannot be measured here: {why}"))),
            };
            let left = Left { n: search.remaining(), best: search.best().map(|(best, _)| best) };
            match self.shown(candidate, offer, &because, left).await? {
                Some(trial) => search.tell(&candidate, &trial.verdict, trial.peak_mib),
                None => return Ok(Some("--max-time is over".into())),
            }
        }
    }

    /// Finds the most of a load that `size` holds, from `start` on; returns why it ended before, if it did.
    ///
    /// # Errors
    /// As [`Setup::trial`].
    pub async fn most(
        &mut self,
        size: Candidate,
        loads: &Ladder,
        start: f64,
        offer: impl Fn(f64) -> Offer,
        wald: Wald,
    ) -> Result<Option<String>, Error> {
        // A smaller load is what a larger size is elsewhere: the rungs are counted from the top.
        let top = loads.len().saturating_sub(1);
        let axis =
            Axis { len: loads.len(), start: top - loads.up_to(start), stride: loads.octave(), octave: loads.octave() };
        let mut seen = BTreeMap::<usize, Tally>::new();
        let mut n_invalid = 0;
        loop {
            let next = axis.next(wald, &|rung| seen.get(&rung).cloned().unwrap_or_default());
            let (rung, because) = match next {
                Next::Try(rung, why) => (rung, format!("load: {}", why.words())),
                Next::Found(_) | Next::Nothing => return Ok(None),
            };
            let asked = offer(loads.at(top - rung));
            let Some(trial) = self.shown(size, asked, &because, Left { n: 1, best: None }).await? else {
                return Ok(Some("--max-time is over".into()));
            };
            let tally = seen.entry(rung).or_default();
            n_invalid = if matches!(trial.verdict, Verdict::Invalid(_)) { n_invalid + 1 } else { 0 };
            match &trial.verdict {
                Verdict::Held => tally.held += 1,
                Verdict::Broken(_) => tally.broken += 1,
                Verdict::OutOfMemory(_) => tally.out_of_memory += 1,
                Verdict::Invalid(why) if n_invalid >= INVALID_MAX => {
                    return Ok(Some(format!("{} cannot be measured here: {why}", asked.words())));
                }
                Verdict::Invalid(_) => {}
            }
        }
    }

    /// Returns the most of a load that `size` has held so far.
    #[must_use]
    pub fn held_most(&self, size: Candidate, wald: Wald) -> Option<Capacity> {
        let of = |offer: Offer| {
            let tried = || self.trials.iter().filter(move |trial| trial.candidate == size && trial.offer == offer);
            let n =
                |word| u32::try_from(tried().filter(|trial| trial.verdict.word() == word).count()).unwrap_or(u32::MAX);
            let (held, broken, out_of_memory) = (n("held"), n("broken"), n("out of memory"));
            let tally = Tally { held, broken, out_of_memory, ..Tally::default() };
            let rates = tried().filter(|trial| trial.verdict == Verdict::Held).map(|trial| trial.rps);
            let rps = rates.fold(f64::INFINITY, f64::min);
            let capacity = Capacity { size, offer, rps, held, trials: held + broken };
            wald.standing(&tally).is_good().then_some(capacity)
        };
        let all = self.trials.iter().filter_map(|trial| of(trial.offer));
        all.max_by(|a, b| a.offer.amount().total_cmp(&b.offer.amount()))
    }

    /// Tries each of `all`, again if a trial is invalid; returns why it ended before, if it did.
    ///
    /// # Errors
    /// As [`Setup::trial`].
    pub async fn each(&mut self, all: &[(Candidate, Offer)]) -> Result<Option<String>, Error> {
        for (place, (candidate, offer)) in all.iter().enumerate() {
            for nth in 1..=INVALID_MAX {
                let because = if nth == 1 { "asked for" } else { "again: the last trial was invalid" };
                let left = Left { n: all.len() - place, best: None };
                match self.shown(*candidate, *offer, because, left).await? {
                    Some(Trial { verdict: Verdict::Invalid(_), .. }) => {}
                    Some(_) => break,
                    None => return Ok(Some("--max-time is over".into())),
                }
            }
        }
        Ok(None)
    }

    /// Makes a trial, or takes one from the store; nothing if the time is over.
    async fn shown(
        &mut self,
        candidate: Candidate,
        offer: Offer,
        because: &str,
        left: Left,
    ) -> Result<Option<Trial>, Error> {
        let stored = self.stored.iter().position(|trial| trial.candidate == candidate && trial.offer == offer);
        let trial = match stored {
            Some(place) => {
                self.n_reused += 1;
                self.stored.remove(place)
            }
            None => {
                let one = self.setup.timing.whole() + BESIDE;
                if self.ends.is_some_and(|ends| Instant::now() + one > ends) {
                    return Ok(None);
                }
                let n = u32::try_from(left.n).unwrap_or(u32::MAX);
                let left =
                    Progress::Tries { candidate, offer, because, n_left: left.n, left: one * n, best: left.best };
                (self.tell)(&left);
                let trial = self.setup.trial(candidate, offer, because).await?;
                self.store.keep(&self.question, &trial)?;
                trial
            }
        };
        (self.tell)(&Progress::Shown { trial: &trial, is_reused: stored.is_some() });
        self.trials.push(trial.clone());
        Ok(Some(trial))
    }
}
