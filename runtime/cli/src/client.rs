//! Talks to a gateway over HTTP.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use drover_core::Problem;
use http::{Method, header};
use reqwest::{Certificate, Response, Url};
use serde_json::Value;

/// A gateway to which nobody can connect for this long is not there.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Where a gateway is, and with what right it is asked.
#[derive(Debug, Default)]
pub(crate) struct Door {
    /// `HOST:PORT`, or a URL.
    pub(crate) gateway: String,
    /// The key for its API, and for functions.
    pub(crate) key: Option<String>,
    /// Those who may have signed its certificate, PEM, instead of those of the system.
    pub(crate) ca_file: Option<PathBuf>,
}

/// One gateway.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    key: Option<String>,
}

impl Client {
    /// Talks to the gateway behind `door`.
    pub(crate) fn new(door: Door) -> anyhow::Result<Self> {
        let given = &door.gateway;
        let url = if given.contains("://") { given.clone() } else { format!("http://{given}") };
        let base = Url::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let base = base.with_context(|| {
            format!("the gateway is `{given}`, neither HOST:PORT nor a URL such as https://drover.example:8080")
        })?;
        let _chosen_before = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_LIMIT);
        if let Some(file) = &door.ca_file {
            builder = builder.tls_certs_only(certificates(file)?);
        }
        Ok(Self { http: builder.build()?, base, key: door.key })
    }

    /// Sends one request and returns the answer, whatever its status.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Bytes>) -> anyhow::Result<Response> {
        let mut request = self.http.request(method, self.base.join(path)?);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        }
        let why = || format!("no gateway answers at {}: is `drover up` running here?", self.base);
        request.send().await.map_err(reqwest::Error::without_url).with_context(why)
    }

    /// Sends a control call and returns its JSON answer; a problem becomes an error with its detail.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let response = self.send(method, path, body.map(|b| b.to_string().into())).await?;
        Ok(successful(response).await?.json().await?)
    }
}

/// Returns an answer that is not a problem.
pub(crate) async fn successful(response: Response) -> anyhow::Result<Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let bytes = response.bytes().await?;
    match serde_json::from_slice::<Problem>(&bytes) {
        Ok(problem) => Err(anyhow!("{} ({}, request {})", problem.detail, problem.kind, problem.request_id)),
        Err(_) => bail!("the gateway answered {status}: {}", String::from_utf8_lossy(&bytes)),
    }
}

fn certificates(file: &Path) -> anyhow::Result<Vec<Certificate>> {
    let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let found = Certificate::from_pem_bundle(&pem).with_context(|| format!("{}", file.display()))?;
    if found.is_empty() {
        bail!("{} has no certificate, PEM", file.display());
    }
    Ok(found)
}
