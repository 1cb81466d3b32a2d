//! What is loaded: where it listens and what it is called.

use std::net::SocketAddr;
use std::sync::Arc;

use drover_core::id::InstanceId;
use tokio::sync::watch;

/// What is loaded.
#[derive(Debug, Clone)]
pub struct Target {
    /// In words: a function's name or a URL.
    pub name: String,
    /// Whether it is asked inside TLS.
    pub tls: bool,
    /// Its `Host`: a name or address, with the port unless it is the scheme's own.
    pub host: String,
    /// What stands before every path, without a slash at its end: `/functions/penguins`, or nothing.
    pub base_path: String,
    /// Where it listens; a list that changes when instances come and go. Users are spread over it evenly.
    pub endpoints: watch::Receiver<Arc<Vec<Endpoint>>>,
    /// Its OpenAPI document, if it has one.
    pub openapi: Option<serde_json::Value>,
}

/// One place where a target listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Its socket.
    pub address: SocketAddr,
    /// Which instance listens there, if instances are asked directly.
    pub instance: Option<InstanceId>,
}
