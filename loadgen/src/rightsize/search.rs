//! The search over CPU, memory and count.
//!
//! For each count first CPU, with all the memory that is allowed; then memory, with that CPU, from what instances
//! took at most: the last step down is one in which the kernel kills them. A further count is only tried with less
//! than the best so far costs, so that one that cannot win ends with its first trials.

use std::collections::BTreeMap;

use super::axis::{Axis, Next, Why};
use super::ladder::Ladder;
use super::wald::{Standing, Tally, Wald};
use super::{Candidate, Cost, Verdict};

/// Invalid trials of a candidate, without one that counts between them, after which the search gives up.
const INVALID_MAX: u32 = 3;
/// Trials that are looked ahead.
const AHEAD_MAX: usize = 200;

/// What may be tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    /// CPU of one instance, cores.
    pub cpu: Ladder,
    /// Memory of one instance, MiB.
    pub memory: Ladder,
    /// How many instances, in the order in which they are tried.
    pub counts: Vec<u32>,
    /// The CPU that is tried first.
    pub start_cpu: f64,
    /// Whether the answer is thought to be near it: then the first steps are short.
    pub is_guess: bool,
}

/// What is known, and by it what to try next.
#[derive(Debug, Clone)]
pub struct Search {
    space: Space,
    cost: Cost,
    wald: Wald,
    seen: BTreeMap<Place, Tally>,
    /// Why the last trial did not count.
    invalid: String,
}

/// A rung of CPU, a rung of memory, a count.
type Place = (usize, usize, u32);

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Try this, and why.
    Try(Candidate, String),
    /// Nothing is left to try; the least that holds, if anything does.
    Done(Option<Candidate>),
    /// The machine does not let this be measured, and why.
    Stuck(Candidate, String),
}

/// The best so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Trials in which it held.
    pub held: u32,
    /// All its trials that count.
    pub trials: u32,
    /// Whether that is enough for the confidence that was asked for.
    pub is_sure: bool,
}

impl Search {
    /// Begins with no trials.
    #[must_use]
    pub fn new(space: Space, cost: Cost, wald: Wald) -> Self {
        Self { space, cost, wald, seen: BTreeMap::new(), invalid: String::new() }
    }

    /// Notes a trial, in which an instance took at most `peak_mib` of memory. One of a size that is not in the space
    /// counts for nothing.
    pub fn tell(&mut self, candidate: &Candidate, verdict: &Verdict, peak_mib: Option<f64>) {
        let memory = self.space.memory.of_value(candidate.memory_mib as f64);
        let (Some(cpu), Some(memory)) = (self.space.cpu.of_value(candidate.cpu_cores), memory) else { return };
        let tally = self.seen.entry((cpu, memory, candidate.count)).or_default();
        match verdict {
            Verdict::Held => {
                tally.held += 1;
                tally.peak_mib = [tally.peak_mib, peak_mib].into_iter().flatten().reduce(f64::max);
            }
            Verdict::Broken(_) => tally.broken += 1,
            Verdict::OutOfMemory(_) => tally.out_of_memory += 1,
            Verdict::Invalid(why) => {
                self.invalid.clone_from(why);
                tally.invalid += 1;
                return;
            }
        }
        tally.invalid = 0;
    }

    /// Returns what to do next.
    #[must_use]
    pub fn next(&self) -> Step {
        let mut best: Option<Candidate> = None;
        for count in &self.space.counts {
            match self.least(*count, best.as_ref()) {
                Ok(found) => best = found.or(best),
                Err((place, why)) => {
                    let candidate = self.at(place);
                    return match self.tally(place).invalid {
                        INVALID_MAX.. => Step::Stuck(candidate, self.invalid.clone()),
                        _ => Step::Try(candidate, why),
                    };
                }
            }
        }
        Step::Done(best)
    }

