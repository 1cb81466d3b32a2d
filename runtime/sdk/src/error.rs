//! Why a request was not answered, before it becomes a response.

use drover_core::{ErrorKind, FieldError};

/// Any error, as libraries hand it on.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One failure: what the client reads, and apart from it what the log says.
#[derive(Debug)]
pub(crate) struct Error {
    pub(crate) kind: ErrorKind,
    /// What went wrong this time, for the client.
    pub(crate) detail: String,
    /// Every wrong value of the body.
    pub(crate) fields: Vec<FieldError>,
    /// What only the log may say.
    pub(crate) private: Option<String>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), fields: Vec::new(), private: None }
    }

    /// Names every wrong value of a body.
    pub(crate) fn invalid(fields: Vec<FieldError>) -> Self {
        let detail = match fields.as_slice() {
            [one] if one.pointer.is_empty() => format!("the body {}", one.detail),
            [one] => format!("{} {}", one.pointer, one.detail),
            many => format!("{} values are not valid, see errors", many.len()),
        };
        Self { fields, ..Self::new(ErrorKind::InvalidValue, detail) }
    }

    /// Adds what only the log may say.
    pub(crate) fn because(mut self, private: impl std::fmt::Display) -> Self {
        self.private = Some(private.to_string());
        self
    }
}
