//! One client connection: HTTP/1.1 or h2c, and almost no memory while it is idle.
//!
//! hyper holds 16 KiB of buffers for every open connection. A connection on which nothing has
//! happened for [`LINGER`] is therefore taken back from hyper ([`http1::Connection::into_parts`])
//! and parked as a bare socket until its next byte arrives; ten thousand idle clients then cost
//! about as much as their sockets. It is taken back only where nothing can be lost: every request
//! read to its end, every response written to its end.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use http::Request;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::function::Function;
use crate::service::Service;

/// How long a connection keeps its buffers after its last response, and how often it is looked at.
const LINGER: Duration = Duration::from_millis(50);
/// The largest head of a request, in bytes.
const HEAD_BYTES: u32 = 16 << 10;
/// Headers that a request may have.
const HEADERS_MAX: usize = 64;
/// How an h2c client begins (RFC 9113, 3.4); the first bytes tell it from every HTTP/1.1 method.
const H2_PREFACE: &[u8] = b"PRI";

/// Serves one connection until the client closes it, it is idle for too long, or `stop` is
/// cancelled and what runs has been answered.
pub(crate) async fn serve<F: Function>(stream: TcpStream, service: Arc<Service<F>>, stop: CancellationToken) {
    let mut start = [0; H2_PREFACE.len()];
    if !woken(&stream, &mut start, &service, &stop).await {
        return;
    }
    if start == H2_PREFACE {
        Box::pin(serve_h2(stream, service, stop)).await;
    } else {
        serve_h1(stream, service, stop).await;
    }
}

/// Waits for the next bytes, and shows them; false if the connection has ended or is to be closed.
async fn woken<F: Function>(
    stream: &TcpStream,
    next: &mut [u8],
    service: &Service<F>,
    stop: &CancellationToken,
) -> bool {
    tokio::select! {
        // Not `readable`, which may be told of bytes that have been read already.
        seen = stream.peek(next) => matches!(seen, Ok(1..)),
        () = stop.cancelled() => false,
        () = tokio::time::sleep(service.config().idle_timeout) => false,
    }
}

async fn serve_h2<F: Function>(stream: TcpStream, service: Arc<Service<F>>, stop: CancellationToken) {
    let idle = service.config().idle_timeout;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(20).min(idle)))
        .max_concurrent_streams(256)
        .max_header_list_size(HEAD_BYTES)
        .max_pending_accept_reset_streams(Some(64));
    let answer = service_fn(|request: Request<Incoming>| {
        let service = Arc::clone(&service);
        async move { Ok::<_, std::convert::Infallible>(service.respond(request).await) }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), answer));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "h2c connection ended");
    }
}

async fn serve_h1<F: Function>(mut stream: TcpStream, service: Arc<Service<F>>, stop: CancellationToken) {
    let mut unread = Bytes::new();
    loop {
        // Boxed, so that a parked connection does not hold the room that an active one needs.
        match Box::pin(serve_active(stream, unread, Arc::clone(&service), &stop)).await {
            Some(parked) => (stream, unread) = parked,
            None => return,
        }
        if unread.is_empty() && !woken(&stream, &mut [0], &service, &stop).await {
            return;
        }
    }
}

/// Serves requests as long as they come; gives the socket back when it falls silent, or nothing
/// when the connection has ended.
async fn serve_active<F: Function>(
    stream: TcpStream,
    unread: Bytes,
    service: Arc<Service<F>>,
    stop: &CancellationToken,
) -> Option<(TcpStream, Bytes)> {
    let watch = Arc::new(Watch::new());
    let answer = service_fn(|request: Request<Incoming>| {
        let (service, watch) = (Arc::clone(&service), Arc::clone(&watch));
        watch.begin();
        async move {
            let request = request.map(|body| Tracked { body, watch: Arc::clone(&watch), part: Part::Request });
            let response = service.respond(request).await;
            watch.end();
            Ok::<_, std::convert::Infallible>(response.map(|body| Tracked { body, watch, part: Part::Response }))
        }
    });
    let io = Socket { unread, stream: TokioIo::new(stream), watch: Arc::clone(&watch) };
    let mut builder = http1::Builder::new();
    // The time-outs are those of `tick` below. No `pipeline_flush`: it keeps answers back while part
    // of a further request is there, and a connection is parked only when all has been written.
    builder.max_headers(HEADERS_MAX).max_buf_size(HEAD_BYTES as usize).header_read_timeout(None);
    let mut connection = Box::pin(builder.serve_connection(io, answer));
    let header_timeout = service.config().header_timeout;
    let mut stopping = false;
    let mut tick = pin!(tokio::time::sleep(LINGER));
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
                return None;
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = tick.as_mut() => {
                let silent = watch.silent_for();
                if watch.may_park() && silent >= LINGER && !stopping {
                    break;
                }
                // Slow heads and clients that do not read their answer: neither may go on for ever.
                if !watch.running() && silent >= header_timeout {
                    return None;
                }
                tick.as_mut().reset(tokio::time::Instant::now() + LINGER);
            }
        }
    }
    // `may_park` has said that nothing is half read or half written.
    let parts = Pin::into_inner(connection).into_parts();
    Some((parts.io.stream.into_inner(), parts.read_buf))
}

/// What is known of one connection while hyper has it.
struct Watch {
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
    blocked: AtomicBool,
    /// A model or a queue is at work for a request.
    running: AtomicUsize,
}

impl Watch {
    fn new() -> Self {
        Self {
            origin: Instant::now(),
            at_ms: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            served: AtomicBool::new(false),
            half_read: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            running: AtomicUsize::new(0),
        }
    }

    fn touch(&self) {
        let ms = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.at_ms.store(ms, Ordering::Relaxed);
    }

    fn begin(&self) {
        self.touch();
        self.open.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.touch();
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    fn silent_for(&self) -> Duration {
        self.origin.elapsed().saturating_sub(Duration::from_millis(self.at_ms.load(Ordering::Relaxed)))
    }

    fn running(&self) -> bool {
        self.running.load(Ordering::Relaxed) > 0
    }

    fn may_park(&self) -> bool {
        self.served.load(Ordering::Relaxed)
            && self.open.load(Ordering::Relaxed) == 0
            && !self.half_read.load(Ordering::Relaxed)
            && !self.blocked.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Request,
    Response,
}

/// A body that tells the connection's [`Watch`] when it has ended.
struct Tracked<B: Body> {
    body: B,
    watch: Arc<Watch>,
    part: Part,
}

impl<B: Body + Unpin> Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

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

impl<B: Body> Drop for Tracked<B> {
    fn drop(&mut self) {
        match self.part {
            Part::Request => {
                if !self.body.is_end_stream() {
                    self.watch.half_read.store(true, Ordering::Relaxed);
                }
            }
            Part::Response => {
                self.watch.touch();
                self.watch.served.store(true, Ordering::Relaxed);
                self.watch.open.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

/// The socket, with what was read before hyper got it.
struct Socket {
    unread: Bytes,
    stream: TokioIo<TcpStream>,
    watch: Arc<Watch>,
}

impl Socket {
    fn noted(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if self.watch.blocked.load(Ordering::Relaxed) != written.is_pending() {
            self.watch.blocked.store(written.is_pending(), Ordering::Relaxed);
            self.watch.touch();
        }
        written
    }
}

impl Read for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let n = self.unread.len().min(buf.remaining());
        buf.put_slice(self.unread.get(..n).unwrap_or_default());
        self.unread.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl Write for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, data);
        self.noted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, data);
        self.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
