//! The tasks that ask Consul and Nomad again and again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use drover_core::FunctionName;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::api::{Api, ApiError, Ask, Server};
use super::blocking::Query;
use super::consul;
use super::nomad::{Described, Job, JobEntry};
use super::state::{Board, Followed, Source};
use super::trouble::{self, Evaluation};

/// How often what was kept after an outage is looked at.
const TICK: Duration = Duration::from_secs(1);

/// The jobs that were read: the index at which, and which functions they are.
type Read = BTreeMap<String, (u64, Vec<(FunctionName, Described)>)>;

/// Asks Consul, in one datacenter.
#[derive(Debug, Clone)]
pub(super) struct ConsulCatalog {
    pub(super) api: Api,
    pub(super) datacenter: Option<String>,
}

impl ConsulCatalog {
    fn query(&self, path: &[&str]) -> Query {
        let ask = Ask::new(path);
        let ask = match &self.datacenter {
            Some(datacenter) => ask.with("dc", datacenter.clone()),
            None => ask,
        };
        Query::new(&self.api, ask)
    }
}

/// Follows which services are functions.
pub(super) async fn services(board: Arc<Board>, consul: ConsulCatalog) {
    let mut query = consul.query(&["v1", "catalog", "services"]);
    loop {
        match query.next().await {
            Ok(services) => board.services(consul::functions(services.unwrap_or_default())),
            Err(e) => board.lost(Source::Services, &e.to_string()),
        }
    }
}

/// Follows which jobs are functions, and whether they have a place.
pub(super) async fn jobs(board: Arc<Board>, nomad: Api) {
    let mut query = Query::new(&nomad, Ask::new(&["v1", "jobs"]).with("meta", "true"));
    let mut read = Read::new();
    loop {
        let entries = match query.next::<Vec<JobEntry>>().await {
            Ok(entries) => entries.unwrap_or_default(),
            Err(e) => {
                board.lost(Source::Jobs, &e.to_string());
                continue;
            }
        };
        match read_jobs(&nomad, entries, &mut read).await {
            Ok(found) => board.jobs(found),
            Err(e) => {
                query.failed();
                board.lost(Source::Jobs, &e.to_string());
            }
        }
    }
}

/// Follows the instances of all functions that the board wants followed.
pub(super) async fn all_instances(board: Arc<Board>, consul: Option<ConsulCatalog>, nomad: Option<Api>) {
    let mut wanted = board.followed();
    let mut running: BTreeMap<Followed, AbortOnDropHandle<()>> = BTreeMap::new();
    let mut tick = tokio::time::interval(TICK);
    loop {
        let now = wanted.borrow_and_update().clone();
        running.retain(|followed, _| now.contains(followed));
        for followed in now {
            let query = match followed.keeper {
                Server::Consul => {
                    consul.as_ref().map(|c| c.query(&["v1", "health", "service", followed.function.as_str()]))
                }
                Server::Nomad => {
                    nomad.as_ref().map(|n| Query::new(n, Ask::new(&["v1", "service", followed.function.as_str()])))
                }
            };
            if let (Some(query), false) = (query, running.contains_key(&followed)) {
                let task = tokio::spawn(instances(Arc::clone(&board), query, followed.clone()));
                running.insert(followed, AbortOnDropHandle::new(task));
            }
        }
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            _ = tick.tick() => board.expire(Instant::now()),
        }
    }
}

async fn instances(board: Arc<Board>, mut query: Query, followed: Followed) {
    loop {
        let answer = match followed.keeper {
            Server::Consul => query.next().await.map(|found| board.entries(&followed, found.unwrap_or_default())),
            Server::Nomad => query.next().await.map(|found| board.registrations(&followed, found.unwrap_or_default())),
        };
        if let Err(e) = answer {
            board.lost(Source::Instances(followed.clone()), &e.to_string());
        }
    }
}

/// Reads the jobs that changed, and why instances of any job wait for a place.
async fn read_jobs(
    nomad: &Api,
    entries: Vec<JobEntry>,
    read: &mut Read,
) -> Result<BTreeMap<FunctionName, Described>, ApiError> {
    let entries: Vec<_> = entries.into_iter().filter(JobEntry::is_function).collect();
    read.retain(|id, _| entries.iter().any(|entry| entry.id == *id));
    let mut found = BTreeMap::new();
    for entry in entries {
        if read.get(&entry.id).is_none_or(|(index, _)| *index != entry.modify_index) {
            let job: Option<Job> = nomad.get(&Ask::new(&["v1", "job", &entry.id])).await?;
            let functions = job.map(Job::functions).unwrap_or_default();
            read.insert(entry.id.clone(), (entry.modify_index, functions));
        }
        let functions = read.get(&entry.id).map(|(_, functions)| functions.clone()).unwrap_or_default();
        let mut evaluations: Option<Vec<Evaluation>> = None;
        for (function, mut described) in functions {
            if entry.waits(&described.group) {
                if evaluations.is_none() {
                    evaluations = nomad.get(&Ask::new(&["v1", "job", &entry.id, "evaluations"])).await?;
                }
                described.trouble = trouble::of(&described, evaluations.as_deref().unwrap_or_default());
            }
            found.insert(function, described);
        }
    }
    Ok(found)
}
