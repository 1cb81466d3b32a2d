//! A user's verdict on one answer, and the answer that it is about: what a client, a gateway and the feedback
//! service tell each other.

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{FunctionName, RequestId};

/// The longest comment, in characters.
pub const COMMENT_MAX: usize = 2000;
/// The longest name of a class, in characters.
pub const CLASS_MAX: usize = 200;

/// Whether an answer was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was.
    Up,
    /// It was not.
    Down,
}

impl Verdict {
    /// Returns the verdict as one word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }

    /// Returns the verdict that a word stands for.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::Up, Self::Down].into_iter().find(|verdict| verdict.label() == word)
    }
}

/// What a user says of one answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opinion {
    /// The `X-Request-Id` of the answer.
    #[serde(deserialize_with = "request_id")]
    pub request_id: RequestId,
    /// Whether the answer was right.
    pub verdict: Verdict,
    /// The class that would have been right, as text or as a whole number.
    #[serde(default, deserialize_with = "class")]
    pub expected: Option<String>,
    /// What else the user says, at most [`COMMENT_MAX`] characters.
    #[serde(default)]
    pub comment: Option<String>,
}

impl Opinion {
    /// Says what is wrong with it, as far as that shows without the answer.
    ///
    /// # Errors
    /// The field and what is wrong with it.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let length = |text: &Option<String>| text.as_ref().map_or(0, |text| text.chars().count());
        for (field, n, most) in
            [("/comment", length(&self.comment), COMMENT_MAX), ("/expected", length(&self.expected), CLASS_MAX)]
        {
            if n > most {
                return Err((field, format!("must have at most {most} characters, has {n}")));
            }
        }
        Ok(())
    }
}

/// An answer as it was kept for a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The function that answered.
    pub function: FunctionName,
    /// When, as Unix time in milliseconds.
    pub at_ms: u64,
    /// What was asked, if the function keeps inputs.
    pub input: Option<Value>,
    /// What was answered.
    pub answer: Value,
}

impl Kept {
    /// Returns the version of the model that answered; empty if the answer does not say.
    #[must_use]
    pub fn version(&self) -> &str {
        self.answer.get("model_version").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the probability of the predicted class, 0 to 1, if the answer says it.
    #[must_use]
    pub fn confidence(&self) -> Option<f64> {
        self.answer.get("confidence").and_then(Value::as_f64)
    }

    /// Returns the predicted class as text.
    #[must_use]
    pub fn prediction(&self) -> Option<String> {
        predicted(&self.answer)
    }
}

/// What a gateway sends to the feedback service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// What the user says.
    pub opinion: Opinion,
    /// The answer that it is about; nothing if the gateway does not have it any more.
    pub kept: Option<Kept>,
}

/// Returns the predicted class of an answer as text.
#[must_use]
pub fn predicted(answer: &Value) -> Option<String> {
    match answer.get("prediction")? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Returns the classes that a function answers with, as far as one answer tells: the labels of its probabilities, or,
/// where a class is a number, the places of them.
#[must_use]
pub fn classes(answer: &Value) -> Option<Vec<String>> {
    let labels = answer.get("probabilities")?.as_object()?;
    match answer.get("prediction")? {
        Value::Number(_) => Some((0..labels.len()).map(|place| place.to_string()).collect()),
        _ => Some(labels.keys().cloned().collect()),
    }
}

fn request_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RequestId, D::Error> {
    let text = String::deserialize(deserializer)?;
    RequestId::from_client(text.as_bytes()).ok_or_else(|| D::Error::custom("request_id is not one that an answer has"))
}

fn class<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Option::<Value>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Number(number)) if !number.is_f64() => Ok(Some(number.to_string())),
        Some(_) => Err(D::Error::custom("expected is neither a text nor a whole number")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<Opinion, String> {
        serde_json::from_value(value).map_err(|e| e.to_string())
    }

    #[test]
    fn an_opinion_is_read_strictly() {
        let full = json!({"request_id": "a1", "verdict": "down", "expected": 3, "comment": "no"});
        assert_eq!(read(full).unwrap().expected.unwrap(), "3");
        assert_eq!(read(json!({"request_id": "a1", "verdict": "up"})).unwrap().expected, None);
        for (bad, why) in [
            (json!({"request_id": "a b", "verdict": "up"}), "request_id"),
            (json!({"request_id": "a", "verdict": "maybe"}), "`up` or `down`"),
            (json!({"request_id": "a", "verdict": "up", "score": 1}), "unknown field `score`"),
            (json!({"request_id": "a", "verdict": "up", "expected": 1.5}), "whole number"),
            (json!({"verdict": "up"}), "missing field `request_id`"),
        ] {
            let said = read(bad).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
        let long = read(json!({"request_id": "a", "verdict": "up", "comment": "ñ".repeat(2001)})).unwrap();
        assert_eq!(long.check().unwrap_err().0, "/comment");
        let whole = read(json!({"request_id": "a", "verdict": "up", "comment": "ñ".repeat(2000)})).unwrap();
        assert_eq!(whole.check(), Ok(()));
    }

    #[test]
    fn an_answer_tells_its_classes() {
        let named = json!({"prediction": "MALE", "probabilities": {"FEMALE": 0.2, "MALE": 0.8}});
        assert_eq!(classes(&named).unwrap(), ["FEMALE", "MALE"]);
        let numbered = json!({"prediction": 1, "name": "b", "probabilities": {"a": 0.0, "b": 1.0, "c": 0.0}});
        assert_eq!((predicted(&numbered).unwrap().as_str(), classes(&numbered).unwrap().len()), ("1", 3));
        assert_eq!(classes(&json!({"prediction": "x"})), None);
        assert_eq!(predicted(&json!([{"prediction": "x"}])), None);
    }
}
