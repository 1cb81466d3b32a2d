//! How a gateway asks the feedback service: at the address that the settings name, or where the catalog shows it.

use std::time::Duration;

use drover_core::ErrorKind;
use drover_core::problem::PROBLEM_JSON;
use drover_engine::Snapshot;
use http::{HeaderValue, Method, Response, StatusCode, header};

use crate::beside::{Beside, pass_on, said};
use crate::body::Body;
use crate::error::Error;
use crate::headers::REQUEST_ID;
use crate::settings::FeedbackSettings;

/// The longest silence of an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(12);

/// Asks the feedback service.
pub(super) struct Client {
    settings: FeedbackSettings,
    beside: Beside,
}

impl Client {
    pub(super) fn new(settings: &FeedbackSettings) -> Self {
        Self { settings: settings.clone(), beside: Beside::new(ANSWER_LIMIT) }
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
        let mut request = self.beside.request(method, &url)?;
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
        let mut response = pass_on(answer, std::future::pending());
        if status.is_client_error() {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        }
        Ok(response)
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
}
