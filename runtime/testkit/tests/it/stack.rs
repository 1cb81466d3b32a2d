//! The view of a cluster: Prometheus and Alertmanager as Nomad's job, which Consul tells what there is.

use std::collections::BTreeSet;

use drover_testkit::process::free_ports;
use drover_testkit::{Prometheus, checkout};
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::observe::shown;

#[tokio::test]
async fn the_stack_comes_up_from_its_job_and_finds_the_cluster() {
    let Some(program) = Prometheus::with_consul() else { return };
    let Some(cluster) = Cluster::start(&["penguins", "drover-cli"]).await else { return };
    cluster.run("penguins", &["count=2"]);
    let [gateway, port, alerts] = free_ports();
    cluster.run_gateway(gateway, &[]);
    let config = config(cluster.nomad.consul.url.rsplit(':').next().unwrap());
    cluster.run_job(
        "prometheus",
        &[
            format!("binary={}", program.display()),
            format!("config_dir={}", config.path().display()),
            format!("port={port}"),
            format!("alertmanager_port={alerts}"),
        ],
    );
    let prometheus = Prometheus::at(&format!("http://127.0.0.1:{port}")).await;

    let functions = r#"up{job="functions", function="penguins", version="dev", node!=""} == 1"#;
    prometheus.until(&format!("count({functions}) == 2")).await;
    let found = prometheus.query(functions).await.unwrap();
    let instances: BTreeSet<_> = found.iter().map(|series| series.labels["instance"].to_string()).collect();
    let allocations = cluster.allocations("penguins").await.iter().map(|a| a["ID"].to_string()).collect();
    assert_eq!(instances, allocations);
    for job in ["gateways", "nomad", "consul"] {
        prometheus.until(&format!(r#"up{{job="{job}", node!=""}} == 1"#)).await;
    }
    prometheus.until("drover_gateway_leads == 1").await;
    let alertmanagers = prometheus.get("alertmanagers").await;
    let url = &alertmanagers["data"]["activeAlertmanagers"][0]["url"];
    assert!(url.as_str().is_some_and(|url| url.contains(&format!("127.0.0.1:{alerts}/"))), "{alertmanagers}");
    prometheus.until("nomad_client_allocs_memory_rss").await;
    shown(&prometheus, "cluster", 30).await;
}

/// Copies the configuration for a Consul that listens on another port and a test that has little time.
fn config(consul_port: &str) -> TempDir {
    let (dir, from) = (TempDir::new().unwrap(), checkout().join("grafana/prometheus"));
    std::fs::create_dir(dir.path().join("rules")).unwrap();
    for file in ["alertmanager.yml", "consul.yml", "rules/recording.yml", "rules/alerts.yml"] {
        let text = std::fs::read_to_string(from.join(file)).unwrap();
        let text = text.replace(":8500", &format!(":{consul_port}")).replace("_interval: 5s", "_interval: 1s");
        std::fs::write(dir.path().join(file), text).unwrap();
    }
    dir
}
