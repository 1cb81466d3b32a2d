//! One client connection: HTTP/1.1 or HTTP/2, and almost no memory while it is idle.
//!
//! hyper holds 16 KiB of buffers for every open connection. A TCP connection on which nothing has
//! happened for a moment is therefore taken back from hyper ([`http1::Connection::into_parts`])
//! and parked as a bare socket until its next byte arrives; ten thousand idle clients then cost
//! about as much as their sockets. It is taken back only where nothing can be lost: every request
//! read to its end, every response written to its end.

mod watch;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

pub use self::watch::RequestBody;
use self::watch::{Tracked, Watch};

/// How long a connection keeps its buffers after its last response, and how often it is looked at meanwhile.
const LINGER: Duration = Duration::from_millis(50);
/// How often a connection is looked at that cannot be parked: to look at thousands that wait for an answer is work that
/// the answers do not get.
const LOOK: Duration = Duration::from_secs(1);
/// Streams of one HTTP/2 connection at once.
const STREAMS_MAX: u32 = 256;
/// How an h2c client begins (RFC 9113, 3.4); the first bytes tell it from every HTTP/1.1 method.
const H2_PREFACE: &[u8] = b"PRI";

/// What answers requests.
pub trait Handler: Send + Sync + 'static {
    /// The body of an answer.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static;

    /// Answers one request, whatever happens.
    fn answer(&self, request: Request<RequestBody>) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// How long a connection may take for what, and how large a head may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest time for a request's head, and for a client to go on reading its answer.
    pub header_timeout: Duration,
    /// The longest silence between two requests.
    pub idle_timeout: Duration,
    /// The largest head of a request, in bytes.
    pub head_bytes: u32,
}

/// Serves one connection until the client closes it, it is idle for too long, or `stop` is
/// cancelled and what runs has been answered.
pub async fn serve<H: Handler>(stream: TcpStream, handler: Arc<H>, limits: Limits, stop: CancellationToken) {
    let mut start = [0; H2_PREFACE.len()];
    if !woken(&stream, &mut start, limits, &stop).await {
        return;
    }
    if start == H2_PREFACE {
        Box::pin(serve_h2(stream, handler, limits, stop)).await;
    } else {
        serve_h1(stream, handler, limits, stop).await;
    }
}

/// As [`serve`], for a connection inside TLS, which is never parked; `is_h2` says what was agreed upon.
pub async fn serve_tls<S, H>(stream: S, is_h2: bool, handler: Arc<H>, limits: Limits, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    if is_h2 {
        Box::pin(serve_h2(stream, handler, limits, stop)).await;
    } else {
        let never_parked = serve_active(stream, Bytes::new(), handler, limits, &stop, Parking::Never);
        let _ended = Box::pin(never_parked).await;
    }
}

/// Waits for the next bytes, and shows them; false if the connection has ended or is to be closed.
async fn woken(stream: &TcpStream, next: &mut [u8], limits: Limits, stop: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        // Not `readable`, which may be told of bytes that have been read already.
        seen = stream.peek(next) => matches!(seen, Ok(1..)),
        // A request may have come that tokio has not been told of: closed now, it would be reset.
        () = stop.cancelled() => {
            let waits = matches!(SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]), Ok(1..));
            waits && matches!(stream.peek(next).await, Ok(1..))
        }
        () = tokio::time::sleep(limits.idle_timeout) => false,
    }
}

async fn serve_h2<S, H>(stream: S, handler: Arc<H>, limits: Limits, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(20).min(limits.idle_timeout)))
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(limits.head_bytes)
        .max_pending_accept_reset_streams(Some(64));
    let answer = service_fn(|request: Request<Incoming>| {
        let handler = Arc::clone(&handler);
        async move {
            let request = request.map(|body| RequestBody { body, watch: None });
            Ok::<_, Infallible>(handler.answer(request).await)
        }
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
        tracing::debug!(%error, "HTTP/2 connection ended");
    }
}

async fn serve_h1<H: Handler>(mut stream: TcpStream, handler: Arc<H>, limits: Limits, stop: CancellationToken) {
    let mut unread = Bytes::new();
    loop {
        // Boxed, so that a parked connection does not hold the room that an active one needs.
        let active = serve_active(stream, unread, Arc::clone(&handler), limits, &stop, Parking::WhenSilent);
        match Box::pin(active).await {
            Some(parked) => (stream, unread) = parked,
            None => return,
        }
        if unread.is_empty() && !woken(&stream, &mut [0], limits, &stop).await {
            return;
        }
    }
}

