//! A server that answers as a test wants, and counts.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use loadgen::target::{Endpoint, Target};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// A running server; it ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    requests: AtomicU64,
}

impl Server {
    /// Starts one that answers `ok`.
    pub(crate) async fn ok() -> Self {
        Self::start(async |_| Response::new(Full::from("ok")), None).await
    }

    pub(crate) async fn start<F>(
        answer: impl Fn(Request<Bytes>) -> F + Clone + Send + Sync + 'static,
        tls: Option<TlsAcceptor>,
    ) -> Self
    where
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let server = Self { address, counts: Arc::clone(&counts) };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                counts.connections.fetch_add(1, Ordering::Relaxed);
                let (counts, answer, tls) = (Arc::clone(&counts), answer.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => serve(tls.accept(stream).await.unwrap(), answer, counts).await,
                        None => serve(stream, answer, counts).await,
                    }
                });
            }
        });
        server
    }

    /// Connections that were accepted.
    pub(crate) fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// Requests whose body was read.
    pub(crate) fn requests(&self) -> u64 {
        self.counts.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn target(&self) -> Target {
        target(&[self.address])
    }
}

/// A target that listens in some places and does not change.
pub(crate) fn target(addresses: &[SocketAddr]) -> Target {
    let endpoints = addresses.iter().map(|address| Endpoint { address: *address, instance: None }).collect();
    let endpoints = watch::Sender::new(Arc::new(endpoints)).subscribe();
    Target { name: "test".into(), host: "localhost".into(), endpoints, ..Target::at(addresses[0]) }
}

async fn serve<S, F>(
    stream: S,
    answer: impl Fn(Request<Bytes>) -> F + Clone + Send + Sync + 'static,
    counts: Arc<Counts>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let service = service_fn(|request: Request<Incoming>| {
        let counts = Arc::clone(&counts);
        let answer = answer.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            counts.requests.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Infallible>(answer(Request::from_parts(parts, body)).await)
        }
    });
    // A client that goes away is no fault of the server.
    let _ended = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}
