//! A failure of the gateway, and the answer that tells of it.

use drover_core::problem::PROBLEM_JSON;
use drover_core::{ErrorKind, Problem, RequestId};
use http::{HeaderValue, Response, StatusCode, header};

use crate::body::{Body, full};

/// Why a request was not answered by an instance.
#[derive(Debug)]
pub(crate) struct Error {
    pub(crate) kind: ErrorKind,
    /// What the client reads.
    pub(crate) detail: String,
    /// What only the log says.
    pub(crate) cause: Option<String>,
}

impl Error {
    /// Makes a failure that the client may read in full.
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), cause: None }
    }

    /// Adds what only the log says.
    pub(crate) fn with_cause(mut self, cause: impl std::fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Returns the answer.
    pub(crate) fn response(&self, id: &RequestId) -> Response<Body> {
        let mut response = Response::new(full(Problem::new(self.kind, &self.detail, id).to_json()));
        *response.status_mut() = StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if matches!(self.kind, ErrorKind::NotReady | ErrorKind::Overloaded | ErrorKind::Draining) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
