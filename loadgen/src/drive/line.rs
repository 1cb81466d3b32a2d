//! A user's way to the target: a connection, while it is used and kept.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use http::Uri;

use super::h1::H1;
use super::here::{Here, Protocol};
use super::stream::Stream;
use super::wire::{Answered, SendError, Wire};
use crate::work::{Ask, Failure};

/// A way to the target.
#[derive(Debug, Default)]
pub(super) struct Line {
    wire: Option<Wire>,
    /// Where it leads, and how often the list of places had changed then.
    place: Option<(SocketAddr, u64)>,
}

impl Line {
    /// Sends a request that began at `began` and waits for all of its answer. Returns when it was sent, too: that
    /// is after the connection was there.
    ///
    /// What is dropped half-way takes the connection along.
    pub(super) async fn exchange(
        &mut self,
        here: &Here,
        user: usize,
        began: Instant,
        ask: &Ask,
        uri: &Uri,
    ) -> Result<(Answered, Instant), Failure> {
        let address = self.lead(here, user)?;
        loop {
            let kept = self.wire.take().and_then(|mut wire| wire.is_usable().then_some(wire));
            let is_kept = kept.is_some();
            let (mut wire, sent) = match kept {
                Some(wire) => (wire, began),
                None => (connect(address, here).await?, Instant::now()),
            };
            match wire.exchange(here, ask, uri).await {
                Ok(answer) => {
                    if answer.keeps && here.settings.keep_alive {
                        self.wire = Some(wire);
                    }
                    return Ok((answer, sent));
                }
                // The target has closed it meanwhile.
                Err(SendError::Unsent) if is_kept => {}
                Err(e) => return Err(broken(e)),
            }
        }
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
            self.wire = None;
        }
        self.place = Some((address, turn));
        Ok(address)
    }
}

// Boxed, as what happens once for a connection must not make each user's task larger.
async fn connect(address: SocketAddr, here: &Here) -> Result<Wire, Failure> {
    let stream = Box::pin(Stream::connect(address, here.settings.tls.as_ref())).await;
    let stream = stream.map_err(|e| failure("connect", &said(&e)))?;
    match here.settings.protocol {
        Protocol::H1 => Ok(Wire::H1(H1::new(stream))),
        Protocol::H2 => Box::pin(Wire::h2(stream)).await.map_err(|e| Failure { kind: "connect".into(), ..broken(e) }),
    }
}

/// Makes a failure of the connection.
pub(super) fn failure(kind: &str, detail: &str) -> Failure {
    Failure { kind: kind.into(), detail: detail.into() }
}

fn broken(error: SendError) -> Failure {
    match error {
        SendError::Unsent => failure("broken", "connection was closed before the request was sent"),
        SendError::Broken(why) => failure("broken", &why),
        SendError::TooLarge => failure("too_large", "the answer's body is too large"),
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
