//! Of several gateways, exactly one leads.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use drover_engine::cluster::Cluster;
use drover_engine::{Party, Peers as _};
use drover_testkit::{Consul, eventually};
use tokio::sync::watch;

use crate::catalog::settings;

/// How long a gateway may be without a leader after one was killed.
const LIMIT: Duration = Duration::from_secs(15);

/// A gateway as the others see it: somebody who listens.
struct Gateway {
    cluster: Cluster,
    address: SocketAddr,
    _listener: TcpListener,
}

impl Gateway {
    async fn start(consul: &Consul, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let cluster = Cluster::start(settings(Some(&consul.url), None, address)).await.unwrap();
        Self { cluster, address, _listener: listener }
    }

    fn party(&self) -> Arc<Party> {
        self.cluster.watch().borrow().clone()
    }
}

/// Counts how many lead, again and again, until dropped.
struct Sampler {
    most: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Sampler {
    /// Watches `views`; a gateway that was dropped leads no more.
    fn start(views: Vec<watch::Receiver<Arc<Party>>>) -> Self {
        let most = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&most);
        let task = tokio::spawn(async move {
            loop {
                let leads = |view: &&watch::Receiver<Arc<Party>>| view.has_changed().is_ok() && view.borrow().leads;
                seen.fetch_max(views.iter().filter(leads).count(), Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        Self { most, task }
    }

    fn most(self) -> usize {
        self.task.abort();
        self.most.load(Ordering::Relaxed)
    }
}

/// Waits until one of `gateways` leads and the others know it; returns its place.
async fn leader(gateways: &[Gateway], limit: Duration) -> usize {
    eventually("one gateway leads and the others know it", limit, || async {
        let place = gateways.iter().position(|gateway| gateway.party().leads)?;
        let address = gateways[place].address;
        let others = gateways.iter().enumerate().filter(|(i, _)| *i != place);
        others.into_iter().all(|(_, g)| !g.party().leads && g.party().leader == Some(address)).then_some(place)
    })
    .await
}

#[tokio::test]
async fn exactly_one_leads_whatever_happens_to_it() {
    let Some(consul) = Consul::start().await else { return };
    let mut gateways = Vec::new();
    for _ in 0..3 {
        gateways.push(Gateway::start(&consul, SocketAddr::from(([127, 0, 0, 1], 0))).await);
    }
    let sampler = Sampler::start(gateways.iter().map(|gateway| gateway.cluster.watch()).collect());
    let first = leader(&gateways, LIMIT).await;

    // Its session is destroyed while it lives: it knows before another can lead.
    let entry: serde_json::Value = drover_testkit::client()
        .get(format!("{}/v1/kv/drover/leader", consul.url))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let session = entry[0]["Session"].as_str().unwrap();
    consul.put(&format!("/v1/session/destroy/{session}"), &serde_json::Value::Null).await;
    let view = gateways[first].cluster.watch();
    eventually("the leader knows that it is none", Duration::from_secs(1), || {
        let knows = !view.borrow().leads;
        async move { knows.then_some(()) }
    })
    .await;
    let second = leader(&gateways, LIMIT).await;

    // It is killed: nothing is given back, and nobody listens any more.
    let began = Instant::now();
    drop(gateways.remove(second));
    let third = leader(&gateways, LIMIT).await;
    eprintln!("the leader was killed: another leads after {:?}", began.elapsed());

    // It leaves in order: another leads at once.
    let began = Instant::now();
    gateways[third].cluster.leave().await;
    assert!(!gateways[third].party().leads);
    let last = 1 - third;
    let view = gateways[last].cluster.watch();
    eventually("the last one leads", Duration::from_secs(2), || {
        let leads = view.borrow().leads;
        async move { leads.then_some(()) }
    })
    .await;
    eprintln!("the leader left: another leads after {:?}", began.elapsed());
    assert_eq!(sampler.most(), 1, "so many led at once");
}

#[tokio::test]
async fn a_gateway_that_was_killed_and_started_again_does_not_wait_for_itself() {
    let Some(consul) = Consul::start().await else { return };
    let first = Gateway::start(&consul, SocketAddr::from(([127, 0, 0, 1], 0))).await;
    let address = first.address;
    leader(std::slice::from_ref(&first), LIMIT).await;
    drop(first);
    let again = Gateway::start(&consul, address).await;
    leader(&[again], Duration::from_secs(4)).await;
}

#[tokio::test]
async fn a_leader_that_cannot_renew_stops_to_lead() {
    let Some(mut consul) = Consul::start().await else { return };
    let gateway = Gateway::start(&consul, SocketAddr::from(([127, 0, 0, 1], 0))).await;
    let gateways = [gateway];
    leader(&gateways, LIMIT).await;
    consul.stop();
    // The time to live, and a little for a busy machine.
    eventually("it leads no more", Duration::from_secs(12), || async { (!gateways[0].party().leads).then_some(()) })
        .await;
    consul.start_again().await;
    leader(&gateways, LIMIT).await;
}

#[tokio::test]
async fn gateways_know_each_other() {
    let Some(consul) = Consul::start().await else { return };
    let gateway = Gateway::start(&consul, SocketAddr::from(([127, 0, 0, 1], 0))).await;
    let others: [SocketAddr; 2] = [([127, 0, 0, 1], 1001).into(), ([127, 0, 0, 1], 1002).into()];
    consul.register("drover-gateway", "own", gateway.address, &[], "passing").await;
    consul.register("drover-gateway", "a", others[0], &[], "passing").await;
    consul.register("drover-gateway", "b", others[1], &[], "passing").await;
    let known = async |wanted: &[SocketAddr]| {
        let view = gateway.cluster.watch();
        eventually(&format!("the others are {wanted:?}"), LIMIT, || {
            let found = view.borrow().others == wanted;
            async move { found.then_some(()) }
        })
        .await;
    };
    known(&others).await;
    consul.set_status("a", "critical", "").await;
    known(&others[1..]).await;
}
