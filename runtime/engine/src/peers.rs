//! The other gateways, and which of all decides how many instances run.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

/// Shows the other gateways, and every change of them.
pub trait Peers: Send + Sync {
    /// Returns a view that always has the newest [`Party`].
    fn watch(&self) -> watch::Receiver<Arc<Party>>;
}

/// All gateways of a cluster, as one of them sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// Whether this gateway is the one that scales.
    pub leads: bool,
    /// Where the one that scales listens, if there is one and it is another.
    pub leader: Option<SocketAddr>,
    /// Where the others listen.
    pub others: Vec<SocketAddr>,
}

/// A gateway that is the only one: it scales.
#[derive(Debug)]
pub struct Alone(watch::Sender<Arc<Party>>);

impl Default for Alone {
    fn default() -> Self {
        Self(watch::Sender::new(Arc::new(Party { leads: true, leader: None, others: Vec::new() })))
    }
}

impl Peers for Alone {
    fn watch(&self) -> watch::Receiver<Arc<Party>> {
        self.0.subscribe()
    }
}
