//! Traces over OTLP: what a request did and for how long, as spans below one id.
//!
//! The spans of a request are made once its stages have ended, and only if it is sampled: `tracing`'s own spans would
//! cost every request what the sampled ones need. Without `OTEL_EXPORTER_OTLP_ENDPOINT` nothing is made, nor looked at.

use std::str::FromStr as _;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};
use tokio::runtime::Handle;

use crate::ENDPOINTS;

/// How long a collector may take to accept spans, as OTLP has it.
const EXPORT_LIMIT: Duration = Duration::from_secs(10);
/// How long the end of a process waits for the last spans to be accepted.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// Where the spans of this process go, if they go anywhere.
static SENDER: OnceLock<Sender> = OnceLock::new();

struct Sender {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// Begins to send traces as the standard `OTEL_*` variables say, if `OTEL_EXPORTER_OTLP_ENDPOINT` is set. `service` is
/// the name unless they give another. Must be called where a `tokio` runtime runs.
///
/// # Errors
/// Says what is wrong with the variables.
pub fn start(service: &str, instance: Option<&str>) -> Result<(), String> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if !ENDPOINTS.iter().any(|name| set(name).is_some()) {
        return Ok(());
    }
    let client = reqwest::Client::builder().timeout(EXPORT_LIMIT).build().map_err(|e| e.to_string())?;
    let collector = Collector { client, runtime: Handle::current() };
    let exporter =
        SpanExporter::builder().with_http().with_http_client(collector).build().map_err(|e| e.to_string())?;
    let mut resource = Resource::builder_empty().with_service_name(service.to_owned());
    if let Some(instance) = instance {
        resource = resource.with_attribute(KeyValue::new("service.instance.id", instance.to_owned()));
    }
    resource = resource.with_detector(Box::new(EnvResourceDetector::new()));
    if let Some(name) = set("OTEL_SERVICE_NAME") {
        resource = resource.with_service_name(name);
    }
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build();
    let tracer = provider.tracer("drover");
    let _the_first_stays = SENDER.set(Sender { provider, tracer });
    Ok(())
}

/// Sends the last spans, at the end of a process; waits two seconds at most.
pub async fn finish() {
    let Some(sender) = SENDER.get() else { return };
    // The exporter waits for requests that this runtime makes.
    let done = tokio::task::spawn_blocking(|| sender.provider.shutdown_with_timeout(FLUSH_LIMIT));
    let _late = tokio::time::timeout(FLUSH_LIMIT, done).await;
}

/// One request's part of a trace.
#[derive(Debug)]
pub struct Trace {
    span: Span,
    /// What stages are below.
    context: Context,
    began: (Instant, SystemTime),
}

impl Trace {
    /// Begins the span `name` of a request that started at `started`: below that of its `traceparent`, if there is one,
    /// and sampled as `OTEL_TRACES_SAMPLER` says. Returns nothing if no traces are sent.
    #[must_use]
    pub fn begin(name: &'static str, headers: &HeaderMap, started: Instant) -> Option<Box<Self>> {
        let sender = SENDER.get()?;
        let parent = remote(headers).map_or_else(Context::new, |c| Context::new().with_remote_span_context(c));
        let began = (started, SystemTime::now().checked_sub(started.elapsed())?);
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_start_time(began.1);
        let span = sender.tracer.build_with_context(builder, &parent);
        let context = Context::new().with_remote_span_context(span.span_context().clone());
        Some(Box::new(Self { span, context, began }))
    }

    /// Returns the trace's id, 32 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> String {
        self.span.span_context().trace_id().to_string()
    }

    /// Returns the header that makes what is sent on part of the trace, or keeps it out if this is not sampled.
    #[must_use]
    pub fn traceparent(&self) -> Option<HeaderValue> {
        let own = self.span.span_context();
        let flags = own.trace_flags().to_u8();
        HeaderValue::try_from(format!("00-{}-{}-{flags:02x}", own.trace_id(), own.span_id())).ok()
    }

    /// Adds a stage that has ended.
    pub fn stage(&self, name: &'static str, from: Instant, to: Instant) {
        let Some(sender) = SENDER.get().filter(|_| self.span.is_recording()) else { return };
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Internal).with_start_time(self.time(from));
        sender.tracer.build_with_context(builder, &self.context).end_with_timestamp(self.time(to));
    }

    /// Ends the request's span with its HTTP status and what else is known of it.
    pub fn end(mut self, status: u16, fields: &[(&'static str, &str)]) {
        if !self.span.is_recording() {
            return;
        }
        self.span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        for (name, value) in fields {
            self.span.set_attribute(KeyValue::new(*name, (*value).to_owned()));
        }
        if status >= 500 {
            self.span.set_status(Status::error(""));
        }
        let now = self.time(Instant::now());
        self.span.end_with_timestamp(now);
    }

    fn time(&self, at: Instant) -> SystemTime {
        self.began.1 + at.saturating_duration_since(self.began.0)
    }
}

/// Returns the span that a client's headers name.
fn remote(headers: &HeaderMap) -> Option<SpanContext> {
    let header = headers.get("traceparent")?.to_str().ok()?;
    drover_core::trace::trace_id(header)?;
    let mut parts = header.split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    // Later versions may know more flags.
    let flags = TraceFlags::new(u8::from_str_radix(parts.next()?, 16).ok()? & TraceFlags::SAMPLED.to_u8());
    let state = headers.get("tracestate").and_then(|value| TraceState::from_str(value.to_str().ok()?).ok());
    Some(SpanContext::new(trace, span, flags, true, state.unwrap_or_default()))
}

/// How spans get to a collector. They are batched on a thread without a runtime, so the requests are made on ours.
#[derive(Debug)]
struct Collector {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait::async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let answered = async move {
            let answer = client.execute(request.try_into()?).await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let mut response = Response::new(answer.bytes().await?);
            (*response.status_mut(), *response.headers_mut()) = (status, headers);
            Ok::<_, reqwest::Error>(response)
        };
        Ok(self.runtime.spawn(answered).await??)
    }
}
