//! Asking Consul or Nomad over HTTP.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::endpoint::{Endpoint, Secret, StartError};

/// How long an answer may take that has nothing to wait for.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// So much of a refusal is shown.
const REFUSAL_MAX_CHARS: usize = 300;

/// Which of the two is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Server {
    Consul,
    Nomad,
}

/// Asks one server.
#[derive(Debug, Clone)]
pub(super) struct Api(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    server: Server,
    http: Client,
    base: Url,
    token: Option<Secret>,
    /// Goes with every request, such as the namespace.
    always: Option<(&'static str, String)>,
}

/// What is asked for: the parts of a path, and a query.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ApiError {
    /// Nobody answered.
    #[error("{0}")]
    Unreachable(String),
    /// The server does not do it.
    #[error("{server} answers {status}: {text}")]
    Refused { server: &'static str, status: StatusCode, text: String },
    /// The answer is not what was expected.
    #[error("{0}")]
    Unreadable(String),
}

impl Server {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Consul => "Consul",
            Self::Nomad => "Nomad",
        }
    }

    const fn token_header(self) -> &'static str {
        match self {
            Self::Consul => "x-consul-token",
            Self::Nomad => "x-nomad-token",
        }
    }

    const fn index_header(self) -> &'static str {
        match self {
            Self::Consul => "x-consul-index",
            Self::Nomad => "x-nomad-index",
        }
    }
}

impl Ask {
    /// Asks for `path`, such as `["v1", "jobs"]`.
    pub(super) fn new(path: &[&str]) -> Self {
        Self { path: path.iter().map(|&part| part.to_owned()).collect(), query: Vec::new() }
    }

    /// Adds a pair to the query.
    pub(super) fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }
}

impl ApiError {
    /// Returns whether the server itself said no, and why: asking again as before would not help.
    pub(super) fn refusal(&self) -> Option<&str> {
        match self {
            Self::Refused { status, text, .. } if status.is_client_error() => Some(text),
            _ => None,
        }
    }

    /// Returns whether the token is not good enough.
    pub(super) fn is_forbidden(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::FORBIDDEN, .. })
    }
}

impl Api {
    /// Reads the files that `endpoint` names.
    pub(super) fn new(
        server: Server,
        endpoint: &Endpoint,
        always: Option<(&'static str, String)>,
    ) -> Result<Self, StartError> {
        let (http, base) = endpoint.open(server.label())?;
        let token = endpoint.token.clone();
        Ok(Self(Arc::new(Inner { server, http, base, token, always })))
    }

    /// Returns what is at `ask`; nothing if there is nothing.
    pub(super) async fn get<T: DeserializeOwned>(&self, ask: &Ask) -> Result<Option<T>, ApiError> {
        self.json(self.request(Method::GET, ask).timeout(ANSWER_LIMIT)).await.map(|(answer, _)| answer)
    }

    /// Returns what is at `ask` as soon as it is newer than `index`, or after `wait`, with its index.
    pub(super) async fn newer<T: DeserializeOwned>(
        &self,
        ask: &Ask,
        index: u64,
        wait: Duration,
    ) -> Result<(Option<T>, u64), ApiError> {
        let ask = ask.clone().with("index", index.to_string()).with("wait", format!("{}s", wait.as_secs()));
        // The server adds up to a sixteenth, so that not all come back at once.
        let limit = wait + wait / 16 + ANSWER_LIMIT;
        let (answer, headers) = self.json(self.request(Method::GET, &ask).timeout(limit)).await?;
        let name = self.0.server.index_header();
        let index = headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok());
        let missing = || ApiError::Unreadable(format!("{}: an answer without {name}", self.whom()));
        Ok((answer, index.ok_or_else(missing)?))
    }

    /// Sends `body`; returns the answer, nothing if there is nothing at `ask`.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        ask: &Ask,
        body: &impl Serialize,
    ) -> Result<Option<T>, ApiError> {
        self.json(self.request(method, ask).json(body).timeout(ANSWER_LIMIT)).await.map(|(answer, _)| answer)
    }

    /// Returns an answer of any length, as it comes; nothing if there is nothing at `ask`.
    pub(super) async fn stream(&self, ask: &Ask) -> Result<Option<Response>, ApiError> {
        self.answer(self.request(Method::GET, ask)).await.map(Result::ok)
    }

    fn request(&self, method: Method, ask: &Ask) -> RequestBuilder {
        let mut url = self.0.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&ask.path);
        }
        let always = self.0.always.iter().map(|(key, value)| (*key, value));
        let query = ask.query.iter().map(|(key, value)| (*key, value));
        url.query_pairs_mut().extend_pairs(always.chain(query));
        let request = self.0.http.request(method, url);
        match &self.0.token {
            Some(token) => request.header(self.0.server.token_header(), token.reveal()),
            None => request,
        }
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<(Option<T>, HeaderMap), ApiError> {
        let answer = match self.answer(request).await? {
            Ok(answer) => answer,
            Err(headers) => return Ok((None, headers)),
        };
        let headers = answer.headers().clone();
        let body = answer.bytes().await.map_err(|e| self.unreachable(&e))?;
        let unreadable = |e| ApiError::Unreadable(format!("{}: an answer that cannot be read: {e}", self.whom()));
        Ok((Some(serde_json::from_slice(&body).map_err(unreadable)?), headers))
    }

    /// Returns the answer, or only the headers of one that says there is nothing.
    async fn answer(&self, request: RequestBuilder) -> Result<Result<Response, HeaderMap>, ApiError> {
        let answer = request.send().await.map_err(|e| self.unreachable(&e))?;
        let (status, server) = (answer.status(), self.0.server.label());
        if status == StatusCode::NOT_FOUND {
            return Ok(Err(answer.headers().clone()));
        }
        if !status.is_success() {
            let text = answer.text().await.unwrap_or_default();
            let text = text.trim().chars().take(REFUSAL_MAX_CHARS).collect();
            return Err(ApiError::Refused { server, status, text });
        }
        Ok(Ok(answer))
    }

    fn unreachable(&self, e: &reqwest::Error) -> ApiError {
        ApiError::Unreachable(format!("{}: {}", self.whom(), cause(e)))
    }

    /// Names the server and where it is.
    fn whom(&self) -> String {
        format!("{} at {}", self.0.server.label(), self.0.base.as_str().trim_end_matches('/'))
    }
}

/// Returns the innermost cause: the outer ones only say that a request failed.
pub(super) fn cause(e: &dyn Error) -> String {
    let mut inner = e;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string()
}
