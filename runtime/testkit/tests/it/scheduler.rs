//! The engine for a cluster asks a real Nomad for more and for fewer.

use std::time::Duration;

use drover_engine::cluster::Cluster as Engine;
use drover_engine::{Catalog, FunctionStatus, LogQuery, Scheduler as _, SchedulerError};
use drover_testkit::{client, eventually};
use futures_util::StreamExt as _;

use crate::catalog::{address, function, said, settings};
use crate::cluster::{Cluster, READY, predict};

async fn engine(cluster: &Cluster) -> Engine {
    let (consul, nomad) = (&cluster.nomad.consul.url, &cluster.nomad.url);
    Engine::start(settings(Some(consul), Some(nomad), address(1))).await.unwrap()
}

/// Waits until the status of the penguins is as `good` says.
async fn status(engine: &Engine, what: &str, good: impl Fn(&FunctionStatus) -> bool) -> FunctionStatus {
    eventually(what, READY, || async {
        let all = engine.status().await.unwrap();
        all.into_iter().find(|status| status.function == function("penguins") && good(status))
    })
    .await
}

/// Waits until `n` instances of the penguins are ready.
async fn ready(engine: &Engine, n: usize) {
    let view = engine.watch();
    eventually(&format!("{n} instances are ready"), READY, || {
        let shown = said(&view.borrow());
        let found = shown.len() == n && shown.iter().all(|one| one.ends_with("ready"));
        async move { found.then_some(()) }
    })
    .await;
}

#[tokio::test]
async fn a_deployment_is_waited_out_and_bounds_hold() {
    let Some(cluster) = Cluster::start(&["penguins"]).await else { return };
    let (engine, penguins) = (engine(&cluster).await, function("penguins"));
    assert_eq!(engine.scale(&penguins, 1).await, Err(SchedulerError::UnknownFunction(penguins.clone())));

    cluster.run("penguins", &["max_parallel=1", "max=3"]);
    let first = status(&engine, "the job is known", |_| true).await;
    assert_eq!((first.count, first.min, first.max, first.scales), (1, 0, 3, true));
    let wish = serde_json::json!({"Count": 2, "Target": {"Group": "function"}});
    let url = format!("{}/v1/job/penguins/scale", cluster.nomad.url);
    let refused = client().post(&url).json(&wish).send().await.unwrap().text().await.unwrap();
    assert!(refused.contains("active deployment"), "{refused}");
    engine.scale(&penguins, 2).await.unwrap();
    status(&engine, "the count is 2", |status| status.count == 2).await;
    ready(&engine, 2).await;
    let of_range = SchedulerError::OutOfRange { function: penguins.clone(), count: 4, min: 0, max: 3 };
    assert_eq!(engine.scale(&penguins, 4).await, Err(of_range));

    // A wish is withdrawn by who made it.
    let wish = engine.scale(&penguins, 3);
    assert!(tokio::time::timeout(Duration::from_millis(1), wish).await.is_err(), "a deployment is active");
    let wish = engine.scale(&penguins, 1);
    wish.await.unwrap();
    status(&engine, "the count is 1", |status| status.count == 1).await;

    // A person scales, and everybody sees it.
    eventually("nomad scales", READY, || async {
        let args = ["job", "scale", "-detach", "penguins", "2"];
        cluster.nomad.run(&drover_testkit::checkout(), &args).status.success().then_some(())
    })
    .await;
    status(&engine, "the count is what a person asked for", |status| status.count == 2).await;

    // Nobody runs it, and it is a function all the same.
    engine.stop(&penguins).await.unwrap();
    ready(&engine, 0).await;
    let snapshot = engine.watch().borrow().clone();
    assert_eq!(snapshot.functions[&penguins].tags, ["drover", "version-dev"]);
    cluster.nomad(&["job", "stop", "-detach", "penguins"]);
    let view = engine.watch();
    eventually("a stopped job is no function", READY, || {
        let gone = view.borrow().functions.is_empty();
        async move { gone.then_some(()) }
    })
    .await;
}

