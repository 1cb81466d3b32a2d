//! One HTTP/1.1 connection, driven by the request that uses it.
//!
//! It is a socket and nothing else: what is written and read goes through buffers of the thread, and no task waits
//! for it, so that ten thousand connections that are idle cost nothing, and one that is used little more than its
//! system calls.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use http::{HeaderMap, Method, Uri};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::answer::Reading;
use super::here::Here;
use super::stream::Stream;
use super::wire::{Answered, SendError};
use crate::work::Ask;

/// Bytes that are read at once.
const READ: usize = 16 << 10;
/// A buffer that has grown beyond this for a large body is not kept.
const WRITE_KEPT: usize = 64 << 10;

/// An HTTP/1.1 connection.
#[derive(Debug)]
pub(super) struct H1 {
    stream: Stream,
}

/// Buffers that all connections of a thread share.
pub(super) struct Buffers {
    read: RefCell<Box<[u8]>>,
    /// Whoever writes takes it, and gives it back once all is written.
    write: Cell<Vec<u8>>,
}

/// A request on its way out.
struct Sending<'a> {
    bytes: Vec<u8>,
    n_all: usize,
    n_sent: usize,
    /// Why no more of it can be sent. The answer may have come all the same: a server need not read all of a request.
    refused: Option<io::Error>,
    buffers: &'a Buffers,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { read: RefCell::new(vec![0; READ].into()), write: Cell::default() }
    }
}

impl H1 {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream }
    }

    /// Sends a request and reads all of its answer.
    pub(super) async fn exchange(&mut self, here: &Here, ask: &Ask, uri: &Uri) -> Result<Answered, SendError> {
        let mut sending = Sending::new(here, ask, uri);
        let mut reading = Reading::new(&ask.method, ask.reads);
        let stream = &mut self.stream;
        poll_fn(|context| {
            sending.poll(stream, context);
            if let (0, Some(_)) = (sending.n_sent, &sending.refused) {
                return Poll::Ready(Err(SendError::Unsent));
            }
            let read = &mut *here.buffers.read.borrow_mut();
            loop {
                let mut buf = ReadBuf::new(read);
                let came = match Pin::new(&mut *stream).poll_read(context, &mut buf) {
                    Poll::Ready(came) => came,
                    Poll::Pending => return Poll::Pending,
                };
                let done = match (came, buf.filled()) {
                    (Err(e), _) => Err(SendError::Broken(e.to_string())),
                    (Ok(()), []) => match sending.refused.take() {
                        Some(e) => Err(SendError::Broken(e.to_string())),
                        None => reading.close().map(|()| true),
                    },
                    (Ok(()), data) => reading.feed(data),
                };
                match done {
                    Ok(false) => {}
                    Ok(true) => return Poll::Ready(Ok(())),
                    Err(e) => return Poll::Ready(Err(e)),
                }
            }
        })
        .await?;
        let is_all_sent = sending.is_all_sent();
        let answer = reading.answer();
        Ok(Answered { keeps: answer.keeps && is_all_sent, ..answer })
    }

    /// Looks whether another request can be sent: nothing has come since the last answer, not even the end.
    pub(super) fn is_usable(&mut self) -> bool {
        let mut byte = [0];
        let unheard = &mut Context::from_waker(Waker::noop());
        Pin::new(&mut self.stream).poll_read(unheard, &mut ReadBuf::new(&mut byte)).is_pending()
    }
}

impl<'a> Sending<'a> {
    fn new(here: &'a Here, ask: &Ask, uri: &Uri) -> Self {
        let mut bytes = here.buffers.write.take();
        bytes.clear();
        write(&mut bytes, ask, uri, here.headers(&ask.headers).lines());
        Self { n_all: bytes.len(), bytes, n_sent: 0, refused: None, buffers: &here.buffers }
    }

    /// Sends what can be sent now.
    fn poll(&mut self, stream: &mut Stream, context: &mut Context<'_>) {
        while let (Some(rest @ [_, ..]), None) = (self.bytes.get(self.n_sent..), &self.refused) {
            match Pin::new(&mut *stream).poll_write(context, rest) {
                Poll::Ready(Ok(0)) => self.refused = Some(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => self.n_sent += n,
                Poll::Ready(Err(e)) => self.refused = Some(e),
                Poll::Pending => return,
            }
        }
        if self.is_all_sent() {
            self.give_back();
        }
        if let Poll::Ready(Err(e)) = Pin::new(stream).poll_flush(context) {
            self.refused.get_or_insert(e);
        }
    }

    fn is_all_sent(&self) -> bool {
        self.n_sent == self.n_all
    }

    /// Gives the buffer back, so that a request that waits for its answer holds none.
    fn give_back(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if (1..=WRITE_KEPT).contains(&bytes.capacity()) {
            self.buffers.write.set(bytes);
        }
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Writes a request as it goes over the wire.
fn write(out: &mut Vec<u8>, ask: &Ask, uri: &Uri, header_lines: &[u8]) {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    for part in [ask.method.as_str(), " ", path, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(header_lines);
    // What has no body needs no length, unless its method wants one.
    if !ask.body.is_empty() || matches!(ask.method, Method::POST | Method::PUT | Method::PATCH) {
        // Into memory: nothing can fail.
        let _always = write!(out, "content-length: {}\r\n", ask.body.len());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&ask.body);
}

/// Writes headers as they go over the wire. How long a body is, and how it is sent, is said for each.
pub(super) fn lines(headers: &HeaderMap) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in headers {
        if name != http::header::CONTENT_LENGTH && name != http::header::TRANSFER_ENCODING {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                lines.extend_from_slice(part);
            }
        }
    }
    lines
}
