//! Connections to instances, kept for the next request.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::body::Body;

/// Idle connections kept per instance.
const IDLE_MAX: usize = 256;

type Sender = SendRequest<Body>;
type Idle = Arc<Mutex<HashMap<SocketAddr, Vec<Sender>>>>;

/// Connections to instances, kept for the next request.
#[derive(Default, Clone)]
pub(crate) struct Pool {
    idle: Idle,
}

/// A connection in use.
pub(crate) struct Borrowed {
    address: SocketAddr,
    sender: Sender,
    idle: Idle,
}

/// Why a request got no answer.
pub(crate) enum SendError {
    /// Nothing of it was sent; here it is.
    Unsent(Box<Request<Body>>, io::Error),
    /// It may have been acted on.
    Broken(hyper::Error),
}

impl Pool {
    /// Sends `request` to `address`, on a kept connection if there is one.
    pub(crate) async fn send(
        &self,
        address: SocketAddr,
        mut request: Request<Body>,
        connect_timeout: Duration,
    ) -> Result<(Response<Incoming>, Borrowed), SendError> {
        loop {
            let kept = self.take(address);
            let is_new = kept.is_none();
            let mut sender = match kept {
                Some(sender) => sender,
                None => match tokio::time::timeout(connect_timeout, connect(address)).await {
                    Ok(Ok(sender)) => sender,
                    Ok(Err(e)) => return Err(SendError::Unsent(request.into(), e)),
                    Err(_) => return Err(SendError::Unsent(request.into(), io::ErrorKind::TimedOut.into())),
                },
            };
            match sender.try_send_request(request).await {
                Ok(response) => {
                    return Ok((response, Borrowed { address, sender, idle: Arc::clone(&self.idle) }));
                }
                Err(mut e) => match e.take_message() {
                    // A kept connection that the instance has closed meanwhile.
                    Some(unsent) if !is_new => request = unsent,
                    Some(unsent) => return Err(SendError::Unsent(unsent.into(), io::Error::other(e.into_error()))),
                    None => return Err(SendError::Broken(e.into_error())),
                },
            }
        }
    }

    fn take(&self, address: SocketAddr) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let senders = idle.get_mut(&address)?;
        senders.retain(|sender| !sender.is_closed());
        let position = senders.iter().rposition(Sender::is_ready)?;
        Some(senders.swap_remove(position))
    }

    /// Closes the idle connections to addresses that are not in `known`.
    pub(crate) fn keep(&self, known: impl Fn(SocketAddr) -> bool) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).retain(|address, _| known(*address));
    }
}

impl Borrowed {
    /// Keeps the connection for the next request.
    pub(crate) fn give_back(self) {
        if !self.sender.is_closed() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let senders = idle.entry(self.address).or_default();
            if senders.len() < IDLE_MAX {
                senders.push(self.sender);
            }
        }
    }
}

async fn connect(address: SocketAddr) -> io::Result<Sender> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(async move {
        // Its failure is seen by whoever waits for the answer.
        let _ended = connection.await;
    });
    Ok(sender)
}
