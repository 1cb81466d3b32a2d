//! A receiver of OTLP over HTTP, as OpenTelemetry's collector is: it reads spans by the official protobufs.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use prost::Message as _;

use crate::eventually;

/// How long spans may take to come: they are sent every few seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Receives spans until the test ends.
#[derive(Debug)]
pub struct Collector {
    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub url: String,
    spans: Arc<Mutex<Vec<Span>>>,
}

/// One span, as far as tests look at it.
#[derive(Debug, Clone)]
pub struct Span {
    /// `service.name` of its process.
    pub service: String,
    /// What it is called.
    pub name: String,
    /// Its trace, in hexadecimal digits.
    pub trace: String,
    /// Its id.
    pub id: String,
    /// The id of the span that it is below; empty if it is none's.
    pub parent: String,
    /// When it began and ended, Unix nanoseconds.
    pub time: (u64, u64),
    /// Its attributes, as texts.
    pub attributes: Vec<(String, String)>,
}

impl Collector {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let spans = Arc::<Mutex<Vec<Span>>>::default();
        let received = Arc::clone(&spans);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let received = Arc::clone(&received);
                let service = service_fn(move |request| receive(request, Arc::clone(&received)));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { url, spans }
    }

    /// Returns all spans that have come.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the trace has `n` spans, and returns them in the order of their beginnings.
    pub async fn trace(&self, id: &str, n: usize) -> Vec<Span> {
        let mut found = eventually(&format!("{n} spans of the trace {id}"), PATIENCE, || async {
            let found: Vec<Span> = self.spans().into_iter().filter(|span| span.trace == id).collect();
            (found.len() >= n).then_some(found)
        })
        .await;
        found.sort_by_key(|span| (span.time.0, std::cmp::Reverse(span.time.1)));
        found
    }
}

impl Span {
    /// Returns an attribute.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

async fn receive(
    request: Request<Incoming>,
    received: Arc<Mutex<Vec<Span>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.uri().path(), "/v1/traces");
    assert_eq!(request.headers()["content-type"], "application/x-protobuf");
    let body = request.into_body().collect().await.expect("the body comes").to_bytes();
    let export = ExportTraceServiceRequest::decode(body).expect("it is what OTLP says");
    let mut spans = received.lock().unwrap_or_else(PoisonError::into_inner);
    for of_process in export.resource_spans {
        let resource = of_process.resource.map(|resource| attributes(resource.attributes)).unwrap_or_default();
        let service = resource.iter().find(|(key, _)| key == "service.name").map(|(_, value)| value.clone());
        for span in of_process.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(Span {
                service: service.clone().unwrap_or_default(),
                name: span.name,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                time: (span.start_time_unix_nano, span.end_time_unix_nano),
                attributes: attributes(span.attributes),
            });
        }
    }
    let mut response = Response::new(Full::default());
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/x-protobuf"));
    Ok(response)
}

fn attributes(given: Vec<KeyValue>) -> Vec<(String, String)> {
    let text = |value| match value {
        any_value::Value::StringValue(text) => text,
        any_value::Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    given.into_iter().filter_map(|pair| Some((pair.key, text(pair.value?.value?)))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
