//! How gateways ask each other: by TLS, if they speak TLS to clients, for they listen on one port only.
//!
//! The gateways of a cluster share their certificate, as they are one name to their clients, but are known
//! to each other by address, which no certificate names. So one believes another that shows, and proves to
//! have the key of, the certificate that it shows itself.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::ask::{MAX_ANSWER_BYTES, question, send};
use crate::tls::Tls;

/// How the other gateways are asked.
#[derive(Clone)]
pub(crate) struct Line(Option<TlsConnector>);

impl Line {
    /// Asks as this gateway is asked: by TLS if it has a certificate.
    pub(crate) fn new(tls: Option<&Tls>) -> Self {
        Self(tls.map(Tls::to_others))
    }

    /// Asks the gateway at `address` once and returns the answer.
    ///
    /// # Errors
    /// Why there is none, in words; an answer other than success among it.
    pub(crate) async fn ask(
        &self,
        address: SocketAddr,
        method: Method,
        path: &str,
        limit: Duration,
    ) -> Result<Bytes, String> {
        let (status, answer) = self.send(address, question(address, method, path, Full::default())?, limit).await?;
        if status.is_success() { Ok(answer) } else { Err(format!("it answered {status}")) }
    }

    /// Sends `body` to the gateway at `address`, and returns the status and the answer.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(crate) async fn post(
        &self,
        address: SocketAddr,
        path: &str,
        headers: HeaderMap,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<(StatusCode, Bytes), String> {
        let mut request = question(address, Method::POST, path, Full::from(body))?;
        request.headers_mut().extend(headers);
        self.send(address, request, limit).await
    }

    async fn send(
        &self,
        address: SocketAddr,
        request: Request<Full<Bytes>>,
        limit: Duration,
    ) -> Result<(StatusCode, Bytes), String> {
        match &self.0 {
            None => send(address, request, limit).await,
            Some(tls) => tokio::time::timeout(limit, send_by_tls(tls, address, request))
                .await
                .map_err(|_| format!("no answer within {limit:?}"))?,
        }
    }
}

async fn send_by_tls(
    tls: &TlsConnector,
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), String> {
    let stream = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
    let stream =
        tls.connect(ServerName::IpAddress(address.ip().into()), stream).await.map_err(|e| format!("TLS: {e}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|e| e.to_string())?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        Ok((status, body.map_err(|e| e.to_string())?.to_bytes()))
    };
    // The connection must be driven as long as an answer is read, and ends with it.
    tokio::pin!(exchange, connection);
    tokio::select! {
        answer = &mut exchange => answer,
        _ = &mut connection => exchange.await,
    }
}
