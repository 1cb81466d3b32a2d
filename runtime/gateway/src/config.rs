//! All settings of the gateway, from one TOML file, the environment and flags.

mod file;
mod known;
mod layers;
mod parse;
mod print;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use drover_core::FunctionName;
use drover_engine::FixedFunction;

use crate::Settings;
use crate::access::AccessConfig;
pub use known::{OF_A_FUNCTION, SETTINGS, Setting};
pub use layers::{ENV_PREFIX, Layers};

/// All settings of the gateway; [`SETTINGS`] says what each means and what holds unless it is set.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayConfig {
    /// Where to listen; at least one address.
    pub listen: Vec<SocketAddr>,
    /// Where other gateways reach this one; nothing if it listens on all addresses and was not told which.
    pub advertise: Option<SocketAddr>,
    /// The files of certificate and key, if clients speak TLS.
    pub tls: Option<TlsFiles>,
    /// Who may use it.
    pub access: AccessConfig,
    /// Where to find instances, and who starts them.
    pub cluster: ClusterConfig,
    /// Functions at fixed addresses.
    pub functions: BTreeMap<FunctionName, FixedFunction>,
    /// Its limits.
    pub settings: Settings,
    /// Who can put load on it: a `loadgen --web`, `http://host:port`.
    pub load: Option<String>,
}

/// The files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate and chain, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// Where to find instances, and who starts them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Consul's agent.
    pub consul: Option<Endpoint>,
    /// Nomad's agent.
    pub nomad: Option<Endpoint>,
    /// Consul's datacenter; unless set, that of the agent.
    pub datacenter: Option<String>,
    /// Nomad's namespace; unless set, `default`.
    pub namespace: Option<String>,
}

/// A server of the cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `http://host:port` or `https://host:port`, without a path.
    pub url: String,
    /// Its token, never shown.
    pub token: Option<String>,
    /// Who vouches for it, PEM; unless set, those that this machine trusts.
    pub ca: Option<PathBuf>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "<redacted>");
        f.debug_struct("Endpoint").field("url", &self.url).field("token", &token).field("ca", &self.ca).finish()
    }
}

impl GatewayConfig {
    /// Returns what works, but is likely not meant so.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut all = Vec::new();
        let asks = self.access.keys.is_some() || self.access.jwt.is_some() || self.access.admin.is_some();
        let far = self.listen.iter().find(|address| !address.ip().to_canonical().is_loopback());
        if let (true, None, Some(far)) = (asks, &self.tls, far) {
            all.push(format!("keys and tokens cross the network unencrypted to {far}: set tls.cert and tls.key"));
        }
        let jwt = self.access.jwt.as_ref();
        if jwt.is_some_and(|jwt| jwt.audience.is_empty()) {
            all.push("tokens made for other services are taken too: set jwt.audience".into());
        }
        all
    }
}
