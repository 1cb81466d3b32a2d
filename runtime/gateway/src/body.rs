//! Bodies as they pass through: never held as a whole.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use crate::flights::Flight;
use crate::pool::Borrowed;

/// Any failure while a body is read.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// Any body.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Returns a body that is there already.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// The body of an instance's answer. Its flight ends, and its connection is free again, when it ends.
pub(crate) struct Answer {
    body: Incoming,
    open: Option<(Flight, Borrowed)>,
}

impl Answer {
    /// Passes `body` on.
    pub(crate) fn new(body: Incoming, flight: Flight, connection: Borrowed) -> Self {
        let mut answer = Self { body, open: Some((flight, connection)) };
        answer.close_at_end();
        answer
    }

    fn close_at_end(&mut self) {
        if self.body.is_end_stream()
            && let Some((_flight, connection)) = self.open.take()
        {
            connection.give_back();
        }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        match &frame {
            Poll::Ready(None) => {
                if let Some((_flight, connection)) = self.open.take() {
                    connection.give_back();
                }
            }
            Poll::Ready(Some(_)) => self.close_at_end(),
            Poll::Pending => {}
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
