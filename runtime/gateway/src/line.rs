//! How gateways ask each other: by TLS, if they speak TLS to clients, for they listen on one port only.
//!
//! The gateways of a cluster share their certificate, as they are one name to their clients, but are known
//! to each other by address, which no certificate names. So one believes another that shows, and proves to
//! have the key of, the certificate that it shows itself.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::ask::{MAX_ANSWER_BYTES, ask, question};
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
        let (status, answer) = match &self.0 {
            None => ask(address, method, path, limit).await?,
            Some(tls) => tokio::time::timeout(limit, ask_by_tls(tls, address, method, path))
                .await
                .map_err(|_| format!("no answer within {limit:?}"))??,
        };
        if status.is_success() { Ok(answer) } else { Err(format!("it answered {status}")) }
    }
}

async fn ask_by_tls(
    tls: &TlsConnector,
    address: SocketAddr,
    method: Method,
    path: &str,
) -> Result<(StatusCode, Bytes), String> {
    let request = question(address, method, path, Empty::<Bytes>::new())?;
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
