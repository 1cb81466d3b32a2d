//! What a connection holds while its client is silent.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on must fail, loudly")]

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use drover_connection::{Handler, Limits, RequestBody, serve};
use http::{Request, Response};
use http_body_util::Full;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const LIMITS: Limits =
    Limits { header_timeout: Duration::from_secs(5), idle_timeout: Duration::from_secs(60), head_bytes: 8 << 10 };

struct Hello;

impl Handler for Hello {
    type Body = Full<Bytes>;

    async fn answer(&self, _: Request<RequestBody>) -> Response<Self::Body> {
        Response::new(Full::from("hello"))
    }
}

/// Waits until `handler` is held `n` times besides here.
async fn held(handler: &Arc<Hello>, n: usize) {
    let began = Instant::now();
    while Arc::strong_count(handler) != n + 1 {
        assert!(began.elapsed() < Duration::from_secs(10), "held {} times, not {n}", Arc::strong_count(handler) - 1);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_silent_connection_gives_up_all_but_its_socket_and_wakes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let handler = Arc::new(Hello);
    let serving = serve(listener.accept().await.unwrap().0, Arc::clone(&handler), LIMITS, CancellationToken::new());
    let server = tokio::spawn(serving);
    let began = Instant::now();
    for _ in 0..5 {
        client.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n").await.unwrap();
        // The part that reads requests, with its buffers, holds the handler too.
        held(&handler, 2).await;
        client.write_all(b"\r\n").await.unwrap();
        let mut answer = [0; 1024];
        let n = client.read(&mut answer).await.unwrap();
        assert!(answer[..n].ends_with(b"hello"));
        held(&handler, 1).await;
    }
    // Soon after each answer, and not only when connections that wait are looked at, once a second.
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    drop(client);
    server.await.unwrap();
    assert_eq!(Arc::strong_count(&handler), 1);
}

/// Answers after a second and a half, and counts how often it is looked at until then.
#[derive(Default)]
struct Slow {
    n_looks: AtomicUsize,
}

impl Handler for Slow {
    type Body = Full<Bytes>;

    async fn answer(&self, _: Request<RequestBody>) -> Response<Self::Body> {
        let mut wait = pin!(tokio::time::sleep(Duration::from_millis(1500)));
        poll_fn(|context| {
            self.n_looks.fetch_add(1, Ordering::Relaxed);
            wait.as_mut().poll(context)
        })
        .await;
        Response::new(Full::from("hello"))
    }
}

/// Thousands of connections may wait for an answer at once, where there is too little CPU: none may take any meanwhile.
#[tokio::test]
async fn a_connection_that_waits_for_an_answer_is_left_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let handler = Arc::new(Slow::default());
    let serving = serve(listener.accept().await.unwrap().0, Arc::clone(&handler), LIMITS, CancellationToken::new());
    tokio::spawn(serving);
    client.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
    let mut answer = [0; 1024];
    let n = client.read(&mut answer).await.unwrap();
    assert!(answer[..n].ends_with(b"hello"));
    let n_looks = handler.n_looks.load(Ordering::Relaxed);
    assert!((2..=5).contains(&n_looks), "looked at {n_looks} times");
}
