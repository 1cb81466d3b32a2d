//! What a request asks for.

use crate::page::FILES;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// A path of a function: its name, and the path as the instance sees it.
    Function(&'a str, &'a str),
    /// The control API: the parts of the path below `/api`.
    Api(&'a str),
    /// A user's verdict.
    Feedback,
    /// What gateways ask each other: the path below `/peer`.
    Peer(&'a str),
    /// The gateway's counters.
    Metrics,
    /// Whether the gateway lives.
    Live,
    /// Whether the gateway takes requests.
    Ready,
    /// The console, or what can be found here.
    Front,
    /// A file that the console loads, by its name.
    File(&'a str),
    /// What can be found here, in the words of the Open Inference Protocol.
    Server,
    /// Nothing.
    Unknown,
}

impl<'a> Route<'a> {
    /// Returns what `path` asks for.
    pub(crate) fn of(path: &'a str) -> Self {
        if let Some(below) = path.strip_prefix("/functions/") {
            let end = below.find('/').unwrap_or(below.len());
            let (name, rest) = below.split_at(end);
            return Self::Function(name, if rest.is_empty() { "/" } else { rest });
        }
        if let Some(below) = path.strip_prefix("/v2/models/") {
            let name = below.split('/').next().unwrap_or_default();
            return Self::Function(name, path);
        }
        if let Some(below) = path.strip_prefix("/api/") {
            return Self::Api(below);
        }
        if let Some(below) = path.strip_prefix("/peer/") {
            return Self::Peer(below);
        }
        if let Some(name) = path.strip_prefix(FILES) {
            return Self::File(name);
        }
        match path {
            "/" => Self::Front,
            "/feedback" => Self::Feedback,
            "/v2" | "/v2/" => Self::Server,
            "/metrics" => Self::Metrics,
            "/health" | "/health/live" | "/v2/health/live" => Self::Live,
            "/health/ready" | "/v2/health/ready" => Self::Ready,
            _ => Self::Unknown,
        }
    }
}

/// Returns the name in front of `domain` in a host such as `penguins.localhost:8080`.
pub(crate) fn name_of_host<'a>(host: &'a str, domain: &str) -> Option<&'a str> {
    let host = without_port(host);
    let (name, rest) = host.split_once('.')?;
    rest.eq_ignore_ascii_case(domain).then_some(name)
}

/// Returns a host without its port.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_what_they_ask_for() {
        for (path, route) in [
            ("/", Route::Front),
            ("/console/app.js", Route::File("app.js")),
            ("/health", Route::Live),
            ("/health/ready", Route::Ready),
            ("/metrics", Route::Metrics),
            ("/functions/penguins/predict", Route::Function("penguins", "/predict")),
            ("/functions/penguins/v2/models/penguins", Route::Function("penguins", "/v2/models/penguins")),
            ("/functions/penguins/", Route::Function("penguins", "/")),
            ("/functions/penguins", Route::Function("penguins", "/")),
            ("/functions/", Route::Function("", "/")),
            ("/functions", Route::Unknown),
            ("/v2/models/penguins", Route::Function("penguins", "/v2/models/penguins")),
            ("/v2/models/penguins/infer", Route::Function("penguins", "/v2/models/penguins/infer")),
            ("/v2", Route::Server),
            ("/api/functions", Route::Api("functions")),
            ("/peer/load", Route::Peer("load")),
            ("/feedback", Route::Feedback),
            ("/predict", Route::Unknown),
            ("*", Route::Unknown),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }

    #[test]
    fn hosts_and_the_functions_that_they_name() {
        for (host, name) in [
            ("penguins.localhost", Some("penguins")),
            ("penguins.LOCALHOST:8080", Some("penguins")),
            ("localhost:8080", None),
            ("penguins.example.org", None),
            ("a.b.localhost", None),
            ("127.0.0.1:8080", None),
            ("[::1]:8080", None),
            ("", None),
        ] {
            assert_eq!(name_of_host(host, "localhost"), name, "{host}");
        }
    }
}
