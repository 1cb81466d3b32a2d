//! Decides, about once a second and when a request finds no instance, how many instances of each
//! function run, and asks the scheduler for them. Of several gateways one does.
//!
//! A count that somebody else set, by hand or with a new version of the job, is left alone for
//! `hold_for`: it is the count until then, but for a request that finds no instance at all, which wakes
//! one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use drover_core::FunctionName;
use drover_core::scale::{Bounds, Decision, Input, Policy, Scaler};
use drover_engine::{FunctionStatus, Party};
use http::Method;
use tokio::task::JoinHandle;

use crate::decisions::Decided;
use crate::gateway::{Gateway, unix_ms};
use crate::lane::Lane;
use crate::line::Line;
use crate::peer::{PeerLoad, PeerLoads};

/// How long another gateway may take to tell its load.
const PEER_LIMIT: Duration = Duration::from_millis(500);
/// How long to wait after the scheduler refused a change.
const REFUSED_WAIT: Duration = Duration::from_secs(5);

/// The scaling of all functions.
#[derive(Default)]
pub(crate) struct Autoscaler {
    herds: BTreeMap<FunctionName, Herd>,
    peers: HashMap<SocketAddr, PeerLoads>,
    /// The gateways that did not tell their load when they were asked last.
    silent: HashSet<SocketAddr>,
}

/// The scaling of one function.
struct Herd {
    scaler: Scaler,
    policy: BTreeMap<String, String>,
    /// The count as this gateway set or last saw it.
    known: u32,
    hold: Option<Hold>,
    call: Option<Call>,
    refused: Option<Instant>,
    own: Seen,
    others: HashMap<SocketAddr, Seen>,
    n_requests: u64,
}

/// A count that somebody else set is left alone.
struct Hold {
    until: Instant,
}

/// A change that the scheduler was asked for, until it shows it.
struct Call {
    from: u32,
    to: u32,
    state: CallState,
}

enum CallState {
    Asking(JoinHandle<Result<u64, String>>),
    /// The scheduler has taken it, and shows it from this version on.
    Taken(u64),
}

/// What was last seen of a gateway's load.
#[derive(Default, Clone, Copy)]
struct Seen {
    request_seconds: f64,
    n_requests: u64,
    at_s: f64,
}

impl Seen {
    /// Returns the average in flight since the last look, and the requests that came.
    fn look(&mut self, load: &PeerLoad) -> (f64, u64) {
        let (seconds, before) = (load.at_s - self.at_s, *self);
        *self = Self { request_seconds: load.request_seconds, n_requests: load.n_requests, at_s: load.at_s };
        // A first look, or a gateway that began anew.
        if before.at_s == 0.0 || seconds <= 0.0 || load.n_requests < before.n_requests {
            return (load.n_inside as f64, 0);
        }
        let average = (load.request_seconds - before.request_seconds) / seconds;
        (average.max(0.0), load.n_requests - before.n_requests)
    }
}

impl Gateway {
    /// Decides for as long as the gateway serves, also while it finishes what is in flight: that may wait
    /// for an instance.
    pub(crate) async fn autoscale(self: Arc<Self>, line: Line) {
        let mut autoscaler = Autoscaler::default();
        let mut party = self.peers.watch();
        let mut tick = tokio::time::interval(self.settings.scale_interval);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut led = None;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.wake.notified() => {}
            }
            let now: Arc<Party> = Arc::clone(&party.borrow_and_update());
            if led != Some(now.leads) {
                led = Some(now.leads);
                self.metrics.leads.set(f64::from(u8::from(now.leads)));
                self.events.leader(if now.leads { "this gateway scales" } else { "another gateway scales" });
            }
            if now.leads {
                autoscaler.ask_peers(&line, &now.others).await;
                autoscaler.decide(&self).await;
            } else {
                autoscaler = Autoscaler::default();
                self.ask_leader(&line, now.leader).await;
            }
            self.show_load();
        }
    }

    /// Tells the gateway that scales of requests that find no instance here.
    async fn ask_leader(&self, line: &Line, leader: Option<SocketAddr>) {
        let needs_one = |lane: &Arc<Lane>| lane.load().n_waiting > 0 && lane.n_open() == 0;
        if let Some(leader) = leader.filter(|_| self.lanes.all().iter().any(needs_one))
            && let Err(e) = line.ask(leader, Method::POST, "/peer/wake", PEER_LIMIT).await
        {
            tracing::debug!(%leader, error = e, "the gateway that scales was not told");
        }
    }

    fn show_load(&self) {
        for lane in self.lanes.all() {
            let load = lane.load();
            lane.metrics.in_flight.set(load.n_inside as f64);
            lane.metrics.waiting.set(load.n_waiting as f64);
            lane.metrics.ready.set(lane.n_open() as f64);
        }
    }
}

