//! How a gateway asks the servers that stand beside it: the feedback service, the load generator, Prometheus.

use std::sync::OnceLock;
use std::time::Duration;

use drover_core::ErrorKind;
use futures_util::stream::{StreamExt, try_unfold};
use http::{Method, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use crate::body::{Body, BoxError};
use crate::error::Error;

/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// Headers of an answer that go to the client.
const PASSED: [header::HeaderName; 4] =
    [header::CONTENT_TYPE, header::CONTENT_DISPOSITION, header::CACHE_CONTROL, header::X_CONTENT_TYPE_OPTIONS];

/// Asks a server beside the gateway.
pub(crate) struct Beside {
    /// The longest silence of an answer.
    silence_max: Duration,
    /// Made for the first question: most gateways never have one.
    http: OnceLock<reqwest::Client>,
}

impl Beside {
    pub(crate) const fn new(silence_max: Duration) -> Self {
        Self { silence_max, http: OnceLock::new() }
    }

    /// Begins a request.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if there can be no client.
    pub(crate) fn request(&self, method: Method, url: &str) -> Result<reqwest::RequestBuilder, Error> {
        if let Some(made) = self.http.get() {
            return Ok(made.request(method, url));
        }
        let _chosen_before = rustls::crypto::ring::default_provider().install_default();
        let made = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_LIMIT).read_timeout(self.silence_max);
        let made = made.build().map_err(|e| Error::new(ErrorKind::Internal, "no HTTP client").with_cause(e))?;
        Ok(self.http.get_or_init(|| made).request(method, url))
    }
}

/// Passes an answer on as it comes, until `end`.
pub(crate) fn pass_on(mut answer: reqwest::Response, end: impl Future<Output = ()> + Send + 'static) -> Response<Body> {
    let mut response = Response::new(());
    *response.status_mut() = answer.status();
    for name in PASSED {
        response.headers_mut().extend(answer.headers_mut().remove(&name).map(|value| (name, value)));
    }
    let parts = try_unfold(answer, |mut answer| async {
        let part = answer.chunk().await.map_err(BoxError::from)?;
        Ok::<_, BoxError>(part.map(|part| (Frame::data(part), answer)))
    });
    response.map(|()| Body::Stream(BodyExt::boxed_unsync(StreamBody::new(parts.take_until(end)))))
}

/// Says what went wrong: the error itself keeps that for its source.
pub(crate) fn said(e: &reqwest::Error) -> String {
    let mut said = e.to_string();
    let mut cause = std::error::Error::source(e);
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    said
}
