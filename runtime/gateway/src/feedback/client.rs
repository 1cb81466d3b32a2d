//! How a gateway asks the feedback service: at the address that the settings name, or where the catalog shows it.

use std::sync::OnceLock;
use std::time::Duration;

use drover_core::ErrorKind;
use drover_core::problem::PROBLEM_JSON;
use drover_engine::Snapshot;
use futures_util::stream::try_unfold;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use crate::body::{Body, BoxError};
use crate::error::Error;
use crate::headers::REQUEST_ID;
use crate::settings::FeedbackSettings;

/// How long a connection to the service may take, and the longest silence of an answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
const ANSWER_LIMIT: Duration = Duration::from_secs(12);

/// Headers of the service's answers that go to the client.
const PASSED: [header::HeaderName; 4] =
    [header::CONTENT_TYPE, header::CONTENT_DISPOSITION, header::CACHE_CONTROL, header::X_CONTENT_TYPE_OPTIONS];

/// Asks the feedback service.
pub(super) struct Client {
    settings: FeedbackSettings,
    /// Made for the first question: most gateways never have one.
    http: OnceLock<reqwest::Client>,
}

impl Client {
    pub(super) fn new(settings: &FeedbackSettings) -> Self {
        Self { settings: settings.clone(), http: OnceLock::new() }
    }

    /// Asks the service, and passes its answer on as it comes.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`] if it cannot be reached, or fails.
    pub(super) async fn ask(
        &self,
        catalog: &Snapshot,
        method: Method,
        path: &str,
        request_id: Option<&HeaderValue>,
        body: Vec<u8>,
    ) -> Result<Response<Body>, Error> {
        let url = format!("{}{path}", self.place(catalog)?);
        let mut request = self.http()?.request(method, &url);
        if let Some(key) = &self.settings.key {
            request = request.bearer_auth(key);
        }
        if let Some(id) = request_id {
            request = request.header(REQUEST_ID, id);
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        }
        let away = "the feedback service cannot be reached; nothing was stored, try again";
        let answer =
            request.send().await.map_err(|e| Error::new(ErrorKind::StoreUnavailable, away).with_cause(said(&e)))?;
        let status = answer.status();
        if status == StatusCode::UNAUTHORIZED {
            let detail = "the feedback service does not take the gateway's key, see the setting feedback.key";
            return Err(Error::new(ErrorKind::StoreUnavailable, detail));
        }
        if status.is_server_error() {
            let detail = "the feedback service cannot store or read at the moment; nothing was stored, try again";
            let cause = answer.text().await.unwrap_or_default();
            return Err(Error::new(ErrorKind::StoreUnavailable, detail).with_cause(cause));
        }
        Ok(pass_on(answer))
    }

    fn place(&self, catalog: &Snapshot) -> Result<String, Error> {
        if let Some(url) = &self.settings.url {
            return Ok(url.clone());
        }
        let service = self.settings.service.as_str();
        let instances = catalog.functions.get(service).map(|f| f.instances.as_slice()).unwrap_or_default();
        let ready = instances.iter().filter(|instance| instance.state.is_ready()).find_map(|instance| instance.address);
        ready.map(|address| format!("http://{address}")).ok_or_else(|| {
            let detail = format!(
                "no feedback service is there: run jobs/feedback.nomad, whose service is `{service}`, or set feedback.url"
            );
            Error::new(ErrorKind::StoreUnavailable, detail)
        })
    }

    fn http(&self) -> Result<&reqwest::Client, Error> {
        if let Some(made) = self.http.get() {
            return Ok(made);
        }
        let _chosen_before = rustls::crypto::ring::default_provider().install_default();
        let made = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_LIMIT).read_timeout(ANSWER_LIMIT);
        let made = made.build().map_err(|e| Error::new(ErrorKind::Internal, "no HTTP client").with_cause(e))?;
        Ok(self.http.get_or_init(|| made))
    }
}

fn pass_on(mut answer: reqwest::Response) -> Response<Body> {
    let mut response = Response::new(());
    *response.status_mut() = answer.status();
    for name in PASSED {
        response.headers_mut().extend(answer.headers_mut().remove(&name).map(|value| (name, value)));
    }
    if response.status().is_client_error() {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    }
    let parts = try_unfold(answer, |mut answer| async {
        let part = answer.chunk().await.map_err(BoxError::from)?;
        Ok::<_, BoxError>(part.map(|part| (Frame::data(part), answer)))
    });
    response.map(|()| Body::Stream(BodyExt::boxed_unsync(StreamBody::new(parts))))
}

/// Says what went wrong: the error itself keeps that for its source.
fn said(e: &reqwest::Error) -> String {
    let mut said = e.to_string();
    let mut cause = std::error::Error::source(e);
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    said
}
