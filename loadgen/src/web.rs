//! The live page: shows a run while it goes on, steers it, and hands out its reports.

mod control;
mod events;
mod guard;
mod routes;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use drover_connection::Limits;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::control::{Chosen, Control};
use crate::report::Report;

/// Clients at once.
const CONNECTIONS_MAX: usize = 128;
const LIMITS: Limits =
    Limits { header_timeout: Duration::from_secs(10), idle_timeout: Duration::from_secs(60), head_bytes: 16 << 10 };

/// What the routes are served from.
struct Page {
    reports: watch::Receiver<Arc<Report>>,
    control: mpsc::Sender<Control>,
    choices: Option<mpsc::Sender<Chosen>>,
}

/// Serves the page on `listener` until it is dropped, which closes every connection.
///
/// What a person wants goes to `control`, and what is to be run to `choices`, where the command line leaves that open.
/// Requests must name this machine by address or as `localhost`.
///
/// # Errors
/// The listener is lost.
pub async fn serve(
    listener: TcpListener,
    reports: watch::Receiver<Arc<Report>>,
    control: mpsc::Sender<Control>,
    choices: Option<mpsc::Sender<Chosen>>,
) -> io::Result<()> {
    let page = Arc::new(Page { reports, control, choices });
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let stop = CancellationToken::new();
    let mut open = JoinSet::new();
    loop {
        let place = Arc::clone(&room).acquire_owned().await.map_err(io::Error::other)?;
        let accepted = loop {
            tokio::select! {
                accepted = listener.accept() => break accepted,
                Some(_ended) = open.join_next() => {}
            }
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Most likely too many open files, which the load itself may have opened.
                tracing::warn!(%error, "a connection to the live page could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (page, stop) = (Arc::clone(&page), stop.clone());
        open.spawn(async move {
            drover_connection::serve(stream, page, LIMITS, stop).await;
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests;
