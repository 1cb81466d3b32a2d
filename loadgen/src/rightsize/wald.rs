//! How many trials a verdict needs: Wald's sequential probability ratio test (A. Wald, Sequential Tests of
//! Statistical Hypotheses, Annals of Mathematical Statistics 16, 1945).
//!
//! A good candidate holds in at least nine trials of ten, a bad one in at most every second. Each trial moves the
//! logarithm of the ratio of both likelihoods; beyond a bound, which the error that is allowed sets, it is decided.
//! With 90 % confidence four trials that all hold make a candidate good, and two that break make it bad.

/// The share of trials in which a good candidate holds, at least.
pub const GOOD: f64 = 0.9;
/// The share of trials in which a bad candidate holds, at most.
pub const BAD: f64 = 0.5;
/// Trials after which a candidate that is still open holds only sometimes: it is bad.
const TRIALS_MAX: u32 = 9;

/// Decides by trials.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wald {
    confidence: f64,
}

/// What the trials of one candidate have shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// Trials that held.
    pub held: u32,
    /// Trials that broke.
    pub broken: u32,
    /// Trials that ended for want of memory: one of them decides, for a kill is no noise.
    pub out_of_memory: u32,
    /// Trials that count for nothing.
    pub invalid: u32,
    /// The most memory that an instance took in a trial that held, MiB.
    pub peak_mib: Option<f64>,
}

/// What is known of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Untried,
    /// It holds.
    Good,
    /// More speaks for it than against it.
    LeansGood,
    /// More speaks against it than for it.
    LeansBad,
    /// It does not hold, or only sometimes.
    Bad,
}

impl Default for Wald {
    /// 90 %.
    fn default() -> Self {
        Self { confidence: 0.9 }
    }
}

impl Wald {
    /// Decides such that at most `1 - confidence` of all decisions are wrong; between 0.6 and 0.999.
    #[must_use]
    pub fn new(confidence: f64) -> Self {
        Self { confidence: confidence.clamp(0.6, 0.999) }
    }

    /// Returns the confidence, between 0 and 1.
    #[must_use]
    pub const fn confidence(self) -> f64 {
        self.confidence
    }

    /// Returns what is known of a candidate by its trials.
    #[must_use]
    pub fn standing(self, tally: &Tally) -> Standing {
        if tally.out_of_memory > 0 {
            return Standing::Bad;
        }
        let n = tally.held + tally.broken;
        if n == 0 {
            return Standing::Untried;
        }
        let score =
            f64::from(tally.held) * (GOOD / BAD).ln() + f64::from(tally.broken) * ((1.0 - GOOD) / (1.0 - BAD)).ln();
        let bound = (self.confidence / (1.0 - self.confidence)).ln();
        match score {
            score if score >= bound => Standing::Good,
            score if score <= -bound || n >= TRIALS_MAX => Standing::Bad,
            score if score > 0.0 => Standing::LeansGood,
            _ => Standing::LeansBad,
        }
    }
}

impl Standing {
    /// Returns whether more speaks for the candidate than against it.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Good | Self::LeansGood)
    }

    /// Returns whether more speaks against the candidate than for it.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Bad | Self::LeansBad)
    }
}

#[cfg(test)]
mod tests {
    use super::{Standing, Tally, Wald};

    fn standing(confidence: f64, held: u32, broken: u32) -> Standing {
        Wald::new(confidence).standing(&Tally { held, broken, ..Tally::default() })
    }

    #[test]
    fn four_that_hold_are_good_and_two_that_break_are_bad() {
        let usual = |held, broken| standing(0.9, held, broken);
        assert_eq!(
            (usual(0, 0), usual(1, 0), usual(3, 0)),
            (Standing::Untried, Standing::LeansGood, Standing::LeansGood)
        );
        assert_eq!((usual(4, 0), usual(0, 1), usual(0, 2)), (Standing::Good, Standing::LeansBad, Standing::Bad));
        assert_eq!((standing(0.75, 2, 0), standing(0.75, 0, 1)), (Standing::Good, Standing::Bad));
        assert_eq!((standing(0.95, 5, 0), standing(0.95, 6, 0)), (Standing::LeansGood, Standing::Good));
    }

    #[test]
    fn what_holds_only_sometimes_is_not_good() {
        assert_eq!(standing(0.9, 1, 1), Standing::LeansBad);
        assert_eq!(standing(0.9, 3, 1), Standing::LeansGood);
        assert_eq!(standing(0.9, 7, 1), Standing::Good);
        assert_eq!(standing(0.9, 7, 2), Standing::Bad);
        for held in 0..7 {
            assert_eq!(standing(0.9, held, 9 - held), Standing::Bad);
        }
        let killed = Tally { held: 20, out_of_memory: 1, ..Tally::default() };
        assert_eq!(Wald::default().standing(&killed), Standing::Bad);
    }
}