#[tokio::test]
async fn a_job_without_a_place_says_what_is_missing() {
    let Some(cluster) = Cluster::start(&["penguins"]).await else { return };
    let engine = engine(&cluster).await;
    cluster.run("penguins", &["memory=10000000", "min=1"]);
    let found = status(&engine, "there is trouble", |status| status.trouble.is_some()).await;
    let memory = "no node has 10000000 MiB of memory free (1 node exhausted)";
    assert_eq!(found.trouble.as_deref(), Some(memory));
    let refused = "its job scales from 1; `nomad job stop penguins` stops it".to_owned();
    assert_eq!(engine.stop(&function("penguins")).await, Err(SchedulerError::Refused(refused)));
    cluster.run("penguins", &[]);
    status(&engine, "the trouble is over", |status| status.trouble.is_none()).await;
    ready(&engine, 1).await;
}

#[tokio::test]
async fn the_catalog_outlives_consul_and_logs_are_read() {
    let Some(mut cluster) = Cluster::start(&["penguins"]).await else { return };
    let (engine, penguins) = (engine(&cluster).await, function("penguins"));
    cluster.run("penguins", &[]);
    ready(&engine, 1).await;

    let query = LogQuery { tail: 1000, follow: false };
    let lines: Vec<_> = engine.logs(&penguins, query).await.unwrap().collect().await;
    assert!(lines.iter().any(|line| line.text.contains("listening")), "{lines:?}");
    let query = LogQuery { tail: 1, follow: false };
    let last: Vec<_> = engine.logs(&penguins, query).await.unwrap().collect().await;
    assert_eq!(last.last(), lines.last());
    // Whoever follows sees an instance that starts later, from its first line.
    let query = LogQuery { tail: 0, follow: true };
    let mut follows = engine.logs(&penguins, query).await.unwrap();
    engine.scale(&penguins, 2).await.unwrap();
    let listens = async {
        while let Some(line) = follows.next().await {
            if line.index == 1 && line.text.contains("listening") {
                return;
            }
        }
        panic!("the log has ended");
    };
    tokio::time::timeout(READY, listens).await.unwrap();
    drop(follows);
    ready(&engine, 2).await;

    // Nomad tells a Consul that has forgotten everything what runs; until then, and before, all stay in use.
    let view = engine.watch();
    let before = said(&view.borrow());
    cluster.nomad.consul.stop();
    eventually("the catalog is lost", READY, || {
        let lost = view.borrow().lost.is_some();
        async move { lost.then_some(()) }
    })
    .await;
    engine.scale(&penguins, 2).await.unwrap();
    cluster.nomad.consul.start_again().await;
    eventually("Nomad has told Consul what runs, and the catalog is back", READY, || {
        let is_back = view.borrow().lost.is_none();
        assert_eq!(said(&view.borrow()).len(), before.len(), "{:?}", view.borrow());
        let consul = &cluster.nomad.consul;
        async move { (is_back && consul.passing("penguins").await.len() == 2).then_some(()) }
    })
    .await;
    ready(&engine, 2).await;
}

#[tokio::test]
async fn nomad_alone_is_enough() {
    let Some(cluster) = Cluster::start(&["penguins"]).await else { return };
    let engine = Engine::start(settings(None, Some(&cluster.nomad.url), address(1))).await.unwrap();
    assert!(drover_engine::Peers::watch(&engine).borrow().leads);
    cluster.run("penguins", &["provider=nomad", "version=7"]);
    ready(&engine, 1).await;
    let snapshot = engine.watch().borrow().clone();
    let instance = snapshot.all_instances().next().unwrap();
    assert_eq!(instance.version(), Some("7"));
    let listens = instance.address.unwrap().to_string();
    eventually("the instance answers", READY, || async { predict(&listens, "penguins").await.ok() }).await;
    engine.scale(&function("penguins"), 0).await.unwrap();
    ready(&engine, 0).await;

    cluster.run("penguins", &["provider=consul"]);
    engine.scale(&function("penguins"), 1).await.unwrap();
    let unseen = "its instances are listed in Consul, which is not configured";
    status(&engine, "the job wants Consul", |status| status.trouble.as_deref() == Some(unseen)).await;
}
