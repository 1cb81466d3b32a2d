//! Talks to a gateway over HTTP.

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use drover_core::Problem;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// One gateway.
pub(crate) struct Client {
    address: String,
}

impl Client {
    /// Talks to the gateway at `address`, `host:port`.
    pub(crate) fn new(address: String) -> Self {
        Self { address }
    }

    /// Sends one request and returns the answer, whatever its status.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<Bytes>,
    ) -> anyhow::Result<Response<Incoming>> {
        let stream = TcpStream::connect(&self.address)
            .await
            .with_context(|| format!("no gateway answers at {}: is `drover up` running here?", self.address))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            let _ended = connection.await;
        });
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, &self.address);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        Ok(sender.send_request(request.body(Full::new(body.unwrap_or_default()))?).await?)
    }

    /// Sends a control call and returns its JSON answer; a problem becomes an error with its detail.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let response = self.send(method, path, body.map(|b| b.to_string().into())).await?;
        Ok(serde_json::from_slice(&successful(response).await?.collect().await?.to_bytes())?)
    }
}

/// Returns the body of an answer that is not a problem.
pub(crate) async fn successful(response: Response<Incoming>) -> anyhow::Result<Incoming> {
    let status = response.status();
    if status.is_success() {
        return Ok(response.into_body());
    }
    let bytes = response.into_body().collect().await?.to_bytes();
    match serde_json::from_slice::<Problem>(&bytes) {
        Ok(problem) => Err(anyhow!("{} ({}, request {})", problem.detail, problem.kind, problem.request_id)),
        Err(_) => bail!("the gateway answered {status}: {}", String::from_utf8_lossy(&bytes)),
    }
}
