//! A failure as the client reads it: RFC 9457 `application/problem+json`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ErrorKind, RequestId};

/// The media type of a [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// One value in the body that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the value, e.g. `/3/bill_length_mm`; empty for the body itself.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

impl FieldError {
    /// Says what is wrong with the value at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// A failure, as RFC 9457 writes it, with Drover's `kind`, `request_id` and every wrong field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// What kind of problem, as a relative URI: `/problems/` and the kind.
    pub r#type: String,
    /// The kind in words; the same for every occurrence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong this time, and what to do.
    pub detail: String,
    /// The kind, for programs.
    pub kind: String,
    /// The id of the request, as in the logs.
    pub request_id: String,
    /// Every wrong value of the body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl Problem {
    /// Describes one failure.
    pub fn new(kind: ErrorKind, detail: impl Into<String>, request_id: &RequestId) -> Self {
        Self {
            r#type: format!("/problems/{kind}"),
            title: kind.title().into(),
            status: kind.status(),
            detail: detail.into(),
            kind: kind.label().into(),
            request_id: request_id.as_str().into(),
            errors: Vec::new(),
        }
    }

    /// Adds the values of the body that are wrong.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// Returns the body that is sent.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}
