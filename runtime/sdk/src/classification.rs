//! What a classifier says of one row.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// What a classifier says of one row. Cheap to make and to write: the labels are shared.
#[derive(Debug, Clone, PartialEq, serde::Serialize, JsonSchema)]
pub struct Classification {
    /// The most likely label.
    pub prediction: Label,
    /// The probability of that label, from 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub confidence: f32,
    /// The probability of each label.
    pub probabilities: Probabilities,
}

/// One of a model's labels; written as text.
#[derive(Clone)]
pub struct Label {
    labels: Arc<[String]>,
    index: usize,
}

/// The probability of each of a model's labels, in the model's order; written as a map.
#[derive(Clone)]
pub struct Probabilities {
    labels: Arc<[String]>,
    values: Box<[f32]>,
}

impl Classification {
    /// Picks the most likely of `labels` (the first, if several are), whose probabilities are `row`.
    ///
    /// A NaN is never the most likely. `row` is as long as `labels`, or nothing is returned.
    pub(crate) fn of_row(labels: &Arc<[String]>, row: &[f32]) -> Option<Self> {
        if row.len() != labels.len() {
            return None;
        }
        let mut best = (0, *row.first()?);
        for (index, &value) in row.iter().enumerate().skip(1) {
            if value > best.1 || best.1.is_nan() {
                best = (index, value);
            }
        }
        let (index, confidence) = best;
        Some(Self {
            prediction: Label { labels: Arc::clone(labels), index },
            confidence,
            probabilities: Probabilities { labels: Arc::clone(labels), values: row.into() },
        })
    }
}

impl Label {
    /// Returns the place of the label among the model's labels, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.labels.get(self.index).map_or("", String::as_str)
    }
}

impl Probabilities {
    /// Returns each label with its probability, in the model's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, f32)> {
        self.labels.iter().map(String::as_str).zip(self.values.iter().copied())
    }

    /// Returns the probabilities, in the model's order.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.values
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Debug for Probabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl PartialEq for Probabilities {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for Probabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.values.len()))?;
        for (label, value) in self.iter() {
            map.serialize_entry(label, &value)?;
        }
        map.end()
    }
}

impl JsonSchema for Label {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Label".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

impl JsonSchema for Probabilities {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Probabilities".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": { "type": "number", "minimum": 0.0, "maximum": 1.0 },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(row: &[f32]) -> Option<Classification> {
        Classification::of_row(&["a".to_owned(), "b".to_owned(), "c".to_owned()].into(), row)
    }

    #[test]
    fn the_most_likely_label_is_the_prediction() {
        let found = of(&[0.25, 0.5, 0.25]).unwrap();
        assert_eq!((found.prediction.as_str(), found.prediction.index(), found.confidence), ("b", 1, 0.5));
        assert_eq!(
            serde_json::to_string(&found).unwrap(),
            r#"{"prediction":"b","confidence":0.5,"probabilities":{"a":0.25,"b":0.5,"c":0.25}}"#
        );
        assert_eq!(of(&[0.5, 0.5, 0.0]).unwrap().prediction.as_str(), "a");
        assert_eq!(of(&[f32::NAN, 0.5, 0.0]).unwrap().prediction.as_str(), "b");
    }

    #[test]
    fn a_row_of_another_length_is_no_classification() {
        assert_eq!(of(&[0.5, 0.5]), None);
        assert_eq!(of(&[]), None);
    }
}
