//! The control API, which the commands of `drover` use.

use std::convert::Infallible;

use drover_core::ErrorKind;
use drover_engine::{LogQuery, SchedulerError};
use futures_util::StreamExt;
use http::{HeaderValue, Method, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::{Body, full};
use crate::error::Error;
use crate::gateway::Gateway;

/// The largest body of a control call.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Lines of a log that are returned unless the call says otherwise.
const TAIL: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scale {
    count: u32,
}

impl From<SchedulerError> for Error {
    fn from(e: SchedulerError) -> Self {
        Self::new(e.kind(), e.to_string())
    }
}

impl Gateway {
    /// Answers a control call; `below` is its path below `/api/`.
    pub(crate) async fn api(&self, below: &str, request: Request<Incoming>) -> Result<Response<Body>, Error> {
        let parts: Vec<_> = below.trim_end_matches('/').split('/').collect();
        let (get, post) = (request.method() == Method::GET, request.method() == Method::POST);
        match parts.as_slice() {
            ["functions"] if get => Ok(json(&self.functions().await?)),
            ["functions", name] if get => {
                let function = self.find(name)?;
                let all = self.functions().await?;
                Ok(json(&all.into_iter().find(|f| f["name"] == function.as_str()).unwrap_or_default()))
            }
            ["functions", name, "logs"] if get => self.logs(name, request.uri().query().unwrap_or_default()).await,
            ["functions", name, "scale"] if post => {
                let function = self.find(name)?;
                let Scale { count } = read(request).await?;
                self.scheduler.scale(&function, count).await?;
                Ok(json(&json!({ "name": function.as_str(), "count": count })))
            }
            ["functions", name, "stop"] if post => {
                let function = self.find(name)?;
                self.scheduler.stop(&function).await?;
                Ok(json(&json!({ "name": function.as_str(), "count": 0 })))
            }
            ["instances"] if get => Ok(json(&self.instances())),
            ["stop"] if post => {
                self.stop.cancel();
                Ok(json(&json!({ "stopping": true })))
            }
            ["functions"]
            | ["functions", _]
            | ["functions", _, "logs" | "scale" | "stop"]
            | ["instances"]
            | ["stop"] => {
                let detail = format!("/api/{below} does not take {}", request.method());
                Err(Error::new(ErrorKind::MethodNotAllowed, detail))
            }
            _ => Err(Error::new(ErrorKind::UnknownRoute, format!("nothing is at `/api/{below}`"))),
        }
    }

    async fn functions(&self) -> Result<Vec<Value>, Error> {
        let snapshot = self.snapshot();
        let one = |status: drover_engine::FunctionStatus| {
            let all = snapshot.instances(&status.function).unwrap_or_default();
            json!({
                "name": status.function.as_str(),
                "count": status.count,
                "min": status.min,
                "max": status.max,
                "n_ready": all.iter().filter(|i| i.state.is_ready()).count(),
                "n_instances": all.len(),
                "in_flight": all.iter().map(|i| self.flights.count(&i.id)).sum::<usize>(),
                "url": format!("/functions/{}/", status.function),
            })
        };
        Ok(self.scheduler.status().await?.into_iter().map(one).collect())
    }

    fn instances(&self) -> Vec<Value> {
        let snapshot = self.snapshot();
        let one = |instance: &std::sync::Arc<drover_engine::Instance>| {
            let mut value = serde_json::to_value(instance.as_ref()).unwrap_or_default();
            if let Some(fields) = value.as_object_mut() {
                fields.insert("in_flight".into(), self.flights.count(&instance.id).into());
            }
            value
        };
        snapshot.all_instances().map(one).collect()
    }

    async fn logs(&self, name: &str, query: &str) -> Result<Response<Body>, Error> {
        let function = self.find(name)?;
        let mut wanted = LogQuery { tail: TAIL, follow: false };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let bad = || Error::new(ErrorKind::BadRequest, format!("`{pair}` is neither tail=N nor follow=true|false"));
            match pair.split_once('=') {
                Some(("tail", n)) => wanted.tail = n.parse().map_err(|_| bad())?,
                Some(("follow", flag)) => wanted.follow = flag.parse().map_err(|_| bad())?,
                _ => return Err(bad()),
            }
        }
        let lines = self.scheduler.logs(&function, wanted).await?.take_until(self.stop.clone().cancelled_owned());
        let frames = lines.map(|line| {
            let mut text = serde_json::to_vec(&line).unwrap_or_default();
            text.push(b'\n');
            Ok::<_, Infallible>(Frame::data(text.into()))
        });
        let body = StreamBody::new(frames).map_err(|never| match never {}).boxed_unsync();
        let mut response = Response::new(body);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        Ok(response)
    }

    /// Says that the gateway lives.
    pub(crate) fn health(&self) -> Response<Body> {
        json(&json!({ "status": "ok", "n_functions": self.snapshot().functions.len() }))
    }

    /// Says what can be found here.
    pub(crate) fn index(&self) -> Response<Body> {
        let snapshot = self.snapshot();
        let functions: Vec<_> = snapshot
            .functions
            .keys()
            .map(|f| {
                let at = |path: &str| format!("/functions/{f}/{path}");
                json!({ "name": f.as_str(), "predict": at("predict"), "docs": at("docs"), "openapi": at("openapi.json") })
            })
            .collect();
        json(&json!({ "functions": functions, "api": ["/api/functions", "/api/instances"], "health": "/health" }))
    }
}

fn json(value: &impl serde::Serialize) -> Response<Body> {
    let mut response = Response::new(full(serde_json::to_vec(value).unwrap_or_default()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn read<T: serde::de::DeserializeOwned>(request: Request<Incoming>) -> Result<T, Error> {
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await;
    let bytes =
        body.map_err(|e| Error::new(ErrorKind::BadRequest, format!("the body cannot be read: {e}")))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|e| Error::new(ErrorKind::InvalidValue, format!("the body: {e}")))
}
