//! Users' verdicts: joined here with the answers that they are about, and kept by the feedback service.
//!
//! An answer waits for its verdict in the memory of the gateway that passed it on ([`Answers`]). A verdict that comes
//! to another gateway goes to that one: only the verdict crosses the network between gateways, never what was asked or
//! answered, so that one who has no key learns nothing.

mod answers;
mod client;
mod drift;
mod tap;

use std::sync::OnceLock;
use std::time::Duration;

use drover_connection::RequestBody;
use drover_core::ErrorKind;
use drover_core::feedback::{Judgement, Opinion};
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};

pub(crate) use self::answers::{Answers, Keep, KeepCell};
use self::client::Client;
pub(crate) use self::tap::Tapped;
use crate::body::{Body, full};
use crate::error::Error;
use crate::gateway::Gateway;
use crate::headers::REQUEST_ID;
use crate::line::Line;
use crate::settings::FeedbackSettings;

/// The largest verdict.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// How long another gateway may take to look for an answer, and to send its verdict on.
const PEER_LIMIT: Duration = Duration::from_secs(10);
/// Where gateways ask each other.
const PEER_PATH: &str = "/peer/feedback";

/// What a gateway does for verdicts.
pub(crate) struct Feedback {
    pub(crate) answers: Answers,
    client: Client,
    /// How other gateways are asked; known once this one serves.
    line: OnceLock<Line>,
}

/// Who sent a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    Client,
    /// Another gateway, which has asked the others, too.
    Gateway,
}

impl Feedback {
    /// Makes what a gateway with such settings needs; it keeps nothing yet.
    pub(crate) fn new(settings: &FeedbackSettings) -> Self {
        let answers = Answers::new(settings.keep_for, settings.keep_max_bytes);
        Self { answers, client: Client::new(settings), line: OnceLock::new() }
    }

    /// Says how other gateways are asked.
    pub(crate) fn connect(&self, line: Line) {
        let _is_set = self.line.set(line);
    }
}

