//! How far what an instance sees has moved away from what its model was trained on: the population stability index of
//! each field of the input, and of the predicted classes, against the profile in the model's card.
//!
//! The index of two ways to spread over the same bins, with shares a and e, is the sum of (a - e) ln(a / e). As a rule
//! of thumb, below 0.1 little has changed, and above 0.25 much has (Siddiqi N, *Credit Risk Scorecards*, Wiley 2006).
//! Nothing of a request is stored but the bins that it falls into.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::Card;

/// Fewer rows say nothing. Of two ways that are the same, b bins and n rows show an index of (b - 1) / n on average:
/// with so many rows it is below 0.05.
const ROWS_MIN: u64 = 200;
const ROWS_OF_BIN: u64 = 20;
/// At so many rows all counts are halved: the index is that of the last few thousand rows.
const ROWS_MAX: u64 = 4096;
/// The time between two requests whose inputs are looked at: a second look at each would slow down all.
const LOOK_EVERY_MS: u64 = 10;
/// The largest body that is looked at, and its rows.
const LOOK_MAX_BYTES: usize = 64 * 1024;
const LOOK_MAX_ROWS: usize = 16;
/// The least share of a bin: of one that is empty, the index would be infinite.
const SHARE_MIN: f64 = 1e-4;

/// How one field was spread over the training data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldProfile {
    /// The field of the request.
    pub name: String,
    /// The largest value of each bin but the last, ascending; of a text, its length in characters.
    #[serde(default)]
    pub edges: Vec<f64>,
    /// The value of each bin but the last, which is for all others; instead of `edges`.
    #[serde(default)]
    pub values: Vec<String>,
    /// The share of the rows in each bin, from 0 to 1.
    pub shares: Vec<f64>,
}

/// What is seen, beside what was seen in training.
#[derive(Debug)]
pub(crate) struct Drift {
    born: Instant,
    looked_ms: AtomicU64,
    fields: Vec<FieldProfile>,
    /// The counts of the bins of each field.
    inputs: Mutex<Vec<Vec<u64>>>,
    /// The expected share of each class, and how often it was predicted.
    classes: Vec<(f64, AtomicU64)>,
}

/// What the index is about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Index {
    /// `input` or `prediction`.
    pub(crate) of: &'static str,
    pub(crate) field: String,
    pub(crate) psi: f64,
}

impl FieldProfile {
    /// Says what is wrong with it, if anything is.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (n_edges, n_values) = (self.edges.len(), self.values.len());
        if (n_edges == 0) == (n_values == 0) {
            return Err(format!("field `{}` must have either edges or values", self.name));
        }
        if self.shares.len() != n_edges + n_values + 1 {
            let (n, wanted) = (self.shares.len(), n_edges + n_values + 1);
            return Err(format!("field `{}` has {n} shares, its bins are {wanted}", self.name));
        }
        if !self.edges.is_sorted() || self.shares.iter().any(|share| !(0.0..=1.0).contains(share)) {
            return Err(format!("field `{}` must have ascending edges, and shares from 0 to 1", self.name));
        }
        Ok(())
    }

    /// Returns the bin of a value; nothing if it has none.
    fn bin(&self, value: &Value) -> Option<usize> {
        if !self.edges.is_empty() {
            let number = match value {
                Value::String(text) => text.chars().count() as f64,
                other => other.as_f64()?,
            };
            return Some(self.edges.partition_point(|edge| *edge < number));
        }
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => return None,
        };
        Some(self.values.iter().position(|known| *known == text).unwrap_or(self.values.len()))
    }
}

impl Drift {
    /// Begins to compare with what the card says.
    pub(crate) fn new(card: &Card) -> Self {
        let share = |label: &String| (card.profile.get(label).copied().unwrap_or_default(), AtomicU64::new(0));
        let is_known = card.labels.iter().any(|label| card.profile.contains_key(label));
        Self {
            born: Instant::now(),
            looked_ms: AtomicU64::new(0),
            inputs: Mutex::new(card.fields.iter().map(|field| vec![0; field.shares.len()]).collect()),
            fields: card.fields.clone(),
            classes: if is_known { card.labels.iter().map(share).collect() } else { Vec::new() },
        }
    }

