//! The service of one function, apart from any transport: a request in, a response out.

mod docs;
mod infer;
pub(crate) mod openapi;
mod predict;
mod route;

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use drover_connection::{Handler, Limits, RequestBody};
use drover_core::{ErrorKind, Problem, RequestId};
use drover_telemetry::Trace;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use http::{Request, Response, StatusCode, request};
use http_body_util::Full;

use self::route::Route;
use crate::Model;
use crate::batch::Queue;
use crate::body::Bodies;
use crate::config::Config;
use crate::decode::Decoder;
use crate::error::{BoxError, Error};
use crate::function::Function;
use crate::log::{Call, Log};
use crate::metrics::Metrics;
use crate::slots::Slots;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_DEADLINE_MS: HeaderName = HeaderName::from_static("x-deadline-ms");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The largest head of a request.
const HEAD_BYTES: u32 = 16 << 10;

/// What a service is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// The model is not loaded and warm.
    Loading,
    /// In service.
    Ready,
    /// Still in service, but not to be chosen any more.
    Leaving,
    /// New invocations are refused; what runs is finished.
    Draining,
}

/// When the process started, listened and was ready, in Unix milliseconds; 0 is not yet. Whoever waits for
/// a start can tell from them what took so long.
struct Milestones {
    started: u64,
    listened: AtomicU64,
    ready: AtomicU64,
}

impl Default for Milestones {
    fn default() -> Self {
        Self { started: unix_ms(), listened: AtomicU64::new(0), ready: AtomicU64::new(0) }
    }
}

/// One function as it is served.
pub(crate) struct Service<F: Function> {
    config: Config,
    decoder: Decoder,
    bodies: Bodies,
    slots: Arc<Slots>,
    queue: Arc<Queue<F>>,
    metrics: Arc<Metrics>,
    phase: AtomicU8,
    model: OnceLock<Model>,
    milestones: Milestones,
    log: Log,
}

/// A good answer, before it is a response.
pub(crate) struct Answer {
    status: StatusCode,
    content_type: HeaderValue,
    body: Bytes,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Answer {
    fn new(content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::OK, content_type, body: body.into(), headers: Vec::new() }
    }

    fn json(value: &impl serde::Serialize) -> Result<Self, Error> {
        let body = serde_json::to_vec(value)
            .map_err(|e| Error::new(ErrorKind::Internal, "the answer could not be written").because(e))?;
        Ok(Self::new(JSON, body))
    }

    fn redirect(to: &'static str) -> Self {
        let location = (LOCATION, HeaderValue::from_static(to));
        Self { status: StatusCode::PERMANENT_REDIRECT, headers: vec![location], ..Self::new(JSON, Bytes::new()) }
    }

    /// Says where the time went (W3C Server Timing).
    fn with_timing(mut self, queued: Duration, inference: Duration) -> Self {
        // Milliseconds with three digits, by whole numbers: to round a float takes as long as to read the row.
        let (q, i) = (queued.as_micros(), inference.as_micros());
        let text = format!("queue;dur={}.{:03}, inference;dur={}.{:03}", q / 1000, q % 1000, i / 1000, i % 1000);
        self.headers.extend(HeaderValue::try_from(text).ok().map(|value| (SERVER_TIMING, value)));
        self
    }
}

impl<F: Function> Service<F> {
    pub(crate) fn new(config: Config, decoder: Decoder, queue: Arc<Queue<F>>, metrics: Arc<Metrics>) -> Self {
        Self {
            decoder,
            bodies: Bodies::new(config.body_bytes),
            slots: Slots::new(config.slots, metrics.in_flight.clone()),
            queue,
            metrics,
            phase: AtomicU8::new(Phase::Loading as u8),
            model: OnceLock::new(),
            milestones: Milestones::default(),
            log: Log::new(F::NAME, &config),
            config,
        }
    }

    /// Notes that the process listens.
    pub(crate) fn listening(&self) {
        self.milestones.listened.store(unix_ms(), Ordering::Relaxed);
    }

