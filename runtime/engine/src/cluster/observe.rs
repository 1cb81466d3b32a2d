//! Following a cluster: what is needed of it to know who runs where.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::api::{Api, Server};
use super::endpoint::{Endpoint, StartError};
use super::follow::{self, ConsulCatalog};
use super::state::Board;
use crate::{Catalog, Snapshot};

/// How long the first answers are waited for.
const START_LIMIT: Duration = Duration::from_secs(5);

/// The servers that know who runs where.
#[derive(Debug, Clone)]
pub struct Servers {
    /// Where Consul answers. Without it only functions whose job says `provider = "nomad"` have instances.
    pub consul: Option<Endpoint>,
    /// Where Nomad answers. Without it a function without instances is unknown.
    pub nomad: Option<Endpoint>,
    /// The Consul datacenter whose services count; that of the agent by default.
    pub datacenter: Option<String>,
    /// The namespace of Nomad, `default` in most clusters.
    pub namespace: String,
}

/// Shows who runs where in a cluster and takes no part in it: for those who are no gateway. Stops to ask when
/// dropped.
#[derive(Debug)]
pub struct Observer(Following);

/// The tasks that follow a cluster, and what they have seen.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) board: Arc<Board>,
    pub(super) consul: Option<Api>,
    pub(super) nomad: Option<Api>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Observer {
    /// Begins to follow the cluster. Returns once every server has answered or could not be asked, after 5 s at
    /// the latest; a server that cannot be asked is no error.
    ///
    /// # Errors
    /// [`StartError`] if the settings cannot be used.
    pub async fn start(servers: Servers) -> Result<Self, StartError> {
        let following = Following::start(servers)?;
        following.settled().await;
        Ok(Self(following))
    }
}

impl Catalog for Observer {
    fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.0.board.watch()
    }
}

impl Following {
    /// Begins to follow.
    pub(super) fn start(servers: Servers) -> Result<Self, StartError> {
        let consul = servers.consul.as_ref().map(|e| Api::new(Server::Consul, e, None)).transpose()?;
        let namespace = Some(("namespace", servers.namespace));
        let nomad = servers.nomad.as_ref().map(|e| Api::new(Server::Nomad, e, namespace)).transpose()?;
        let configured = [consul.as_ref().map(|_| Server::Consul), nomad.as_ref().map(|_| Server::Nomad)];
        let configured: BTreeSet<Server> = configured.into_iter().flatten().collect();
        if configured.is_empty() {
            return Err(StartError::NoServer);
        }
        let board = Arc::new(Board::new(configured));
        let catalog = consul.clone().map(|api| ConsulCatalog { api, datacenter: servers.datacenter });
        let mut tasks = Vec::new();
        if let Some(catalog) = catalog.clone() {
            tasks.push(tokio::spawn(follow::services(Arc::clone(&board), catalog)));
        }
        if let Some(nomad) = nomad.clone() {
            tasks.push(tokio::spawn(follow::jobs(Arc::clone(&board), nomad)));
        }
        tasks.push(tokio::spawn(follow::all_instances(Arc::clone(&board), catalog, nomad.clone())));
        Ok(Self { board, consul, nomad, _tasks: tasks.into_iter().map(AbortOnDropHandle::new).collect() })
    }

    /// Waits for the first answers.
    pub(super) async fn settled(&self) {
        let _late_answers_come_by_themselves = tokio::time::timeout(START_LIMIT, self.board.settled()).await;
    }
}
