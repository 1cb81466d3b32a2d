//! An HTTP/1.1 answer, put together from the bytes that come. Pure: no socket.
//!
//! httparse reads heads and chunk sizes. Of most answers a load looks at the status and the body only: a map of
//! headers is made only for who asks for it.

use std::mem::{MaybeUninit, take};
use std::ops::ControlFlow::{self, Break, Continue};

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use httparse::{Header, ParserConfig, Status};

use super::wire::{Answered, BODY_MAX, SendError};
use crate::work::Reads;

/// Headers of an answer, at most.
const HEADERS_MAX: usize = 100;
/// The longest head or trailer, and the longest line before a chunk.
const HEAD_MAX: usize = 64 << 10;
/// Room that is made for a body before it comes, at most: what a server says of its length may be wrong.
const ROOM_MAX: usize = 1 << 20;

/// An answer that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    stage: Stage,
    /// Whether no body follows, whatever the head says.
    is_head_only: bool,
    reads: Reads,
    /// What has come and cannot be read without what follows it.
    held: Vec<u8>,
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    keeps: bool,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    /// So many bytes of the body, and no more.
    Length(u64),
    /// All of the body, until the connection is closed.
    Close,
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    Done,
}

/// How many bytes were eaten, and whether more of them can be.
type Eaten = ControlFlow<usize, usize>;

impl Reading {
    /// Begins to read the answer to a request of this method.
    pub(super) fn new(method: &Method, reads: Reads) -> Self {
        Self {
            stage: Stage::Head,
            is_head_only: *method == Method::HEAD,
            reads,
            held: Vec::new(),
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Vec::new(),
            keeps: false,
        }
    }

    /// Takes what has come; whether the answer is whole.
    ///
    /// # Errors
    /// It is not HTTP/1.1, or too large.
    pub(super) fn feed(&mut self, data: &[u8]) -> Result<bool, SendError> {
        if self.held.is_empty() {
            let eaten = self.eat(data)?;
            self.held.extend_from_slice(data.get(eaten..).unwrap_or_default());
        } else {
            let mut all = take(&mut self.held);
            all.extend_from_slice(data);
            all.drain(..self.eat(&all)?);
            self.held = all;
        }
        if self.stage == Stage::Done {
            // Nobody has asked for what follows.
            self.keeps &= self.held.is_empty();
            return Ok(true);
        }
        if self.held.len() > HEAD_MAX { Err(wrong("the answer's head is too long")) } else { Ok(false) }
    }

    /// Says that nothing more will come.
    ///
    /// # Errors
    /// The answer is not whole.
    pub(super) fn close(&self) -> Result<(), SendError> {
        match self.stage {
            Stage::Close | Stage::Done => Ok(()),
            Stage::Head if self.held.is_empty() => Err(wrong("connection was closed before the answer")),
            _ => Err(wrong("connection was closed within the answer")),
        }
    }

    /// Returns what was read.
    pub(super) fn answer(self) -> Answered {
        let Self { status, headers, body, keeps, .. } = self;
        Answered { status, headers, body: body.into(), keeps }
    }

    /// Reads what can be read; how much that was.
    fn eat(&mut self, data: &[u8]) -> Result<usize, SendError> {
        let mut eaten = 0;
        loop {
            let rest = data.get(eaten..).unwrap_or_default();
            let step = match self.stage {
                Stage::Head => self.head(rest)?,
                Stage::Length(left) => self.body(rest, left, Stage::Length, Stage::Done)?,
                Stage::Close => self.body(rest, u64::MAX, |_| Stage::Close, Stage::Done)?,
                Stage::ChunkSize => self.chunk_size(rest)?,
                Stage::Chunk(left) => self.body(rest, left, Stage::Chunk, Stage::ChunkEnd)?,
                Stage::ChunkEnd => self.chunk_end(rest)?,
                Stage::Trailer => self.trailer(rest)?,
                Stage::Done => Break(0),
            };
            match step {
                Continue(n) => eaten += n,
                Break(n) => return Ok(eaten + n),
            }
        }
    }

