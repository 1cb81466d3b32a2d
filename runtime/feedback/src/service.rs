//! The path of a request to the feedback service.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use drover_connection::{Handler, RequestBody};
use drover_core::feedback::Judgement;
use drover_core::problem::PROBLEM_JSON;
use drover_core::{ErrorKind, Problem, RequestId};
use futures_util::TryStreamExt;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::error::{Refusal, StoreError};
use crate::export::{Format, export};
use crate::filter::Query;
use crate::store::{Outcome, Store};

/// The largest body: a verdict with its answer and what was asked.
const MAX_BODY_BYTES: usize = 4 << 20;

const REQUEST_ID: &str = "x-request-id";

pub(crate) type Body = UnsyncBoxBody<Bytes, StoreError>;

/// Answers gateways.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) store: Arc<Store>,
    /// What gateways show; nothing lets everybody in who reaches the port.
    pub(crate) key: Option<String>,
}

impl Handler for Desk {
    type Body = Body;

    /// The only place that makes an error answer, and its log line.
    async fn answer(&self, request: Request<RequestBody>) -> Response<Body> {
        let given = request.headers().get(REQUEST_ID).and_then(|v| RequestId::from_client(v.as_bytes()));
        let id = given.unwrap_or_else(RequestId::generate);
        let (head, body) = request.into_parts();
        let mut response = self.handle(&head, body).await.unwrap_or_else(|refused| {
            if refused.kind.status() >= 500 {
                tracing::warn!(request_id = %id, cause = refused.cause, "{}", refused.detail);
            }
            problem(&refused, &id)
        });
        if let Ok(id) = HeaderValue::from_str(id.as_str()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }
}

impl Desk {
    async fn handle(&self, head: &Parts, body: RequestBody) -> Result<Response<Body>, Refusal> {
        let parts: Vec<_> = head.uri.path().trim_matches('/').split('/').collect();
        let is_open = matches!(parts.as_slice(), ["metrics"] | ["health", ..]);
        if !is_open {
            self.check_key(&head.headers)?;
        }
        let query = head.uri.query().unwrap_or_default();
        match (&head.method, parts.as_slice()) {
            (&Method::POST, ["feedback"]) => self.add(&head.headers, body).await,
            (&Method::GET, ["api", "feedback"]) => self.list(query).await,
            (&Method::GET, ["api", "feedback", "export"]) => self.export(query),
            (&Method::GET, ["api", "feedback", "summary"]) => self.summary(query).await,
            (&Method::DELETE, ["api", "feedback", id]) => self.delete(id).await,
            (&Method::GET, ["metrics"]) => self.metrics().await,
            (&Method::GET, ["health"] | ["health", "live"]) => Ok(json(&json!({ "status": "ok" }))),
            (&Method::GET, ["health", "ready"]) => {
                self.store.ping().await?;
                Ok(json(&json!({ "ready": true })))
            }
            (_, ["feedback" | "metrics"] | ["api", "feedback"] | ["api", "feedback", _] | ["health", ..]) => {
                let detail = format!("{} does not take {}", head.uri.path(), head.method);
                Err(Refusal::new(ErrorKind::MethodNotAllowed, detail))
            }
            _ => Err(Refusal::new(ErrorKind::UnknownRoute, format!("nothing is at `{}`", head.uri.path()))),
        }
    }

    fn check_key(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(key) = &self.key else { return Ok(()) };
        let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()?.strip_prefix("Bearer "));
        match given {
            Some(given) if bool::from(given.as_bytes().ct_eq(key.as_bytes())) => Ok(()),
            _ => Err(Refusal::new(ErrorKind::Unauthorized, "the feedback service answers gateways that have its key")),
        }
    }

