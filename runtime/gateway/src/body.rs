//! Bodies as they pass through.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use drover_connection::RequestBody;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{Full, Limited};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::feedback::Tapped;
use crate::lane::Lease;
use crate::pool::Wire;

/// Any failure while a body is read.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What goes to a client.
pub(crate) enum Body {
    /// It is there already.
    Whole(Full<Bytes>),
    /// An instance's answer.
    Answer(Answer),
    /// An instance's answer that is kept for a verdict.
    Tapped(Box<Tapped>),
    /// It is made bit by bit.
    Stream(UnsyncBoxBody<Bytes, BoxError>),
}

/// What goes to an instance.
#[derive(Debug)]
pub(crate) enum Upload {
    /// It is there already, and can be sent again.
    Whole(Full<Bytes>),
    /// It comes from the client bit by bit.
    Stream(Limited<RequestBody>),
}

/// Returns a body that is there already.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Body::Whole(Full::new(bytes.into()))
}

/// The body of an instance's answer. Its slot, and its connection, are free again when it ends.
pub(crate) struct Answer {
    body: Incoming,
    open: Option<(Wire, Lease)>,
    /// Cancelled when the instance is given up.
    lost: CancellationToken,
    /// The longest silence between two parts.
    silence: Duration,
    /// Boxed, and made only for who has to wait: most answers come with their head.
    wait: Option<Box<Wait>>,
}

/// The wait for the next part of an answer.
struct Wait {
    lost: Pin<Box<WaitForCancellationFutureOwned>>,
    silence: Pin<Box<Sleep>>,
}

impl Answer {
    /// Passes `body` on, until its instance is given up or nothing of it comes for as long as `silence`.
    pub(crate) fn new(body: Incoming, wire: Wire, lease: Lease, lost: CancellationToken, silence: Duration) -> Self {
        let mut answer = Self { body, open: Some((wire, lease)), lost, silence, wait: None };
        answer.close_at_end();
        answer
    }

    /// Keeps the connection at the end of the body. An answer that is dropped before drops both.
    fn close_at_end(&mut self) {
        if self.body.is_end_stream()
            && let Some((wire, lease)) = self.open.take()
        {
            lease.backend.pool.keep(wire);
        }
    }

    /// Waits for the next part; returns why it will not come.
    fn poll_given_up(&mut self, context: &mut Context<'_>) -> Poll<&'static str> {
        let wait = self.wait.get_or_insert_with(|| {
            let lost = Box::pin(self.lost.clone().cancelled_owned());
            Box::new(Wait { lost, silence: Box::pin(sleep(self.silence)) })
        });
        if wait.lost.as_mut().poll(context).is_ready() {
            return Poll::Ready("the instance does not answer any more");
        }
        wait.silence.as_mut().poll(context).map(|()| "the instance has sent no further part of its answer for too long")
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut frame = Pin::new(&mut self.body).poll_frame(context);
        if frame.is_pending()
            && let Some((wire, _)) = &mut self.open
        {
            wire.drive(context);
            frame = Pin::new(&mut self.body).poll_frame(context);
        }
        match &frame {
            Poll::Ready(None) => {
                if let Some((wire, lease)) = self.open.take() {
                    lease.backend.pool.keep(wire);
                }
            }
            Poll::Ready(Some(_)) => {
                self.close_at_end();
                let silence = self.silence;
                if let Some(wait) = &mut self.wait {
                    wait.silence.as_mut().reset(Instant::now() + silence);
                }
            }
            Poll::Pending => {
                if let Poll::Ready(why) = self.poll_given_up(context) {
                    self.open = None;
                    return Poll::Ready(Some(Err(why.into())));
                }
            }
        }
        frame.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Self::Answer(body) => Pin::new(body).poll_frame(context),
            Self::Tapped(body) => Pin::new(body).poll_frame(context),
            Self::Stream(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Answer(body) => body.is_end_stream(),
            Self::Tapped(body) => body.is_end_stream(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Answer(body) => body.size_hint(),
            Self::Tapped(body) => body.size_hint(),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Self::Stream(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Stream(body) => body.size_hint(),
        }
    }
}
