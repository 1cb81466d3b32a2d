//! A user's way to the target: a connection, while it is used, kept, or parked.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use http::Request;
use http::response::Parts;
use http_body_util::Full;

use super::here::{Here, Protocol};
use super::stream::Stream;
use super::wire::{Parked, SendError, Wire};
use crate::work::Failure;

/// A way to the target.
#[derive(Debug, Default)]
pub(super) struct Line {
    state: State,
    /// Where it leads, and how often the list of places had changed then.
    place: Option<(SocketAddr, u64)>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Closed,
    /// A bare socket, that holds no buffers.
    Parked(Stream),
    Open(Wire),
}

/// An answer.
pub(super) struct Got {
    pub(super) parts: Parts,
    pub(super) body: Bytes,
    /// When its request was sent, which is after the connection was there.
    pub(super) sent: Instant,
}

impl Line {
    /// Sends a request and waits for all of its answer.
    ///
    /// What is dropped half-way takes the connection along.
    pub(super) async fn exchange(
        &mut self,
        here: &Here,
        user: usize,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Got, Failure> {
        let address = self.lead(here, user)?;
        loop {
            let (mut wire, is_new) = match std::mem::take(&mut self.state) {
                State::Open(wire) => (wire, false),
                State::Parked(stream) => (open(stream, here).await?, false),
                State::Closed => (connect(address, here).await?, true),
            };
            if !is_new && !wire.is_usable() {
                continue;
            }
            let sent = Instant::now();
            match wire.exchange(request).await {
                Ok((parts, body)) => {
                    if here.settings.keep_alive {
                        self.state = State::Open(wire);
                    }
                    return Ok(Got { parts, body, sent });
                }
                // A kept connection that the target has closed meanwhile.
                Err(SendError::Unsent(unsent)) if !is_new => request = *unsent,
                Err(SendError::Unsent(_)) => return Err(broken("connection was closed before the request was sent")),
                Err(SendError::Broken(e)) => return Err(broken(&why(&e))),
                Err(SendError::TooLarge) => return Err(failure("too_large", "the answer's body is too large")),
            }
        }
    }

    /// Gives hyper's buffers back, for a while in which nothing is sent.
    pub(super) fn park(&mut self) {
        self.state = match std::mem::take(&mut self.state) {
            State::Open(wire) => match wire.park() {
                Parked::Bare(stream) => State::Parked(stream),
                Parked::Still(wire) => State::Open(wire),
                Parked::Ended => State::Closed,
            },
            state => state,
        };
    }

    /// Returns where the last request went.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.place.map(|(address, _)| address)
    }

    /// Returns where this user's requests go, and forgets the connection if that has changed.
    fn lead(&mut self, here: &Here, user: usize) -> Result<SocketAddr, Failure> {
        let turn = here.places.turn();
        if let Some((address, known)) = self.place
            && known == turn
        {
            return Ok(address);
        }
        let address = here.places.of(user).ok_or_else(|| failure("connect", "no instance of the target is known"))?;
        if self.address() != Some(address) {
            self.state = State::Closed;
        }
        self.place = Some((address, turn));
        Ok(address)
    }
}

// Boxed, as what happens once for a connection must not make each user's task larger.
async fn connect(address: SocketAddr, here: &Here) -> Result<Wire, Failure> {
    let stream = Box::pin(Stream::connect(address, here.settings.tls.as_ref())).await;
    let stream = stream.map_err(|e| failure("connect", &said(&e)))?;
    open(stream, here).await
}

async fn open(stream: Stream, here: &Here) -> Result<Wire, Failure> {
    let wire = match here.settings.protocol {
        Protocol::H1 => Box::pin(Wire::h1(stream)).await,
        Protocol::H2 => Box::pin(Wire::h2(stream)).await,
    };
    wire.map_err(|e| failure("connect", &why(&e)))
}

/// Makes a failure of the connection.
pub(super) fn failure(kind: &str, detail: &str) -> Failure {
    Failure { kind: kind.into(), detail: detail.into() }
}

fn broken(detail: &str) -> Failure {
    failure("broken", detail)
}

/// Says what hyper means, with what lies below it.
fn why(error: &hyper::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Says what went wrong without an address, which differs from request to request.
fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::AddrNotAvailable => "no local port is free: keep connections, or use fewer".into(),
        _ => error.to_string(),
    }
}