impl Gateway {
    /// Takes a user's verdict: finds the answer that it is about, here or at another gateway, and has both kept.
    pub(crate) async fn judge(&self, request: Request<RequestBody>, sender: Sender) -> Result<Response<Body>, Error> {
        let (head, body) = request.into_parts();
        if head.method != Method::POST {
            let detail = format!("{} does not take {}", head.uri.path(), head.method);
            return Err(Error::new(ErrorKind::MethodNotAllowed, detail));
        }
        let opinion = read(&head.headers, body).await?;
        let kept = self.feedback.answers.find(&opinion.request_id);
        match &kept {
            Some(kept) => drop(self.access.check(&kept.function, &head.headers).await?),
            None => self.access.check_any(&head.headers).await?,
        }
        if kept.is_none() {
            match sender {
                Sender::Gateway => return Err(self.unknown(&opinion)),
                Sender::Client => {
                    if let Some(answer) = self.ask_others(&head.headers, &opinion).await {
                        return Ok(answer);
                    }
                }
            }
        }
        // Without the answer, too: the service has it from an earlier verdict, perhaps.
        let judgement = Judgement { opinion, kept };
        let body = serde_json::to_vec(&judgement).unwrap_or_default();
        let response = self.ask_service(Method::POST, "/feedback", &head.headers, body).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Err(self.unknown(&judgement.opinion));
        }
        Ok(response)
    }

    /// Passes a question about verdicts on to the feedback service; `below` is its path below `/api/`.
    pub(crate) async fn verdicts(&self, below: &str, request: Request<RequestBody>) -> Result<Response<Body>, Error> {
        let (head, _) = request.into_parts();
        let forgotten = match below.strip_prefix("feedback/") {
            Some(id) if head.method == Method::DELETE => self.feedback.answers.remove(id),
            _ => false,
        };
        let path = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let mut response = self.ask_service(head.method, path, &head.headers, Vec::new()).await?;
        if below == "feedback/summary" && response.status().is_success() {
            return self.with_drift(response).await;
        }
        if forgotten && response.status() == StatusCode::NOT_FOUND {
            // It had no verdict yet.
            response = Response::new(full(Vec::new()));
            *response.status_mut() = StatusCode::NO_CONTENT;
        }
        Ok(response)
    }

    /// Asks the feedback service; `path` is the path and query there.
    pub(crate) async fn ask_service(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Vec<u8>,
    ) -> Result<Response<Body>, Error> {
        let found = self.snapshot();
        self.feedback.client.ask(&found, method, path, headers.get(REQUEST_ID), body).await
    }

    /// Returns what the gateway that has the answer says, if another one has it.
    async fn ask_others(&self, headers: &HeaderMap, opinion: &Opinion) -> Option<Response<Body>> {
        let line = self.feedback.line.get()?;
        let others = self.peers.watch().borrow().others.clone();
        let body = serde_json::to_vec(opinion).unwrap_or_default();
        let mut passed = HeaderMap::new();
        for name in [header::AUTHORIZATION, header::CONTENT_TYPE, REQUEST_ID] {
            passed.extend(headers.get(&name).map(|value| (name, value.clone())));
        }
        let asked = others.into_iter().map(|address| {
            let (passed, body) = (passed.clone(), body.clone());
            async move { line.post(address, PEER_PATH, passed, body, PEER_LIMIT).await }
        });
        let mut asked: FuturesUnordered<_> = asked.collect();
        let (status, body) = loop {
            match asked.next().await? {
                Ok((StatusCode::NOT_FOUND, _)) => {}
                Ok(answer) => break answer,
                Err(why) => tracing::debug!("a gateway does not say whether it has an answer: {why}"),
            }
        };
        let mut response = Response::new(full(body));
        *response.status_mut() = status;
        let media_type = if status.is_success() { "application/json" } else { drover_core::problem::PROBLEM_JSON };
        response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(media_type));
        Some(response)
    }

    /// Says why an answer may not be known, and how answers are kept.
    fn unknown(&self, opinion: &Opinion) -> Error {
        let lanes = self.lanes.all();
        let keeping: Vec<_> = lanes.iter().filter(|lane| Keep::of(&lane.shown().meta) != Keep::Nothing).collect();
        let names: Vec<_> = keeping.iter().map(|lane| format!("`{}`", lane.function)).collect();
        let who = if names.is_empty() { "no function does".to_owned() } else { format!("{} do", names.join(", ")) };
        let detail = format!(
            "no answer of request {} is kept: it is older than {:?}, or its function keeps none; {who}; a function keeps \
             its answers of one row with `feedback = \"verdicts\"` or `\"inputs\"` in its service's meta (variable \
             `feedback` of jobs/predict.nomad)",
            opinion.request_id, self.settings.feedback.keep_for
        );
        Error::new(ErrorKind::UnknownRequest, detail)
    }
}

async fn read(headers: &HeaderMap, body: RequestBody) -> Result<Opinion, Error> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !media_type.split(';').next().is_some_and(|t| t.trim().eq_ignore_ascii_case("application/json")) {
        // No form of another web site's page can send JSON.
        return Err(Error::new(ErrorKind::UnsupportedMediaType, "send content-type: application/json"));
    }
    let bytes = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(|e| {
        let is_large = e.is::<http_body_util::LengthLimitError>();
        let kind = if is_large { ErrorKind::TooLarge } else { ErrorKind::BadRequest };
        Error::new(kind, format!("the body cannot be read: {e}"))
    })?;
    let opinion: Opinion = serde_json::from_slice(&bytes.to_bytes()).map_err(|e| {
        let kind = if e.is_data() { ErrorKind::InvalidValue } else { ErrorKind::BadRequest };
        Error::new(kind, format!("the body: {e}"))
    })?;
    let wrong = |(field, why): (&str, String)| {
        let detail = format!("{} {why}", field.trim_start_matches('/'));
        Error::new(ErrorKind::InvalidValue, detail)
    };
    opinion.check().map_err(wrong)?;
    Ok(opinion)
}