    fn head(&mut self, data: &[u8]) -> Result<Eaten, SendError> {
        let mut room = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut head = httparse::Response::new(&mut []);
        let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut head, data, &mut room);
        let Status::Complete(length) = parsed.map_err(|e| not_http(&e))? else { return Ok(Break(0)) };
        let status = head.code.and_then(|code| StatusCode::from_u16(code).ok());
        self.status = status.ok_or_else(|| wrong("the answer's status is none that HTTP knows"))?;
        if self.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(wrong("the answer switches to another protocol"));
        }
        if self.status.is_informational() {
            return Ok(Continue(length));
        }
        let (stage, keeps) = framing(head.headers, head.version == Some(1))?;
        let is_bare = self.is_head_only || matches!(self.status.as_u16(), 204 | 304);
        self.stage = if is_bare { Stage::Done } else { stage };
        self.keeps = keeps && self.stage != Stage::Close;
        if let Stage::Length(n) = self.stage {
            let n = usize::try_from(n).ok().filter(|n| *n <= BODY_MAX).ok_or(SendError::TooLarge)?;
            self.body.reserve_exact(n.min(ROOM_MAX));
        }
        if self.reads == Reads::All {
            self.headers = map(head.headers);
        }
        Ok(Continue(length))
    }

    /// Reads at most `left` bytes of the body; what comes then is `more` of them, or what follows them.
    fn body(&mut self, data: &[u8], left: u64, more: impl Fn(u64) -> Stage, end: Stage) -> Result<Eaten, SendError> {
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
        if self.body.len() + n > BODY_MAX {
            return Err(SendError::TooLarge);
        }
        self.body.extend_from_slice(data.get(..n).unwrap_or_default());
        let left = left - n as u64;
        self.stage = if left == 0 { end } else { more(left) };
        Ok(if left == 0 { Continue(n) } else { Break(n) })
    }

    fn chunk_size(&mut self, data: &[u8]) -> Result<Eaten, SendError> {
        let parsed = httparse::parse_chunk_size(data).map_err(|_| wrong("the answer's chunks have no size"))?;
        let Status::Complete((length, size)) = parsed else { return Ok(Break(0)) };
        self.stage = if size == 0 { Stage::Trailer } else { Stage::Chunk(size) };
        Ok(Continue(length))
    }

    fn chunk_end(&mut self, data: &[u8]) -> Result<Eaten, SendError> {
        match data {
            [b'\r', b'\n', ..] => {
                self.stage = Stage::ChunkSize;
                Ok(Continue(2))
            }
            [] | [b'\r'] => Ok(Break(0)),
            _ => Err(wrong("a chunk of the answer is longer than it says")),
        }
    }

    fn trailer(&mut self, data: &[u8]) -> Result<Eaten, SendError> {
        let mut room = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let parsed = httparse::parse_headers(data, &mut room).map_err(|e| not_http(&e))?;
        let Status::Complete((length, _)) = parsed else { return Ok(Break(0)) };
        self.stage = Stage::Done;
        Ok(Continue(length))
    }
}

/// Returns how the body's end is told, and whether the connection is kept if it is not that.
fn framing(headers: &[Header<'_>], is_1_1: bool) -> Result<(Stage, bool), SendError> {
    let (mut length, mut is_chunked, mut is_encoded, mut keeps) = (None, false, false, is_1_1);
    for header in headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let words = || header.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        if is("content-length") {
            for word in words() {
                let n = std::str::from_utf8(word).ok().filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
                let n: Option<u64> = n.and_then(|word| word.parse().ok());
                if n.is_none() || length.is_some_and(|known| Some(known) != n) {
                    return Err(wrong("the answer's content-length is no length"));
                }
                length = n;
            }
        } else if is("transfer-encoding") {
            is_encoded = true;
            is_chunked = words().next_back().is_some_and(|word| word.eq_ignore_ascii_case(b"chunked"));
        } else if is("connection") {
            for word in words() {
                keeps = (keeps || word.eq_ignore_ascii_case(b"keep-alive")) && !word.eq_ignore_ascii_case(b"close");
            }
        }
    }
    Ok(match (is_encoded, length) {
        (true, _) if is_chunked => (Stage::ChunkSize, keeps),
        (false, Some(length)) => (Stage::Length(length), keeps),
        _ => (Stage::Close, keeps),
    })
}

