//! Users' verdicts on a cluster: the service is found in the catalog, and what it answered outlives it.

use drover_testkit::process::free_ports;
use drover_testkit::{built, client, eventually};
use serde_json::{Value, json};

use crate::cluster::{Cluster, READY, row};
use crate::limits::process_of;

/// The id of the request that is judged.
const ID: &str = "a-penguin";
/// What gateways show the service.
const KEY: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn a_verdict_on_nomad_is_kept_and_outlives_the_service_that_took_it() {
    let Some(cluster) = Cluster::start(&["penguins", "drover-cli"]).await else { return };
    cluster.nomad(&["var", "put", "nomad/jobs/feedback", &format!("key={KEY}")]);
    cluster.nomad(&["var", "put", "nomad/jobs/gateway", &format!("feedback_key={KEY}")]);
    cluster.run("penguins", &["feedback=inputs"]);
    let [port] = free_ports();
    let binary = format!("binary={}", built(&["drover-cli"]).join("drover").display());
    cluster.run_job("feedback", std::slice::from_ref(&binary));
    let (consul, nomad) = (&cluster.nomad.consul.url, &cluster.nomad.url);
    let gateway =
        ["open=true".to_owned(), format!("port={port}"), binary, format!("consul={consul}"), format!("nomad={nomad}")];
    cluster.run_job("gateway", &gateway);
    cluster.passing("penguins", 1).await;
    let service = cluster.passing("feedback", 1).await.remove(0).address;

    let url = format!("http://127.0.0.1:{port}");
    let predict = format!("{url}/functions/penguins/predict");
    eventually("the gateway answers", READY, || async {
        let asked = client().post(&predict).header("x-request-id", ID).json(&row("penguins"));
        asked.send().await.ok().filter(|answer| answer.status() == 200)
    })
    .await;
    let verdict = json!({"request_id": ID, "verdict": "down", "comment": "it has laid an egg"});
    eventually("the verdict is taken", READY, || async {
        let answer = client().post(format!("{url}/feedback")).json(&verdict).send().await.ok()?;
        (answer.status() == 201).then_some(())
    })
    .await;
    let first = kept(&url).await.unwrap();
    assert_eq!((&first["function"], &first["verdict"]), (&json!("penguins"), &json!("down")));
    assert_eq!(first["input"], row("penguins"));

    // Without its key, nobody is told anything; and clients do not reach it as a function.
    assert_eq!(client().get(format!("http://{service}/api/feedback")).send().await.unwrap().status(), 401);
    let as_function = client().get(format!("{url}/functions/feedback/api/feedback")).send().await.unwrap();
    assert_eq!(as_function.status(), 404);

    let process = process_of(&service).await;
    cluster.nomad(&[
        "alloc",
        "signal",
        "-s",
        "SIGKILL",
        cluster.allocations("feedback").await[0]["ID"].as_str().unwrap(),
    ]);
    eventually("another process serves the same verdict", READY, || async {
        let is_gone = !std::path::Path::new("/proc").join(&process).exists();
        kept(&url).await.filter(|found| is_gone && *found == first)
    })
    .await;
}

/// Returns the newest verdict that the gateway shows.
async fn kept(url: &str) -> Option<Value> {
    let found: Value = client().get(format!("{url}/api/feedback")).send().await.ok()?.json().await.ok()?;
    Some(found["feedback"].as_array()?.first()?.clone())
}
