//! Failures by kind: as many kinds and samples as fit a page, however many there are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::work::Failure;

/// Kinds that are told apart.
const KINDS_MAX: usize = 100;
/// Bodies that are kept of a kind.
const SAMPLES_MAX: usize = 3;
/// Bytes that are kept of a body.
const SAMPLE_BYTES: usize = 500;

/// What failed, by kind.
#[derive(Debug, Clone, Default)]
pub struct Failures {
    kinds: BTreeMap<Kind, Seen>,
}

/// What failures have in common that are counted as one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Kind {
    /// The task.
    pub task: usize,
    /// As [`Failure::kind`].
    pub kind: String,
    /// As [`Failure::detail`].
    pub detail: String,
}

/// What was seen of a kind.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Seen {
    /// How often.
    pub count: u64,
    /// Bodies of a few of its answers, cut.
    pub samples: Vec<String>,
}

impl Failures {
    /// Puts kinds together, as many as are told apart.
    #[must_use]
    pub fn of(kinds: impl IntoIterator<Item = (Kind, Seen)>) -> Self {
        let mut all = Self::default();
        all.add(&Self { kinds: kinds.into_iter().collect() });
        all
    }

    /// Counts a failure and the body that came with it.
    pub fn note(&mut self, task: usize, failure: &Failure, body: &[u8]) {
        let seen = self.seen(Kind { task, kind: failure.kind.clone(), detail: failure.detail.clone() });
        seen.count += 1;
        if seen.samples.len() < SAMPLES_MAX && !body.is_empty() {
            seen.samples.push(cut(body));
        }
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        for (kind, one) in &other.kinds {
            let seen = self.seen(kind.clone());
            seen.count += one.count;
            let room = SAMPLES_MAX.saturating_sub(seen.samples.len());
            seen.samples.extend(one.samples.iter().take(room).cloned());
        }
    }

    /// Returns all of them, the most frequent first.
    #[must_use]
    pub fn by_count(&self) -> Vec<(&Kind, &Seen)> {
        let mut all: Vec<_> = self.kinds.iter().collect();
        all.sort_by_key(|(_, seen)| std::cmp::Reverse(seen.count));
        all
    }

    /// Returns the place of a kind; once there are too many, that of all others of its task.
    fn seen(&mut self, kind: Kind) -> &mut Seen {
        let kind = if self.kinds.len() < KINDS_MAX || self.kinds.contains_key(&kind) {
            kind
        } else {
            let detail = format!("more than {KINDS_MAX} kinds of failures; these are all others");
            Kind { task: kind.task, kind: "other".into(), detail }
        };
        self.kinds.entry(kind).or_default()
    }
}

fn cut(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..SAMPLE_BYTES).unwrap_or(body));
    if body.len() > SAMPLE_BYTES { format!("{text}…") } else { text.into_owned() }
}
