//! Finds a target.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use drover_core::{FunctionName, Problem};
use drover_engine::Catalog;
use drover_engine::cluster::{Observer, Servers};
use http::StatusCode;
use reqwest::{Certificate, Client, RequestBuilder, Url};
use serde_json::Value;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::time::timeout;

use super::follow::{self, Endpoints};
use super::{Endpoint, Follower, GATEWAY, Target, TargetError, TargetSpec, Via};
use crate::body::OpenApi;
use crate::guard::{self, Reach};

/// How long a place may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long a function may take to say what it is; it may have to start first.
const START_LIMIT: Duration = Duration::from_secs(120);

/// Finds what a person asks to load, and makes sure that somebody listens there. A URL that leads out of private
/// networks is refused before anybody there is asked; a function's instances are this cluster's, wherever they are.
///
/// # Errors
/// [`TargetError`]: what is wrong with the name, who cannot be reached, which functions have a near name.
pub async fn resolve(spec: &TargetSpec) -> Result<Target, TargetError> {
    let finder = Finder { spec, client: client(spec)? };
    if spec.target.contains("://") {
        return finder.url(&spec.target).await;
    }
    match spec.target.parse::<FunctionName>() {
        Ok(function) => match &spec.via {
            Via::Gateway => finder.through_gateway(&function).await,
            Via::Instances => finder.listed_by_gateway(&function).await,
            Via::Cluster(servers) => finder.listed_by_cluster(&function, servers).await,
        },
        // `localhost:9000` is meant as a URL.
        Err(_) if spec.target.contains([':', '/', '.']) => finder.url(&format!("http://{}", spec.target)).await,
        Err(why) => Err(TargetError::Name { target: spec.target.clone(), why: why.to_string() }),
    }
}

/// Makes a client for what is asked beside the load.
pub(crate) fn client(spec: &TargetSpec) -> Result<Client, TargetError> {
    // Another library of cryptography may be chosen already, which then stays.
    let _chosen_before = rustls::crypto::ring::default_provider().install_default();
    let tls = |e: reqwest::Error| TargetError::Tls(cause(&e));
    let mut builder = Client::builder().no_proxy().connect_timeout(CONNECT_LIMIT);
    if let Some(pem) = &spec.ca {
        let wrong = |e| TargetError::Tls(format!("{}: {}", pem.file, cause(&e)));
        builder = builder.tls_certs_only(Certificate::from_pem_bundle(&pem.text).map_err(wrong)?);
    }
    if spec.insecure {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    builder.build().map_err(tls)
}

struct Finder<'a> {
    spec: &'a TargetSpec,
    client: Client,
}

/// A server: its URL without a path, its `Host`, and where it listens.
struct Server {
    url: Url,
    host: String,
    addresses: Vec<SocketAddr>,
}

