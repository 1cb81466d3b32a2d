//! The load generator beside the gateway, for whoever may steer what runs: a preset is started on a function, watched
//! and ended. The load itself comes to the gateway's front door, as everybody's does.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use drover_connection::RequestBody;
use drover_core::ErrorKind;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;

use crate::beside::{Beside, pass_on, said};
use crate::body::Body;
use crate::error::Error;
use crate::gateway::Gateway;

/// The largest wish.
const MAX_BODY_BYTES: usize = 4096;
/// The longest silence of an answer: events of a run come each second, and signs of life each 15 s.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Says where a load generator is, `loadgen --web`.
pub trait LoadGenerator: Debug + Send + Sync {
    /// Returns its URL, such as `http://127.0.0.1:8089`. Who can start one begins to at the first call.
    ///
    /// # Errors
    /// Why there is none yet, in words for who asks.
    fn url(&self) -> Result<String, String>;
}

/// A load generator at a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunsAt(pub String);

impl LoadGenerator for RunsAt {
    fn url(&self) -> Result<String, String> {
        Ok(self.0.clone())
    }
}

/// Why it does not do what it is asked for, in its words.
#[derive(Deserialize)]
struct Why {
    error: String,
}

/// How the load generator is asked.
pub(crate) struct Load {
    generator: Option<Arc<dyn LoadGenerator>>,
    beside: Beside,
}

impl Load {
    pub(crate) fn new(generator: Option<Arc<dyn LoadGenerator>>) -> Self {
        Self { generator, beside: Beside::new(ANSWER_LIMIT) }
    }

    fn place(&self) -> Result<String, Error> {
        let Some(generator) = &self.generator else {
            let detail = "no load generator is known here: start `loadgen --web`, and set load.url to where it is";
            return Err(Error::new(ErrorKind::UnknownRoute, detail));
        };
        generator.url().map_err(|why| Error::new(ErrorKind::NotReady, why))
    }
}

impl Gateway {
    /// Passes on what the console may ask of the load generator; `what` is the path below `/api/load/`.
    pub(crate) async fn load(&self, what: &str, request: Request<RequestBody>) -> Result<Response<Body>, Error> {
        let (method, path) = match what {
            "events" => (Method::GET, "/events"),
            "report.html" => (Method::GET, "/report.html"),
            "report.json" => (Method::GET, "/report.json"),
            "preset" => (Method::POST, "/api/preset"),
            "control" => (Method::POST, "/api/control"),
            _ => return Err(Error::new(ErrorKind::UnknownRoute, format!("nothing is at `/api/load/{what}`"))),
        };
        if request.method() != method {
            let detail = format!("/api/load/{what} takes {method}, not {}", request.method());
            return Err(Error::new(ErrorKind::MethodNotAllowed, detail));
        }
        let url = format!("{}{path}", self.load.place()?);
        let mut asked = self.load.beside.request(method.clone(), &url)?;
        if method == Method::POST {
            let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await;
            let body = body.map_err(|e| Error::new(ErrorKind::TooLarge, format!("the body cannot be read: {e}")))?;
            asked = asked.header(header::CONTENT_TYPE, "application/json").body(body.to_bytes());
        }
        let answer = asked.send().await.map_err(|e| {
            let detail = format!("the load generator at {url} cannot be reached");
            Error::new(ErrorKind::UpstreamFailed, detail).with_cause(said(&e))
        })?;
        if answer.status().is_success() {
            // Events end with the gateway, not with the console that follows them.
            return Ok(pass_on(answer, self.stop.clone().cancelled_owned()));
        }
        let kind = match answer.status() {
            StatusCode::UNPROCESSABLE_ENTITY => ErrorKind::InvalidValue,
            status if status.is_client_error() => ErrorKind::BadRequest,
            _ => ErrorKind::NotReady,
        };
        let text = answer.bytes().await.unwrap_or_default();
        let why = serde_json::from_slice(&text).unwrap_or_else(|_| Why { error: kind.title().into() });
        Err(Error::new(kind, why.error))
    }
}
