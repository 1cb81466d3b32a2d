//! Follows which instances a function has.

use std::sync::Arc;
use std::time::Duration;

use drover_core::FunctionName;
use drover_engine::cluster::Observer;
use drover_engine::{Catalog, Instance, Snapshot};
use reqwest::{Client, RequestBuilder, Url};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;

use super::find::at;
use super::{Endpoint, Follower};

/// A list of places that changes.
pub(super) type Endpoints = watch::Receiver<Arc<Vec<Endpoint>>>;

/// How often a gateway is asked for its instances.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long its answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Follows what Consul and Nomad list.
pub(super) fn cluster(observer: Observer, function: &FunctionName) -> (Endpoints, Follower) {
    let function = function.clone();
    let mut snapshots = observer.watch();
    let of =
        move |snapshot: &Snapshot| ready(snapshot.instances(&function).unwrap_or_default().iter().map(AsRef::as_ref));
    let (sender, endpoints) = watch::channel(Arc::new(of(&snapshots.borrow_and_update())));
    let task = tokio::spawn(async move {
        // It stops to follow when it is dropped.
        let _observer = observer;
        while snapshots.changed().await.is_ok() {
            let now = of(&snapshots.borrow_and_update());
            show(&sender, now);
        }
    });
    (endpoints, Arc::new(AbortOnDropHandle::new(task)))
}

/// Follows what a gateway lists; nothing if it does not tell. `ask` begins a GET of any URL with its key.
pub(super) async fn gateway(
    client: Client,
    ask: impl Fn(&Client, Url) -> RequestBuilder + Send + Sync + 'static,
    gateway: &Url,
    function: &FunctionName,
) -> (Option<Endpoints>, Option<Follower>) {
    let (url, function) = (at(gateway, "/api/instances"), function.clone());
    let list = async move || -> Option<Vec<Endpoint>> {
        let answer = ask(&client, url.clone()).timeout(ANSWER_LIMIT).send().await.ok()?;
        let all: Vec<Instance> = answer.error_for_status().ok()?.json().await.ok()?;
        Some(ready(all.iter().filter(|instance| instance.function == function)))
    };
    let Some(first) = list().await else { return (None, None) };
    let (sender, endpoints) = watch::channel(Arc::new(first));
    let task = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // While the gateway does not answer, what was known last stays in use.
            if let Some(now) = list().await {
                show(&sender, now);
            }
        }
    });
    (Some(endpoints), Some(Arc::new(AbortOnDropHandle::new(task))))
}

/// Returns where those instances listen that take requests.
fn ready<'a>(instances: impl Iterator<Item = &'a Instance>) -> Vec<Endpoint> {
    let ready = instances.filter(|instance| instance.state.is_ready());
    ready.filter_map(|i| Some(Endpoint { address: i.address?, instance: Some(i.id.clone()) })).collect()
}

fn show(sender: &watch::Sender<Arc<Vec<Endpoint>>>, now: Vec<Endpoint>) {
    sender.send_if_modified(|shown| {
        let is_new = **shown != now;
        if is_new {
            *shown = Arc::new(now);
        }
        is_new
    });
}
