//! Which values are tried: preferred numbers, whose steps are equal in proportion.
//!
//! They are Renard's series of ISO 3. A step of R20 is 12 %, of R10 25 % and of R40 6 %; ten, twenty or forty steps are
//! a factor of ten, and three, six or twelve a factor of two. An equal step in CPU would be too coarse for small
//! functions and too fine for large ones.

/// Renard's series R40 between 1 and 10; R20 is every second of it and R10 every fourth.
const R40: [f64; 40] = [
    1.0, 1.06, 1.12, 1.18, 1.25, 1.32, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0, 2.12, 2.24, 2.36, 2.5, 2.65, 2.8, 3.0, 3.15,
    3.35, 3.55, 3.75, 4.0, 4.25, 4.5, 4.75, 5.0, 5.3, 5.6, 6.0, 6.3, 6.7, 7.1, 7.5, 8.0, 8.5, 9.0, 9.5,
];

/// How far the values are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Grain {
    /// 25 %, R10.
    Coarse,
    /// 12 %, R20.
    #[default]
    Usual,
    /// 6 %, R40.
    Fine,
}

/// Values from the least to the most.
#[derive(Debug, Clone, PartialEq)]
pub struct Ladder {
    rungs: Vec<f64>,
    grain: Grain,
}

impl Grain {
    /// Returns how many steps are a factor of two.
    #[must_use]
    pub const fn octave(self) -> usize {
        match self {
            Self::Coarse => 3,
            Self::Usual => 6,
            Self::Fine => 12,
        }
    }

    const fn stride(self) -> usize {
        match self {
            Self::Coarse => 4,
            Self::Usual => 2,
            Self::Fine => 1,
        }
    }
}

impl Ladder {
    /// Makes the ladder of the preferred numbers from `least` to `most`, both included.
    #[must_use]
    pub fn new(least: f64, most: f64, grain: Grain) -> Self {
        Self { rungs: series(least, most, grain, |value| (value * 1e4).round() / 1e4), grain }
    }

    /// As [`Ladder::new`], of whole numbers.
    #[must_use]
    pub fn whole(least: u64, most: u64, grain: Grain) -> Self {
        Self { rungs: series(least as f64, most as f64, grain, f64::round), grain }
    }

    /// Makes the ladder of these values, such as those that a person wants to see; they are sorted.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut rungs: Vec<f64> = values.into_iter().collect();
        rungs.sort_by(f64::total_cmp);
        rungs.dedup();
        Self { rungs, grain: Grain::Usual }
    }

    /// Returns how many rungs there are: at least one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rungs.len()
    }

    /// Returns whether there is no rung.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rungs.is_empty()
    }

    /// Returns how many rungs are a factor of two.
    #[must_use]
    pub const fn octave(&self) -> usize {
        self.grain.octave()
    }

    /// Returns the value at `rung`; at the last one above it.
    #[must_use]
    pub fn at(&self, rung: usize) -> f64 {
        self.rungs.get(rung).or(self.rungs.last()).copied().unwrap_or_default()
    }

    /// Returns the first rung that is not below `value`; the last one if all are.
    #[must_use]
    pub fn up_to(&self, value: f64) -> usize {
        self.rungs.iter().position(|rung| *rung >= value).unwrap_or(self.rungs.len().saturating_sub(1))
    }

    /// Returns the rung of exactly `value`, if there is one.
    #[must_use]
    pub fn of_value(&self, value: f64) -> Option<usize> {
        self.rungs.iter().position(|rung| (*rung - value).abs() < 1e-9)
    }
}

/// Returns `least`, the preferred numbers between, and `most`, rounded.
fn series(least: f64, most: f64, grain: Grain, round: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut rungs = vec![round(least)];
    let mut decade = 10_f64.powf(least.max(1e-3).log10().floor());
    while decade <= most {
        let inside = R40.iter().step_by(grain.stride()).map(|n| round(n * decade));
        for value in inside.filter(|value| (least..=most).contains(value)) {
            if rungs.last().is_some_and(|last| value > *last) {
                rungs.push(value);
            }
        }
        decade *= 10.0;
    }
    if rungs.last().is_some_and(|last| round(most) > *last) {
        rungs.push(round(most));
    }
    rungs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Grain, Ladder};

    #[test]
    fn the_values_are_those_of_the_standard() {
        let cpu = Ladder::new(0.05, 2.0, Grain::Usual);
        assert_eq!(cpu.rungs[..8], [0.05, 0.056, 0.063, 0.071, 0.08, 0.09, 0.1, 0.112]);
        assert_eq!(cpu.rungs.last(), Some(&2.0));
        let memory = Ladder::whole(16, 70, Grain::Usual);
        assert_eq!(memory.rungs, [16.0, 18.0, 20.0, 22.0, 25.0, 28.0, 32.0, 36.0, 40.0, 45.0, 50.0, 56.0, 63.0, 70.0]);
        assert_eq!(Ladder::new(0.1, 1.0, Grain::Coarse).len(), 11);
        assert_eq!((memory.up_to(26.0), memory.up_to(1.0), memory.up_to(99.0)), (5, 0, 13));
        assert_eq!((memory.of_value(22.0), memory.of_value(23.0)), (Some(3), None));
    }

    proptest! {
        #[test]
        fn no_step_is_larger_than_it_should_be(least in 0.01..1.0, factor in 1.0..1000.0) {
            for (grain, most) in [(Grain::Coarse, 1.281), (Grain::Usual, 1.143), (Grain::Fine, 1.0715)] {
                let ladder = Ladder::new(least, least * factor, grain);
                for pair in ladder.rungs.windows(2) {
                    prop_assert!(pair[1] > pair[0] && pair[1] / pair[0] < most * 1.01, "{pair:?}");
                }
                for rung in 0..ladder.len().saturating_sub(grain.octave() + 1) {
                    let factor = ladder.at(rung + 1 + grain.octave()) / ladder.at(rung + 1);
                    prop_assert!((1.5..2.2).contains(&factor), "{factor}");
                }
            }
        }
    }
}
