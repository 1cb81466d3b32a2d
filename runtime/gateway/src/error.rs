//! A failure of the gateway, and the answer that tells of it.

use std::time::Duration;

use drover_core::error::Retry;
use drover_core::problem::PROBLEM_JSON;
use drover_core::{ErrorKind, Problem, RequestId};
use http::{HeaderValue, Response, StatusCode, header};

use crate::body::{Body, full};

/// What a client has to present.
const CHALLENGE: HeaderValue = HeaderValue::from_static(r#"Bearer realm="drover""#);
/// The same to a client that presented something else (RFC 6750, section 3.1).
const CHALLENGE_INVALID: HeaderValue = HeaderValue::from_static(r#"Bearer realm="drover", error="invalid_token""#);
/// When to come again unless the failure knows better.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request was not answered by an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Whose fault it was, and whether the same request may be sent again.
    pub kind: ErrorKind,
    /// What the client reads.
    pub detail: String,
    /// What only the log says.
    pub cause: Option<String>,
    /// When the same request can succeed; 1 s if that is not known.
    pub retry_after: Option<Duration>,
    /// Whether the client presented a key or token, which was not valid.
    pub invalid_token: bool,
}

impl Error {
    /// Makes a failure that the client may read in full.
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), cause: None, retry_after: None, invalid_token: false }
    }

    /// Makes the failure of a request whose key or token is not valid.
    pub(crate) fn invalid_token(detail: impl Into<String>) -> Self {
        Self { invalid_token: true, ..Self::new(ErrorKind::Unauthorized, detail) }
    }

    /// Adds what only the log says.
    pub(crate) fn with_cause(mut self, cause: impl std::fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Says when the same request can succeed.
    pub(crate) fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Returns the answer.
    pub(crate) fn response(&self, id: &RequestId) -> Response<Body> {
        let mut response = Response::new(full(Problem::new(self.kind, &self.detail, id).to_json()));
        *response.status_mut() = StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if self.kind.retry() == Retry::Always {
            headers.insert(header::RETRY_AFTER, whole_seconds(self.retry_after.unwrap_or(RETRY_AFTER)).into());
        }
        if self.kind == ErrorKind::Unauthorized {
            let challenge = if self.invalid_token { CHALLENGE_INVALID } else { CHALLENGE };
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// Returns the seconds of `wait`, rounded up, so that a client that waits so long is not too early.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(error: &Error, name: header::HeaderName) -> Option<String> {
        let response = error.response(&RequestId::generate());
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn an_answer_says_when_to_come_again() {
        let limited = Error::new(ErrorKind::RateLimited, "x");
        assert_eq!(header(&limited, header::RETRY_AFTER).unwrap(), "1");
        let later = limited.with_retry_after(Duration::from_millis(2001));
        assert_eq!(header(&later, header::RETRY_AFTER).unwrap(), "3");
        assert_eq!(header(&Error::new(ErrorKind::InvalidValue, "x"), header::RETRY_AFTER), None);
    }

    #[test]
    fn an_answer_says_what_to_present() {
        let nothing = Error::new(ErrorKind::Unauthorized, "x");
        assert_eq!(header(&nothing, header::WWW_AUTHENTICATE).unwrap(), r#"Bearer realm="drover""#);
        let wrong = Error::invalid_token("x");
        assert!(header(&wrong, header::WWW_AUTHENTICATE).unwrap().ends_with(r#"error="invalid_token""#));
        assert_eq!(header(&Error::new(ErrorKind::Forbidden, "x"), header::WWW_AUTHENTICATE), None);
    }
}
