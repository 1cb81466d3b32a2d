//! `loadgen rightsize` on a real Nomad: the gateway registers the job anew for each size.

use std::time::Duration;

use drover_testkit::process::free_ports;
use drover_testkit::{Gateway, built, checkout, eventually};
use serde_json::Value;
use tokio::process::Command;

use crate::cluster::Cluster;

/// How long the whole search may take.
const LIMIT: Duration = Duration::from_secs(240);

#[tokio::test]
async fn what_penguins_needs_is_found_on_nomad() {
    let packages = ["penguins", "drover-cli", "loadgen"];
    let Some(cluster) = Cluster::start(&packages).await else { return };
    let binaries = built(&packages);
    cluster.run("penguins", &["min=1"]);
    let [port] = free_ports();
    cluster.run_gateway(port, &[]);
    cluster.passing("penguins", 1).await;
    cluster.passing("drover-gateway", 1).await;
    let gateway = Gateway::new(&format!("http://127.0.0.1:{port}"), "penguins");
    gateway.serves(1).await;
    let before = resources(&cluster).await;

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("found.json");
    let mut loadgen = Command::new(binaries.join("loadgen"));
    loadgen.args(["rightsize", "penguins", "--engine", "nomad", "--gateway", &gateway.url, "--users", "5"]);
    loadgen.args(["--counts", "1", "--min-cpu", "0.2", "--max-cpu", "0.4", "--start-cpu", "0.25", "--grain", "coarse"]);
    loadgen.args(["--min-memory", "80", "--max-memory", "100", "--confidence", "0.6"]);
    loadgen.args(["--ramp", "500ms", "--warm-up", "500ms", "--hold", "2s", "--max-time", "2m", "--state-dir"]);
    loadgen.arg(dir.path()).arg("--json").arg(&file).current_dir(checkout()).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, loadgen.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let found: Value = std::fs::read(&file)
        .map(|text| serde_json::from_slice(&text).unwrap())
        .unwrap_or_else(|e| panic!("{}: {e}: {said}", file.display()));
    assert_eq!(found["engine"], "nomad");
    let trials = found["trials"].as_array().unwrap();
    assert!(!trials.is_empty(), "{said}");
    eventually("penguins has what it had", Duration::from_secs(30), || async {
        (resources(&cluster).await == before).then_some(())
    })
    .await;
    cluster.passing("penguins", 1).await;
    if trials.iter().any(|trial| trial["verdict"] == "invalid") {
        return eprintln!("skipped: this machine is too busy to measure");
    }
    // Five requests a second are nothing: the least that was asked about holds.
    let answer = &found["answer"];
    assert_eq!((&answer["cpu_cores"], &answer["memory_mib"]), (&0.2.into(), &80.into()), "{said}");
}

/// Returns what the job gives an instance now.
async fn resources(cluster: &Cluster) -> [Value; 3] {
    let job = cluster.nomad.get("/v1/job/penguins").await;
    let all = &job["TaskGroups"][0]["Tasks"][0]["Resources"];
    ["CPU", "MemoryMB", "MemoryMaxMB"].map(|name| all[name].clone())
}
