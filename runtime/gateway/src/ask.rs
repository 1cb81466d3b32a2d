//! Questions of the gateway's own: whether an instance is ready or lives.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use serde::Deserialize;

use crate::backend::{Backend, Out};
use crate::body::Upload;
use crate::gateway::Gateway;
use crate::lane::Lane;
use crate::pool::{Pool, SendError};

/// How long an instance may take to say that it is ready.
const READY_LIMIT: Duration = Duration::from_secs(1);
/// How long an instance may take to say that it lives.
const LIVE_LIMIT: Duration = Duration::from_millis(500);
/// The time between two questions to an instance that starts: first, and at most.
const START_EVERY: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(100)];
/// The same for one that was in service before.
const BACK_EVERY: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];
/// The largest answer that is read.
pub(crate) const MAX_ANSWER_BYTES: usize = 1 << 20;

/// What an instance of Drover says when it is ready: Unix times in milliseconds.
#[derive(Deserialize)]
struct Ready {
    started_unix_ms: u64,
    listened_unix_ms: u64,
    ready_unix_ms: u64,
}

/// Makes a request of the gateway's own.
pub(crate) fn question<B>(address: SocketAddr, method: Method, path: &str, body: B) -> Result<Request<B>, String> {
    let request = Request::builder().method(method).uri(path).header(header::HOST, address.to_string());
    request.header(header::USER_AGENT, "drover-gateway").body(body).map_err(|e| e.to_string())
}

/// Asks `address` once and returns the status and the answer.
pub(crate) async fn ask(
    address: SocketAddr,
    method: Method,
    path: &str,
    limit: Duration,
) -> Result<(StatusCode, Bytes), String> {
    send(address, question(address, method, path, Full::default())?, limit).await
}

/// Sends one request to `address` and returns the status and the answer.
pub(crate) async fn send(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
    limit: Duration,
) -> Result<(StatusCode, Bytes), String> {
    let request = request.map(Upload::Whole);
    let exchange = async {
        let (response, wire) = Pool::new(address).send(request, limit).await.map_err(|e| match e {
            SendError::Unsent(_, e) => e.to_string(),
            SendError::Broken(e) => e.to_string(),
        })?;
        let status = response.status();
        let bytes = wire.collect(response.into_body(), MAX_ANSWER_BYTES).await?;
        Ok((status, bytes))
    };
    tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")))
}

impl Gateway {
    /// Asks an instance that is out of service again and again, and puts it into service when it is
    /// ready; ends when the catalog lists it no more.
    pub(crate) fn tend(self: &Arc<Self>, lane: &Arc<Lane>, backend: &Arc<Backend>, why: Out) {
        let (gateway, lane, backend) = (Arc::clone(self), Arc::clone(lane), Arc::clone(backend));
        let (first_wait, [mut wait, longest]) =
            if why == Out::New { (Duration::ZERO, START_EVERY) } else { (backend.ejected(), BACK_EVERY) };
        tokio::spawn(async move {
            let until_ready = async {
                tokio::time::sleep(first_wait).await;
                loop {
                    match ask(backend.address, Method::GET, "/health/ready", READY_LIMIT).await {
                        // A server that has no such path, but answers, is not one of Drover's.
                        Ok((status, answer)) if status.as_u16() < 500 => break answer,
                        _ => tokio::time::sleep(wait).await,
                    }
                    wait = (wait * 5 / 4).min(longest);
                }
            };
            let answer = tokio::select! {
                answer = until_ready => answer,
                () = backend.gone.cancelled() => return,
            };
            note_start(&lane, &answer);
            lane.open(&backend);
            gateway.changed(&lane, &backend, "in service", why.label());
            // One that has worked for as long as the longest wait begins anew.
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(10)) => backend.forgive(),
                () = backend.gone.cancelled() => {}
            }
        });
    }

    /// Takes an instance out of service because of what it did, and tends it.
    pub(crate) fn eject(self: &Arc<Self>, lane: &Arc<Lane>, backend: &Arc<Backend>, why: Out) {
        if lane.eject(backend, why) {
            self.changed(lane, backend, "out of service", why.label());
            self.tend(lane, backend, why);
        }
    }

    /// Asks an instance whether it lives; if it does not say so, what it has in flight is given up.
    pub(crate) fn suspect(self: &Arc<Self>, lane: &Arc<Lane>, backend: &Arc<Backend>, why: Out) {
        if backend.is_suspected.swap(true, Ordering::AcqRel) {
            return;
        }
        let (gateway, lane, backend) = (Arc::clone(self), Arc::clone(lane), Arc::clone(backend));
        tokio::spawn(async move {
            match ask(backend.address, Method::GET, "/health/live", LIVE_LIMIT).await {
                Ok((status, _)) if status.as_u16() < 500 => backend.answered(),
                _ => {
                    gateway.eject(&lane, &backend, why);
                    backend.give_up();
                }
            }
            backend.is_suspected.store(false, Ordering::Release);
        });
    }

    /// Reads how an instance started, if that is of interest and it was in service before it was asked.
    pub(crate) fn ask_how_it_started(self: &Arc<Self>, lane: &Arc<Lane>, backend: &Arc<Backend>) {
        let (lane, address) = (Arc::clone(lane), backend.address);
        tokio::spawn(async move {
            if let Ok((_, answer)) = ask(address, Method::GET, "/health/ready", READY_LIMIT).await {
                note_start(&lane, &answer);
            }
        });
    }
}

fn note_start(lane: &Lane, answer: &[u8]) {
    if !lane.is_cold() {
        return;
    }
    let at = |ms: u64| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
    let now = SystemTime::now();
    let times = match serde_json::from_slice::<Ready>(answer) {
        Ok(ready) => [at(ready.started_unix_ms), at(ready.listened_unix_ms), at(ready.ready_unix_ms)],
        // It does not tell: all of it counts as the time until it started.
        Err(_) => [now; 3],
    };
    lane.cold(|timeline| timeline.instance = Some(times));
}
