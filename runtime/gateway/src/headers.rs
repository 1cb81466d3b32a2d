//! Headers that end at the gateway, and those that it adds.

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use crate::gateway::Client;

/// The header that carries the request's id.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header that says how many milliseconds the client still waits.
pub(crate) const DEADLINE: HeaderName = HeaderName::from_static("x-deadline-ms");

/// The header that makes a request part of a trace (W3C Trace Context).
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header that says where the time went.
pub(crate) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Headers that the gateway adds to a request, so that its map grows once.
pub(crate) const N_ADDED: usize = 6;

/// Headers that concern one connection only (RFC 9110, section 7.6.1).
static HOP_BY_HOP: [HeaderName; 9] = [
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

/// Returns the id of the trace that a `traceparent` header names.
pub(crate) fn trace_id(traceparent: &HeaderValue) -> Option<String> {
    drover_core::trace::trace_id(traceparent.to_str().ok()?).map(str::to_owned)
}

/// Removes the headers that concern one connection only, also those that `Connection` names.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Hardly any message has one, and to look is less than to remove nothing nine times.
    if !headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        return;
    }
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
pub(crate) fn add_forwarded(headers: &mut HeaderMap, uri: &Uri, client: &Client, prefix: &HeaderValue) {
    if !headers.contains_key(header::HOST)
        && let Some(host) = uri.authority().and_then(|a| HeaderValue::from_str(a.as_str()).ok())
    {
        headers.insert(header::HOST, host);
    }
    let before = headers.get(FORWARDED_FOR).and_then(|v| v.to_str().ok());
    let chain = match before {
        Some(before) => HeaderValue::try_from(format!("{before}, {}", client.address.ip())).ok(),
        None => client.forwarded_for.clone(),
    };
    if let Some(chain) = chain {
        headers.insert(FORWARDED_FOR, chain);
    }
    if let Some(host) = headers.get(header::HOST).cloned() {
        headers.insert(FORWARDED_HOST, host);
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(if client.is_tls { "https" } else { "http" }));
    headers.insert(FORWARDED_PREFIX, prefix.clone());
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
        let client = Client::new(([127, 0, 0, 1], 9).into(), true);
        let prefix = HeaderValue::from_static("/functions/penguins");
        add_forwarded(&mut headers, &Uri::from_static("/x"), &client, &prefix);
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-for"], "10.0.0.1, 127.0.0.1");
        assert_eq!(headers["x-forwarded-host"], "a.b");
        assert_eq!(headers["x-forwarded-prefix"], "/functions/penguins");
    }
}
