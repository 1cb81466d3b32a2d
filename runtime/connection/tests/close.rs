//! What becomes of a request that reaches a connection at the moment it is to be closed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on must fail, loudly")]

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use drover_connection::{Handler, Limits, RequestBody, serve};
use http::{Request, Response};
use http_body_util::Full;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const LIMITS: Limits =
    Limits { header_timeout: Duration::from_secs(5), idle_timeout: Duration::from_secs(60), head_bytes: 8 << 10 };
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";

struct Hello;

impl Handler for Hello {
    type Body = Full<Bytes>;

    async fn answer(&self, _: Request<RequestBody>) -> Response<Self::Body> {
        Response::new(Full::from("hello"))
    }
}

/// Sends two requests on one connection, `silence` apart, the second just before it is to be closed; returns
/// what came after the first answer.
async fn asked_while_closing(silence: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener.accept().await.unwrap().0, Arc::new(Hello), LIMITS, stop.clone()));
    client.write_all(REQUEST).await.unwrap();
    let mut first = [0; 1024];
    let n = client.read(&mut first).await.unwrap();
    assert!(first[..n].ends_with(b"hello"));
    tokio::time::sleep(silence).await;
    // Nothing is awaited in between: the server's task is told to stop before it is told of bytes.
    let mut client = client.into_std().unwrap();
    client.write_all(REQUEST).unwrap();
    stop.cancel();
    let mut rest = String::new();
    let read = TcpStream::from_std(client).unwrap().read_to_string(&mut rest).await;
    read.map_or_else(|e| e.to_string(), |_| rest)
}

#[tokio::test]
async fn a_request_that_has_come_is_answered_and_only_then_the_connection_closed() {
    for (what, silence) in [("in use", 0), ("parked", 200)] {
        let rest = asked_while_closing(Duration::from_millis(silence)).await;
        assert!(rest.starts_with("HTTP/1.1 200 OK") && rest.ends_with("hello"), "{what}: {rest}");
    }
}
