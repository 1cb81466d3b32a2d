//! Instances come, go, are replaced and are found.

use std::time::Duration;

use drover_testkit::eventually;

use crate::cluster::{Cluster, READY, predict};
use crate::limits::process_of;

#[tokio::test]
async fn functions_run_scale_recover_and_stop() {
    let Some(cluster) = Cluster::start(&["penguins", "covertype"]).await else { return };

    // One job file, two functions, both found through Consul.
    cluster.run("penguins", &["version=1"]);
    cluster.run("covertype", &["memory=192"]);
    for function in ["penguins", "covertype"] {
        let found = cluster.passing(function, 1).await;
        let answer = predict(&found[0].address, function).await.unwrap();
        assert!(answer["confidence"].as_f64().is_some_and(|p| p > 0.5), "{answer}");
    }
    let found = &cluster.passing("penguins", 1).await[0];
    assert_eq!(found.tags, ["drover", "version-1"]);
    assert_eq!(found.version.as_deref(), Some("1"));

    // Scaling is never refused, however fast the calls follow each other.
    for count in ["3", "1", "4", "2", "3"] {
        cluster.nomad(&["job", "scale", "-detach", "penguins", count]);
    }
    let found = cluster.passing("penguins", 3).await;
    for instance in &found {
        predict(&instance.address, "penguins").await.unwrap();
    }

    // An instance that is killed comes back.
    let killed = process_of(&found[0].address).await;
    assert!(std::process::Command::new("kill").args(["-9", &killed]).status().unwrap().success());
    let restarts = "an allocation of penguins has restarted";
    eventually(restarts, READY, || async {
        let all = cluster.allocations("penguins").await;
        all.iter().any(|a| a["TaskStates"]["function"]["Restarts"] == 1).then_some(())
    })
    .await;
    let found = cluster.passing("penguins", 3).await;
    for instance in &found {
        let what = format!("{} answers", instance.address);
        eventually(&what, READY, || async { predict(&instance.address, "penguins").await.ok() }).await;
    }

    // To zero and back.
    cluster.nomad(&["job", "scale", "-detach", "penguins", "0"]);
    cluster.passing("penguins", 0).await;
    cluster.nomad(&["job", "scale", "-detach", "penguins", "1"]);
    cluster.passing("penguins", 1).await;

    // A stopped job is gone from Consul, and nothing of it runs.
    let last = process_of(&cluster.passing("penguins", 1).await[0].address).await;
    cluster.nomad(&["job", "stop", "-detach", "penguins"]);
    eventually("penguins is gone from Consul", Duration::from_secs(30), || async {
        cluster.nomad.consul.registered("penguins").await.is_empty().then_some(())
    })
    .await;
    eventually("its last process has ended", Duration::from_secs(30), || {
        let gone = !std::path::Path::new("/proc").join(&last).exists();
        async move { gone.then_some(()) }
    })
    .await;
}

#[tokio::test]
async fn nomad_keeps_the_list_of_instances_too() {
    let Some(cluster) = Cluster::start(&["penguins"]).await else { return };
    cluster.run("penguins", &["provider=nomad"]);
    let address = eventually("penguins answers at the address that Nomad lists", READY, || async {
        let listed = cluster.nomad.get("/v1/service/penguins").await;
        let address = format!("{}:{}", listed[0]["Address"].as_str()?, listed[0]["Port"]);
        predict(&address, "penguins").await.ok().map(|_| address)
    })
    .await;
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    assert_eq!(cluster.nomad.consul.registered("penguins").await, []);
}
