//! What is sent: [`Bodies`], made before the run begins, so that taking one costs a reference.
//!
//! - [`openapi`]: finds in an OpenAPI document what a request may look like.
//! - [`shape`]: the [`Shape`] of a value: what may be sent; drawn from, checked against, and spoilt on purpose.
//! - [`rows`]: rows of a CSV or JSONL file.

pub mod openapi;
pub(crate) mod pick;
pub mod rows;
pub mod shape;

use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;
use serde_json::{Map, Value};

pub use self::openapi::{OpenApi, SchemaError};
pub use self::rows::{Broken, Rows, RowsError};
pub use self::shape::Shape;

use self::pick::Picker;
use crate::drive::Share;

/// Bodies that are drawn from a schema in advance, at most.
const DRAWN_MAX: usize = 4096;
/// Bytes that bodies drawn from a schema take in advance, at most; at least [`DRAWN_MIN`] are made anyway.
const DRAWN_MAX_BYTES: usize = 8 << 20;
/// Bodies that are drawn from a schema in advance, at least.
const DRAWN_MIN: usize = 32;
/// Deliberately invalid bodies that are made in advance, at most.
const SPOILT_MAX: usize = 1024;

/// In which order rows are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// One after the other, by all users together, and again from the first.
    #[default]
    Sequential,
    /// Mixed once by the seed, then one after the other.
    Shuffled,
    /// Each user draws any row at any time.
    Sampled,
}

/// How bodies are made.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Making {
    /// Rows in a body, as a JSON array; a single row that is no array if nothing is given.
    pub rows: Option<usize>,
    /// The share of bodies that are deliberately invalid, 0 to 1. Default: 0.
    pub invalid: f64,
    /// Fields that have the same value in every row.
    pub set: Map<String, Value>,
    /// What all drawing begins from.
    pub seed: u64,
    /// Which of several generators this is, so that they do not all send the same rows; the only one by default.
    pub share: Share,
}

/// Bodies to be sent. All users share them.
#[derive(Debug)]
pub struct Bodies {
    valid: Vec<Bytes>,
    picker: Picker,
    invalid: f64,
    spoilt: Vec<Spoilt>,
}

/// A deliberately invalid body.
#[derive(Debug, Clone)]
struct Spoilt {
    body: Bytes,
    why: Arc<str>,
}

/// A body to be sent.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// The body.
    pub body: Bytes,
    /// What is deliberately wrong with it; nothing if it is valid.
    pub wrong: Option<Arc<str>>,
}

impl Bodies {
    /// Draws bodies from `shape`, that of one row. Each later draw is one of them at random: a sample of a few
    /// thousand stands for the whole.
    ///
    /// # Errors
    /// Fields to be set that `shape` does not have or that do not fit.
    pub fn drawn(shape: &Shape, making: &Making) -> Result<Self, String> {
        let shape = shape.with(&making.set)?;
        let mut rng = Rng::with_seed(making.seed);
        let (mut valid, mut n_bytes) = (Vec::new(), 0);
        while valid.len() < DRAWN_MAX && (n_bytes < DRAWN_MAX_BYTES || valid.len() < DRAWN_MIN) {
            let body = match making.rows {
                None => shape.draw(&mut rng),
                Some(n) => Value::Array((0..n).map(|_| shape.draw(&mut rng)).collect()),
            };
            let body = text(&body);
            n_bytes += body.len();
            valid.push(body);
        }
        // A shape with few values needs few bodies; all are kept, so that their shares stay as drawn.
        let spoilt = spoil(Some(&shape), &[], making, &mut rng);
        let picker = Picker::new(valid.len(), Order::Sampled, making.seed, making.share);
        Ok(Self { valid, picker, invalid: making.invalid, spoilt })
    }

    /// Takes bodies from the rows of a file. Without `shape`, that of one row, an invalid body is one that is
    /// not JSON.
    #[must_use]
    pub fn from_rows(rows: &Rows, order: Order, shape: Option<&Shape>, making: &Making) -> Self {
        let values: Vec<Value> = rows.values().map(|row| with(row, &making.set)).collect();
        let spoilt = spoil(shape, &values, making, &mut Rng::with_seed(making.seed));
        let valid: Vec<_> = match making.rows {
            None => values.iter().map(text).collect(),
            Some(n) => values.chunks(n.max(1)).map(|rows| text(&Value::Array(rows.to_vec()))).collect(),
        };
        let picker = Picker::new(valid.len(), order, making.seed, making.share);
        Self { valid, picker, invalid: making.invalid, spoilt }
    }

    /// Returns the next body.
    pub fn draw(&self, rng: &mut Rng) -> Drawn {
        self.spoilt(rng).unwrap_or_else(|| self.at(self.picker.pick(rng)))
    }

    /// Returns a deliberately invalid body as often as is wanted.
    pub(crate) fn spoilt(&self, rng: &mut Rng) -> Option<Drawn> {
        if self.invalid <= 0.0 || rng.f64() >= self.invalid {
            return None;
        }
        let spoilt = rng.choice(&self.spoilt)?;
        Some(Drawn { body: spoilt.body.clone(), wrong: Some(Arc::clone(&spoilt.why)) })
    }

    /// Returns the valid body at `place`.
    pub(crate) fn at(&self, place: usize) -> Drawn {
        Drawn { body: self.valid.get(place).cloned().unwrap_or_default(), wrong: None }
    }

    /// Returns all valid bodies that there are.
    #[must_use]
    pub fn valid(&self) -> &[Bytes] {
        &self.valid
    }
}

/// Makes deliberately invalid bodies from valid rows, which are drawn if none are given.
fn spoil(shape: Option<&Shape>, rows: &[Value], making: &Making, rng: &mut Rng) -> Vec<Spoilt> {
    if making.invalid <= 0.0 {
        return Vec::new();
    }
    let row = |rng: &mut Rng| match (rows, shape) {
        ([], Some(shape)) => shape.draw(rng),
        (rows, _) => rng.choice(rows).cloned().unwrap_or_default(),
    };
    let mut spoilt = Vec::with_capacity(SPOILT_MAX);
    for _ in 0..SPOILT_MAX {
        let fault = shape.and_then(|shape| shape.spoil(row(rng), &making.set, rng));
        let (mut value, why) = fault.unwrap_or_else(|| (row(rng), shape::NOT_JSON.to_owned()));
        if let Some(n) = making.rows {
            let mut all: Vec<_> = (1..n).map(|_| row(rng)).collect();
            all.insert(rng.usize(0..n.max(1)), value);
            value = Value::Array(all);
        }
        let mut body = value.to_string().into_bytes();
        if why == shape::NOT_JSON {
            // An object, array or text without its end is not JSON; a bare number may be.
            body.truncate(body.len().div_ceil(2));
            body.insert(0, b'{');
        }
        spoilt.push(Spoilt { body: body.into(), why: why.into() });
    }
    spoilt
}

fn text(value: &Value) -> Bytes {
    value.to_string().into()
}

/// Returns `row` with the fields of `set`.
fn with(row: &Value, set: &Map<String, Value>) -> Value {
    let mut row = row.clone();
    if let Some(fields) = row.as_object_mut() {
        fields.extend(set.clone());
    }
    row
}

#[cfg(test)]
mod tests;
