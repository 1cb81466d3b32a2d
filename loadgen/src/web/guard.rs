//! Keeps other web sites' pages from using the live page through a person's browser.

use std::net::IpAddr;

use http::{HeaderMap, Method, Request, StatusCode, Uri, header};

use super::routes::Refused;

/// Lets a request pass only if no other web site's page can have sent it.
///
/// The host must be an address or `localhost`: a page that rebinds its DNS name sends that name. An origin must
/// be this page's own. A change must be declared as JSON, which no form can do.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Refused> {
    let forbidden = |why: String| Err(Refused::new(StatusCode::FORBIDDEN, why));
    let headers = request.headers();
    let authority = request.uri().authority().map(ToString::to_string).or_else(|| text(headers, header::HOST));
    let authority = authority.unwrap_or_default();
    if !is_no_name(&authority) {
        let shown = authority.escape_debug();
        return forbidden(format!("this page answers to an address or localhost, not to the host `{shown}`"));
    }
    if let Some(origin) = text(headers, header::ORIGIN) {
        let own =
            origin.parse::<Uri>().ok().is_some_and(|uri| uri.authority().is_some_and(|a| a.as_str() == authority));
        if !own {
            return forbidden(format!("no requests from the origin `{}` are taken", origin.escape_debug()));
        }
    }
    let site = text(headers, header::HeaderName::from_static("sec-fetch-site"));
    // A link from elsewhere may show the page; it may not do anything.
    let changes = request.method() != Method::GET && request.method() != Method::HEAD;
    if changes && site.is_some_and(|site| site != "none" && site != "same-origin") {
        return forbidden("no other site's requests are taken".into());
    }
    let is_json = text(headers, header::CONTENT_TYPE)
        .is_some_and(|v| v.split(';').next().is_some_and(|t| t.trim().eq_ignore_ascii_case("application/json")));
    if changes && !is_json {
        return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send content-type: application/json"));
    }
    Ok(())
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Whether `authority`, `host:port`, names its host by address or as `localhost`.
fn is_no_name(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<http::uri::Authority>() else { return false };
    let host = authority.host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}
