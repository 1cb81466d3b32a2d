//! Health checks: one request or connection, answered in time or not.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::job::CheckKind;

/// Asks once; the error says why it did not pass.
pub(crate) async fn probe(kind: &CheckKind, address: SocketAddr, timeout: Duration) -> Result<(), String> {
    let ask = async {
        let stream = TcpStream::connect(address).await.map_err(|e| format!("connect: {e}"))?;
        match kind {
            CheckKind::Tcp => Ok(()),
            CheckKind::Http { method, path } => http(stream, address, method, path).await,
        }
    };
    match tokio::time::timeout(timeout, ask).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {timeout:?}")),
    }
}

async fn http(stream: TcpStream, address: SocketAddr, method: &str, path: &str) -> Result<(), String> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|e| format!("handshake: {e}"))?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address.to_string())
        .header("user-agent", "drover-check")
        .body(Empty::<Bytes>::new())
        .map_err(|e| e.to_string())?;
    // Ends by itself when the sender is dropped.
    tokio::spawn(async move {
        let _ended = connection.await;
    });
    match sender.send_request(request).await {
        Ok(response) if response.status().is_success() => Ok(()),
        Ok(response) => Err(format!("{method} {path} answered {}", response.status())),
        Err(e) => Err(e.to_string()),
    }
}