fn map(headers: &[Header<'_>]) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(headers.len());
    for header in headers {
        // What httparse lets through, these take too.
        if let (Ok(name), Ok(value)) = (header.name.parse::<HeaderName>(), HeaderValue::from_bytes(header.value)) {
            map.append(name, value);
        }
    }
    map
}

fn not_http(error: &httparse::Error) -> SendError {
    wrong(&format!("the answer is not HTTP/1.1: {error}"))
}

fn wrong(why: &str) -> SendError {
    SendError::Broken(why.to_owned())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    /// Reads `data` in pieces of at most `piece` bytes, then the connection's end if `closes`.
    fn read(method: &Method, data: &[u8], piece: usize, closes: bool) -> Result<Answered, String> {
        let mut reading = Reading::new(method, Reads::All);
        let said = |e: SendError| match e {
            SendError::Broken(why) => why,
            other => format!("{other:?}"),
        };
        let mut is_done = false;
        for part in data.chunks(piece) {
            is_done = reading.feed(part).map_err(said)?;
        }
        match is_done {
            true => Ok(reading.answer()),
            false if closes => reading.close().map(|()| reading.answer()).map_err(said),
            false => Err("more".into()),
        }
    }

    #[track_caller]
    fn whole(data: &str, body: &str, keeps: bool) {
        for piece in 1..=data.len() {
            let answer = read(&Method::GET, data.as_bytes(), piece, true).unwrap();
            assert_eq!(
                (answer.status.as_u16(), &answer.body[..], answer.keeps),
                (200, body.as_bytes(), keeps),
                "{piece}"
            );
        }
    }

    #[test]
    fn the_end_of_a_body_is_found_however_it_is_told() {
        whole("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "ok", true);
        whole("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nConnection: close\r\n\r\nok", "ok", false);
        whole("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "", true);
        whole(
            "HTTP/1.1 200\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\na;x=y\r\n, as it is\r\n0\r\n\r\n",
            "ok, as it is",
            true,
        );
        whole("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\nx-sum: 1\r\n\r\n", "", true);
        whole("HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end", false);
        whole("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", "ok", false);
        whole("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 2\r\n\r\nok", "ok", true);
        whole(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            "ok",
            true,
        );
    }

    #[test]
    fn some_answers_have_no_body_whatever_they_say() {
        let said = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n";
        let answer = read(&Method::HEAD, said, 99, false).unwrap();
        assert_eq!((answer.body, answer.keeps), (Bytes::new(), true));
        assert_eq!(answer.headers["content-length"], "7");
        let answer = read(&Method::GET, b"HTTP/1.1 204 No Content\r\nx: a\r\nx: b\r\n\r\n", 99, false).unwrap();
        assert_eq!((answer.status.as_u16(), answer.keeps), (204, true));
        assert_eq!(answer.headers.get_all("x").iter().count(), 2);
    }

    #[test]
    fn what_follows_unasked_ends_the_connection() {
        let answer = read(&Method::GET, b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 99, false).unwrap();
        assert!(!answer.keeps);
    }

    #[test]
    fn what_is_no_answer_is_told() {
        let told = |data: &str| read(&Method::GET, data.as_bytes(), 7, true).unwrap_err();
        assert_eq!(told(""), "connection was closed before the answer");
        assert_eq!(told("HTTP/1.1 200 OK\r\ncont"), "connection was closed within the answer");
        assert_eq!(told("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok"), "connection was closed within the answer");
        assert_eq!(told("SSH-2.0-OpenSSH_9.2\r\n"), "the answer is not HTTP/1.1: invalid HTTP version");
        let headed = |header: &str| told(&format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n"));
        for length in ["x", "-1", "+1", "1, 2", "", "99999999999999999999"] {
            assert_eq!(headed(&format!("content-length: {length}")), "the answer's content-length is no length");
        }
        assert_eq!(headed("content-length: 999999999999"), "TooLarge");
        assert_eq!(headed("upgrade: x\r\ntransfer-encoding: chunked\r\n\r\nz"), "the answer's chunks have no size");
        assert_eq!(headed("transfer-encoding: chunked\r\n\r\n1\r\nok"), "a chunk of the answer is longer than it says");
        assert_eq!(told("HTTP/1.1 101 Switching Protocols\r\n\r\n"), "the answer switches to another protocol");
        let long = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(HEAD_MAX));
        assert_eq!(read(&Method::GET, long.as_bytes(), 9000, true).unwrap_err(), "the answer's head is too long");
    }

    proptest! {
        /// A server may send what it wants: nothing panics, and nothing waits for ever once it has closed.
        #[test]
        fn any_bytes_come_to_an_end(data in "(HTTP/1.1 200 OK\r\n)?(transfer-encoding: chunked\r\n)?(\r\n)?[\\x00-\\x7f]{0,60}", piece in 1usize..70) {
            let seen = read(&Method::GET, data.as_bytes(), piece, true);
            prop_assert!(seen.err().is_none_or(|why| why != "more"));
        }
    }
}
