//! How long an answer may take that is made bit by bit.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail, loudly")]

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use drover_connection::{Handler, Limits, RequestBody, serve};
use http::{Request, Response};
use http_body::{Body, Frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

const LIMITS: Limits =
    Limits { header_timeout: Duration::from_millis(200), idle_timeout: Duration::from_secs(60), head_bytes: 8 << 10 };
/// Longer than a client may take to read.
const PAUSE: Duration = Duration::from_millis(500);

struct Slow;

/// Parts with pauses between them.
struct Parts {
    left: usize,
    pause: Pin<Box<Sleep>>,
    part: Bytes,
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        std::task::ready!(self.pause.as_mut().poll(cx));
        self.left -= 1;
        self.pause = Box::pin(sleep(PAUSE));
        Poll::Ready(Some(Ok(Frame::data(self.part.clone()))))
    }
}

impl Handler for Slow {
    type Body = Parts;

    async fn answer(&self, request: Request<RequestBody>) -> Response<Parts> {
        let part = if request.uri().path() == "/large" { vec![b'x'; 16 << 20] } else { b"part".to_vec() };
        Response::new(Parts { left: 3, pause: Box::pin(sleep(PAUSE)), part: part.into() })
    }
}

async fn asked(path: &str) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    tokio::spawn(serve(listener.accept().await.unwrap().0, Arc::new(Slow), LIMITS, CancellationToken::new()));
    let request = format!("GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    client
}

#[tokio::test]
async fn an_answer_may_be_made_slowly() {
    let mut text = String::new();
    asked("/").await.read_to_string(&mut text).await.unwrap();
    assert_eq!(text.matches("part").count(), 3, "{text}");
    assert!(text.ends_with("0\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_left() {
    let mut client = asked("/large").await;
    sleep(PAUSE * 4).await;
    let mut all = Vec::new();
    let read = client.read_to_end(&mut all).await;
    assert!(read.is_err() || all.len() < 3 * (16 << 20), "all was sent to a client that did not read");
}
