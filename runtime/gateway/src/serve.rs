//! The gateway's HTTP server.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Gateway;
use crate::gateway::Client;
use crate::metrics::FOLD_EVERY;
use crate::tls::Tls;

/// The largest head of a request: request line and headers.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The most streams of one HTTP/2 connection at once.
const MAX_STREAMS: u32 = 256;
/// How long clients are asked to connect anew before idle connections are closed.
const LEAVE_WAIT: Duration = Duration::from_secs(1);

/// Serves HTTP/1.1 and HTTP/2 on all `listeners`, with TLS if there is a certificate, until `stop`; then
/// finishes what is in flight within the drain timeout. All that the gateway does besides runs meanwhile.
pub async fn serve(listeners: Vec<TcpListener>, tls: Option<Tls>, gateway: Arc<Gateway>, stop: CancellationToken) {
    let mut besides = JoinSet::new();
    besides.spawn(Arc::clone(&gateway).follow_catalog());
    besides.spawn(Arc::clone(&gateway).autoscale());
    besides.spawn(watch_over(Arc::clone(&gateway)));

    let open = GracefulShutdown::new();
    let door = Door {
        server: Arc::new(server(&gateway)),
        room: Arc::new(Semaphore::new(gateway.settings.max_connections)),
        tls,
        gateway: Arc::clone(&gateway),
    };
    let accepting = listeners.into_iter().map(|listener| door.accept_all(listener, &open, &stop));
    join_all(accepting).await;
    tokio::time::sleep(LEAVE_WAIT.min(gateway.settings.drain_timeout)).await;
    if tokio::time::timeout(gateway.settings.drain_timeout, open.shutdown()).await.is_err() {
        tracing::warn!("requests were still in flight after {:?}", gateway.settings.drain_timeout);
    }
}

/// Where connections come in.
struct Door {
    server: Arc<auto::Builder<TokioExecutor>>,
    room: Arc<Semaphore>,
    tls: Option<Tls>,
    gateway: Arc<Gateway>,
}

impl Door {
    /// Accepts connections until `stop`.
    async fn accept_all(&self, listener: TcpListener, open: &GracefulShutdown, stop: &CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = self.accept(&listener) => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, client, permit)) => self.take(open, stream, client, permit),
                Err(e) => {
                    // Most likely too many open files: taking the next at once would spin.
                    tracing::warn!(error = %e, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        self.gateway.is_leaving.store(true, Ordering::Relaxed);
        // Whoever has connected already is served; another gateway on this port takes the others.
        while let Ok(Ok((stream, client, permit))) = tokio::time::timeout(Duration::ZERO, self.accept(&listener)).await
        {
            self.take(open, stream, client, permit);
        }
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(TcpStream, Client, OwnedSemaphorePermit)> {
        let permit = Arc::clone(&self.room).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, address) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, Client { address, is_tls: self.tls.is_some() }, permit))
    }

    /// Serves one connection in a task of its own.
    fn take(&self, open: &GracefulShutdown, stream: TcpStream, client: Client, permit: OwnedSemaphorePermit) {
        let (gateway, server, watcher) = (Arc::clone(&self.gateway), Arc::clone(&self.server), open.watcher());
        let tls = self.tls.clone();
        tokio::spawn(async move {
            let connections = gateway.metrics.connections.clone();
            connections.increment(1);
            let ended = match tls {
                None => watcher.watch(connection(&server, stream, gateway, client)).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => watcher.watch(connection(&server, stream, gateway, client)).await,
                    Err(e) => Err(e.into()),
                },
            };
            if let Err(e) = ended {
                tracing::debug!(client = %client.address, error = %e, "a connection ended early");
            }
            connections.decrement(1);
            drop(permit);
        });
    }
}

/// Returns what serves one connection.
fn connection<I>(
    server: &auto::Builder<TokioExecutor>,
    stream: I,
    gateway: Arc<Gateway>,
    client: Client,
) -> impl GracefulConnection<Error = Box<dyn std::error::Error + Send + Sync>> + use<I>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let gateway = Arc::clone(&gateway);
        async move { Ok::<_, Infallible>(gateway.answer(request, client).await) }
    });
    server.serve_connection(TokioIo::new(stream), service).into_owned()
}

fn server(gateway: &Gateway) -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(gateway.settings.header_timeout)
        .max_buf_size(MAX_HEAD_BYTES);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(Duration::from_secs(30));
    server
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
        gateway.metrics.fold();
    }
}
