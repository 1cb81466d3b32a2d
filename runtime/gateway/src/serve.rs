//! The gateway's HTTP server.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Gateway;
use crate::gateway::Client;
use crate::metrics::FOLD_EVERY;

/// The largest head of a request: request line and headers.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The most streams of one HTTP/2 connection at once.
const MAX_STREAMS: u32 = 256;
/// How long clients are asked to connect anew before idle connections are closed.
const LEAVE_WAIT: Duration = Duration::from_secs(1);

/// Serves HTTP/1.1 and HTTP/2 without TLS on `listener` until `stop`, then finishes what is in flight
/// within the drain timeout. All that the gateway does besides runs meanwhile.
///
/// # Errors
/// None after the start: a connection that cannot be accepted is logged and waited out.
pub async fn serve(listener: TcpListener, gateway: Arc<Gateway>, stop: CancellationToken) -> io::Result<()> {
    let mut besides = JoinSet::new();
    besides.spawn(Arc::clone(&gateway).follow_catalog());
    besides.spawn(Arc::clone(&gateway).autoscale());
    besides.spawn(watch_over(Arc::clone(&gateway)));

    let server = Arc::new(server(&gateway));
    let open = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(gateway.settings.max_connections));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &room) => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, client, permit)) => take(&server, &gateway, &open, stream, client, permit),
            Err(e) => {
                // Most likely too many open files: taking the next at once would spin.
                tracing::warn!(error = %e, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    gateway.is_leaving.store(true, Ordering::Relaxed);
    // Whoever has connected already is served; another gateway on this port takes the others.
    while let Ok(Ok((stream, client, permit))) = tokio::time::timeout(Duration::ZERO, accept(&listener, &room)).await {
        take(&server, &gateway, &open, stream, client, permit);
    }
    drop(listener);
    tokio::time::sleep(LEAVE_WAIT.min(gateway.settings.drain_timeout)).await;
    if tokio::time::timeout(gateway.settings.drain_timeout, open.shutdown()).await.is_err() {
        tracing::warn!("requests were still in flight after {:?}", gateway.settings.drain_timeout);
    }
    Ok(())
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

/// Serves one connection in a task of its own.
fn take(
    server: &Arc<auto::Builder<TokioExecutor>>,
    gateway: &Arc<Gateway>,
    open: &GracefulShutdown,
    stream: TcpStream,
    client: Client,
    permit: OwnedSemaphorePermit,
) {
    let gateway = Arc::clone(gateway);
    gateway.metrics.connections.increment(1);
    let connections = gateway.metrics.connections.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let gateway = Arc::clone(&gateway);
        async move { Ok::<_, Infallible>(gateway.answer(request, client).await) }
    });
    let connection = open.watch(server.serve_connection(TokioIo::new(stream), service).into_owned());
    tokio::spawn(async move {
        if let Err(e) = connection.await {
            tracing::debug!(client = %client.address, error = %e, "a connection ended early");
        }
        connections.decrement(1);
        drop(permit);
    });
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, Client, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, Client { address }, permit))
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
