//! The path of a request, from top to bottom.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use drover_connection::RequestBody;
use drover_core::throttle::Throttle;
use drover_core::{ErrorKind, RequestId};
use drover_engine::{Catalog, Peers, Scheduler, Snapshot};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Response, Uri, header};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::backend::{Backend, Out};
use crate::body::Body;
use crate::dashboards::Dashboards;
use crate::decisions::Decisions;
use crate::error::Error;
use crate::events::Events;
use crate::feedback::{Feedback, Sender};
use crate::headers::{self, REQUEST_ID, TRACEPARENT};
use crate::hold::Holds;
use crate::lane::Lane;
use crate::lanes::Lanes;
use crate::live::Live;
use crate::load::{Load, LoadGenerator};
use crate::metrics::Metrics;
use crate::route::Route;
use crate::times::Times;
use crate::{Settings, guard};

/// The front door of all functions.
pub struct Gateway {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) scheduler: Arc<dyn Scheduler>,
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) access: Arc<Access>,
    pub(crate) settings: Settings,
    pub(crate) lanes: Lanes,
    pub(crate) metrics: Metrics,
    pub(crate) events: Events,
    pub(crate) live: Live,
    pub(crate) decisions: Decisions,
    pub(crate) holds: Holds,
    pub(crate) feedback: Feedback,
    pub(crate) load: Load,
    pub(crate) dashboards: Dashboards,
    /// Failures that are logged.
    failures: Throttle,
    /// Told when a function needs its first instance.
    pub(crate) wake: Arc<Notify>,
    /// Whether clients are asked to connect anew, since this gateway is about to stop.
    pub(crate) is_leaving: AtomicBool,
    /// When it was made: clocks of loads count from here.
    pub(crate) born: Instant,
    pub(crate) stop: CancellationToken,
}

/// Who sent a request.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) is_tls: bool,
    /// Its address as a header, made once for all its requests.
    pub(crate) forwarded_for: Option<HeaderValue>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, is_tls: bool) -> Self {
        Self { address, is_tls, forwarded_for: HeaderValue::try_from(address.ip().to_string()).ok() }
    }
}

/// What a gateway needs to be made.
pub struct Parts {
    /// Who runs where.
    pub catalog: Arc<dyn Catalog>,
    /// How many run.
    pub scheduler: Arc<dyn Scheduler>,
    /// The other gateways.
    pub peers: Arc<dyn Peers>,
    /// Who may use it.
    pub access: Arc<Access>,
    /// The limits.
    pub settings: Settings,
    /// Who can put load on it, for its console.
    pub load: Option<Arc<dyn LoadGenerator>>,
    /// Cancelled when the gateway is asked to stop.
    pub stop: CancellationToken,
}

impl Gateway {
    /// Makes a gateway.
    ///
    /// # Errors
    /// If its counters cannot be made.
    pub fn new(parts: Parts) -> Result<Arc<Self>, BuildError> {
        let Parts { catalog, scheduler, peers, access, settings, load, stop } = parts;
        let wake = Arc::new(Notify::new());
        Ok(Arc::new(Self {
            lanes: Lanes::new(settings.clone(), Arc::clone(&wake)),
            metrics: Metrics::new().map_err(|e| BuildError(e.to_string()))?,
            events: Events::default(),
            live: Live::default(),
            decisions: Decisions::default(),
            holds: Holds::default(),
            feedback: Feedback::new(&settings.feedback),
            load: Load::new(load),
            dashboards: Dashboards::new(settings.prometheus.clone()),
            failures: Throttle::default(),
            is_leaving: AtomicBool::new(false),
            born: Instant::now(),
            catalog,
            scheduler,
            peers,
            access,
            settings,
            wake,
            stop,
        }))
    }

