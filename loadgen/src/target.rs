//! What is loaded: where it listens and what it is called.
//!
//! [`resolve`] finds it; [`usage`] samples what its instances need.

pub(crate) mod find;
mod follow;
pub mod usage;

use std::net::SocketAddr;
use std::sync::Arc;

use drover_core::id::InstanceId;
use drover_engine::cluster::{Servers, StartError};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

pub use self::find::resolve;
use crate::body::OpenApi;
use crate::drive::Pem;
use crate::guard::{Foreign, Reach};

/// Where a gateway listens unless somebody says otherwise: that of `drover up`.
pub const GATEWAY: &str = "http://127.0.0.1:8080";

/// What a person asks to load.
#[derive(Debug, Clone, Default)]
pub struct TargetSpec {
    /// A URL, or a function's name.
    pub target: String,
    /// The gateway's URL. Default: [`GATEWAY`].
    pub gateway: Option<String>,
    /// How a function is reached.
    pub via: Via,
    /// The key that gateway and functions ask for.
    pub key: Option<String>,
    /// The certificates of those who may have signed the target's; those of the system by default.
    pub ca: Option<Pem>,
    /// Whether any certificate is good.
    pub insecure: bool,
    /// What may be asked.
    pub reach: Reach,
    /// Whether the OpenAPI document is needed: see [`Scenario::reads_schema`](crate::scenario::Scenario::reads_schema).
    pub reads_schema: bool,
}

/// How a function is reached.
#[derive(Debug, Clone, Default)]
pub enum Via {
    /// Through the gateway.
    #[default]
    Gateway,
    /// Its instances themselves, which the gateway lists.
    Instances,
    /// Its instances themselves, which Consul or Nomad list.
    Cluster(Box<Servers>),
}

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
    /// The path that is asked unless a scenario says another: `/predict` of a function; nothing of a URL, which says
    /// it all; `/` if it says none.
    pub path: &'static str,
    /// Where it listens; a list that changes when instances come and go. Users are spread over it evenly.
    pub endpoints: watch::Receiver<Arc<Vec<Endpoint>>>,
    /// Its OpenAPI document, if it was asked for and there is one.
    pub openapi: Option<OpenApi>,
    /// Its instances, whose needs can be sampled, if they are known: those behind the gateway too.
    pub instances: Option<watch::Receiver<Arc<Vec<Endpoint>>>>,
    /// What keeps the lists as they are now.
    pub followers: Vec<Follower>,
}

/// A task that ends when nobody has it any more.
pub type Follower = Arc<AbortOnDropHandle<()>>;

/// One place where a target listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Its socket.
    pub address: SocketAddr,
    /// Which instance listens there, if instances are asked directly.
    pub instance: Option<InstanceId>,
}

/// Why a target cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// It is neither a URL nor a function's name.
    #[error("`{target}` is neither a URL such as http://127.0.0.1:9000/predict nor the name of a function: {why}")]
    Name {
        /// What was given.
        target: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answers.
    #[error("{what} at {url} cannot be reached: {why}{hint}")]
    Unreachable {
        /// Who.
        what: &'static str,
        /// Where.
        url: String,
        /// Why not.
        why: String,
        /// What may help.
        hint: &'static str,
    },
    /// There is no such function, as those say who know.
    #[error("{0}")]
    UnknownFunction(String),
    /// The function has no instance that could be asked directly.
    #[error(
        "`{function}` has no instance that is ready: `drover scale {function} 1` starts one, and so does a request through the gateway"
    )]
    NoInstance {
        /// The function.
        function: String,
    },
    /// Something else was answered than what was asked for.
    #[error("{url} answered {answer}")]
    Answer {
        /// What was asked.
        url: String,
        /// What came.
        answer: String,
    },
    /// A URL leads to somebody else, as far as can be known.
    #[error(transparent)]
    Foreign(#[from] Foreign),
    /// Consul and Nomad cannot be asked.
    #[error(transparent)]
    Cluster(#[from] StartError),
    /// Certificates cannot be used.
    #[error("{0}")]
    Tls(String),
}

impl Target {
    /// Makes a target that is one address, without TLS.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        let (_, endpoints) = watch::channel(Arc::new(vec![Endpoint { address, instance: None }]));
        Self {
            name: format!("http://{address}"),
            tls: false,
            host: address.to_string(),
            base_path: String::new(),
            path: "/",
            endpoints,
            openapi: None,
            instances: None,
            followers: Vec::new(),
        }
    }
}
