//! Why something is not stored, or a request is refused.

use drover_core::{ErrorKind, FieldError};

/// The store cannot be reached, or does not do what it is asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{store}: {why}")]
pub struct StoreError {
    store: String,
    why: String,
}

impl StoreError {
    /// Says what went wrong with which store.
    pub(crate) fn new(store: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self { store: store.into(), why: why.to_string() }
    }
}

/// Why a request is not answered with a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: ErrorKind,
    /// What the client reads.
    pub(crate) detail: String,
    /// The values of the body that are wrong.
    pub(crate) fields: Vec<FieldError>,
    /// What only the log says.
    pub(crate) cause: Option<String>,
}

impl Refusal {
    /// Makes a refusal that the client may read in full.
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), fields: Vec::new(), cause: None }
    }

    /// Refuses one value of the body.
    pub(crate) fn field(pointer: &str, detail: impl Into<String>) -> Self {
        let wrong = FieldError::new(pointer, detail);
        let detail = format!("{} {}", pointer.trim_start_matches('/'), wrong.detail);
        Self { fields: vec![wrong], ..Self::new(ErrorKind::InvalidValue, detail) }
    }
}

impl From<StoreError> for Refusal {
    fn from(e: StoreError) -> Self {
        let detail = "the store of the feedback service cannot be reached; nothing was stored, try again";
        Self { cause: Some(e.to_string()), ..Self::new(ErrorKind::StoreUnavailable, detail) }
    }
}
