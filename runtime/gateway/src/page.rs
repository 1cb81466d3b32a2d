//! The console's pages, for browsers.

use drover_connection::RequestBody;
use drover_console::{Asset, PAGE, POLICY};
use drover_core::{ErrorKind, FunctionName};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};

use crate::body::{Body, full};
use crate::error::Error;
use crate::gateway::Gateway;

/// Below it are the files that the page loads.
pub(crate) const FILES: &str = "/console/";

/// What every answer that a browser shows says of how it may be used.
const CAUTION: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

impl Gateway {
    /// Answers `/`: the console to a browser, and to anybody else what can be found here.
    pub(crate) fn front(&self, request: &Request<RequestBody>) -> Response<Body> {
        let shown = drover_console::find(PAGE).filter(|_| wants_page(request));
        let mut response = shown.map_or_else(|| self.index(), |page| show(page, request));
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
        response
    }

    /// Answers a path that is nothing else: `/NAME` is the console's page of a function alone, for browsers.
    ///
    /// Also of a function that there is not: the page says so, to whom may know.
    pub(crate) fn page_of(&self, path: &str, request: &Request<RequestBody>) -> Result<Response<Body>, Error> {
        let is_name = path.strip_prefix('/').is_some_and(|name| name.parse::<FunctionName>().is_ok());
        match drover_console::find(PAGE).filter(|_| is_name && wants_page(request)) {
            Some(page) => Ok(show(page, request)),
            None => Err(Error::new(ErrorKind::UnknownRoute, format!("nothing is at `{path}`, see /"))),
        }
    }

    /// Answers with a file that the page loads.
    pub(crate) fn file(&self, name: &str, request: &Request<RequestBody>) -> Result<Response<Body>, Error> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let detail = format!("{FILES}{name} does not take {}", request.method());
            return Err(Error::new(ErrorKind::MethodNotAllowed, detail));
        }
        let unknown = || Error::new(ErrorKind::UnknownRoute, format!("nothing is at `{FILES}{name}`"));
        drover_console::find(name).map(|asset| show(asset, request)).ok_or_else(unknown)
    }
}

/// Returns whether a browser asks for a page.
fn wants_page(request: &Request<RequestBody>) -> bool {
    request.method() == Method::GET && lists(request.headers(), header::ACCEPT, "text/html")
}

/// Returns whether a header lists `wanted`, whatever its weight.
fn lists(headers: &HeaderMap, name: HeaderName, wanted: &str) -> bool {
    let text = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(',').any(|part| part.split(';').next().is_some_and(|word| word.trim().eq_ignore_ascii_case(wanted)))
}

fn show(asset: &Asset, request: &Request<RequestBody>) -> Response<Body> {
    let headers = request.headers();
    let etag = format!("\"{}\"", asset.version);
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let is_gzip = lists(headers, header::ACCEPT_ENCODING, "gzip");
    // A file that is asked for by its version never changes.
    let is_versioned = request.uri().query().is_some_and(|query| query == format!("v={}", asset.version));
    let keep = if is_versioned { "public, max-age=31536000, immutable" } else { "no-cache" };
    let body = if is_gzip { asset.gzip.clone() } else { asset.plain.clone() };
    let mut response = Response::new(full(if is_known { bytes::Bytes::new() } else { body }));
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let own = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, keep),
        (header::ETAG, etag.as_str()),
        (header::VARY, "accept-encoding"),
    ];
    let packed = (is_gzip && !is_known).then_some((header::CONTENT_ENCODING, "gzip"));
    for (name, value) in own.into_iter().chain(CAUTION).chain(packed) {
        response.headers_mut().extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
    }
    response
}
