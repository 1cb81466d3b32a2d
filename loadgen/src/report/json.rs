//! The report as JSON, and the schema of that.

use serde_json::Value;

use super::{Report, SCHEMA};

/// Why a file is no report.
#[derive(Debug, thiserror::Error)]
pub enum NotAReport {
    /// It is no JSON, or lacks what a report has.
    #[error("not a report of loadgen: {0}")]
    Form(#[from] serde_json::Error),
    /// It was written by a version whose reports mean something else.
    #[error("a report of the form `{0}`, and this loadgen reads `{SCHEMA}`")]
    Schema(String),
}

/// Returns `report` as JSON that people can read too, ending in a newline.
#[must_use]
pub fn text(report: &Report) -> String {
    // Only a map whose keys are not texts cannot be written, and there is none.
    serde_json::to_string_pretty(report).unwrap_or_default() + "\n"
}

/// Reads what [`text`] has written.
///
/// # Errors
/// It is no report, or one of another form.
pub fn read(text: &[u8]) -> Result<Report, NotAReport> {
    let value: Value = serde_json::from_slice(text)?;
    match value.get("schema").and_then(Value::as_str) {
        Some(schema) if schema != SCHEMA => Err(NotAReport::Schema(schema.to_owned())),
        // Not from the value: only the text has lines and columns to name.
        _ => Ok(serde_json::from_slice(text)?),
    }
}

/// Returns the JSON Schema of a report, ending in a newline.
#[must_use]
pub fn schema() -> String {
    let mut schema = schemars::schema_for!(Report);
    schema.insert("$id".into(), format!("urn:{}", SCHEMA.replace('/', ":")).into());
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}
