//! Which path means what.

use drover_core::ErrorKind;
use http::Method;

use crate::error::Error;

/// All that an instance answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// `POST /predict`
    Predict,
    /// `POST /v2/models/{model}/infer`
    Infer { model: &'a str },
    /// `GET /v2`
    Server,
    /// `GET /v2/models/{model}`
    Model { model: &'a str },
    /// `GET /v2/models/{model}/ready`
    ModelReady { model: &'a str },
    /// `GET /health`, `/health/live`, `/v2/health/live`
    Live,
    /// `GET /health/ready`, `/v2/health/ready`
    Ready,
    /// `GET /openapi.json`
    OpenApi,
    /// `GET /docs`
    DocsRedirect,
    /// `GET /docs/{file}`
    Docs { file: &'a str },
    /// `GET /metrics`
    Metrics,
}

impl<'a> Route<'a> {
    /// Finds the route of a request.
    pub(super) fn find(method: &Method, path: &'a str) -> Result<Self, Error> {
        let Some(route) = Self::of_path(path) else {
            let detail = format!("no path `{path}` here, see /docs or /openapi.json");
            return Err(Error::new(ErrorKind::UnknownRoute, detail));
        };
        let posted = matches!(route, Self::Predict | Self::Infer { .. });
        if (posted && method == Method::POST) || (!posted && (method == Method::GET || method == Method::HEAD)) {
            Ok(route)
        } else {
            let detail = format!("{method} {path} is not offered, send {}", Self::methods(path));
            Err(Error::new(ErrorKind::MethodNotAllowed, detail))
        }
    }

    /// Returns the methods that a path takes, as the `Allow` header writes them.
    pub(super) fn methods(path: &str) -> &'static str {
        match Route::of_path(path) {
            Some(Route::Predict | Route::Infer { .. }) => "POST",
            _ => "GET, HEAD",
        }
    }

    fn of_path(path: &'a str) -> Option<Self> {
        Some(match path {
            "/predict" => Self::Predict,
            "/health" | "/health/live" | "/v2/health/live" => Self::Live,
            "/health/ready" | "/v2/health/ready" => Self::Ready,
            "/v2" | "/v2/" => Self::Server,
            "/openapi.json" => Self::OpenApi,
            "/docs" => Self::DocsRedirect,
            "/metrics" => Self::Metrics,
            _ => {
                if let Some(file) = path.strip_prefix("/docs/") {
                    return Some(Self::Docs { file });
                }
                let mut parts = path.strip_prefix("/v2/models/")?.split('/');
                let model = parts.next().filter(|name| !name.is_empty())?;
                match (parts.next(), parts.next()) {
                    (None, None) => Self::Model { model },
                    (Some("ready"), None) => Self::ModelReady { model },
                    (Some("infer"), None) => Self::Infer { model },
                    _ => return None,
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &Method, path: &str, expected: Result<Route<'_>, ErrorKind>) {
        assert_eq!(Route::find(method, path).map_err(|e| e.kind), expected, "{method} {path}");
    }

    #[test]
    fn every_path_has_one_meaning() {
        check(&Method::POST, "/predict", Ok(Route::Predict));
        check(&Method::GET, "/predict", Err(ErrorKind::MethodNotAllowed));
        check(&Method::GET, "/predict/", Err(ErrorKind::UnknownRoute));
        check(&Method::GET, "/v2", Ok(Route::Server));
        check(&Method::HEAD, "/v2/health/ready", Ok(Route::Ready));
        check(&Method::GET, "/v2/models/a", Ok(Route::Model { model: "a" }));
        check(&Method::POST, "/v2/models/a/infer", Ok(Route::Infer { model: "a" }));
        check(&Method::GET, "/v2/models/a/infer", Err(ErrorKind::MethodNotAllowed));
        check(&Method::GET, "/v2/models/a/ready/more", Err(ErrorKind::UnknownRoute));
        check(&Method::GET, "/v2/models/", Err(ErrorKind::UnknownRoute));
        check(&Method::GET, "/docs/", Ok(Route::Docs { file: "" }));
        check(&Method::DELETE, "/docs/", Err(ErrorKind::MethodNotAllowed));
    }
}