    /// Returns the cheapest candidate for which more speaks than against it, and how sure that is.
    #[must_use]
    pub fn best(&self) -> Option<(Candidate, Found)> {
        let good = self.seen.iter().filter(|(_, tally)| self.wald.standing(tally).is_good());
        let (place, tally) =
            good.reduce(|a, b| if self.cost.is_less(&self.at(*b.0), &self.at(*a.0)) { b } else { a })?;
        let found = Found {
            held: tally.held,
            trials: tally.held + tally.broken,
            is_sure: self.wald.standing(tally) == Standing::Good,
        };
        Some((self.at(*place), found))
    }

    /// Returns how many trials are left if nothing surprises: what is larger than something that held holds, and
    /// nothing else does.
    #[must_use]
    pub fn remaining(&self) -> usize {
        let mut ahead = self.clone();
        for n in 0..AHEAD_MAX {
            let Step::Try(candidate, _) = ahead.next() else { return n };
            let is_above = |held: &Candidate| {
                let total = |c: &Candidate| f64::from(c.count) * c.cpu_cores;
                total(held) <= total(&candidate) && held.memory_mib <= candidate.memory_mib
            };
            let holds = self
                .seen
                .iter()
                .any(|(place, tally)| self.wald.standing(tally).is_good() && is_above(&self.at(*place)));
            let verdict = if holds { Verdict::Held } else { Verdict::Broken(String::new()) };
            ahead.tell(&candidate, &verdict, None);
        }
        AHEAD_MAX
    }

    /// Returns the least size at `count` that holds and costs less than `best`, or what to try for it.
    fn least(&self, count: u32, best: Option<&Candidate>) -> Result<Option<Candidate>, (Place, String)> {
        let Space { cpu, memory, start_cpu, is_guess, .. } = &self.space;
        let (Some(full), Some(_)) = (memory.len().checked_sub(1), cpu.len().checked_sub(1)) else { return Ok(None) };
        // With the least memory, for that is found last.
        let is_cheaper = |rung: &usize| best.is_none_or(|best| self.cost.is_less(&self.at((*rung, 0, count)), best));
        let len = (0..cpu.len()).take_while(is_cheaper).count();
        let first = best.map_or_else(|| cpu.up_to(*start_cpu), |_| len.saturating_sub(1));
        let stride = if *is_guess { cpu.octave().div_ceil(3) } else { cpu.octave() };
        let axis = Axis { len, start: first, stride, octave: cpu.octave() };
        let cores = match axis.next(self.wald, &|rung| self.tally((rung, full, count))) {
            Next::Found(rung) => rung,
            Next::Nothing => return Ok(None),
            Next::Try(rung, why) => return Err(((rung, full, count), said("CPU", why, best, count))),
        };
        let peak = self.tally((cores, full, count)).peak_mib;
        let start = peak.map_or(full, |peak| memory.up_to(peak));
        let axis = Axis { len: memory.len(), start, stride: 1, octave: memory.octave() };
        match axis.next(self.wald, &|rung| self.tally((cores, rung, count))) {
            Next::Found(rung) => {
                let found = self.at((cores, rung, count));
                Ok(best.is_none_or(|best| self.cost.is_less(&found, best)).then_some(found))
            }
            Next::Nothing => Ok(None),
            Next::Try(rung, why) => Err(((cores, rung, count), said("memory", why, None, count))),
        }
    }

    fn at(&self, (cpu, memory, count): Place) -> Candidate {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole MiB, far below 2^53")]
        let memory_mib = self.space.memory.at(memory) as u64;
        Candidate { cpu_cores: self.space.cpu.at(cpu), memory_mib, count }
    }

    fn tally(&self, place: Place) -> Tally {
        self.seen.get(&place).cloned().unwrap_or_default()
    }
}

/// Says why something is tried.
fn said(what: &str, why: Why, best: Option<&Candidate>, count: u32) -> String {
    match (best, why, what) {
        (Some(best), Why::Start, _) => format!("do {count} instances do with less than {best}?"),
        (_, Why::Start, "memory") => "memory: what instances took at most".into(),
        _ => format!("{what}: {}", why.words()),
    }
}

#[cfg(test)]
mod tests;
