//! Which path is answered how. The only place that makes answers.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use drover_connection::{Handler, RequestBody};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};

use super::{Page, control, events, guard};
use crate::assets;
use crate::report::{Report, csv, html, json, markdown, prometheus};

type Body = UnsyncBoxBody<Bytes, Infallible>;

const HTML: &str = "text/html; charset=utf-8";
const CSV: &str = "text/csv; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";
const MARKDOWN: &str = "text/markdown; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the live page may load and run: its own files.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                           img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The report's file says itself which scripts it runs.
const FILE_POLICY: &str = "frame-ancestors 'none'";

/// Why a request is not answered as it wishes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    status: StatusCode,
    why: String,
}

impl Refused {
    pub(super) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }
}

impl Handler for Page {
    type Body = Body;

    async fn answer(&self, request: Request<RequestBody>) -> Response<Body> {
        let mut response = self.route(request).await.unwrap_or_else(|refused| {
            let text = serde_json::json!({ "error": refused.why }).to_string();
            let mut response = full(JSON, text);
            *response.status_mut() = refused.status;
            response
        });
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(PAGE_POLICY));
        response
    }
}

impl Page {
    async fn route(&self, request: Request<RequestBody>) -> Result<Response<Body>, Refused> {
        let path = request.uri().path().to_owned();
        // Who reads the metrics may call this machine by any name: they tell little and change nothing.
        if path != "/metrics" {
            guard::check(&request)?;
        }
        let wanted = if matches!(path.as_str(), "/api/control" | "/api/preset") { Method::POST } else { Method::GET };
        if request.method() != wanted && !(wanted == Method::GET && request.method() == Method::HEAD) {
            let why = format!("this takes {wanted}, not {}", request.method());
            return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, why));
        }
        match path.as_str() {
            "/events" => Ok(self.events()),
            "/api/control" => control::take(self, request.into_body()).await.map(|()| accepted()),
            "/api/preset" => control::choose(self, request.into_body()).await.map(|()| accepted()),
            "/health" => Ok(full(JSON, r#"{"status":"ok"}"#)),
            path => asset(path)
                .or_else(|| document(path, &self.report()))
                .ok_or_else(|| Refused::new(StatusCode::NOT_FOUND, "nothing is here; the page is at /")),
        }
    }

    fn report(&self) -> Arc<Report> {
        Arc::clone(&self.reports.borrow())
    }

    fn events(&self) -> Response<Body> {
        let body = StreamBody::new(events::stream(self.reports.clone())).boxed_unsync();
        let mut response = Response::new(body);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        response
    }
}

fn asset(path: &str) -> Option<Response<Body>> {
    let (kind, text) = match path {
        "/" => (HTML, assets::LIVE_HTML),
        "/assets/page.css" => (CSS, assets::PAGE_CSS),
        "/assets/uplot.css" => (CSS, assets::UPLOT_CSS),
        "/assets/uplot.js" => (JS, assets::UPLOT_JS),
        "/assets/uplot.LICENSE" => (TEXT, assets::UPLOT_LICENCE),
        "/assets/charts.js" => (JS, assets::CHARTS_JS),
        "/assets/view.js" => (JS, assets::VIEW_JS),
        "/assets/live.js" => (JS, assets::LIVE_JS),
        _ => return None,
    };
    Some(full(kind, text))
}

/// Returns the run in one of its forms.
fn document(path: &str, report: &Report) -> Option<Response<Body>> {
    let (kind, text) = match path {
        "/api/report" | "/report.json" => (JSON, json::text(report)),
        "/report.html" => (HTML, html::page(report)),
        "/report.md" => (MARKDOWN, markdown::text(report)),
        "/stats.csv" => (CSV, csv::stats(report)),
        "/stats_history.csv" => (CSV, csv::history(report)),
        "/failures.csv" => (CSV, csv::failures(report)),
        "/metrics" => (METRICS, prometheus::text(report)),
        _ => return None,
    };
    let mut response = full(kind, text);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(FILE_POLICY));
    Some(response)
}

fn accepted() -> Response<Body> {
    let mut response = full(JSON, "{}");
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

fn full(kind: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(text.into()).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