    async fn add(&self, headers: &HeaderMap, body: RequestBody) -> Result<Response<Body>, Refusal> {
        let media_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if !media_type.starts_with("application/json") {
            return Err(Refusal::new(ErrorKind::UnsupportedMediaType, "send content-type: application/json"));
        }
        let bytes = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(|e| {
            let is_large = e.is::<http_body_util::LengthLimitError>();
            let kind = if is_large { ErrorKind::TooLarge } else { ErrorKind::BadRequest };
            Refusal::new(kind, format!("the body cannot be read: {e}"))
        })?;
        let judgement: Judgement = serde_json::from_slice(&bytes.to_bytes())
            .map_err(|e| Refusal::new(ErrorKind::InvalidValue, format!("the body: {e}")))?;
        let (function, outcome) = self.store.add(&judgement).await?;
        let opinion = &judgement.opinion;
        let mut response = json(&json!({
            "request_id": opinion.request_id,
            "function": function,
            "verdict": opinion.verdict,
            "replaced": outcome == Outcome::Replaced,
        }));
        if outcome == Outcome::New {
            *response.status_mut() = StatusCode::CREATED;
        }
        Ok(response)
    }

    async fn list(&self, query: &str) -> Result<Response<Body>, Refusal> {
        let Query { filter, limit, before, .. } = Query::read(query)?;
        let (page, next) = self.store.page(&filter, limit, before.as_ref()).await?;
        Ok(json(&json!({ "feedback": page, "next": next.map(|cursor| cursor.to_string()) })))
    }

    fn export(&self, query: &str) -> Result<Response<Body>, Refusal> {
        let Query { mut filter, format, .. } = Query::read(query)?;
        let name = format.as_deref().unwrap_or("csv");
        let wrong = || Refusal::new(ErrorKind::BadRequest, format!("format=`{name}` is neither `csv` nor `jsonl`"));
        let format = Format::of(name).ok_or_else(wrong)?;
        filter.verdict.get_or_insert(drover_core::feedback::Verdict::Down);
        let frames = export(Arc::clone(&self.store), filter, format).map_ok(Frame::data);
        let mut response = Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
        let attachment = format!("attachment; filename=\"{}\"", format.file_name());
        headers.extend(HeaderValue::try_from(attachment).map(|value| (header::CONTENT_DISPOSITION, value)));
        private(headers);
        Ok(response)
    }

    async fn summary(&self, query: &str) -> Result<Response<Body>, Refusal> {
        let filter = Query::read(query)?.filter;
        let missing = || Refusal::new(ErrorKind::BadRequest, "say which function: ?function=NAME");
        let function = filter.function.clone().ok_or_else(missing)?;
        Ok(json(&self.store.summary(function, &filter).await?))
    }

    async fn delete(&self, id: &str) -> Result<Response<Body>, Refusal> {
        // Ids are sent as they are, or with what a URL escapes.
        let id = form_urlencoded::parse(id.replace('+', "%2B").as_bytes()).next().map(|(id, _)| id.into_owned());
        let id = id.unwrap_or_default();
        if !self.store.delete(&id).await? {
            return Err(Refusal::new(ErrorKind::UnknownRequest, format!("nothing is kept of request `{id}`")));
        }
        let mut response = Response::new(full(Bytes::new()));
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }

    async fn metrics(&self) -> Result<Response<Body>, Refusal> {
        let mut response = Response::new(full(self.store.counters(unix_ms()).await?));
        let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, format);
        Ok(response)
    }
}

/// Returns the Unix time in milliseconds.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

fn json(value: &impl serde::Serialize) -> Response<Body> {
    let mut response = Response::new(full(serde_json::to_vec(value).unwrap_or_default()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    private(response.headers_mut());
    response
}

/// What users wrote is kept by no cache, and taken by no browser for a page.
fn private(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

fn problem(refused: &Refusal, id: &RequestId) -> Response<Body> {
    let problem = Problem::new(refused.kind, &refused.detail, id).with_errors(refused.fields.clone());
    let mut response = Response::new(full(problem.to_json()));
    *response.status_mut() = StatusCode::from_u16(refused.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    response
}
