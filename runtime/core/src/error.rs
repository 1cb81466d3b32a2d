//! Every kind of failure, with its one HTTP status, its one label and its one retry rule.

use std::fmt;

/// Why a request was not answered with a result.
///
/// The label is what a client reads as `kind`, what a metric carries and what a log line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is not well-formed: not JSON, a broken header or path.
    BadRequest,
    /// The request does not say who sends it, or not credibly.
    Unauthorized,
    /// The sender may not do this, or the request comes from another web site's page.
    Forbidden,
    /// No such path.
    UnknownRoute,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// No function of that name is known.
    UnknownFunction,
    /// No answer of that request id is kept.
    UnknownRequest,
    /// The body is larger than the limit.
    TooLarge,
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// The body is JSON, but a value in it is missing, unknown, of a wrong type or out of range.
    InvalidValue,
    /// The sender's key allows no more requests at the moment.
    RateLimited,
    /// All slots are taken.
    Overloaded,
    /// The instance has not loaded its model.
    NotReady,
    /// The instance is about to stop.
    Draining,
    /// What has to be kept cannot be stored at the moment: nothing of it was.
    StoreUnavailable,
    /// No instance of the function became ready in time: the request was not run.
    ColdStartTimeout,
    /// The deadline passed first.
    Timeout,
    /// The model failed or panicked on this input.
    ModelFailed,
    /// No instance could be reached, or it broke the connection.
    UpstreamFailed,
    /// A fault of Drover's own.
    Internal,
}

/// Whether the same request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The request itself is at fault: it would fail again.
    Never,
    /// Nothing was run: it may be sent again, to any instance.
    Always,
    /// It may have been run: only if the function is pure.
    IfPure,
}

impl ErrorKind {
    /// All kinds, for metrics and documentation.
    pub const ALL: [Self; 20] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::UnknownRoute,
        Self::MethodNotAllowed,
        Self::UnknownFunction,
        Self::UnknownRequest,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::InvalidValue,
        Self::RateLimited,
        Self::Overloaded,
        Self::NotReady,
        Self::Draining,
        Self::StoreUnavailable,
        Self::ColdStartTimeout,
        Self::Timeout,
        Self::ModelFailed,
        Self::UpstreamFailed,
        Self::Internal,
    ];

    /// Returns the HTTP status, always 400 to 599.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::UnknownRoute | Self::UnknownFunction | Self::UnknownRequest => 404,
            Self::MethodNotAllowed => 405,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::InvalidValue => 422,
            Self::RateLimited | Self::Overloaded => 429,
            Self::ModelFailed | Self::Internal => 500,
            Self::UpstreamFailed => 502,
            Self::NotReady | Self::Draining | Self::StoreUnavailable => 503,
            Self::ColdStartTimeout | Self::Timeout => 504,
        }
    }

    /// Returns the label: `kind` in a problem, in metrics and in logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::UnknownRoute => "unknown_route",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::UnknownFunction => "unknown_function",
            Self::UnknownRequest => "unknown_request",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::InvalidValue => "invalid_value",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::NotReady => "not_ready",
            Self::Draining => "draining",
            Self::StoreUnavailable => "store_unavailable",
            Self::ColdStartTimeout => "cold_start_timeout",
            Self::Timeout => "timeout",
            Self::ModelFailed => "model_failed",
            Self::UpstreamFailed => "upstream_failed",
            Self::Internal => "internal",
        }
    }

    /// Returns the title of the problem: the same words for every occurrence of the kind.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "the request is not well-formed",
            Self::Unauthorized => "the request needs a valid key or token",
            Self::Forbidden => "the sender may not do this",
            Self::UnknownRoute => "no such path",
            Self::MethodNotAllowed => "the path does not take this method",
            Self::UnknownFunction => "no such function",
            Self::UnknownRequest => "no answer of this request is kept",
            Self::TooLarge => "the body is too large",
            Self::UnsupportedMediaType => "the body must be application/json",
            Self::InvalidValue => "a value in the body is not valid",
            Self::RateLimited => "the key allows no more requests now",
            Self::Overloaded => "all slots are taken",
            Self::NotReady => "the instance is not ready",
            Self::Draining => "the instance is about to stop",
            Self::StoreUnavailable => "nothing can be stored at the moment",
            Self::ColdStartTimeout => "no instance became ready in time",
            Self::Timeout => "the deadline has passed",
            Self::ModelFailed => "the model failed on this input",
            Self::UpstreamFailed => "no instance answered",
            Self::Internal => "a fault of the server",
        }
    }

    /// Returns whether the same request may be sent again.
    #[must_use]
    pub const fn retry(self) -> Retry {
        match self {
            Self::BadRequest
            | Self::Unauthorized
            | Self::Forbidden
            | Self::UnknownRoute
            | Self::MethodNotAllowed
            | Self::UnknownFunction
            | Self::UnknownRequest
            | Self::TooLarge
            | Self::UnsupportedMediaType
            | Self::InvalidValue
            | Self::Timeout
            | Self::ModelFailed => Retry::Never,
            Self::RateLimited
            | Self::Overloaded
            | Self::NotReady
            | Self::Draining
            | Self::StoreUnavailable
            | Self::ColdStartTimeout => Retry::Always,
            Self::UpstreamFailed | Self::Internal => Retry::IfPure,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_an_error_with_a_label_of_its_own() {
        let labels: std::collections::BTreeSet<_> = ErrorKind::ALL.iter().map(|k| k.label()).collect();
        assert_eq!(labels.len(), ErrorKind::ALL.len());
        assert!(ErrorKind::ALL.iter().all(|k| (400..600).contains(&k.status())));
    }

    #[test]
    fn what_the_client_did_wrong_is_never_retried() {
        for kind in ErrorKind::ALL.into_iter().filter(|k| k.status() < 500 && k.status() != 429) {
            assert_eq!(kind.retry(), Retry::Never, "{kind}");
        }
    }
}
