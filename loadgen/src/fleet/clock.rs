//! How a worker's clock stands to the master's. Pure: no clock, no socket.

use std::collections::VecDeque;

/// Answers that are looked at: the quickest of them is believed.
const KEPT: usize = 30;

/// What is known of a worker's clock.
#[derive(Debug, Clone, Default)]
pub(super) struct Clock {
    answers: VecDeque<Answer>,
}

/// An answer to the question what a clock says, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// How long it took.
    pub(super) round_trip_us: i64,
    /// How far the worker's clock was before the master's.
    pub(super) ahead_us: i64,
    /// The same of their system clocks.
    pub(super) unix_ahead_us: i64,
}

/// What clocks said at one moment: microseconds from a process's beginning, and since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) clock_us: i64,
    pub(super) unix_us: i64,
}

impl Clock {
    /// Notes that a worker said `said` to a question that left at `asked`, and whose answer came at `heard`.
    pub(super) fn note(&mut self, asked: Moment, said: Moment, heard: Moment) {
        // What the way there took is not known; half of both is wrong by half of the round trip at most.
        let half = |from: i64, to: i64| from.saturating_add(to.saturating_sub(from) / 2);
        self.answers.push_back(Answer {
            round_trip_us: heard.clock_us.saturating_sub(asked.clock_us),
            ahead_us: said.clock_us.saturating_sub(half(asked.clock_us, heard.clock_us)),
            unix_ahead_us: said.unix_us.saturating_sub(half(asked.unix_us, heard.unix_us)),
        });
        if self.answers.len() > KEPT {
            self.answers.pop_front();
        }
    }

    /// Returns the answer that is wrong by the least.
    pub(super) fn best(&self) -> Option<Answer> {
        self.answers.iter().copied().min_by_key(|answer| answer.round_trip_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickest_answer_is_believed() {
        let at = |clock_us| Moment { clock_us, unix_us: clock_us + 1_000_000 };
        let mut clock = Clock::default();
        assert_eq!(clock.best(), None);
        // It is 500 us ahead, and the way there takes as long as the way back, once.
        clock.note(at(0), at(2_500), at(3_000));
        clock.note(at(10_000), at(10_600), at(10_200));
        let best = Answer { round_trip_us: 200, ahead_us: 500, unix_ahead_us: 500 };
        assert_eq!(clock.best(), Some(best));
        for _ in 0..KEPT {
            clock.note(at(20_000), at(20_000), at(21_000));
        }
        assert_eq!(clock.best().unwrap().ahead_us, -500, "what is old is forgotten, as clocks drift");
    }
}
