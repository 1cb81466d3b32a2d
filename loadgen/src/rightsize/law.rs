//! How throughput grows with instances: the universal scalability law (N. Gunther, Guerrilla Capacity Planning, 2007).
//!
//! `X(n) = rate * n / (1 + contention * (n - 1) + crosstalk * n * (n - 1))`: instances wait for what only one can use,
//! and for each other. `n / X(n)` is linear in what has to be found, so that least squares give it directly.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The law with its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Law {
    /// What one instance does alone, requests a second.
    pub rate: f64,
    /// The share of the work in which instances wait for what only one can use: sigma.
    pub contention: f64,
    /// What instances lose by waiting for each other, for each pair of them: kappa.
    pub crosstalk: f64,
    /// How much of what was measured the law explains, at most 1.
    pub r_squared: f64,
}

impl Law {
    /// Fits it to throughputs of so many instances; nothing if there are fewer than three different numbers of them.
    #[must_use]
    pub fn fit(points: &[(f64, f64)]) -> Option<Self> {
        let points: Vec<_> = points.iter().copied().filter(|(n, x)| *n >= 1.0 && *x > 0.0).collect();
        let mut counts: Vec<f64> = points.iter().map(|(n, _)| *n).collect();
        counts.sort_by(f64::total_cmp);
        counts.dedup();
        if counts.len() < 3 {
            return None;
        }
        let columns: [fn(f64) -> f64; 3] = [|_| 1.0, |n| n - 1.0, |n| n * (n - 1.0)];
        // Neither can be negative: without the one that is, the rest is fitted anew.
        let fits = [&[0, 1, 2][..], &[0, 1], &[0, 2], &[0]].into_iter().filter_map(|used| {
            let mut found = [0.0; 3];
            for (place, value) in used.iter().zip(least_squares(&points, &columns, used)?) {
                *found.get_mut(*place)? = value;
            }
            let [unit, waits, pairs] = found;
            (unit > 0.0 && waits >= 0.0 && pairs >= 0.0).then(|| {
                let law = Self { rate: 1.0 / unit, contention: waits / unit, crosstalk: pairs / unit, r_squared: 0.0 };
                Self { r_squared: law.explains(&points), ..law }
            })
        });
        fits.max_by(|a, b| a.r_squared.total_cmp(&b.r_squared))
    }

    /// Returns the throughput of `n` instances, requests a second.
    #[must_use]
    pub fn at(&self, n: f64) -> f64 {
        self.rate * n / (1.0 + self.contention * (n - 1.0) + self.crosstalk * n * (n - 1.0))
    }

    /// Returns the number of instances beyond which throughput falls; nothing if it never does.
    #[must_use]
    pub fn most(&self) -> Option<f64> {
        (self.crosstalk > 1e-6).then(|| ((1.0 - self.contention).max(0.0) / self.crosstalk).sqrt().max(1.0))
    }

    fn explains(&self, points: &[(f64, f64)]) -> f64 {
        let mean = points.iter().map(|(_, x)| x).sum::<f64>() / points.len() as f64;
        let (mut left, mut all) = (0.0, 0.0);
        for (n, x) in points {
            left += (x - self.at(*n)).powi(2);
            all += (x - mean).powi(2);
        }
        if all > 0.0 { 1.0 - left / all } else { 1.0 }
    }
}

/// Solves the normal equations of `n / x = sum of parameter * column(n)`; each point weighs by its throughput, so that
/// errors are those of the throughput.
fn least_squares(points: &[(f64, f64)], columns: &[fn(f64) -> f64; 3], used: &[usize]) -> Option<Vec<f64>> {
    let used: Vec<_> = used.iter().filter_map(|place| columns.get(*place)).collect();
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for one in &used {
        let weighted = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
            points.iter().map(|(n, x)| (x * x / n).powi(2) * one(*n) * of(*n, *x)).sum()
        };
        let mut row: Vec<f64> = used.iter().map(|other| weighted(&|n, _| other(n))).collect();
        row.push(weighted(&|n, x| n / x));
        rows.push(row);
    }
    eliminate(rows)
}

/// Solves linear equations, the right sides at the ends of the rows, by elimination.
fn eliminate(mut rows: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let n = rows.len();
    for place in 0..n {
        let best = (place..n).max_by(|a, b| cell(&rows, *a, place).abs().total_cmp(&cell(&rows, *b, place).abs()))?;
        rows.swap(place, best);
        let lead = cell(&rows, place, place);
        if lead.abs() < 1e-30 {
            return None;
        }
        let first: Vec<f64> = rows.get(place)?.iter().map(|value| value / lead).collect();
        for (other, row) in rows.iter_mut().enumerate() {
            let factor = row.get(place).copied()?;
            for (value, part) in row.iter_mut().zip(&first).filter(|_| other != place) {
                *value -= factor * part;
            }
        }
        *rows.get_mut(place)? = first;
    }
    rows.into_iter().map(|row| row.last().copied()).collect()
}

fn cell(rows: &[Vec<f64>], row: usize, column: usize) -> f64 {
    rows.get(row).and_then(|row| row.get(column)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Law;

    fn law(rate: f64, contention: f64, crosstalk: f64) -> Law {
        Law { rate, contention, crosstalk, r_squared: 1.0 }
    }

    fn near(found: f64, wanted: f64) -> bool {
        (found - wanted).abs() <= 1e-6 + 1e-4 * wanted.abs()
    }

    proptest! {
        #[test]
        fn what_follows_the_law_is_found(rate in 1.0..10_000.0, contention in 0.0..0.9, crosstalk in 0.0..0.2) {
            let true_law = law(rate, contention, crosstalk);
            let points: Vec<_> = [1.0, 2.0, 3.0, 5.0, 8.0].map(|n| (n, true_law.at(n))).into();
            let found = Law::fit(&points).unwrap();
            prop_assert!(near(found.rate, rate) && near(found.contention, contention), "{:?}", found);
            prop_assert!(near(found.crosstalk, crosstalk) && found.r_squared > 0.999, "{:?}", found);
        }
    }

    #[test]
    fn what_is_better_than_the_law_allows_is_linear_and_too_little_is_nothing() {
        let found = Law::fit(&[(1.0, 100.0), (2.0, 210.0), (3.0, 330.0)]).unwrap();
        assert_eq!((found.contention, found.crosstalk, found.most()), (0.0, 0.0, None));
        assert!(found.rate > 100.0, "{found:?}");
        assert_eq!(Law::fit(&[(1.0, 100.0), (2.0, 200.0), (2.0, 190.0)]), None);
        let falls = law(100.0, 0.1, 0.1);
        let most = falls.most().unwrap();
        assert!(near(most, 3.0) && falls.at(3.0) > falls.at(2.0) && falls.at(3.0) > falls.at(5.0));
    }
}
