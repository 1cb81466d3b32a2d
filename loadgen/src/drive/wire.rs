//! One HTTP/1.1 or HTTP/2 connection.

use std::error::Error as _;
use std::future::Future;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;

use super::h1::H1;
use super::here::Here;
use super::stream::Stream;
use crate::work::{Ask, Reads};

/// The largest body of an answer that is read.
pub(super) const BODY_MAX: usize = 256 << 20;

/// A connection.
#[derive(Debug)]
pub(super) enum Wire {
    H1(H1),
    H2(http2::SendRequest<Full<Bytes>>),
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: StatusCode,
    /// Empty if nobody reads them.
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Whether the connection can be used again.
    pub(super) keeps: bool,
}

/// Why a request got no answer.
#[derive(Debug)]
pub(super) enum SendError {
    /// Nothing of it was sent.
    Unsent,
    /// It may have been acted on.
    Broken(String),
    /// The answer's body is larger than is read.
    TooLarge,
}

/// Runs what belongs to HTTP/2 connections on their own thread.
#[derive(Debug, Clone, Copy)]
struct OnThisThread;

impl<F: Future + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async {
            future.await;
        });
    }
}

impl Wire {
    pub(super) async fn h2(stream: Stream) -> Result<Self, SendError> {
        let made = http2::Builder::new(OnThisThread).handshake(TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(|e| broken(&e))?;
        tokio::task::spawn_local(async {
            // Whoever waits for an answer is told.
            let _ended = connection.await;
        });
        Ok(Self::H2(sender))
    }

    /// Sends a request and waits for all of its answer. One that is dropped half-way leaves a connection that
    /// must not be used again.
    pub(super) async fn exchange(&mut self, here: &Here, ask: &Ask, uri: &Uri) -> Result<Answered, SendError> {
        let sender = match self {
            Self::H1(wire) => return wire.exchange(here, ask, uri).await,
            Self::H2(sender) => sender,
        };
        let mut request = Request::new(Full::new(ask.body.clone()));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = uri.clone();
        request.headers_mut().clone_from(here.headers(&ask.headers).map());
        let answer = sender.try_send_request(request).await.map_err(|mut e| match e.take_message() {
            Some(_unsent) => SendError::Unsent,
            None => broken(&e.into_error()),
        })?;
        let (parts, mut body) = answer.into_parts();
        let mut read = BytesMut::new();
        while let Some(frame) = body.frame().await {
            read.extend_from_slice(&frame.map_err(|e| broken(&e))?.into_data().unwrap_or_default());
            if read.len() > BODY_MAX {
                return Err(SendError::TooLarge);
            }
        }
        let headers = if ask.reads == Reads::All { parts.headers } else { HeaderMap::new() };
        Ok(Answered { status: parts.status, headers, body: read.freeze(), keeps: true })
    }

    /// Looks whether another request can be sent.
    pub(super) fn is_usable(&mut self) -> bool {
        match self {
            Self::H1(wire) => wire.is_usable(),
            Self::H2(sender) => sender.is_ready(),
        }
    }
}

/// Says what hyper means, with what lies below it.
fn broken(error: &hyper::Error) -> SendError {
    SendError::Broken(match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    })
}
