//! The path of a request, from top to bottom.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use drover_core::{ErrorKind, FunctionName, RequestId};
use drover_engine::{Catalog, Scheduler, Snapshot};
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::body::Body;
use crate::error::Error;
use crate::flights::Flights;
use crate::forward::prepare;
use crate::headers::REQUEST_ID;
use crate::pool::Pool;
use crate::route::Route;
use crate::{Settings, guard};

/// The front door of all functions.
pub struct Gateway {
    pub(crate) catalog: watch::Receiver<Arc<Snapshot>>,
    pub(crate) scheduler: Arc<dyn Scheduler>,
    pub(crate) settings: Settings,
    pub(crate) flights: Flights,
    pub(crate) pool: Pool,
    pub(crate) stop: CancellationToken,
}

/// Who sent a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
}

impl Gateway {
    /// Makes a gateway to the functions that `catalog` shows; cancels `stop` when it is asked to stop.
    pub fn new(
        catalog: &dyn Catalog,
        scheduler: Arc<dyn Scheduler>,
        settings: Settings,
        stop: CancellationToken,
    ) -> Self {
        Self { catalog: catalog.watch(), scheduler, settings, flights: Flights::default(), pool: Pool::default(), stop }
    }

    /// Answers one request, whatever happens: the only place that makes an error answer, the log line
    /// and the metrics of a request.
    pub(crate) async fn answer(&self, mut request: Request<Incoming>, client: Client) -> Response<Body> {
        let started = Instant::now();
        let given = request.headers().get(REQUEST_ID).and_then(|v| RequestId::from_client(v.as_bytes()));
        let id = given.unwrap_or_else(RequestId::generate);
        let header = HeaderValue::from_str(id.as_str()).ok();
        if let Some(value) = header.clone() {
            request.headers_mut().insert(REQUEST_ID, value);
        }
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let result = self.handle(request, client).await;
        let kind = result.as_ref().err().map_or("none", |e| e.kind.label());
        if let Err(e) = &result {
            let cause = e.cause.as_deref().unwrap_or_default();
            tracing::warn!(request_id = %id, %method, path, kind, cause, "{}", e.detail);
        }
        let mut response = result.unwrap_or_else(|e| e.response(&id));
        if let Some(value) = header {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        let (status, elapsed) = (response.status().as_u16(), started.elapsed());
        tracing::debug!(request_id = %id, %method, path, status, ?elapsed);
        let code = status.to_string();
        metrics::counter!("drover_gateway_requests_total", "code" => code, "kind" => kind).increment(1);
        metrics::histogram!("drover_gateway_first_byte_seconds").record(elapsed.as_secs_f64());
        response
    }

    async fn handle(&self, request: Request<Incoming>, client: Client) -> Result<Response<Body>, Error> {
        let path = request.uri().path().to_owned();
        match Route::of(&path) {
            Route::Function(name, below) => {
                let function = self.find(name)?;
                let request = prepare(request, &function, below, client, self.settings.max_body_bytes)?;
                self.forward(&function, request).await
            }
            Route::Api(below) => {
                guard::check(&request)?;
                self.api(below, request).await
            }
            Route::Health => Ok(self.health()),
            Route::Index => Ok(self.index()),
            Route::Unknown => Err(Error::new(ErrorKind::UnknownRoute, format!("nothing is at `{path}`, see /"))),
        }
    }

    /// Returns the newest snapshot of the catalog.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.catalog.borrow())
    }

    /// Returns the function called `name`, if the catalog knows it.
    pub(crate) fn find(&self, name: &str) -> Result<FunctionName, Error> {
        let snapshot = self.snapshot();
        let parsed = name.parse::<FunctionName>().ok();
        if let Some(function) = parsed.filter(|f| snapshot.functions.contains_key(f)) {
            return Ok(function);
        }
        let shown: String = name.chars().take(80).collect();
        let mut near: Vec<_> = snapshot
            .functions
            .keys()
            .map(|f| (strsim::damerau_levenshtein(f.as_str(), &shown), f.as_str()))
            .filter(|(distance, f)| *distance <= 2.max(f.len() / 3))
            .collect();
        near.sort_unstable();
        let near: Vec<_> = near.into_iter().take(3).map(|(_, f)| format!("`{f}`")).collect();
        let hint = if near.is_empty() { "see /api/functions".into() } else { format!("near: {}", near.join(", ")) };
        Err(Error::new(ErrorKind::UnknownFunction, format!("no function is called `{shown}`; {hint}")))
    }

    /// Forgets connections and counts of instances that are gone, until the catalog ends.
    pub(crate) async fn forget_the_gone(&self) {
        let mut catalog = self.catalog.clone();
        while catalog.changed().await.is_ok() {
            let snapshot = Arc::clone(&catalog.borrow_and_update());
            let all = || snapshot.all_instances();
            self.pool.keep(|address| all().any(|i| i.address == Some(address)));
            self.flights.keep(|id| all().any(|i| i.id == *id));
        }
    }
}
