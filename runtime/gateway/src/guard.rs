//! Keeps other web sites' pages from using the control API through a person's browser.

use std::net::IpAddr;

use drover_core::ErrorKind;
use http::{HeaderMap, Method, Request, Uri, header};

use crate::error::Error;

/// Lets a request to the control API pass only if no other web site's page can have sent it.
///
/// The host must be this machine (a page that rebinds its DNS name sends that name), an origin must be
/// this machine too, and a change must be declared as JSON, which no form can do.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), Error> {
    let headers = request.headers();
    let host = request.uri().host().map(str::to_owned).or_else(|| text(headers, header::HOST).map(|h| host_of(&h)));
    if !host.as_deref().is_some_and(is_this_machine) {
        let shown = host.unwrap_or_default();
        let detail = format!("the control API answers to localhost only, not to host `{shown}`");
        return Err(Error::new(ErrorKind::Forbidden, detail));
    }
    if let Some(origin) = text(headers, header::ORIGIN) {
        let own = origin.parse::<Uri>().ok().and_then(|uri| uri.host().map(is_this_machine)).unwrap_or(false);
        if !own {
            let detail = format!("the control API takes no requests from the origin `{origin}`");
            return Err(Error::new(ErrorKind::Forbidden, detail));
        }
    }
    let site = headers.get("sec-fetch-site").and_then(|v| v.to_str().ok()).unwrap_or("none");
    if !matches!(site, "none" | "same-origin") {
        return Err(Error::new(ErrorKind::Forbidden, format!("the control API takes no {site} requests")));
    }
    let is_json = text(headers, header::CONTENT_TYPE)
        .is_some_and(|v| v.split(';').next().is_some_and(|t| t.trim().eq_ignore_ascii_case("application/json")));
    if request.method() != Method::GET && !is_json {
        return Err(Error::new(ErrorKind::UnsupportedMediaType, "send content-type: application/json"));
    }
    Ok(())
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Returns the host of `host:port`.
fn host_of(value: &str) -> String {
    value.parse::<http::uri::Authority>().map(|a| a.host().to_owned()).unwrap_or_default()
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri("/api/functions");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap()).map_or_else(|e| e.kind.status(), |()| 200)
    }

    #[test]
    fn only_this_machine_s_own_requests_pass() {
        let json = ("content-type", "application/json; charset=utf-8");
        for (headers, wanted) in [
            (vec![("host", "127.0.0.1:8080"), json], 200),
            (vec![("host", "localhost"), json], 200),
            (vec![("host", "[::1]:8080"), json], 200),
            (vec![("host", "localhost"), json, ("origin", "http://localhost:8080")], 200),
            (vec![("host", "localhost"), json, ("sec-fetch-site", "same-origin")], 200),
            (vec![json], 403),
            (vec![("host", "rebound.example:8080"), json], 403),
            (vec![("host", "127.0.0.1.example"), json], 403),
            (vec![("host", "localhost"), json, ("origin", "https://evil.example")], 403),
            (vec![("host", "localhost"), json, ("origin", "null")], 403),
            (vec![("host", "localhost"), json, ("sec-fetch-site", "cross-site")], 403),
            (vec![("host", "localhost")], 415),
            (vec![("host", "localhost"), ("content-type", "text/plain")], 415),
        ] {
            assert_eq!(status("POST", &headers), wanted, "{headers:?}");
        }
        assert_eq!(status("GET", &[("host", "localhost")]), 200);
        assert_eq!(status("GET", &[("host", "rebound.example")]), 403);
    }
}
