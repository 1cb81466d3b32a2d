//! A changed job replaces its instances.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use drover_testkit::{Registered, eventually};

use crate::cluster::{Cluster, READY, predict};

/// One by one: somebody always answers, and no request fails.
#[tokio::test]
async fn a_rolling_release_never_leaves_nobody() {
    let Some(cluster) = Cluster::start(&["penguins"]).await else { return };
    let rolling = "max_parallel=1";
    cluster.run("penguins", &[rolling, "count=2"]);
    let old = ids(&cluster.passing("penguins", 2).await);
    deployed(&cluster, 1).await;

    cluster.run("penguins", &[rolling, "cpu=600"]);
    let seen = ask_until_replaced(&cluster, &old).await;
    assert_eq!(seen.failures, Vec::<String>::new());
    assert_eq!(seen.without_instance, Duration::ZERO);
    deployed(&cluster, 2).await;

    // Back to a job that scaling is never refused for: instances stay as they are.
    let released = ids(&cluster.passing("penguins", 2).await);
    cluster.run("penguins", &["cpu=600"]);
    for count in ["3", "2", "3"] {
        cluster.nomad(&["job", "scale", "-detach", "penguins", count]);
    }
    let scaled = ids(&cluster.passing("penguins", 3).await);
    assert!(released.is_subset(&scaled) || released.intersection(&scaled).count() == 1, "{released:?} {scaled:?}");
}

/// All at once: requests to known addresses fail only while the new instances start.
#[tokio::test]
async fn a_release_at_once_finishes_what_was_asked() {
    let Some(cluster) = Cluster::start(&["penguins"]).await else { return };
    cluster.run("penguins", &["count=2"]);
    let old = ids(&cluster.passing("penguins", 2).await);
    cluster.run("penguins", &["cpu=600"]);
    let seen = ask_until_replaced(&cluster, &old).await;
    assert_eq!(seen.failures, Vec::<String>::new());
    eprintln!("replaced at once: the catalog was empty for {:?}", seen.without_instance);
}

/// A release that does not become ready is taken back.
#[tokio::test]
async fn a_bad_release_is_taken_back() {
    let Some(cluster) = Cluster::start(&["penguins"]).await else { return };
    let rolling = "max_parallel=1";
    cluster.run("penguins", &[rolling, "count=1"]);
    cluster.passing("penguins", 1).await;
    deployed(&cluster, 1).await;
    cluster.run("penguins", &[rolling, "cpu=600", "model_dir=/nowhere"]);
    eventually("the deployment has failed", Duration::from_secs(120), || async {
        let all = cluster.nomad.get("/v1/job/penguins/deployments").await;
        all.as_array()?.iter().any(|d| d["Status"] == "failed").then_some(())
    })
    .await;
    let found = cluster.passing("penguins", 1).await;
    predict(&found[0].address, "penguins").await.unwrap();
}

struct Seen {
    failures: Vec<String>,
    without_instance: Duration,
}

/// Asks whoever Consul lists, again and again, until none of `old` is listed and as many are as were.
async fn ask_until_replaced(cluster: &Cluster, old: &BTreeSet<String>) -> Seen {
    let mut seen = Seen { failures: Vec::new(), without_instance: Duration::ZERO };
    let deadline = Instant::now() + 2 * READY;
    let mut since = Instant::now();
    loop {
        if Instant::now() > deadline {
            panic!("{old:?} was not replaced: {}", cluster.nomad(&["job", "status", "penguins"]));
        }
        let found = cluster.nomad.consul.passing("penguins").await;
        for instance in &found {
            if let Err(why) = predict(&instance.address, "penguins").await {
                seen.failures.push(format!("{}: {why}", instance.address));
            }
        }
        let found = ids(&found);
        if found.is_empty() {
            seen.without_instance += since.elapsed();
        }
        since = Instant::now();
        if found.len() == old.len() && found.is_disjoint(old) {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until `n` deployments of the penguins have succeeded.
async fn deployed(cluster: &Cluster, n: usize) {
    eventually(&format!("{n} deployments have succeeded"), READY, || async {
        let all = cluster.nomad.get("/v1/job/penguins/deployments").await;
        let good = all.as_array()?.iter().filter(|d| d["Status"] == "successful").count();
        (good >= n).then_some(())
    })
    .await;
}

pub(crate) fn ids(found: &[Registered]) -> BTreeSet<String> {
    found.iter().map(|instance| instance.id.clone()).collect()
}
