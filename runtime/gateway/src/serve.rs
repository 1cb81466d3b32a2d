//! The gateway's HTTP server.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::Gateway;
use crate::gateway::Client;

/// The largest head of a request: request line and headers.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The most streams of one HTTP/2 connection at once.
const MAX_STREAMS: u32 = 256;

/// Serves HTTP/1.1 and HTTP/2 without TLS on `listener` until `stop`, then finishes what is in flight
/// within the drain timeout.
///
/// # Errors
/// None after the start: a connection that cannot be accepted is logged and waited out.
pub async fn serve(listener: TcpListener, gateway: Arc<Gateway>, stop: CancellationToken) -> io::Result<()> {
    let forget = tokio::spawn({
        let gateway = Arc::clone(&gateway);
        async move { gateway.forget_the_gone().await }
    });
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
    let (open, connections) = (GracefulShutdown::new(), Arc::new(Semaphore::new(gateway.settings.max_connections)));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &connections) => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, client, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                // Most likely too many open files: taking the next at once would spin.
                tracing::warn!(error = %e, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let gateway = Arc::clone(&gateway);
        let service = service_fn(move |request: Request<Incoming>| {
            let gateway = Arc::clone(&gateway);
            async move { Ok::<_, Infallible>(gateway.answer(request, client).await) }
        });
        let connection = server.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = open.watch(connection);
        tokio::spawn(async move {
            if let Err(e) = connection.await {
                tracing::debug!(client = %client.address, error = %e, "a connection ended early");
            }
            drop(permit);
        });
    }
    drop(listener);
    forget.abort();
    if tokio::time::timeout(gateway.settings.drain_timeout, open.shutdown()).await.is_err() {
        tracing::warn!("requests were still in flight after {:?}", gateway.settings.drain_timeout);
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> io::Result<(TcpStream, Client, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, Client { address }, permit))
}
