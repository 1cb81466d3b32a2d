//! Puts together what several, threads or workers, saw in the same second.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::stats::Snapshot;

/// A second of a run, as all have seen it.
#[derive(Debug)]
pub(crate) struct Second {
    /// What was seen.
    pub(crate) seen: Snapshot,
    /// Which second it was, from 0; nothing for what was seen after the last whole one.
    pub(crate) number: Option<u64>,
    /// How long it took.
    pub(crate) took: Duration,
}

/// Seconds that some have told of.
#[derive(Debug)]
pub(crate) struct Seconds {
    began: Instant,
    /// Who goes on, each with the second that it is to tell of next.
    going: BTreeMap<usize, u64>,
    open: BTreeMap<u64, Snapshot>,
    /// What some saw after their last whole second.
    rest: Option<Snapshot>,
    n_whole: u64,
}

impl Seconds {
    /// Waits for those in `who`, of a run that began at `began`.
    pub(crate) fn new(began: Instant, who: impl IntoIterator<Item = usize>) -> Self {
        let going = who.into_iter().map(|one| (one, 0)).collect();
        Self { began, going, open: BTreeMap::new(), rest: None, n_whole: 0 }
    }

    /// Waits for one more from now on.
    pub(crate) fn join(&mut self, who: usize) {
        self.going.insert(who, self.n_whole);
    }

    /// Waits for one of them no longer.
    pub(crate) fn leave(&mut self, who: usize) {
        self.going.remove(&who);
    }

    /// Waits for nobody any longer.
    pub(crate) fn end(&mut self) {
        self.going.clear();
    }

    /// Whether nobody is waited for.
    pub(crate) fn are_over(&self) -> bool {
        self.going.is_empty()
    }

    /// Adds what one of them saw in a second, or at its end.
    pub(crate) fn add(&mut self, who: usize, number: Option<u64>, seen: &Snapshot) {
        let Some(number) = number else {
            self.going.remove(&who);
            return self.rest.get_or_insert_with(|| nothing(seen)).add(seen);
        };
        if let Some(next) = self.going.get_mut(&who) {
            *next = number.saturating_add(1);
        }
        // What comes too late for its second is not lost.
        let number = number.max(self.n_whole);
        self.open.entry(number).or_insert_with(|| nothing(seen)).add(seen);
    }

    /// Returns the next second that all who go on have told of.
    pub(crate) fn next(&mut self) -> Option<Second> {
        let number = *self.open.first_key_value()?.0;
        if self.going.values().any(|next| *next <= number) {
            return None;
        }
        let (_, seen) = self.open.pop_first()?;
        let whole = number.saturating_add(1);
        let took = Duration::from_secs(whole.saturating_sub(self.n_whole));
        self.n_whole = whole;
        Some(Second { seen, number: Some(number), took })
    }

    /// Returns once what is left at the end.
    pub(crate) fn rest(&mut self) -> Option<Second> {
        let seen = self.rest.take()?;
        let took = self.began.elapsed().saturating_sub(Duration::from_secs(self.n_whole));
        Some(Second { seen, number: None, took })
    }
}

fn nothing(like: &Snapshot) -> Snapshot {
    Snapshot::new(like.tasks.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(sent: u64) -> Snapshot {
        Snapshot { sent, ..Snapshot::new(1) }
    }

    #[test]
    fn a_second_is_whole_when_all_have_told_of_it() {
        let mut seconds = Seconds::new(Instant::now(), [0, 1]);
        seconds.add(0, Some(0), &seen(1));
        seconds.add(0, Some(1), &seen(2));
        assert!(seconds.next().is_none());
        seconds.add(1, Some(0), &seen(10));
        let first = seconds.next().unwrap();
        assert_eq!((first.number, first.seen.sent, first.took), (Some(0), 11, Duration::from_secs(1)));
        // One comes, one goes: neither holds the others up.
        seconds.join(2);
        seconds.leave(1);
        assert!(seconds.next().is_none());
        seconds.add(2, Some(1), &seen(100));
        assert_eq!(seconds.next().unwrap().seen.sent, 102);
        // What comes late counts in the next one.
        seconds.add(1, Some(1), &seen(20));
        seconds.add(0, None, &seen(3));
        assert!(seconds.next().is_none() && !seconds.are_over());
        seconds.add(2, None, &seen(200));
        assert!(seconds.are_over());
        assert_eq!(seconds.next().unwrap().seen.sent, 20);
        assert_eq!(seconds.rest().unwrap().seen.sent, 203);
        assert!(seconds.rest().is_none());
    }
}