    /// Looks at a valid request, if none was looked at for a moment.
    pub(crate) fn input(&self, body: &[u8]) {
        if self.fields.is_empty() || body.len() > LOOK_MAX_BYTES {
            return;
        }
        let now_ms = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        let looked_ms = self.looked_ms.load(Ordering::Relaxed);
        if now_ms < looked_ms + LOOK_EVERY_MS {
            return;
        }
        // Another thread looks at its own request at this moment.
        if self.looked_ms.compare_exchange(looked_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        match serde_json::from_slice(body) {
            Ok(Value::Array(rows)) => rows.iter().take(LOOK_MAX_ROWS).for_each(|row| self.row(row)),
            Ok(row) => self.row(&row),
            Err(_) => {}
        }
    }

    fn row(&self, row: &Value) {
        let mut inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        for (field, counts) in self.fields.iter().zip(inputs.iter_mut()) {
            let bin = row.get(&field.name).and_then(|value| field.bin(value));
            if let Some(count) = bin.and_then(|bin| counts.get_mut(bin)) {
                *count += 1;
            }
            if counts.iter().sum::<u64>() >= ROWS_MAX {
                counts.iter_mut().for_each(|count| *count /= 2);
            }
        }
    }

    /// Counts a prediction by the place of its class.
    pub(crate) fn prediction(&self, class: usize) {
        if let Some((_, count)) = self.classes.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Forgets half of the predictions when there are many; to be called now and then.
    pub(crate) fn age(&self) {
        while self.classes.iter().map(|(_, count)| count.load(Ordering::Relaxed)).sum::<u64>() >= ROWS_MAX {
            for (_, count) in &self.classes {
                count.fetch_sub(count.load(Ordering::Relaxed).div_ceil(2), Ordering::Relaxed);
            }
        }
    }

    /// Returns the index of whatever enough rows were seen of.
    pub(crate) fn indices(&self) -> Vec<Index> {
        let inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        let fields = self.fields.iter().zip(inputs.iter()).filter_map(|(field, counts)| {
            let psi = psi(field.shares.iter().copied(), counts)?;
            Some(Index { of: "input", field: field.name.clone(), psi })
        });
        let counts: Vec<_> = self.classes.iter().map(|(_, count)| count.load(Ordering::Relaxed)).collect();
        let classes = psi(self.classes.iter().map(|(share, _)| *share), &counts);
        let classes = classes.map(|psi| Index { of: "prediction", field: "prediction".into(), psi });
        fields.chain(classes).collect()
    }
}

/// Returns the population stability index of `counts` against `expected` shares; nothing of too few rows.
fn psi(expected: impl Iterator<Item = f64>, counts: &[u64]) -> Option<f64> {
    let rows: u64 = counts.iter().sum();
    if rows < ROWS_MIN.max(ROWS_OF_BIN * counts.len() as u64) {
        return None;
    }
    let term = |(expected, count): (f64, &u64)| {
        let (a, e) = ((*count as f64 / rows as f64).max(SHARE_MIN), expected.max(SHARE_MIN));
        (a - e) * (a / e).ln()
    };
    Some(expected.zip(counts).map(term).sum())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(edges: &[f64], values: &[&str], shares: &[f64]) -> FieldProfile {
        let values = values.iter().map(|&value| value.into()).collect();
        FieldProfile { name: "x".into(), edges: edges.into(), values, shares: shares.into() }
    }

    #[test]
    fn a_value_falls_into_one_bin() {
        let number = field(&[1.0, 2.0], &[], &[0.2, 0.3, 0.5]);
        for (value, bin) in [(json!(0), 0), (json!(1.0), 0), (json!(1.5), 1), (json!(9), 2), (json!("ñu"), 1)] {
            assert_eq!(number.bin(&value), Some(bin), "{value}");
        }
        assert_eq!(number.bin(&json!(null)), None);
        let text = field(&[], &["a", "true"], &[0.5, 0.5, 0.0]);
        for (value, bin) in [(json!("a"), 0), (json!(true), 1), (json!("b"), 2)] {
            assert_eq!(text.bin(&value), Some(bin), "{value}");
        }
    }

    #[test]
    fn a_profile_that_cannot_be_is_refused() {
        for wrong in [
            field(&[], &[], &[1.0]),
            field(&[1.0], &["a"], &[0.5, 0.5, 0.0]),
            field(&[1.0], &[], &[1.0]),
            field(&[2.0, 1.0], &[], &[0.2, 0.3, 0.5]),
            field(&[1.0], &[], &[0.5, 1.5]),
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
        assert_eq!(field(&[1.0], &[], &[0.5, 0.5]).check(), Ok(()));
    }

    #[test]
    fn the_index_is_that_of_the_textbook() {
        // By hand: (0.2-0.5) ln(0.4) + (0.8-0.5) ln(1.6).
        let moved = psi([0.5, 0.5].into_iter(), &[200, 800]).unwrap();
        assert!((moved - 0.415_888).abs() < 1e-6, "{moved}");
        assert!(psi([0.2, 0.8].into_iter(), &[200, 800]).unwrap().abs() < 1e-12);
        assert_eq!(psi([0.5, 0.5].into_iter(), &[99, 100]), None);
        let empty = psi([0.0, 1.0].into_iter(), &[500, 500]).unwrap();
        assert!(empty.is_finite() && empty > 0.25, "{empty}");
    }

    #[test]
    fn only_the_last_few_thousand_rows_count() {
        let card = include_str!("../../../functions/penguins/model/model.toml");
        let mut card: Card = toml::from_str(card).unwrap();
        card.fields = vec![field(&[1.0], &[], &[0.5, 0.5])];
        let drift = Drift::new(&card);
        assert_eq!(drift.indices(), []);
        for n in 0..10_000 {
            drift.row(&json!({ "x": n % 2 * 2 }));
            drift.prediction(n % 2);
            drift.age();
        }
        let indices = drift.indices();
        assert!(indices.len() == 2 && indices.iter().all(|index| index.psi < 0.02), "{indices:?}");
        for _ in 0..10_000 {
            drift.row(&json!({ "x": 2 }));
            drift.prediction(0);
            drift.age();
        }
        assert!(drift.indices().iter().all(|index| index.psi > 0.25), "{:?}", drift.indices());
        let total = |drift: &Drift| drift.inputs.lock().unwrap()[0].iter().sum::<u64>();
        assert!((ROWS_MAX / 2 - 1..ROWS_MAX).contains(&total(&drift)), "{}", total(&drift));
    }

    #[test]
    fn one_request_is_looked_at_in_a_while() {
        let card = include_str!("../../../functions/penguins/model/model.toml");
        let mut card: Card = toml::from_str(card).unwrap();
        card.fields = vec![field(&[1.0], &[], &[0.5, 0.5])];
        let drift = Drift::new(&card);
        let (started, mut n) = (Instant::now(), 0_u64);
        while started.elapsed().as_millis() < 100 {
            drift.input(br#"[{"x":0},{"x":2}]"#);
            n += 1;
        }
        let seen: u64 = drift.inputs.lock().unwrap()[0].iter().sum();
        assert!(n > 100 && (2..=22).contains(&seen), "{seen} of {n}");
    }
}
