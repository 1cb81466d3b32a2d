//! A cluster of three servers and three clients, as `jobs/cluster` and `consul` configure it, from which machines are
//! lost under load.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use drover_testkit::process::{Process, free_ports};
use drover_testkit::{Gateway, Machines, Prometheus, built, checkout, client, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::row;
use crate::observe::shown;

/// How long a test waits for what must happen; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);
/// Requests a second.
const RATE: u32 = 50;

/// Runs `nomad`, which must succeed.
#[track_caller]
fn nomad(machines: &Machines, args: &[&str]) {
    let output = machines.run(args);
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "nomad {args:?}: {text}");
}

/// Makes a token with the policy of gateways.
async fn gateway_token(machines: &Machines) -> String {
    let rules = checkout().join("jobs/gateway.policy.hcl").display().to_string();
    nomad(machines, &["acl", "policy", "apply", "gateway", &rules]);
    let url = format!("{}/v1/acl/token", machines.clients[2].url);
    let request = client().post(url).header("x-nomad-token", &machines.token);
    let body = json!({"Name": "gateway", "Type": "client", "Policies": ["gateway"]});
    let token: Value = request.json(&body).send().await.unwrap().json().await.unwrap();
    token["SecretID"].as_str().unwrap().to_owned()
}

/// Returns the names of the clients that instances run on.
async fn places(machines: &Machines) -> BTreeSet<String> {
    let all = machines.get("/v1/job/penguins/allocations").await.unwrap_or_default();
    let running = |one: &&Value| one["ClientStatus"] == "running" && one["DesiredStatus"] == "run";
    let name = |one: &Value| one["NodeName"].as_str().unwrap().to_owned();
    all.as_array().into_iter().flatten().filter(running).map(name).collect()
}

/// Waits until instances run on these clients and no other.
async fn placed_on(machines: &Machines, clients: &[&str]) {
    let wanted: BTreeSet<String> = clients.iter().map(|&name| name.to_owned()).collect();
    eventually(&format!("the instances are on {wanted:?}"), PATIENCE, || async {
        (places(machines).await == wanted).then_some(())
    })
    .await;
}

/// Starts a gateway with tokens of the policies.
async fn gateway(machines: &Machines, binaries: &std::path::Path, dir: &TempDir) -> (Process, Gateway) {
    let [port] = free_ports();
    let config = format!(
        "[consul]\nurl = \"{}\"\ntoken = \"{}\"\n[nomad]\nurl = \"{}\"\ntoken = \"{}\"\n",
        machines.consul.url,
        machines.gateway_token,
        machines.clients[2].url,
        gateway_token(machines).await
    );
    let file = dir.path().join("gateway.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(binaries.join("drover"));
    command.args(["gateway", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(file);
    // What this test sets by hand stays, however slow the machine.
    command.args(["--set", "scale.hold_for=1h"]);
    let process = Process::start(command, &dir.path().join("gateway.log"));
    (process, Gateway::new(&format!("http://127.0.0.1:{port}"), "penguins"))
}

/// Starts a Prometheus that is told of the gateway, and where each Nomad and Consul is.
async fn prometheus(machines: &Machines, gateway: &Gateway) -> Option<Prometheus> {
    let all = machines.servers.iter().chain(&machines.clients);
    let nomads: Vec<&str> = all.map(|one| one.url.trim_start_matches("http://")).collect();
    let static_job = |job: &str, path: &str, more: &str, targets: &str| {
        format!(
            "  - job_name: {job}\n    metrics_path: {path}\n    params:\n      format: [prometheus]\n{more}    \
             static_configs:\n      - targets: [{targets}]\n"
        )
    };
    let more = "    authorization: { credentials: \"".to_owned() + &machines.prometheus_token + "\" }\n";
    let jobs = static_job("nomad", "/v1/metrics", "", &nomads.join(", "))
        + &static_job("consul", "/v1/agent/metrics", &more, machines.consul.address());
    Prometheus::start(
        "grafana/prometheus/prometheus.yml",
        &[
            ("http://127.0.0.1:8080/", &format!("{}/", gateway.url)),
            ("scrape_interval: 5s", "scrape_interval: 1s"),
            ("  # The live page of a running `loadgen --web`.\n", &jobs),
        ],
    )
    .await
}

#[tokio::test]
async fn a_service_outlives_a_client_a_drain_and_the_leader() {
    let Some(mut machines) = Machines::start().await else { return };
    let (binaries, dir) = (built(&["penguins", "drover-cli"]), TempDir::new().unwrap());
    let binary_dir = format!("binary_dir={}", binaries.display());
    let variables = ["-var", &binary_dir, "-var", "count=3", "-var", "min=1", "-var", "memory=128"];
    nomad(&machines, &[&["job", "run", "-detach"], &variables[..], &["jobs/predict.nomad"]].concat());
    let (_process, gateway) = gateway(&machines, &binaries, &dir).await;
    gateway.serves(3).await;
    placed_on(&machines, &["client-1", "client-2", "client-3"]).await;
    let started = Instant::now();
    let prometheus = prometheus(&machines, &gateway).await;
    let body = row("penguins").to_string();

    let (ledger, load) = (gateway.ledger().await, gateway.load(&body, RATE));
    load.goes_on(100).await;
    machines.clients[0].kill();
    let killed = Instant::now();
    machines.nodes_are("down", 1).await;
    placed_on(&machines, &["client-2", "client-3"]).await;
    gateway.serves(3).await;
    println!("a client was killed: three instances again after {:?}", killed.elapsed());
    load.goes_on(100).await;
    ledger.close("a client killed", &load.stop().await).await;

    let (ledger, load) = (gateway.ledger().await, gateway.load(&body, RATE));
    load.goes_on(100).await;
    let nodes = machines.get("/v1/nodes").await.unwrap();
    let drained = nodes.as_array().unwrap().iter().find(|node| node["Name"] == "client-2").unwrap();
    nomad(&machines, &["node", "drain", "-enable", "-yes", "-detach", drained["ID"].as_str().unwrap()]);
    placed_on(&machines, &["client-3"]).await;
    gateway.serves(3).await;
    load.goes_on(100).await;
    ledger.close("a client drained", &load.stop().await).await;

    let (ledger, load) = (gateway.ledger().await, gateway.load(&body, RATE));
    load.goes_on(100).await;
    let lost = machines.leader().await;
    machines.servers[lost].kill();
    let killed = Instant::now();
    let leads = machines.leader().await;
    assert_ne!(leads, lost);
    println!("the leader was killed: another leads after {:?}", killed.elapsed());
    eventually("counts can be changed", PATIENCE, || async {
        machines.run(&["job", "scale", "-detach", "penguins", "2"]).status.success().then_some(())
    })
    .await;
    gateway.serves(2).await;
    load.goes_on(100).await;
    ledger.close("the leader killed", &load.stop().await).await;

    let Some(prometheus) = prometheus else { return };
    // A client and a server are gone, and the dashboard has shown all of it.
    prometheus.until(r#"count(up{job="nomad"} == 0) == 2"#).await;
    prometheus.until(r#"count(up{job="functions", function="penguins"} == 1) == 2"#).await;
    prometheus.until(r#"max_over_time(function:drover_instances_ready:max{function="penguins"}[10m]) == 3"#).await;
    shown(&prometheus, "cluster", started.elapsed().as_secs()).await;
}
