//! The life of the feedback service: connections, and what is deleted as time goes by.

use std::sync::Arc;
use std::time::Duration;

use drover_connection::Limits;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::service::{Desk, unix_ms};
use crate::store::Store;

/// Connections at once: gateways are few.
const CONNECTIONS_MAX: usize = 1024;
/// How often it is looked for what is too old or too much.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How long requests in flight may take to finish when the service stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

const LIMITS: Limits =
    Limits { header_timeout: Duration::from_secs(10), idle_timeout: Duration::from_secs(600), head_bytes: 64 << 10 };

/// What the service is made of.
#[derive(Debug)]
pub struct Service {
    /// Where verdicts are kept.
    pub store: Store,
    /// What gateways show as `Authorization: Bearer KEY`; unless set, everybody may ask who reaches the port.
    pub key: Option<String>,
}

/// Serves HTTP on `listener` until `stop`, then finishes what is in flight.
pub async fn serve(listener: TcpListener, service: Service, stop: CancellationToken) {
    let desk = Arc::new(Desk { store: Arc::new(service.store), key: service.key });
    let sweeper = tokio::spawn(sweep(Arc::clone(&desk.store)));
    let (room, open) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), TaskTracker::new());
    loop {
        let next = async {
            let room = Arc::clone(&room).acquire_owned().await.map_err(std::io::Error::other)?;
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>((room, stream))
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((room, stream)) => {
                let (desk, stop) = (Arc::clone(&desk), stop.clone());
                open.spawn(async move {
                    drover_connection::serve(stream, desk, LIMITS, stop).await;
                    drop(room);
                });
            }
            Err(e) => {
                // Most likely too many open files: taking the next at once would spin.
                tracing::warn!(error = %e, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    sweeper.abort();
    open.close();
    if tokio::time::timeout(DRAIN_LIMIT, open.wait()).await.is_err() {
        tracing::warn!("requests were still in flight after {DRAIN_LIMIT:?}");
    }
}

async fn sweep(store: Arc<Store>) {
    let mut tick = tokio::time::interval(SWEEP_EVERY);
    loop {
        tick.tick().await;
        match store.sweep(unix_ms()).await {
            Ok(0) => {}
            Ok(n) => tracing::info!(n, "verdicts deleted that were too old or too many"),
            Err(e) => tracing::warn!("what is too old is not deleted: {e}"),
        }
    }
}