impl Finder<'_> {
    async fn url(&self, text: &str) -> Result<Target, TargetError> {
        let is_guarded = self.spec.reach != Reach::Anywhere;
        let server = self.server(text, "the target", "", is_guarded).await?;
        let query = server.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let base_path = format!("{}{query}", server.url.path().trim_end_matches('/'));
        let openapi = if self.spec.reads_schema { self.openapi_near(&server.url).await } else { None };
        Ok(Target {
            name: server.url.to_string(),
            tls: server.url.scheme() == "https",
            // A request needs some path.
            path: if base_path.is_empty() { "/" } else { "" },
            base_path,
            openapi,
            host: server.host,
            ..Target::fixed(server.addresses)
        })
    }

    async fn through_gateway(&self, function: &FunctionName) -> Result<Target, TargetError> {
        let server = self.gateway().await?;
        let openapi = match self.spec.reads_schema {
            true => Some(self.openapi(&server.url, &format!("/functions/{function}")).await?),
            false => {
                self.known(&server.url, function).await?;
                None
            }
        };
        let (instances, follower) = follow::gateway(self.client.clone(), self.ask(), &server.url, function).await;
        Ok(Target {
            name: function.to_string(),
            tls: server.url.scheme() == "https",
            base_path: format!("/functions/{function}"),
            path: "/predict",
            openapi,
            instances,
            followers: follower.into_iter().collect(),
            host: server.host,
            ..Target::fixed(server.addresses)
        })
    }

    async fn listed_by_gateway(&self, function: &FunctionName) -> Result<Target, TargetError> {
        let server = self.gateway().await?;
        self.known(&server.url, function).await?;
        let (listed, follower) = follow::gateway(self.client.clone(), self.ask(), &server.url, function).await;
        let refused = || TargetError::Answer {
            url: server.url.to_string(),
            answer: "no list of instances: its control API needs a key, or a request from its own machine".into(),
        };
        let endpoints = listed.ok_or_else(refused)?;
        self.instances(function, endpoints, follower.into_iter().collect()).await
    }

    async fn listed_by_cluster(&self, function: &FunctionName, servers: &Servers) -> Result<Target, TargetError> {
        for (what, endpoint) in [("Consul", &servers.consul), ("Nomad", &servers.nomad)] {
            if let (Some(endpoint), Reach::Near) = (endpoint, self.spec.reach) {
                self.server(&endpoint.url, what, "", true).await?;
            }
        }
        let observer = Observer::start(servers.clone()).await?;
        let snapshot = Arc::clone(&observer.watch().borrow());
        if !snapshot.functions.contains_key(function) {
            let known = snapshot.functions.keys().map(FunctionName::as_str);
            let hint = crate::near::hint(function.as_str(), known);
            let lost =
                snapshot.lost.as_ref().map(|why| format!("; what is known may be old: {why}")).unwrap_or_default();
            return Err(TargetError::UnknownFunction(format!("no function is called `{function}`{hint}{lost}")));
        }
        let (endpoints, follower) = follow::cluster(observer, function);
        self.instances(function, endpoints, vec![follower]).await
    }

    /// Makes a target of instances that are asked directly.
    async fn instances(
        &self,
        function: &FunctionName,
        endpoints: Endpoints,
        followers: Vec<Follower>,
    ) -> Result<Target, TargetError> {
        let first = endpoints.borrow().first().map(|endpoint| endpoint.address);
        let first = first.ok_or_else(|| TargetError::NoInstance { function: function.to_string() })?;
        let openapi = match (self.spec.reads_schema, Url::parse(&format!("http://{first}/"))) {
            (true, Ok(url)) => Some(self.openapi(&url, "").await?),
            _ => None,
        };
        Ok(Target {
            name: function.to_string(),
            tls: false,
            host: function.to_string(),
            base_path: String::new(),
            path: "/predict",
            openapi,
            instances: Some(endpoints.clone()),
            endpoints,
            followers,
        })
    }

    async fn gateway(&self) -> Result<Server, TargetError> {
        let text = self.spec.gateway.as_deref().unwrap_or(GATEWAY);
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let hint = "; is `drover up` running here? --gateway says where else";
        self.server(&text, "the gateway", hint, self.spec.reach == Reach::Near).await
    }

    /// Looks a server up and keeps those of its addresses that accept a connection. One that `is_guarded` is asked
    /// nothing if it is foreign.
    async fn server(
        &self,
        text: &str,
        what: &'static str,
        hint: &'static str,
        is_guarded: bool,
    ) -> Result<Server, TargetError> {
        let bad = |why: String| TargetError::Name { target: text.to_owned(), why };
        let url = Url::parse(text).map_err(|e| bad(e.to_string()))?;
        let port = match url.scheme() {
            "http" | "https" => url.port_or_known_default(),
            other => return Err(bad(format!("the scheme `{other}` is neither http nor https"))),
        };
        let (Some(host), Some(port)) = (url.host_str(), port) else { return Err(bad("it has no host".into())) };
        let unreachable = |why: String| TargetError::Unreachable { what, url: url.to_string(), why, hint };
        let found = lookup_host((host.trim_matches(['[', ']']), port)).await;
        let found: Vec<SocketAddr> = found.map_err(|e| unreachable(e.to_string()))?.collect();
        if is_guarded {
            guard::check(text, found.iter().copied())?;
        }
        let (mut addresses, mut why) = (Vec::new(), "the name has no address".to_owned());
        for address in found {
            match timeout(CONNECT_LIMIT, TcpStream::connect(address)).await {
                Ok(Ok(_)) => addresses.push(address),
                Ok(Err(e)) => why = e.to_string(),
                Err(_) => why = format!("nobody answers within {CONNECT_LIMIT:?}"),
            }
        }
        if addresses.is_empty() {
            return Err(unreachable(why));
        }
        let host = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Ok(Server { url, host, addresses })
    }

    /// Makes sure that the gateway knows the function, if it tells.
    async fn known(&self, gateway: &Url, function: &FunctionName) -> Result<(), TargetError> {
        let url = at(gateway, &format!("/api/functions/{function}"));
        let answer = self.ask()(&self.client, url.clone()).send().await.map_err(|e| answer(&url, cause(&e)))?;
        match answer.status() {
            StatusCode::NOT_FOUND => Err(refusal(&url, answer).await),
            _ => Ok(()),
        }
    }

    /// Returns the OpenAPI document in `folder`.
    async fn openapi(&self, server: &Url, folder: &str) -> Result<OpenApi, TargetError> {
        let url = at(server, &format!("{folder}/openapi.json"));
        let sent = self.ask()(&self.client, url.clone()).timeout(START_LIMIT).send().await;
        let response = sent.map_err(|e| answer(&url, cause(&e)))?;
        if !response.status().is_success() {
            return Err(refusal(&url, response).await);
        }
        let document = response.json::<Value>().await.map_err(|e| answer(&url, cause(&e)))?;
        Ok(OpenApi { document, folder: folder.to_owned() })
    }

    /// Returns the OpenAPI document in the folder of a URL or the nearest above it, if there is one.
    async fn openapi_near(&self, url: &Url) -> Option<OpenApi> {
        let mut folder = url.path().trim_end_matches('/');
        loop {
            let found = self.openapi(url, folder).await.ok().filter(|found| found.document.get("paths").is_some());
            if found.is_some() || folder.is_empty() {
                return found;
            }
            folder = folder.rsplit_once('/').map_or("", |(above, _)| above);
        }
    }

    /// Returns what begins a GET with the key.
    fn ask(&self) -> impl Fn(&Client, Url) -> RequestBuilder + Send + Sync + use<> {
        let key = self.spec.key.clone();
        move |client, url| match &key {
            Some(key) => client.get(url).bearer_auth(key),
            None => client.get(url),
        }
    }
}

impl Target {
    /// Makes a target whose addresses do not change.
    fn fixed(addresses: Vec<SocketAddr>) -> Self {
        let first = addresses.first().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
        let endpoints = addresses.into_iter().map(|address| Endpoint { address, instance: None }).collect();
        Self { endpoints: watch::channel(Arc::new(endpoints)).1, ..Self::at(first) }
    }
}

/// Returns `path` on the server of `url`.
pub(crate) fn at(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    url.set_path(path);
    url.set_query(None);
    url
}

fn answer(url: &Url, answer: String) -> TargetError {
    TargetError::Answer { url: url.to_string(), answer }
}

/// Returns what a server says that does not do as asked.
async fn refusal(url: &Url, response: reqwest::Response) -> TargetError {
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    match serde_json::from_str::<Problem>(&text) {
        Ok(problem) if status == StatusCode::NOT_FOUND => TargetError::UnknownFunction(problem.detail),
        Ok(problem) => answer(url, format!("{status}: {}", problem.detail)),
        Err(_) => answer(url, status.to_string()),
    }
}

/// Returns the innermost reason.
fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn Error = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string()
}
