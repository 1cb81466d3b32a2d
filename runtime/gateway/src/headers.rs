//! Headers that end at the gateway, and those that it adds.

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use crate::gateway::Client;

/// The header that carries the request's id.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header that says how many milliseconds the client still waits.
pub(crate) const DEADLINE: HeaderName = HeaderName::from_static("x-deadline-ms");

/// The header that says where the time went.
pub(crate) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Headers that concern one connection only (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Removes the headers that concern one connection only, also those that `Connection` names.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// Says who asked, by what name, and below which prefix the instance is seen.
pub(crate) fn add_forwarded(headers: &mut HeaderMap, uri: &Uri, client: Client, function: &str) {
    if !headers.contains_key(header::HOST)
        && let Some(host) = uri.authority().and_then(|a| HeaderValue::from_str(a.as_str()).ok())
    {
        headers.insert(header::HOST, host);
    }
    let host = headers.get(header::HOST).cloned();
    let before = headers.get("x-forwarded-for").and_then(|v| v.to_str().ok()).map(|v| format!("{v}, "));
    let chain = format!("{}{}", before.unwrap_or_default(), client.address.ip());
    for (name, value) in [
        ("x-forwarded-for", HeaderValue::try_from(chain).ok()),
        ("x-forwarded-proto", Some(HeaderValue::from_static(if client.is_tls { "https" } else { "http" }))),
        ("x-forwarded-host", host),
        ("x-forwarded-prefix", HeaderValue::try_from(format!("/functions/{function}")).ok()),
    ] {
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_one_connection_are_removed_with_those_it_names() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("connection", "keep-alive, x-secret"), ("x-secret", "1"), ("te", "trailers"), ("traceparent", "00-1")]
        {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["traceparent"]);
    }

    #[test]
    fn the_chain_of_clients_grows() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("10.0.0.1"));
        headers.insert("host", HeaderValue::from_static("a.b"));
        let client = Client { address: ([127, 0, 0, 1], 9).into(), is_tls: true };
        add_forwarded(&mut headers, &Uri::from_static("/x"), client, "penguins");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-for"], "10.0.0.1, 127.0.0.1");
        assert_eq!(headers["x-forwarded-host"], "a.b");
        assert_eq!(headers["x-forwarded-prefix"], "/functions/penguins");
    }
}