/// Whether a connection is given back when it falls silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parking {
    WhenSilent,
    Never,
}

/// Serves requests as long as they come; gives the socket back when it falls silent, or nothing
/// when the connection has ended.
async fn serve_active<S, H>(
    stream: S,
    unread: Bytes,
    handler: Arc<H>,
    limits: Limits,
    stop: &CancellationToken,
    parking: Parking,
) -> Option<(S, Bytes)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let watch = Arc::new(Watch::new());
    let answer = service_fn(|request: Request<Incoming>| {
        let (handler, watch) = (Arc::clone(&handler), Arc::clone(&watch));
        watch.begin();
        async move {
            let request = request.map(|body| RequestBody { body, watch: Some(Arc::clone(&watch)) });
            let response = handler.answer(request).await;
            watch.end();
            Ok::<_, Infallible>(response.map(|body| Tracked { body, watch }))
        }
    });
    let io = Socket { unread, stream: TokioIo::new(stream), watch: Arc::clone(&watch) };
    let mut builder = http1::Builder::new();
    // The time-outs are those of `tick` below. No `pipeline_flush`: it keeps answers back while part
    // of a further request is there, and a connection is parked only when all has been written.
    let head_bytes = usize::try_from(limits.head_bytes).unwrap_or(usize::MAX).max(8 << 10);
    // To copy a small body behind its head is less than to send two pieces: no `writev`.
    builder.max_buf_size(head_bytes).writev(false).header_read_timeout(None);
    let mut connection = Box::pin(builder.serve_connection(io, answer));
    let mut stopping = false;
    let may_park = || parking == Parking::WhenSilent && watch.may_park();
    let look = LOOK.min(limits.header_timeout);
    let (mut tick, mut is_soon) = (pin!(tokio::time::sleep(look)), false);
    loop {
        // How it ended, or nothing when it is to be looked at.
        let driven = poll_fn(|context| {
            if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                return Poll::Ready(Some(ended));
            }
            if !is_soon && may_park() {
                is_soon = true;
                tick.as_mut().reset(tokio::time::Instant::now() + LINGER);
            }
            tick.as_mut().poll(context).map(|()| None)
        });
        let ended = tokio::select! {
            biased;
            ended = driven => ended,
            () = stop.cancelled(), if !stopping => {
                if may_park() {
                    break;
                }
                stopping = true;
                connection.as_mut().graceful_shutdown();
                continue;
            }
        };
        if let Some(ended) = ended {
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            }
            return None;
        }
        let silent = watch.silent_for();
        if may_park() && silent >= LINGER && !stopping {
            break;
        }
        // Slow heads and clients that do not read their answer: neither may go on for ever. What
        // is only idle here could not be parked.
        let idle = parking == Parking::Never && watch.may_park() && !watch.has_begun();
        let limit = if idle { limits.idle_timeout } else { limits.header_timeout };
        if !watch.running() && silent >= limit {
            return None;
        }
        is_soon = may_park();
        tick.as_mut().reset(tokio::time::Instant::now() + if is_soon { LINGER } else { look });
    }
    // `may_park` has said that nothing is half read or half written.
    let parts = Pin::into_inner(connection).into_parts();
    Some((parts.io.stream.into_inner(), parts.read_buf))
}

/// The socket, with what was read before hyper got it.
struct Socket<S> {
    unread: Bytes,
    stream: TokioIo<S>,
    watch: Arc<Watch>,
}

impl<S> Socket<S> {
    fn noted(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if self.watch.blocked.load(Ordering::Relaxed) != written.is_pending() {
            self.watch.blocked.store(written.is_pending(), Ordering::Relaxed);
            self.watch.touch();
        }
        written
    }
}

impl<S: AsyncRead + Unpin> Read for Socket<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            let read = Pin::new(&mut self.stream).poll_read(cx, buf);
            if read.is_ready() {
                self.watch.has_begun.store(true, Ordering::Relaxed);
            }
            return read;
        }
        let n = self.unread.len().min(buf.remaining());
        buf.put_slice(self.unread.get(..n).unwrap_or_default());
        self.unread.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Write for Socket<S> {
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
