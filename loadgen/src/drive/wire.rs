//! One HTTP/1.1 or HTTP/2 connection, driven by the request that uses it.
//!
//! An HTTP/1.1 connection has no task of its own: whoever waits for the answer drives it, and nobody while it
//! is idle. It is driven once more after an answer with a waker that wakes nobody, so that giving it the next
//! request does not wake the task that gives it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;

use super::stream::Stream;

/// The largest body of an answer that is read.
const BODY_MAX: usize = 256 << 20;

/// A connection.
#[derive(Debug)]
pub(super) enum Wire {
    H1(Box<H1>),
    H2(http2::SendRequest<Full<Bytes>>),
}

/// An HTTP/1.1 connection.
#[derive(Debug)]
pub(super) struct H1 {
    sender: http1::SendRequest<Full<Bytes>>,
    connection: http1::Connection<TokioIo<Stream>, Full<Bytes>>,
    has_ended: bool,
}

/// A connection that was to be taken apart.
#[derive(Debug)]
pub(super) enum Parked {
    /// Its socket.
    Bare(Stream),
    /// Itself: HTTP/2 has more than a socket.
    Still(Wire),
    /// It could not be used again.
    Ended,
}

/// Why a request got no answer.
#[derive(Debug)]
pub(super) enum SendError {
    /// Nothing of it was sent; here it is.
    Unsent(Box<Request<Full<Bytes>>>),
    /// It may have been acted on.
    Broken(hyper::Error),
    /// Its body is larger than is read.
    TooLarge,
}

/// Runs what belongs to HTTP/2 connections on their own thread.
#[derive(Debug, Clone, Copy)]
struct Here;

impl<F: Future + 'static> hyper::rt::Executor<F> for Here {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async {
            future.await;
        });
    }
}

impl Wire {
    pub(super) async fn h1(stream: Stream) -> hyper::Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self::H1(Box::new(H1 { sender, connection, has_ended: false })))
    }

    pub(super) async fn h2(stream: Stream) -> hyper::Result<Self> {
        let (sender, connection) = http2::Builder::new(Here).handshake(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(async {
            // Whoever waits for an answer is told.
            let _ended = connection.await;
        });
        Ok(Self::H2(sender))
    }

    /// Sends a request and waits for all of its answer.
    pub(super) async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<(Parts, Bytes), SendError> {
        match self {
            Self::H1(wire) => wire.exchange(request).await,
            Self::H2(sender) => {
                let answer = sender.try_send_request(request).await.map_err(|mut e| match e.take_message() {
                    Some(unsent) => SendError::Unsent(unsent.into()),
                    None => SendError::Broken(e.into_error()),
                })?;
                let (parts, mut body) = answer.into_parts();
                let mut read = Read::default();
                while let Some(frame) = body.frame().await {
                    read.add(frame.map_err(SendError::Broken)?.into_data().ok())?;
                }
                Ok((parts, read.done()))
            }
        }
    }

    /// Looks whether another request can be sent.
    pub(super) fn is_usable(&mut self) -> bool {
        match self {
            Self::H1(wire) => {
                wire.drive(&mut Context::from_waker(Waker::noop()));
                !wire.has_ended && wire.sender.is_ready()
            }
            Self::H2(sender) => sender.is_ready(),
        }
    }

    /// Takes an idle connection apart, so that it holds no buffers.
    pub(super) fn park(mut self) -> Parked {
        if !self.is_usable() {
            return Parked::Ended;
        }
        match self {
            Self::H1(wire) => {
                let parts = wire.connection.into_parts();
                if parts.read_buf.is_empty() { Parked::Bare(parts.io.into_inner()) } else { Parked::Ended }
            }
            Self::H2(_) => Parked::Still(self),
        }
    }
}

impl H1 {
    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<(Parts, Bytes), SendError> {
        let mut answer = pin!(self.sender.try_send_request(request));
        // Nothing wakes these but the connection, which is driven before each look at them.
        let unheard = &mut Context::from_waker(Waker::noop());
        let (connection, has_ended) = (&mut self.connection, &mut self.has_ended);
        let answer: Response<Incoming> = poll_fn(|context| {
            drive(connection, has_ended, context);
            answer.as_mut().poll(unheard)
        })
        .await
        .map_err(|mut e| match e.take_message() {
            Some(unsent) => SendError::Unsent(unsent.into()),
            None => SendError::Broken(e.into_error()),
        })?;
        let (parts, mut body) = answer.into_parts();
        let mut read = Read::default();
        while !body.is_end_stream() {
            let frame = poll_fn(|context| {
                if let Poll::Ready(frame) = Pin::new(&mut body).poll_frame(unheard) {
                    return Poll::Ready(frame);
                }
                drive(connection, has_ended, context);
                Pin::new(&mut body).poll_frame(unheard)
            });
            match frame.await {
                Some(frame) => read.add(frame.map_err(SendError::Broken)?.into_data().ok())?,
                None => break,
            }
        }
        Ok((parts, read.done()))
    }

    fn drive(&mut self, context: &mut Context<'_>) {
        drive(&mut self.connection, &mut self.has_ended, context);
    }
}

/// What ends a connection, it tells whoever waits for an answer.
fn drive(
    connection: &mut http1::Connection<TokioIo<Stream>, Full<Bytes>>,
    has_ended: &mut bool,
    context: &mut Context<'_>,
) {
    *has_ended = *has_ended || Pin::new(connection).poll(context).is_ready();
}

/// A body, not copied if it came in one piece.
#[derive(Debug, Default)]
struct Read {
    first: Bytes,
    all: BytesMut,
}

impl Read {
    fn add(&mut self, data: Option<Bytes>) -> Result<(), SendError> {
        let Some(data) = data else { return Ok(()) };
        if self.first.is_empty() {
            self.first = data;
        } else {
            if self.all.is_empty() {
                self.all.extend_from_slice(&self.first);
            }
            self.all.extend_from_slice(&data);
        }
        if self.all.len() > BODY_MAX { Err(SendError::TooLarge) } else { Ok(()) }
    }

    fn done(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}
