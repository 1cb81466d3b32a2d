//! The engine for a cluster: Consul, or Nomad itself, says who runs where, and Nomad how many should.
//!
//! Everything is followed by blocking queries, so that a change is seen as it happens and nobody is asked in
//! a loop. While a server cannot be asked, what was known last stays in use.

mod api;
mod blocking;
mod claim;
mod consul;
mod election;
mod endpoint;
mod follow;
mod logs;
mod nomad;
mod observe;
mod party;
mod resize;
mod roster;
mod scale;
mod state;
mod trouble;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use drover_core::FunctionName;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use self::api::Api;
use self::election::Election;
pub use self::endpoint::{Endpoint, Secret, StartError};
use self::nomad::Described;
use self::observe::Following;
pub use self::observe::{Observer, Servers};
use self::party::PartyBoard;
use crate::{
    Catalog, EngineKind, FunctionStatus, LogLine, LogQuery, Party, Peers, Resize, Scheduler, SchedulerError, Size,
    Snapshot,
};

/// How a cluster is reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where Consul answers. Without it only functions whose job says `provider = "nomad"` have instances,
    /// and this gateway takes itself for the only one: it leads.
    pub consul: Option<Endpoint>,
    /// Where Nomad answers. Without it nothing is scaled, and a function without instances is unknown.
    pub nomad: Option<Endpoint>,
    /// The Consul datacenter whose services count; that of the agent by default. Gateways elect their leader
    /// in that of the agent.
    pub datacenter: Option<String>,
    /// The namespace of Nomad, `default` in most clusters.
    pub namespace: String,
    /// Where other gateways reach this one.
    pub own_address: SocketAddr,
    /// The Consul service of the gateways, such as `drover-gateway`.
    pub service: String,
}

/// Knows who runs where in a cluster, asks Nomad for more or fewer, and knows the other gateways. Stops to ask
/// when dropped.
#[derive(Debug)]
pub struct Cluster {
    following: Following,
    party: Arc<PartyBoard>,
    own_address: SocketAddr,
    /// The clock of the nodes' cores, MHz, once it is known.
    clock: Arc<OnceLock<u64>>,
    election: Option<(Arc<Election>, Campaign)>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

/// The task that takes part in an election; nothing after it was left.
type Campaign = Mutex<Option<AbortOnDropHandle<()>>>;

impl Cluster {
    /// Begins to follow the cluster. Returns once every server has answered or could not be asked, after 5 s at
    /// the latest; a server that cannot be asked is no error.
    ///
    /// # Errors
    /// [`StartError`] if the settings cannot be used.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let Settings { consul, nomad, datacenter, namespace, own_address, service } = settings;
        let following = Following::start(Servers { consul, nomad, datacenter, namespace })?;
        let party = Arc::new(PartyBoard::new(following.consul.is_none()));
        let mut tasks = Vec::new();
        let election = following.consul.clone().map(|consul| {
            tasks.push(tokio::spawn(party::others(Arc::clone(&party), consul.clone(), service, own_address)));
            let election = Arc::new(Election::new(consul, own_address, Arc::clone(&party)));
            let task = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&election).run()));
            (election, Mutex::new(Some(task)))
        });
        let clock = Arc::new(OnceLock::new());
        if let Some(nomad) = &following.nomad {
            tasks.push(tokio::spawn(resize::follow_clock(nomad.clone(), Arc::clone(&clock))));
        }
        following.settled().await;
        let _tasks = tasks.into_iter().map(AbortOnDropHandle::new).collect();
        Ok(Self { following, party, own_address, clock, election, _tasks })
    }

    /// Gives up leading for good, so that another gateway leads at once: to be called before the process ends.
    /// The catalog and the scheduler still work.
    pub async fn leave(&self) {
        let Some((election, task)) = &self.election else { return };
        let task = task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
            let _aborted = task.await;
            election.leave().await;
        }
    }

    /// Returns how Nomad is asked about a function.
    fn job(&self, function: &FunctionName) -> Result<(&Api, Described), SchedulerError> {
        if let (Some(nomad), Some(job)) = (&self.following.nomad, self.following.board.described(function)) {
            return Ok((nomad, job));
        }
        if !self.following.board.watch().borrow().functions.contains_key(function) {
            return Err(SchedulerError::UnknownFunction(function.clone()));
        }
        Err(SchedulerError::Refused(if self.following.nomad.is_some() {
            format!("`{function}` is in Consul, but no job of Nomad with `meta {{ drover = \"function\" }}` runs it")
        } else {
            format!("Nomad, which alone can change `{function}`, is not configured")
        }))
    }

    fn status_of(&self, function: FunctionName, job: Described) -> FunctionStatus {
        let is_unseen = !job.is_kept_by_nomad && self.following.consul.is_none();
        let unseen = is_unseen.then(|| "its instances are listed in Consul, which is not configured".to_owned());
        FunctionStatus {
            function,
            engine: EngineKind::Nomad,
            size: self.clock.get().map(|mhz| job.size(*mhz)),
            count: job.count,
            version: job.version,
            min: job.min,
            max: job.max,
            policy: job.policy,
            scales: job.scales,
            trouble: job.trouble.or(unseen),
        }
    }
}

impl Catalog for Cluster {
    fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.following.board.watch()
    }
}

impl Peers for Cluster {
    fn watch(&self) -> watch::Receiver<Arc<Party>> {
        self.party.watch()
    }
}

impl Scheduler for Cluster {
    fn scale<'a>(&'a self, function: &'a FunctionName, count: u32) -> BoxFuture<'a, Result<u64, SchedulerError>> {
        async move {
            let (nomad, job) = self.job(function)?;
            scale::scale(nomad, self.own_address, function, &job, count).await
        }
        .boxed()
    }

    /// Nomad replaces the instances as the job's `update` block says.
    fn resize<'a>(
        &'a self,
        function: &'a FunctionName,
        size: Size,
        _: Resize,
    ) -> BoxFuture<'a, Result<u64, SchedulerError>> {
        async move {
            let (nomad, job) = self.job(function)?;
            resize::resize(nomad, function, &job, size, &self.clock).await
        }
        .boxed()
    }

    /// Scales to zero. A job that scales from more than that is for a person to stop.
    fn stop<'a>(&'a self, function: &'a FunctionName) -> BoxFuture<'a, Result<(), SchedulerError>> {
        async move {
            let (nomad, job) = self.job(function)?;
            if job.min > 0 {
                let why = format!("its job scales from {}; `nomad job stop {}` stops it", job.min, job.job);
                return Err(SchedulerError::Refused(why));
            }
            scale::scale(nomad, self.own_address, function, &job, 0).await.map(|_| ())
        }
        .boxed()
    }

    /// Answers from what was followed; nobody is asked.
    fn status(&self) -> BoxFuture<'_, Result<Vec<FunctionStatus>, SchedulerError>> {
        let all = self.following.board.all_described().map_err(SchedulerError::Unavailable);
        let all = all.map(|all| all.into_iter().map(|(name, job)| self.status_of(name, job)).collect());
        std::future::ready(all).boxed()
    }

    fn logs<'a>(
        &'a self,
        function: &'a FunctionName,
        query: LogQuery,
    ) -> BoxFuture<'a, Result<BoxStream<'static, LogLine>, SchedulerError>> {
        async move {
            let (nomad, job) = self.job(function)?;
            logs::read(nomad, function, job, query).await.map_err(|e| scale::error(&e))
        }
        .boxed()
    }
}
