//! The engine for a cluster follows a real Consul.

use std::net::SocketAddr;
use std::time::Duration;

use drover_core::FunctionName;
use drover_engine::cluster::{Cluster, Endpoint, Settings};
use drover_engine::{Catalog as _, Snapshot};
use drover_testkit::{Consul, eventually};

/// How long a change may take to be seen.
const SEEN: Duration = Duration::from_secs(5);
/// How long an engine may take to come back to a server that is back.
const BACK: Duration = Duration::from_secs(20);

pub(crate) fn settings(consul: Option<&str>, nomad: Option<&str>, own_address: SocketAddr) -> Settings {
    Settings {
        consul: consul.map(Endpoint::new),
        nomad: nomad.map(Endpoint::new),
        datacenter: None,
        namespace: "default".into(),
        own_address,
        service: "drover-gateway".into(),
    }
}

pub(crate) fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

pub(crate) fn function(name: &str) -> FunctionName {
    name.parse().unwrap()
}

/// Says of every instance what it is: `number port state`.
pub(crate) fn said(snapshot: &Snapshot) -> Vec<String> {
    let said = snapshot.all_instances().map(|instance| {
        let port = instance.address.map_or(0, |address| address.port());
        format!("{} {port} {}", instance.index, instance.state)
    });
    said.collect()
}

/// Waits until the catalog shows exactly `wanted`.
async fn shows(cluster: &Cluster, wanted: &[&str]) {
    let view = cluster.watch();
    eventually(&format!("the catalog shows {wanted:?}"), SEEN, || {
        let found = said(&view.borrow()) == wanted;
        async move { found.then_some(()) }
    })
    .await;
}

#[tokio::test]
async fn instances_come_go_and_fall_ill() {
    let Some(consul) = Consul::start().await else { return };
    consul.register("other", "o", address(9), &[], "passing").await;
    let cluster = Cluster::start(settings(Some(&consul.url), None, address(1))).await.unwrap();
    assert_eq!(*cluster.watch().borrow().as_ref(), Snapshot::default());

    let tags = ["drover", "host=p.example"];
    consul.register("penguins", "a", address(10), &tags, "critical").await;
    shows(&cluster, &["0 10 starting"]).await;
    consul.set_status("a", "passing", "").await;
    consul.register("penguins", "b", address(11), &tags, "passing").await;
    shows(&cluster, &["0 10 ready", "1 11 ready"]).await;
    consul.set_status("a", "critical", "out of breath").await;
    shows(&cluster, &["0 10 unhealthy", "1 11 ready"]).await;
    let snapshot = cluster.watch().borrow().clone();
    let known = &snapshot.functions[&function("penguins")];
    assert_eq!(known.hosts().collect::<Vec<_>>(), ["p.example"]);
    assert_eq!(known.instances[0].reason.as_deref(), Some("check `ready`: out of breath"));
    assert_eq!(known.instances[0].version(), Some("1"));
    assert!(!snapshot.functions.contains_key(&function("other")));

    consul.deregister("a").await;
    shows(&cluster, &["1 11 ready"]).await;
    consul.deregister("b").await;
    shows(&cluster, &[]).await;
    assert_eq!(*cluster.watch().borrow().as_ref(), Snapshot::default(), "an untagged name is no function");
}

/// Registers two instances and follows them.
async fn two_penguins(consul: &Consul) -> Cluster {
    for (id, port) in [("a", 10), ("b", 11)] {
        consul.register("penguins", id, address(port), &["drover"], "passing").await;
    }
    Cluster::start(settings(Some(&consul.url), None, address(1))).await.unwrap()
}

/// Its checks have not run yet, and fail until then.
#[tokio::test]
async fn a_consul_that_starts_again_makes_nobody_ill() {
    let Some(mut consul) = Consul::start().await else { return };
    let cluster = two_penguins(&consul).await;
    consul.stop();
    consul.start_again().await;
    let (view, both) = (cluster.watch(), ["0 10 ready", "1 11 ready"]);
    eventually("the catalog is back, and has seen the failed checks", BACK, || {
        let snapshot = view.borrow().clone();
        assert_eq!(said(&snapshot), both);
        let is_back = snapshot.lost.is_none() && snapshot.all_instances().all(|i| i.reason.is_some());
        async move { is_back.then_some(()) }
    })
    .await;
    consul.set_status("a", "passing", "").await;
    // The other one fails for so long that it is believed.
    eventually("one has recovered, the other has not", BACK, || {
        let found = said(&view.borrow()) == ["0 10 ready", "1 11 unhealthy"];
        async move { found.then_some(()) }
    })
    .await;
}

#[tokio::test]
async fn a_consul_that_forgot_everything_does_not_empty_the_catalog() {
    let Some(mut consul) = Consul::start().await else { return };
    let cluster = two_penguins(&consul).await;
    let both = ["0 10 ready", "1 11 ready"];
    assert_eq!(said(&cluster.watch().borrow()), both, "it is there from the start");

    consul.stop();
    let view = cluster.watch();
    let why = eventually("the catalog is lost", SEEN, || {
        let lost = view.borrow().lost.clone();
        async move { lost }
    })
    .await;
    assert!(why.starts_with(&format!("Consul at {}: ", consul.url)), "{why}");
    assert_eq!(said(&view.borrow()), both, "{:?}", view.borrow());

    consul.forget();
    consul.start_again().await;
    consul.register("penguins", "b", address(11), &["drover"], "passing").await;
    eventually("the catalog is back", BACK, || {
        let back = view.borrow().lost.is_none();
        assert_eq!(said(&view.borrow()), both);
        async move { back.then_some(()) }
    })
    .await;
    // What came back is followed again; what did not is kept for a while.
    consul.register("penguins", "c", address(12), &["drover"], "passing").await;
    shows(&cluster, &["0 10 ready", "1 11 ready", "2 12 ready"]).await;
    consul.deregister("b").await;
    shows(&cluster, &["0 10 ready", "2 12 ready"]).await;
}

#[tokio::test]
async fn a_cluster_that_is_not_there_yet_is_waited_for() {
    let Some(mut consul) = Consul::start().await else { return };
    consul.stop();
    let cluster = Cluster::start(settings(Some(&consul.url), None, address(1))).await.unwrap();
    assert!(cluster.watch().borrow().lost.is_some());
    consul.start_again().await;
    consul.register("penguins", "a", address(10), &["drover"], "passing").await;
    let view = cluster.watch();
    eventually("the catalog has come", BACK, || {
        let found = view.borrow().lost.is_none() && said(&view.borrow()) == ["0 10 ready"];
        async move { found.then_some(()) }
    })
    .await;
}
