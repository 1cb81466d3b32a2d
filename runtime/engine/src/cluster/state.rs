//! All that Consul and Nomad said, and the snapshot that it makes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use drover_core::{FunctionName, InstanceId};
use tokio::sync::watch;
use tokio::time::Instant;

use super::api::Server;
use super::consul::Entry;
use super::nomad::{Described, Registration};
use super::roster::Roster;
use crate::{Function, Instance, InstanceState, Snapshot};

/// How long an instance that was ready before an outage and does not pass after it is taken for ready: an agent
/// that starts again takes every check for failed until it has run.
const TRUST: Duration = Duration::from_secs(10);

/// An instance as one server lists it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Listed {
    pub(super) instance: Instance,
    pub(super) tags: Vec<String>,
    /// The server's index at which it was registered: the greatest is the newest.
    pub(super) created: u64,
    /// Until when it counts as ready although it does not pass: it was ready before an outage.
    pub(super) trusted_until: Option<Instant>,
}

/// A function whose instances one server lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Followed {
    pub(super) keeper: Server,
    pub(super) function: FunctionName,
}

/// What is asked again and again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Jobs,
    Services,
    Instances(Followed),
}

/// Collects what the servers say; every change makes a new snapshot.
#[derive(Debug)]
pub(super) struct Board {
    servers: BTreeSet<Server>,
    state: Mutex<State>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    followed: watch::Sender<BTreeSet<Followed>>,
    settled: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    jobs: Roster<FunctionName, Described>,
    tagged: Roster<FunctionName, ()>,
    instances: BTreeMap<Followed, Roster<InstanceId, Listed>>,
    /// Who has answered at least once.
    heard: BTreeSet<Source>,
    /// Who cannot be asked, and why.
    lost: BTreeMap<Source, String>,
}

impl Board {
    /// Knows nothing yet of what `servers` will say.
    pub(super) fn new(servers: BTreeSet<Server>) -> Self {
        Self {
            servers,
            state: Mutex::default(),
            snapshot: watch::Sender::default(),
            followed: watch::Sender::default(),
            settled: watch::Sender::new(false),
        }
    }

    pub(super) fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }

    /// Returns a view of the functions whose instances are to be followed.
    pub(super) fn followed(&self) -> watch::Receiver<BTreeSet<Followed>> {
        self.followed.subscribe()
    }

    /// Waits until every server has answered everything once, or could not be asked.
    pub(super) async fn settled(&self) {
        let mut settled = self.settled.subscribe();
        let _never_closed = settled.wait_for(|settled| *settled).await;
    }

    /// Returns a function as its job describes it.
    pub(super) fn described(&self, function: &FunctionName) -> Option<Described> {
        self.state().jobs.get(function).cloned()
    }

    /// Returns all functions that jobs describe; an error if Nomad never answered.
    pub(super) fn all_described(&self) -> Result<Vec<(FunctionName, Described)>, String> {
        let state = self.state();
        if self.servers.contains(&Server::Nomad) && !state.heard.contains(&Source::Jobs) {
            return Err(state.lost.get(&Source::Jobs).cloned().unwrap_or_else(|| "Nomad has not answered yet".into()));
        }
        Ok(state.jobs.iter().map(|(name, described)| (name.clone(), described.clone())).collect())
    }

    pub(super) fn jobs(&self, found: BTreeMap<FunctionName, Described>) {
        self.heard(Source::Jobs, |state| state.jobs.answered(Instant::now(), found));
    }

    pub(super) fn services(&self, found: BTreeMap<FunctionName, ()>) {
        self.heard(Source::Services, |state| state.tagged.answered(Instant::now(), found));
    }

    /// Takes what Consul lists of a function.
    pub(super) fn entries(&self, followed: &Followed, entries: Vec<Entry>) {
        self.listed(followed, |roster, _| {
            let listed = entries.into_iter().map(|entry| {
                let known = roster.get(&entry.id());
                let state = known.map(|known| known.instance.state);
                let was_ready = matches!(state, Some(InstanceState::Ready | InstanceState::Unhealthy));
                let mut listed = entry.instance(&followed.function, was_ready);
                if let (Some(known), false) = (known, listed.instance.state.is_ready()) {
                    listed.trusted_until = known.trust(roster.is_unsure(&known.instance.id));
                }
                listed
            });
            listed.collect()
        });
    }

    /// Takes what Nomad lists of a function.
    pub(super) fn registrations(&self, followed: &Followed, found: Vec<Registration>) {
        self.listed(followed, |_, jobs| {
            let meta = jobs.get(&followed.function).map(|job| job.meta.clone()).unwrap_or_default();
            found.into_iter().map(|registration| registration.instance(&followed.function, &meta)).collect()
        });
    }

    /// Notes that `source` cannot be asked.
    pub(super) fn lost(&self, source: Source, why: &str) {
        let mut state = self.state();
        match &source {
            Source::Jobs => state.jobs.lost(),
            Source::Services => state.tagged.lost(),
            Source::Instances(followed) => state.instances.entry(followed.clone()).or_default().lost(),
        }
        if state.lost.insert(source, why.to_owned()).is_none() {
            tracing::warn!(why, "the catalog cannot be asked: what was known last stays in use");
        }
        self.publish(state);
    }

    /// Drops what was not listed for long enough after an outage.
    pub(super) fn expire(&self, now: Instant) {
        let mut state = self.state();
        let mut any = state.jobs.expire(now) | state.tagged.expire(now);
        for roster in state.instances.values_mut() {
            any |= roster.expire(now);
            for listed in roster.values_mut() {
                any |= listed.trusted_until.take_if(|until| *until <= now).is_some();
            }
        }
        if any {
            self.publish(state);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self, source: Source, take: impl FnOnce(&mut State)) {
        let mut state = self.state();
        take(&mut state);
        if state.lost.remove(&source).is_some() && state.lost.is_empty() {
            tracing::info!("the catalog can be asked again");
        }
        state.heard.insert(source);
        self.publish(state);
    }

    fn listed(
        &self,
        followed: &Followed,
        read: impl FnOnce(&Roster<InstanceId, Listed>, &Roster<FunctionName, Described>) -> Vec<Listed>,
    ) {
        self.heard(Source::Instances(followed.clone()), |state| {
            let roster = state.instances.entry(followed.clone()).or_default();
            let found = numbered(roster, read(roster, &state.jobs));
            roster.answered(Instant::now(), found);
        });
    }

    /// Shows the state, under its lock so that an older one never comes later.
    fn publish(&self, mut state: MutexGuard<'_, State>) {
        let followed = state.followed(&self.servers);
        state.forget_all_but(&followed);
        let snapshot = state.snapshot(&self.snapshot.borrow());
        let is_settled = state.is_settled(&self.servers, &followed);
        self.snapshot.send_if_modified(|shown| {
            let is_new = **shown != snapshot;
            if is_new {
                *shown = Arc::new(snapshot);
            }
            is_new
        });
        self.followed.send_if_modified(|shown| {
            let is_new = *shown != followed;
            *shown = followed;
            is_new
        });
        self.settled.send_if_modified(|settled| !std::mem::replace(settled, *settled || is_settled) && is_settled);
    }
}