    /// Answers one request, whatever happens: the only place that makes an error answer, the log line
    /// and the metrics of a request.
    pub(crate) async fn answer(self: &Arc<Self>, mut request: Request<RequestBody>, client: &Client) -> Response<Body> {
        let times = Times::new(Instant::now());
        let given = request.headers().get(REQUEST_ID).and_then(|v| RequestId::from_client(v.as_bytes()));
        let id = given.unwrap_or_else(RequestId::generate);
        let header = HeaderValue::from_str(id.as_str()).ok();
        request.headers_mut().reserve(headers::N_ADDED);
        if let Some(value) = header.clone() {
            request.headers_mut().insert(REQUEST_ID, value);
        }
        let (mut lane, version, traceparent) = (None, request.version(), request.headers().get(TRACEPARENT).cloned());
        let result = self.handle(request, client, &times, &mut lane).await;
        let kind = result.as_ref().err().map_or("none", |e| e.kind.label());
        let failed = result.as_ref().err().map(|e| (e.detail.clone(), e.cause.clone().unwrap_or_default()));
        let mut response = result.unwrap_or_else(|e| e.response(&id));
        if let Some(value) = header {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        if self.is_leaving.load(Ordering::Relaxed) && version < http::Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let (status, elapsed) = (response.status().as_u16(), times.started.elapsed());
        if let Some((detail, cause)) = failed {
            let function = lane.as_ref().map(|lane| lane.function.as_str());
            let trace_id = times.trace_id().or_else(|| headers::trace_id(traceparent.as_ref()?));
            // What a client did wrong is its own affair until someone looks for it.
            if status < 500 {
                tracing::debug!(request_id = %id, trace_id, function, status, kind, cause, ?elapsed, "{detail}");
            } else if let Some(left_out) = self.failures.admit(Instant::now()) {
                tracing::warn!(request_id = %id, trace_id, function, status, kind, cause, ?elapsed, left_out, "{detail}");
            }
        }
        match &lane {
            Some(lane) => {
                lane.metrics.answered(status, kind);
                lane.metrics.first_byte.record(elapsed);
                lane.metrics.queue.record(times.queue());
                lane.metrics.upstream.record(times.upstream());
                times.finish_trace(status, lane.function.as_str(), &id, kind);
            }
            None => self.metrics.other(status, kind),
        }
        response
    }

    async fn handle(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        client: &Client,
        times: &Times,
        lane: &mut Option<Arc<Lane>>,
    ) -> Result<Response<Body>, Error> {
        let path = request.uri().path().to_owned();
        if let Some(found) = host_of(&request).and_then(|host| self.lanes.of_host(host)) {
            let lane = lane.insert(self.known(found, request.headers()).await?);
            return self.pass_on(lane, request, &path, client, times).await;
        }
        match Route::of(&path) {
            Route::Function(name, below) => {
                let lane = lane.insert(self.known(self.lanes.find(name), request.headers()).await?);
                self.pass_on(lane, request, below, client, times).await
            }
            Route::Api(below) => {
                if !self.access.has_admin_key() {
                    guard::check(&request)?;
                }
                self.access.check_admin(request.headers(), client.address)?;
                Box::pin(self.api(below, request, client)).await
            }
            Route::Feedback => Box::pin(self.judge(request, Sender::Client)).await,
            Route::Peer("feedback") => Box::pin(self.judge(request, Sender::Gateway)).await,
            Route::Peer(below) => self.peer(below),
            Route::Metrics => Ok(self.counters()),
            Route::Live => Ok(self.health()),
            Route::Ready => self.ready(),
            Route::Front => Ok(self.front(&request)),
            Route::File(name) => self.file(name, &request),
            Route::Server => Ok(self.server()),
            Route::Unknown => self.page_of(&path, &request),
        }
    }

    /// Lets only those see which functions there are who have a key for any.
    async fn known(&self, found: Result<Arc<Lane>, Error>, headers: &HeaderMap) -> Result<Arc<Lane>, Error> {
        if found.is_err() && !self.access.is_open() {
            Box::pin(self.access.check_any(headers)).await?;
        }
        found
    }

    /// Passes a request on to an instance, which sees it at `path`.
    async fn pass_on(
        self: &Arc<Self>,
        lane: &Arc<Lane>,
        request: Request<RequestBody>,
        path: &str,
        client: &Client,
        times: &Times,
    ) -> Result<Response<Body>, Error> {
        let (mut head, body) = request.into_parts();
        times.trace(&mut head.headers);
        let grant = if self.access.is_open() {
            None
        } else {
            let grant = Box::pin(self.access.check(&lane.function, &head.headers)).await?;
            // It is for the gateway, not for instances.
            head.headers.remove(header::AUTHORIZATION);
            Some(grant)
        };
        headers::remove_hop_by_hop(&mut head.headers);
        headers::add_forwarded(&mut head.headers, &head.uri, client, &lane.prefix);
        // The gateway's own server has answered it already.
        head.headers.remove(header::EXPECT);
        if head.uri.path() != path || head.uri.authority().is_some() {
            let target = match head.uri.query() {
                Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
                None => PathAndQuery::try_from(path),
            };
            let bad = |e| Error::new(ErrorKind::BadRequest, "the path cannot be passed on").with_cause(e);
            head.uri = Uri::from(target.map_err(bad)?);
        }
        // Boxed: it is large, and what is around it is moved several times before it runs.
        Box::pin(self.forward(lane.enter(times.started, grant), head, body, times)).await
    }

    /// Returns the newest snapshot of the catalog.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.catalog.watch().borrow())
    }

    /// Follows the catalog until it ends.
    pub(crate) async fn follow_catalog(self: Arc<Self>, mut catalog: watch::Receiver<Arc<Snapshot>>) {
        let mut was_lost = false;
        while catalog.changed().await.is_ok() {
            let snapshot = Arc::clone(&catalog.borrow_and_update());
            self.show(&snapshot);
            let is_lost = snapshot.lost.is_some();
            if is_lost != was_lost {
                let text = snapshot.lost.clone().unwrap_or_else(|| "the catalog is back".into());
                tracing::warn!("{text}");
                self.events.catalog(&text);
            }
            was_lost = is_lost;
            self.metrics.catalog_lost.set(f64::from(u8::from(is_lost)));
        }
    }

    /// Brings the lanes in step with the catalog, and asks the instances that must be asked.
    pub(crate) fn show(self: &Arc<Self>, snapshot: &Snapshot) {
        for (lane, backend, why) in self.lanes.show(snapshot, &self.metrics) {
            match why {
                Out::New => self.tend(&lane, &backend, why),
                _ => self.suspect(&lane, &backend, why),
            }
        }
    }

    /// Tells whoever listens that an instance came into or went out of service.
    pub(crate) fn changed(&self, lane: &Lane, backend: &Backend, what: &str, why: &str) {
        let (function, instance) = (&lane.function, &backend.id);
        tracing::info!(%function, %instance, address = %backend.address, why, "{what}");
        self.events.instance(function, instance, &format!("{what}: {why}"));
    }
}

/// Why a gateway cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the gateway's counters cannot be made: {0}")]
pub struct BuildError(String);

fn host_of(request: &Request<RequestBody>) -> Option<&str> {
    request.uri().host().or_else(|| request.headers().get(header::HOST)?.to_str().ok())
}

/// Returns the Unix time in milliseconds.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
