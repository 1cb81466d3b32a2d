//! The control API, which the commands of `drover` and the console use.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use drover_connection::RequestBody;
use drover_core::{ErrorKind, FunctionName};
use drover_engine::{FunctionStatus, LogQuery, Resize, SchedulerError, Size};
use futures_util::{Stream, StreamExt};
use http::{HeaderValue, Method, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, Limited, StreamBody};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::backend::Out;
use crate::body::{Body, full};
use crate::error::Error;
use crate::gateway::{Client, Gateway};

/// The largest body of a control call.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Lines of a log that are returned unless the call says otherwise.
const TAIL: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scale {
    count: u32,
    /// For how long scaling leaves that count alone, seconds; 0 gives it back.
    hold_s: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resized {
    /// Cores.
    cpu: f64,
    /// MiB.
    memory: u64,
    /// MiB.
    memory_max: Option<u64>,
    /// Whether new instances replace those that run, where they could also be changed as they run.
    #[serde(default)]
    replace: bool,
}

impl From<SchedulerError> for Error {
    fn from(e: SchedulerError) -> Self {
        Self::new(e.kind(), e.to_string())
    }
}

impl Gateway {
    /// Answers a control call; `below` is its path below `/api/`.
    pub(crate) async fn api(
        &self,
        below: &str,
        request: Request<RequestBody>,
        client: &Client,
    ) -> Result<Response<Body>, Error> {
        let parts: Vec<_> = below.trim_end_matches('/').split('/').collect();
        let (get, post) = (request.method() == Method::GET, request.method() == Method::POST);
        match parts.as_slice() {
            ["functions"] if get => Ok(json(&self.functions().await?)),
            ["functions", name] if get => {
                let lane = self.lanes.find(name)?;
                let all = self.functions().await?;
                Ok(json(&all.into_iter().find(|f| f["name"] == lane.function.as_str()).unwrap_or_default()))
            }
            ["functions", name, "logs"] if get => self.logs(name, request.uri().query().unwrap_or_default()).await,
            ["functions", name, "scale"] if post => {
                let function = self.lanes.find(name)?.function.clone();
                let Scale { count, hold_s } = read(request).await?;
                // First, or scaling could come between.
                if let Some(seconds) = hold_s {
                    self.holds.hold(&function, Duration::from_secs(seconds));
                }
                self.scheduler.scale(&function, count).await?;
                Ok(json(&json!({ "name": function.as_str(), "count": count })))
            }
            ["functions", name, "resize"] if post => {
                let function = self.lanes.find(name)?.function.clone();
                let Resized { cpu, memory, memory_max, replace } = read(request).await?;
                let size = Size { cpu_cores: cpu, memory_mib: memory, memory_max_mib: memory_max };
                let how = if replace { Resize::Replace } else { Resize::InPlace };
                self.scheduler.resize(&function, size, how).await?;
                tracing::info!(%function, %size, replace, "resized");
                Ok(json(&json!({ "name": function.as_str(), "size": size })))
            }
            ["functions", name, "stop"] if post => {
                let function = self.lanes.find(name)?.function.clone();
                self.scheduler.stop(&function).await?;
                Ok(json(&json!({ "name": function.as_str(), "count": 0 })))
            }
            ["instances"] if get => Ok(json(&self.instances())),
            ["decisions"] if get => Ok(json(&self.decisions.all())),
            ["events"] if get => Ok(self.listen()),
            ["feedback", ..] => self.verdicts(below, request).await,
            ["load", what] => self.load(what, request).await,
            ["dashboards"] if get => Ok(json(&self.boards())),
            ["dashboards", uid, panel] if get => {
                self.panel(uid, panel, request.uri().query().unwrap_or_default()).await
            }
            ["live"] if get => Ok(self.look()),
            ["sd"] if get => Ok(json(&self.targets(&request, client.is_tls))),
            ["stop"] if post => {
                self.stop.cancel();
                Ok(json(&json!({ "stopping": true })))
            }
            ["functions"]
            | ["functions", _]
            | ["functions", _, "logs" | "scale" | "resize" | "stop"]
            | ["dashboards", _, _]
            | ["instances" | "dashboards" | "decisions" | "events" | "live" | "sd" | "stop"] => {
                let detail = format!("/api/{below} does not take {}", request.method());
                Err(Error::new(ErrorKind::MethodNotAllowed, detail))
            }
            _ => Err(Error::new(ErrorKind::UnknownRoute, format!("nothing is at `/api/{below}`"))),
        }
    }

    /// Returns what is known of each function: of those that somebody schedules, and of those that only run.
    pub(crate) async fn functions(&self) -> Result<Vec<Value>, Error> {
        let statuses = self.scheduler.status().await?;
        let mut all: Vec<_> = statuses.iter().map(|status| self.function(&status.function, Some(status))).collect();
        for lane in self.lanes.all() {
            if statuses.iter().all(|status| status.function != lane.function) {
                all.push(self.function(&lane.function, None));
            }
        }
        Ok(all)
    }

    /// Returns what is known of each function while the scheduler cannot be asked.
    pub(crate) fn known_functions(&self) -> Vec<Value> {
        self.lanes.all().iter().map(|lane| self.function(&lane.function, None)).collect()
    }

    fn function(&self, name: &FunctionName, status: Option<&FunctionStatus>) -> Value {
        let lane = self.lanes.find(name.as_str()).ok();
        let load = lane.as_ref().map(|lane| lane.load());
        let newest = self.decisions.newest(name);
        json!({
            "name": name.as_str(),
            "engine": status.map(|s| s.engine),
            "size": status.and_then(|s| s.size),
            "count": status.map(|s| s.count),
            "held_s": self.holds.left(name).map(|left| left.as_secs()),
            "wanted": newest.as_ref().map(|decision| decision.wanted),
            "why": newest.as_ref().map(|decision| decision.reason.to_string()),
            "min": status.map(|s| s.min),
            "max": status.map(|s| s.max),
            "scales": status.is_some_and(|s| s.scales),
            "n_ready": lane.as_ref().map_or(0, |lane| lane.n_open()),
            "n_instances": self.snapshot().instances(name).map_or(0, <[_]>::len),
            "in_flight": load.map_or(0, |load| load.n_inside),
            "waiting": load.map_or(0, |load| load.n_waiting),
            "requests_total": load.map_or(0, |load| load.n_requests),
            "feedback": lane.as_ref().and_then(|lane| lane.shown().meta.get("feedback").cloned()),
            "trouble": status.and_then(|s| s.trouble.as_ref()),
            "url": format!("/functions/{name}/"),
        })
    }

    pub(crate) fn instances(&self) -> Vec<Value> {
        let snapshot = self.snapshot();
        let all = snapshot.functions.iter().flat_map(|(name, function)| {
            let seats = self.lanes.find(name.as_str()).map(|lane| lane.instances()).unwrap_or_default();
            function.instances.iter().map(move |instance| {
                let mut value = serde_json::to_value(instance.as_ref()).unwrap_or_default();
                let seat = seats.iter().find(|(backend, ..)| backend.id == instance.id);
                if let Some(fields) = value.as_object_mut() {
                    fields.insert("in_flight".into(), seat.map_or(0, |(_, n, _)| *n).into());
                    fields.insert("out".into(), seat.and_then(|(_, _, out)| *out).map(Out::label).into());
                }
                value
            })
        });
        all.collect()
    }

    /// Streams what happens from now on, as server-sent events.
    fn listen(&self) -> Response<Body> {
        let texts = self.events.listen().take_until(self.stop.clone().cancelled_owned());
        let first = futures_util::stream::iter([": what happens from now on\n\n".to_owned()]);
        stream(first.chain(texts), "text/event-stream")
    }

    /// Streams what runs, once a second, and what happens meanwhile, as server-sent events.
    fn look(&self) -> Response<Body> {
        let events = self.events.listen().map(Bytes::from);
        let both = futures_util::stream::select(self.live.listen(), events);
        stream(both.take_until(self.stop.clone().cancelled_owned()), "text/event-stream")
    }

    async fn logs(&self, name: &str, query: &str) -> Result<Response<Body>, Error> {
        let function = self.lanes.find(name)?.function.clone();
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
        let lines = lines.map(|line| serde_json::to_string(&line).unwrap_or_default() + "\n");
        Ok(stream(lines, "application/x-ndjson"))
    }

    /// Says that the gateway lives.
    pub(crate) fn health(&self) -> Response<Body> {
        json(&json!({ "status": "ok", "n_functions": self.lanes.len() }))
    }

    /// Says whether the gateway takes requests.
    pub(crate) fn ready(&self) -> Result<Response<Body>, Error> {
        if self.is_leaving.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Draining, "this gateway is about to stop"));
        }
        Ok(json(&json!({ "ready": true, "catalog_lost": self.snapshot().lost })))
    }

    /// Returns the counters as Prometheus reads them.
    pub(crate) fn counters(&self) -> Response<Body> {
        let mut response = Response::new(full(self.metrics.render()));
        let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, format);
        response
    }

    /// Says what serves, in the words of the Open Inference Protocol.
    pub(crate) fn server(&self) -> Response<Body> {
        json(&json!({ "name": "drover", "version": env!("CARGO_PKG_VERSION"), "extensions": [] }))
    }

    /// Says what can be found here.
    pub(crate) fn index(&self) -> Response<Body> {
        let functions: Vec<_> = self
            .lanes
            .all()
            .iter()
            .map(|lane| {
                let name = &lane.function;
                let at = |path: &str| format!("/functions/{name}/{path}");
                json!({ "name": name.as_str(), "predict": at("predict"), "docs": at("docs"), "openapi": at("openapi.json") })
            })
            .collect();
        let api = ["/api/functions", "/api/instances", "/api/decisions", "/api/events", "/api/live", "/api/sd"];
        json(&json!({ "functions": functions, "api": api, "health": "/health", "metrics": "/metrics" }))
    }
}

fn stream<T: Into<Bytes>>(texts: impl Stream<Item = T> + Send + 'static, content_type: &'static str) -> Response<Body> {
    let frames = texts.map(|text| Ok::<_, Infallible>(Frame::data(text.into())));
    let body = StreamBody::new(frames).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(Body::Stream(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(crate) fn json(value: &impl serde::Serialize) -> Response<Body> {
    let mut response = Response::new(full(serde_json::to_vec(value).unwrap_or_default()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn read<T: serde::de::DeserializeOwned>(request: Request<RequestBody>) -> Result<T, Error> {
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await;
    let bytes =
        body.map_err(|e| Error::new(ErrorKind::BadRequest, format!("the body cannot be read: {e}")))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|e| Error::new(ErrorKind::InvalidValue, format!("the body: {e}")))
}