    /// Goes into service with `model`.
    pub(crate) fn ready(&self, model: Model) {
        self.metrics.serving(&model, self.slots.limit());
        let _ = self.model.set(model);
        self.milestones.ready.store(unix_ms(), Ordering::Relaxed);
        // A drain that began while the model was loading must not be undone.
        let _ =
            self.phase.compare_exchange(Phase::Loading as u8, Phase::Ready as u8, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Begins to leave, or to drain.
    pub(crate) fn leave(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// Waits until no invocation is inside.
    pub(crate) async fn emptied(&self) {
        self.slots.emptied().await;
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Loading,
            1 => Phase::Ready,
            2 => Phase::Leaving,
            _ => Phase::Draining,
        }
    }

    /// Returns the model, once it is loaded.
    fn model(&self) -> Result<&Model, Error> {
        self.model.get().ok_or_else(|| Error::new(ErrorKind::NotReady, "the model is being loaded, try again soon"))
    }

    /// Returns how long connections may take for what.
    pub(crate) fn limits(&self) -> Limits {
        let (header_timeout, idle_timeout) = (self.config.header_timeout, self.config.idle_timeout);
        Limits { header_timeout, idle_timeout, head_bytes: HEAD_BYTES }
    }

    /// Answers one request. The only place that makes an error response, its log line and its metric.
    pub(crate) async fn respond<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let started = Instant::now();
        let (head, body) = request.into_parts();
        let id = head.headers.get(X_REQUEST_ID).and_then(|value| RequestId::from_client(value.as_bytes()));
        let id = id.unwrap_or_else(RequestId::generate);
        let route = Route::find(&head.method, head.uri.path());
        let invocation = matches!(route, Ok(Route::Predict | Route::Infer { .. }));
        let trace = if invocation { Trace::begin("predict", &head.headers, started) } else { None };
        let call = Call { head: &head, id: &id, started, trace: trace.as_deref() };
        let result = match route {
            Ok(route) => self.handle(route, &call, body).await,
            Err(error) => Err(error),
        };
        let took = started.elapsed();
        if invocation {
            self.metrics.invocation(result.as_ref().err().map(|e| e.kind), took);
        }
        let mut response = match result {
            Ok(answer) => {
                tracing::debug!(
                    request_id = id.as_str(),
                    path = head.uri.path(),
                    took_us = took.as_micros(),
                    "answered"
                );
                respond_with(answer, &id)
            }
            Err(error) => {
                // A health check that says no has done its work.
                if invocation {
                    self.log.failure(&call, &error, took);
                }
                refuse(&error, &head, &id)
            }
        };
        if let Some(trace) = trace {
            trace.end(response.status().as_u16(), &[("function", F::NAME), ("request_id", id.as_str())]);
        }
        if self.phase() >= Phase::Leaving {
            // The client's next request is better sent to another instance.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The whole way of a request, from its route to its answer.
    async fn handle<B>(&self, route: Route<'_>, call: &Call<'_>, body: B) -> Result<Answer, Error>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        match route {
            Route::Predict => {
                let (model, deadline) = self.admit(call)?;
                let body = self.bodies.read(&call.head.headers, body, deadline).await?;
                let _slot = self.slots.enter().ok_or_else(|| self.full())?;
                self.predict(model, &body, deadline, call).await
            }
            Route::Infer { model: name } => {
                let (model, deadline) = self.admit(call)?;
                check_name(model, name)?;
                let body = self.bodies.read(&call.head.headers, body, deadline).await?;
                let _slot = self.slots.enter().ok_or_else(|| self.full())?;
                self.infer(model, &body, deadline, call).await
            }
            Route::Live => Answer::json(&serde_json::json!({"live": true})),
            Route::Ready => match self.phase() {
                Phase::Ready => Answer::json(&serde_json::json!({
                    "ready": true,
                    "started_unix_ms": self.milestones.started,
                    "listened_unix_ms": self.milestones.listened.load(Ordering::Relaxed),
                    "ready_unix_ms": self.milestones.ready.load(Ordering::Relaxed),
                })),
                Phase::Loading => Err(Error::new(ErrorKind::NotReady, "the model is being loaded")),
                Phase::Leaving | Phase::Draining => Err(draining()),
            },
            Route::Server => Answer::json(&infer::server_metadata(F::NAME)),
            Route::Model { model } => self.describe_model(model),
            Route::ModelReady { model } => {
                check_name(self.model()?, model)?;
                Answer::json(&serde_json::json!({"name": model, "ready": self.phase() == Phase::Ready}))
            }
            Route::OpenApi => {
                Answer::json(&openapi::document::<F>(self.decoder.schema(), self.model.get(), &self.config))
            }
            Route::DocsRedirect => Ok(Answer::redirect("docs/")),
            Route::Docs { file } => docs::file(file),
            Route::Metrics => {
                const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                Ok(Answer::new(TEXT, self.metrics.render()))
            }
        }
    }

    /// Checks all that can be checked before the body is read; returns the model and the deadline.
    fn admit(&self, call: &Call<'_>) -> Result<(&Model, Instant), Error> {
        let model = self.model()?;
        if self.phase() == Phase::Draining {
            return Err(draining());
        }
        let json = |text: &str| {
            let media = text.split(';').next().unwrap_or_default().trim();
            media.eq_ignore_ascii_case("application/json") || media.to_ascii_lowercase().ends_with("+json")
        };
        match call.head.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default()) {
            Some(text) if json(text) => {}
            Some(text) => {
                let detail = format!("content-type is `{text}`, send application/json");
                return Err(Error::new(ErrorKind::UnsupportedMediaType, detail));
            }
            None => {
                let detail = "content-type is missing, send application/json";
                return Err(Error::new(ErrorKind::UnsupportedMediaType, detail));
            }
        }
        Ok((model, call.started + self.time_allowed(&call.head.headers)?))
    }

    /// Returns how long the request may take: the client's `X-Deadline-Ms`, or our own limit if shorter.
    fn time_allowed(&self, headers: &HeaderMap) -> Result<Duration, Error> {
        let Some(value) = headers.get(X_DEADLINE_MS) else { return Ok(self.config.deadline) };
        match value.to_str().ok().and_then(|text| text.trim().parse().ok()) {
            Some(ms) => Ok(self.config.deadline.min(Duration::from_millis(ms))),
            None => {
                let detail = format!("x-deadline-ms is {value:?}, send a whole number of milliseconds");
                Err(Error::new(ErrorKind::BadRequest, detail))
            }
        }
    }

    fn full(&self) -> Error {
        let detail = format!("all {} slots are taken, try again after Retry-After seconds", self.slots.limit());
        Error::new(ErrorKind::Overloaded, detail)
    }
}

impl<F: Function> Handler for Service<F> {
    type Body = Full<Bytes>;

