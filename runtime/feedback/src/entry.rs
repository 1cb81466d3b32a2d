//! One verdict with its answer, as it is listed and exported.

use std::time::{Duration, UNIX_EPOCH};

use drover_core::feedback::Verdict;
use serde::Serialize;
use serde_json::Value;

use crate::sql::Row;

/// One verdict with its answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Entry {
    pub(crate) request_id: String,
    pub(crate) function: String,
    pub(crate) version: String,
    /// When it was answered, RFC 3339 in UTC.
    pub(crate) at: String,
    pub(crate) verdict: Verdict,
    pub(crate) expected: Option<String>,
    pub(crate) comment: Option<String>,
    pub(crate) prediction: Option<String>,
    pub(crate) confidence: Option<f64>,
    pub(crate) input: Option<Value>,
    pub(crate) answer: Value,
    /// The same moment as `at`, for the place in a list.
    #[serde(skip)]
    pub(crate) answered_ms: u64,
}

impl Entry {
    /// The columns that [`Entry::of`] reads.
    pub(crate) const COLUMNS: &str = "request_id, function, version, answered_ms, verdict, expected, comment, \
                                      prediction, confidence, input, answer";

    /// Reads a row of [`Entry::COLUMNS`].
    pub(crate) fn of(row: &Row) -> Self {
        let answered_ms = row.count(3);
        let json = |text: String| serde_json::from_str(&text).unwrap_or_default();
        Self {
            request_id: row.text(0),
            function: row.text(1),
            version: row.text(2),
            at: time(answered_ms),
            verdict: Verdict::of(&row.text(4)).unwrap_or(Verdict::Down),
            expected: row.some_text(5),
            comment: row.some_text(6),
            prediction: row.some_text(7),
            confidence: row.real(8),
            input: row.some_text(9).map(json),
            answer: json(row.text(10)),
            answered_ms,
        }
    }
}

/// Returns a Unix time in milliseconds as RFC 3339 in UTC.
pub(crate) fn time(unix_ms: u64) -> String {
    // Beyond the year 9999 it cannot be written.
    let ms = unix_ms.min(253_402_300_799_999);
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
}

/// Returns every text in a value, in its order: what a person reads of an input.
pub(crate) fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(all) => all.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}