impl Autoscaler {
    async fn ask_peers(&mut self, line: &Line, others: &[SocketAddr]) {
        self.peers.retain(|address, _| others.contains(address));
        self.silent.retain(|address| others.contains(address));
        let answers = others.iter().map(|address| async move {
            let answer = line.ask(*address, Method::GET, "/peer/load", PEER_LIMIT).await;
            let read = |bytes: Bytes| serde_json::from_slice::<PeerLoads>(&bytes).map_err(|e| e.to_string());
            (*address, answer.and_then(read))
        });
        for (address, loads) in futures_util::future::join_all(answers).await {
            match loads {
                Ok(loads) => {
                    self.silent.remove(&address);
                    self.peers.insert(address, loads);
                }
                Err(e) => {
                    self.peers.remove(&address);
                    // Once, for it is asked every second.
                    if self.silent.insert(address) {
                        tracing::warn!(%address, error = e, "a gateway does not tell its load: scaling goes without");
                    }
                }
            }
        }
    }

    async fn decide(&mut self, gateway: &Arc<Gateway>) {
        let all = match gateway.scheduler.status().await {
            Ok(all) => all,
            Err(e) => {
                tracing::warn!(error = %e, "scaling waits");
                return;
            }
        };
        self.herds.retain(|function, _| all.iter().any(|status| status.function == *function));
        for status in all {
            let Ok(lane) = gateway.lanes.find(status.function.as_str()) else { continue };
            lane.may_wake(status.scales || status.count > 0);
            if !self.herds.contains_key(&status.function) {
                self.herds.insert(status.function.clone(), Herd::new(&status));
            }
            if let Some(herd) = self.herds.get_mut(&status.function) {
                herd.decide(gateway, &lane, &status, &self.peers).await;
            }
        }
        gateway.metrics.decided.set(unix_ms() as f64 / 1e3);
    }
}

impl Herd {
    fn new(status: &FunctionStatus) -> Self {
        Self {
            scaler: Scaler::new(policy(status)),
            policy: status.policy.clone(),
            known: status.count,
            hold: None,
            call: None,
            refused: None,
            own: Seen::default(),
            others: HashMap::new(),
            n_requests: 0,
        }
    }

    async fn decide(
        &mut self,
        gateway: &Arc<Gateway>,
        lane: &Arc<Lane>,
        status: &FunctionStatus,
        peers: &HashMap<SocketAddr, PeerLoads>,
    ) {
        if self.policy != status.policy {
            self.policy.clone_from(&status.policy);
            self.scaler.set_policy(policy(status));
        }
        self.finish_call(gateway, lane).await;
        self.notice(gateway, status);
        let input = self.input(gateway, lane, status, peers);
        let waiting = input.waiting;
        let decision = self.scaler.decide(input);
        lane.metrics.asked.set(f64::from(status.count));
        lane.metrics.wanted.set(f64::from(decision.wanted));
        gateway.decisions.note(&status.function, decision.clone());
        if !status.scales {
            return;
        }
        let wakes = status.count == 0 && decision.wanted > 0 && waiting > 0;
        if gateway.holds.left(&status.function).is_some() && !wakes {
            return;
        }
        if self.hold.as_ref().is_some_and(|hold| Instant::now() < hold.until) && !wakes {
            return;
        }
        self.hold = None;
        if decision.wanted != status.count {
            self.ask_for(gateway, lane, status, decision);
        }
    }

