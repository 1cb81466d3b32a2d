//! What is known of a connection while hyper has it, and the bodies that tell.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// What is known of one connection while hyper has it.
#[derive(Debug)]
pub(crate) struct Watch {
    origin: Instant,
    /// Milliseconds after `origin` at which something last began or ended.
    at_ms: AtomicU64,
    /// Requests whose response is not written yet.
    open: AtomicUsize,
    /// A request has been answered.
    served: AtomicBool,
    /// A request's body was left unread: hyper alone knows how to go on.
    half_read: AtomicBool,
    /// The client does not take what is written.
    pub(crate) blocked: AtomicBool,
    /// A request is being answered.
    running: AtomicUsize,
    /// The answer's next part is not there yet: the client has read all that was.
    awaits_part: AtomicBool,
    /// Bytes came after the last request: the head of the next one, perhaps not all of it.
    pub(crate) has_begun: AtomicBool,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
            at_ms: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            served: AtomicBool::new(false),
            half_read: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            running: AtomicUsize::new(0),
            awaits_part: AtomicBool::new(false),
            has_begun: AtomicBool::new(false),
        }
    }

    pub(crate) fn touch(&self) {
        let ms = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.at_ms.store(ms, Ordering::Relaxed);
    }

    pub(crate) fn begin(&self) {
        self.touch();
        self.has_begun.store(false, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.touch();
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn silent_for(&self) -> Duration {
        self.origin.elapsed().saturating_sub(Duration::from_millis(self.at_ms.load(Ordering::Relaxed)))
    }

    /// Whether it is not the client who is waited for.
    pub(crate) fn running(&self) -> bool {
        self.running.load(Ordering::Relaxed) > 0 || self.awaits_part.load(Ordering::Relaxed)
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }

    pub(crate) fn may_park(&self) -> bool {
        self.served.load(Ordering::Relaxed)
            && self.open.load(Ordering::Relaxed) == 0
            && !self.half_read.load(Ordering::Relaxed)
            && !self.blocked.load(Ordering::Relaxed)
    }
}

/// The body of a request; its connection is told if it is not read to its end.
#[derive(Debug)]
pub struct RequestBody {
    pub(crate) body: Incoming,
    pub(crate) watch: Option<Arc<Watch>>,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.as_ref().filter(|_| !self.body.is_end_stream()) {
            watch.half_read.store(true, Ordering::Relaxed);
        }
    }
}

/// The body of an answer; its connection's [`Watch`] is told when it has ended.
pub(crate) struct Tracked<B: Body> {
    pub(crate) body: B,
    pub(crate) watch: Arc<Watch>,
}

impl<B: Body + Unpin> Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        // Nothing asks for a part while the client does not take the one before.
        if polled.is_pending() {
            self.watch.awaits_part.store(true, Ordering::Relaxed);
        } else if self.watch.awaits_part.load(Ordering::Relaxed) {
            self.watch.awaits_part.store(false, Ordering::Relaxed);
            self.watch.touch();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: Body> Drop for Tracked<B> {
    fn drop(&mut self) {
        self.watch.touch();
        self.watch.awaits_part.store(false, Ordering::Relaxed);
        self.watch.served.store(true, Ordering::Relaxed);
        self.watch.open.fetch_sub(1, Ordering::Relaxed);
    }
}