impl Listed {
    /// Returns until when this instance is to be trusted that passes no more, maybe because of an outage.
    fn trust(&self, after_outage: bool) -> Option<Instant> {
        let begins = after_outage && self.instance.state.is_ready();
        if begins { Some(Instant::now() + TRUST) } else { self.trusted_until }
    }

    fn shown(&self) -> Instance {
        let state = if self.trusted_until.is_some() { InstanceState::Ready } else { self.instance.state };
        Instance { state, ..self.instance.clone() }
    }
}

impl State {
    /// Returns whose instances are listed where.
    fn followed(&self, servers: &BTreeSet<Server>) -> BTreeSet<Followed> {
        let keeper = |job: &Described| if job.is_kept_by_nomad { Server::Nomad } else { Server::Consul };
        let described = self.jobs.iter().map(|(function, job)| (keeper(job), function));
        let tagged = self.tagged.iter().map(|(function, ())| (Server::Consul, function));
        let all = described.chain(tagged).filter(|(keeper, _)| servers.contains(keeper));
        all.map(|(keeper, function)| Followed { keeper, function: function.clone() }).collect()
    }

    fn forget_all_but(&mut self, followed: &BTreeSet<Followed>) {
        let is_asked = |source: &Source| !matches!(source, Source::Instances(one) if !followed.contains(one));
        self.instances.retain(|one, _| followed.contains(one));
        self.heard.retain(is_asked);
        self.lost.retain(|source, _| is_asked(source));
    }

    fn is_settled(&self, servers: &BTreeSet<Server>, followed: &BTreeSet<Followed>) -> bool {
        let first = servers.iter().map(|server| match server {
            Server::Consul => Source::Services,
            Server::Nomad => Source::Jobs,
        });
        let mut all = first.chain(followed.iter().cloned().map(Source::Instances));
        all.all(|source| self.heard.contains(&source) || self.lost.contains_key(&source))
    }

    /// Makes the snapshot; what is as in `last` is shared with it.
    fn snapshot(&self, last: &Snapshot) -> Snapshot {
        let mut functions: BTreeMap<FunctionName, Function> = BTreeMap::new();
        for (function, ()) in self.tagged.iter() {
            functions.entry(function.clone()).or_default();
        }
        for (function, job) in self.jobs.iter() {
            let entry = functions.entry(function.clone()).or_default();
            (entry.tags, entry.meta) = (job.tags.clone(), job.meta.clone());
        }
        for (followed, roster) in &self.instances {
            let Some(entry) = functions.get_mut(&followed.function) else { continue };
            // What an instance says of itself has no gaps, unlike the job.
            if let Some((_, newest)) = roster.iter().max_by_key(|(_, listed)| listed.created) {
                (entry.tags, entry.meta) = (newest.tags.clone(), newest.instance.meta.clone());
            }
            entry.instances.extend(roster.iter().map(|(_, listed)| Arc::new(listed.shown())));
        }
        for function in functions.values_mut() {
            function.instances.sort_by(|a, b| (a.index, &a.id).cmp(&(b.index, &b.id)));
        }
        let shared = |(name, function): (FunctionName, Function)| {
            let same = last.functions.get(&name).filter(|known| ***known == function).cloned();
            (name, same.unwrap_or_else(|| Arc::new(function)))
        };
        let functions = functions.into_iter().map(shared).collect();
        Snapshot { functions, lost: self.lost.values().next().cloned() }
    }
}

/// Gives every instance its number: the one that it had, or the least that is free.
fn numbered(roster: &Roster<InstanceId, Listed>, found: Vec<Listed>) -> BTreeMap<InstanceId, Listed> {
    let mut taken: BTreeSet<u32> = roster.iter().map(|(_, listed)| listed.instance.index).collect();
    let mut numbered = BTreeMap::new();
    for mut listed in found {
        let id = listed.instance.id.clone();
        listed.instance.index = match roster.get(&id) {
            Some(known) => known.instance.index,
            None => (0..).find(|index| taken.insert(*index)).unwrap_or_default(),
        };
        numbered.insert(id, listed);
    }
    numbered
}

#[cfg(test)]
mod tests;