    /// Notices a count that somebody else set.
    fn notice(&mut self, gateway: &Gateway, status: &FunctionStatus) {
        match &self.call {
            // What it shows now and is not that, somebody has set after it.
            Some(Call { to, state: CallState::Taken(version), .. }) if status.version >= *version => {
                (self.known, self.call) = (*to, None);
            }
            Some(Call { from, to, .. }) if status.count == *from || status.count == *to => return,
            _ => {}
        }
        if status.count == self.known {
            return;
        }
        let hold_for = gateway.settings.hold_for;
        let why = format!("set by somebody else, left alone for {hold_for:?}");
        gateway.tell(&status.function, self.known, status.count, why, None);
        self.hold = Some(Hold { until: Instant::now() + hold_for });
        self.known = status.count;
    }

    /// Sums the loads of all gateways.
    fn input(
        &mut self,
        gateway: &Gateway,
        lane: &Lane,
        status: &FunctionStatus,
        peers: &HashMap<SocketAddr, PeerLoads>,
    ) -> Input {
        let own = gateway.load_of(lane);
        let (mut in_flight, mut n_new) = self.own.look(&own);
        let mut waiting = own.n_waiting;
        self.others.retain(|address, _| peers.contains_key(address));
        for (address, loads) in peers {
            if let Some(load) = loads.get(&status.function) {
                let (average, n) = self.others.entry(*address).or_default().look(load);
                (in_flight, n_new, waiting) = (in_flight + average, n_new + n, waiting + load.n_waiting);
            }
        }
        self.n_requests += n_new;
        let n32 = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Input {
            now: gateway.born.elapsed(),
            in_flight,
            requests_total: self.n_requests,
            waiting: waiting as u64,
            slots: n32(lane.slots()),
            n_ready: n32(lane.n_open()),
            count: status.count,
            bounds: Bounds { min: status.min, max: status.max },
        }
    }

    /// Asks the scheduler, unless it is being asked for the same; an older wish is withdrawn.
    fn ask_for(&mut self, gateway: &Arc<Gateway>, lane: &Arc<Lane>, status: &FunctionStatus, decision: Decision) {
        let (from, to) = (status.count, decision.wanted);
        if self.call.as_ref().is_some_and(|call| call.to == to)
            || self.refused.is_some_and(|at| at.elapsed() < REFUSED_WAIT)
        {
            return;
        }
        if let Some(Call { state: CallState::Asking(older), .. }) = self.call.take() {
            older.abort();
        }
        let why = decision.reason.to_string();
        gateway.tell(&lane.function, from, to, why, Some(decision));
        let (scheduler, function) = (Arc::clone(&gateway.scheduler), lane.function.clone());
        let task = tokio::spawn(async move { scheduler.scale(&function, to).await.map_err(|e| e.to_string()) });
        self.call = Some(Call { from, to, state: CallState::Asking(task) });
    }

    async fn finish_call(&mut self, gateway: &Gateway, lane: &Lane) {
        let Some(Call { from, to, state: CallState::Asking(task) }) = &mut self.call else { return };
        if !task.is_finished() {
            return;
        }
        let (from, to, done) = (*from, *to, task.await);
        match done {
            Ok(Ok(version)) => {
                lane.metrics.scaled("ok");
                self.refused = None;
                if let Some(call) = &mut self.call {
                    call.state = CallState::Taken(version);
                }
            }
            Ok(Err(why)) => {
                lane.metrics.scaled("refused");
                tracing::warn!(function = %lane.function, count = to, why, "the scheduler did not scale");
                // Else `drover status` would show a change that there was not.
                gateway.tell(&lane.function, from, from, format!("not {to}: {why}"), None);
                (self.call, self.refused) = (None, Some(Instant::now()));
            }
            Err(_) => self.call = None,
        }
    }
}

impl Gateway {
    /// Notes a change of a count where people look for it.
    pub(crate) fn tell(&self, function: &FunctionName, from: u32, to: u32, why: String, decision: Option<Decision>) {
        tracing::info!(%function, from, to, why, "scaling");
        let decided = Decided { at_unix_ms: unix_ms(), function: function.clone(), from, to, why, decision };
        self.events.decision(&decided);
        self.decisions.add(decided);
    }
}

fn policy(status: &FunctionStatus) -> Policy {
    Policy::read(&status.policy).unwrap_or_else(|mistakes| {
        tracing::warn!(function = %status.function, "the scaling policy is not used: {}", mistakes.join("; "));
        Policy::default()
    })
}
