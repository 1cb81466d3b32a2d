//! Connections to one instance, kept for the next request.
//!
//! A connection is driven by the request that uses it, in the same task: no task of its own, so no
//! switch between tasks for each message. Nothing drives a kept connection; whether the instance has
//! closed it is looked up when it is taken.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::body::Upload;

/// Idle connections kept per instance.
const IDLE_MAX: usize = 1024;
/// The largest head of an answer.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Connections to one instance, kept for the next request.
#[derive(Debug)]
pub(crate) struct Pool {
    address: SocketAddr,
    idle: Mutex<Vec<Wire>>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Wire {
    sender: SendRequest<Upload>,
    connection: Box<Connection<TokioIo<TcpStream>, Upload>>,
    has_ended: bool,
}

/// Why a request got no answer.
#[derive(Debug)]
pub(crate) enum SendError {
    /// Nothing of it was sent; here it is.
    Unsent(Box<Request<Upload>>, io::Error),
    /// It may have been acted on.
    Broken(hyper::Error),
}

impl Pool {
    /// Makes a pool of connections to `address`, with none yet.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::default() }
    }

    /// Sends `request`, on a kept connection if there is one.
    pub(crate) async fn send(
        &self,
        mut request: Request<Upload>,
        connect_timeout: Duration,
    ) -> Result<(Response<Incoming>, Wire), SendError> {
        loop {
            let kept = self.take();
            let is_new = kept.is_none();
            let mut wire = match kept {
                Some(wire) => wire,
                None => match tokio::time::timeout(connect_timeout, Wire::connect(self.address)).await {
                    Ok(Ok(wire)) => wire,
                    Ok(Err(e)) => return Err(SendError::Unsent(request.into(), e)),
                    Err(_) => return Err(SendError::Unsent(request.into(), io::ErrorKind::TimedOut.into())),
                },
            };
            match wire.send(request).await {
                Ok(response) => return Ok((response, wire)),
                // A kept connection that the instance has closed meanwhile.
                Err(SendError::Unsent(unsent, _)) if !is_new => request = *unsent,
                Err(e) => return Err(e),
            }
        }
    }

    /// Keeps a connection whose answer has ended for the next request, which looks whether it can be used.
    pub(crate) fn keep(&self, wire: Wire) {
        let mut idle = self.idle();
        if idle.len() < IDLE_MAX {
            idle.push(wire);
        }
    }

    /// Drops the connections that the instance has closed.
    pub(crate) fn sweep(&self) {
        self.idle().retain_mut(Wire::is_usable);
    }

    /// Drops all kept connections.
    pub(crate) fn clear(&self) {
        self.idle().clear();
    }

    fn take(&self) -> Option<Wire> {
        let mut idle = self.idle();
        while let Some(mut wire) = idle.pop() {
            if wire.is_usable() {
                return Some(wire);
            }
        }
        None
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Wire>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wire {
    async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut builder = http1::Builder::new();
        // To copy a small body behind its head is less than to send two pieces.
        builder.max_buf_size(MAX_HEAD_BYTES).writev(false);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        Ok(Self { sender, connection: Box::new(connection), has_ended: false })
    }

    /// Sends a request and drives the connection until the head of the answer is there.
    async fn send(&mut self, request: Request<Upload>) -> Result<Response<Incoming>, SendError> {
        let Self { sender, connection, has_ended } = self;
        let mut answer = pin!(sender.try_send_request(request));
        let result = poll_fn(|context| {
            if let Poll::Ready(result) = answer.as_mut().poll(context) {
                return Poll::Ready(result);
            }
            drive(connection, has_ended, context);
            answer.as_mut().poll(context)
        });
        result.await.map_err(|mut e| match e.take_message() {
            Some(unsent) => SendError::Unsent(unsent.into(), io::Error::other(e.into_error())),
            None => SendError::Broken(e.into_error()),
        })
    }

    /// Drives the connection, for whoever reads an answer's body.
    pub(crate) fn drive(&mut self, context: &mut Context<'_>) {
        drive(&mut self.connection, &mut self.has_ended, context);
    }

    /// Reads all of a body.
    ///
    /// # Errors
    /// What went wrong, in words; a body of more than `max_bytes` among it.
    pub(crate) async fn collect(mut self, body: Incoming, max_bytes: usize) -> Result<Bytes, String> {
        let mut all = pin!(Limited::new(body, max_bytes).collect());
        let read = poll_fn(|context| {
            if let Poll::Ready(read) = all.as_mut().poll(context) {
                return Poll::Ready(read);
            }
            self.drive(context);
            all.as_mut().poll(context)
        });
        Ok(read.await.map_err(|e| e.to_string())?.to_bytes())
    }

    /// Looks whether a request can be sent.
    fn is_usable(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.has_ended && self.sender.is_ready()
    }
}

/// What ends a connection, it tells whoever waits for an answer.
fn drive(connection: &mut Connection<TokioIo<TcpStream>, Upload>, has_ended: &mut bool, context: &mut Context<'_>) {
    *has_ended = *has_ended || Pin::new(connection).poll(context).is_ready();
}
