//! The gateway's HTTP server.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use drover_connection::{Handler, Limits, RequestBody};
use futures_util::future::join_all;
use http::{Request, Response};
use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Gateway;
use crate::body::Body;
use crate::gateway::Client;
use crate::line::Line;
use crate::metrics::FOLD_EVERY;
use crate::tls::{Tls, is_http2};

/// The largest head of a request: request line and headers.
const HEAD_BYTES: u32 = 64 << 10;
/// A listener on which nobody connects for so long is closed: time to finish what was half made.
const LAST_ACCEPT: Duration = Duration::from_millis(100);
/// How long clients are asked to connect anew before idle connections are closed.
const LEAVE_WAIT: Duration = Duration::from_secs(1);

/// Serves HTTP/1.1 and HTTP/2 on all `listeners`, with TLS if there is a certificate, until `stop`; then
/// finishes what is in flight within the drain timeout. All that the gateway does besides runs meanwhile.
pub async fn serve(listeners: Vec<TcpListener>, tls: Option<Tls>, gateway: Arc<Gateway>, stop: CancellationToken) {
    // Before the first request: it must not find an empty catalog.
    let mut catalog = gateway.catalog.watch();
    gateway.show(&Arc::clone(&catalog.borrow()));
    catalog.mark_changed();
    gateway.feedback.connect(Line::new(tls.as_ref()));
    let mut besides = JoinSet::new();
    besides.spawn(Arc::clone(&gateway).follow_catalog(catalog));
    besides.spawn(Arc::clone(&gateway).autoscale(Line::new(tls.as_ref())));
    besides.spawn(watch_over(Arc::clone(&gateway)));
    besides.spawn(Arc::clone(&gateway).show_live());

    let door = Door {
        room: Arc::new(Semaphore::new(gateway.settings.max_connections)),
        limits: Limits {
            header_timeout: gateway.settings.header_timeout,
            idle_timeout: gateway.settings.idle_timeout,
            head_bytes: HEAD_BYTES,
        },
        tls,
        gateway: Arc::clone(&gateway),
        open: TaskTracker::new(),
        close: CancellationToken::new(),
    };
    join_all(listeners.into_iter().map(|listener| door.accept_all(listener, &stop))).await;
    tokio::time::sleep(LEAVE_WAIT.min(gateway.settings.drain_timeout)).await;
    door.close.cancel();
    door.open.close();
    if tokio::time::timeout(gateway.settings.drain_timeout, door.open.wait()).await.is_err() {
        tracing::warn!("requests were still in flight after {:?}", gateway.settings.drain_timeout);
    }
}

/// Where connections come in.
struct Door {
    room: Arc<Semaphore>,
    limits: Limits,
    tls: Option<Tls>,
    gateway: Arc<Gateway>,
    /// The connections that are open, and what closes them once what runs has been answered.
    open: TaskTracker,
    close: CancellationToken,
}

/// One client's connection.
struct Visitor {
    gateway: Arc<Gateway>,
    client: Client,
    _room: OwnedSemaphorePermit,
}

impl Door {
    /// Accepts connections until `stop`.
    async fn accept_all(&self, listener: TcpListener, stop: &CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = self.accept(&listener) => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, visitor)) => self.take(stream, visitor),
                Err(e) => {
                    // Most likely too many open files: taking the next at once would spin.
                    tracing::warn!(error = %e, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        self.gateway.is_leaving.store(true, Ordering::Relaxed);
        // Whoever has connected already is served; another gateway on this port takes the others.
        if let Err(e) = turn_away_new(&listener) {
            tracing::debug!(error = %e, "connections that come while the port is closed may be reset");
        }
        while let Ok(Ok((stream, visitor))) = tokio::time::timeout(LAST_ACCEPT, self.accept(&listener)).await {
            self.take(stream, visitor);
        }
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(TcpStream, Visitor)> {
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, address) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let client = Client::new(address, self.tls.is_some());
        Ok((stream, Visitor { gateway: Arc::clone(&self.gateway), client, _room: room }))
    }

    /// Serves one connection in a task of its own.
    fn take(&self, stream: TcpStream, visitor: Visitor) {
        let (tls, limits, close) = (self.tls.clone(), self.limits, self.close.clone());
        self.open.spawn(async move {
            let (address, connections) = (visitor.client.address, visitor.gateway.metrics.connections.clone());
            connections.increment(1);
            let visitor = Arc::new(visitor);
            match tls {
                None => drover_connection::serve(stream, visitor, limits, close).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => {
                        let is_h2 = is_http2(&stream);
                        drover_connection::serve_tls(stream, is_h2, visitor, limits, close).await;
                    }
                    Err(e) => tracing::debug!(client = %address, error = %e, "no TLS"),
                },
            }
            connections.decrement(1);
        });
    }
}

impl Handler for Visitor {
    type Body = Body;

    async fn answer(&self, request: Request<RequestBody>) -> Response<Body> {
        self.gateway.answer(request, &self.client).await
    }
}

/// Makes the kernel drop requests for new connections to `listener`: closed with one half made, it would
/// reset it. The client's kernel asks again, when another gateway has the port to itself. A classic BPF
/// filter, which sees a segment from its TCP header on.
fn turn_away_new(listener: &TcpListener) -> io::Result<()> {
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(0x30, 0, 0, FLAGS),     // load a byte
        SockFilter::new(0x54, 0, 0, SYN | ACK), // keep these bits of it
        SockFilter::new(0x15, 0, 1, SYN),       // if that is SYN alone
        SockFilter::new(0x06, 0, 0, 0),         // drop it
        SockFilter::new(0x06, 0, 0, u32::MAX),  // or take all of it
    ])
}

/// Looks after instances that hold requests and do not answer, and after the counters.
async fn watch_over(gateway: Arc<Gateway>) {
    let mut tick = tokio::time::interval(FOLD_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        for lane in gateway.lanes.all() {
            for backend in lane.tick(FOLD_EVERY) {
                gateway.suspect(&lane, &backend, crate::backend::Out::Hung);
            }
        }
        gateway.feedback.answers.sweep();
        gateway.metrics.fold();
    }
}