    async fn answer(&self, request: Request<RequestBody>) -> Response<Full<Bytes>> {
        self.respond(request).await
    }
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

fn draining() -> Error {
    Error::new(ErrorKind::Draining, "the instance is about to stop, send the request to another one")
}

fn check_name(model: &Model, name: &str) -> Result<(), Error> {
    if model.name() == name {
        return Ok(());
    }
    let detail = format!("no model `{name}` here, this instance serves `{}`", model.name());
    Err(Error::new(ErrorKind::UnknownFunction, detail))
}

/// Makes the response of a good answer.
fn respond_with(answer: Answer, id: &RequestId) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, answer.content_type);
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.extend(answer.headers);
    response
}

/// Makes the response of a failure: `application/problem+json`.
fn refuse(error: &Error, head: &request::Parts, id: &RequestId) -> Response<Full<Bytes>> {
    const PROBLEM: HeaderValue = HeaderValue::from_static(drover_core::problem::PROBLEM_JSON);
    let problem = Problem::new(error.kind, &error.detail, id).with_errors(error.fields.clone());
    let body = match head.uri.path().starts_with("/v2") {
        true => infer::problem_json(&problem),
        false => problem.to_json(),
    };
    let status = StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = Answer { status, ..Answer::new(PROBLEM, body) };
    match error.kind {
        ErrorKind::Overloaded | ErrorKind::NotReady | ErrorKind::Draining => {
            answer.headers.push((RETRY_AFTER, HeaderValue::from_static("1")));
        }
        ErrorKind::MethodNotAllowed => {
            let allowed = Route::methods(head.uri.path());
            answer.headers.push((ALLOW, HeaderValue::from_static(allowed)));
        }
        _ => {}
    }
    respond_with(answer, id)
}
