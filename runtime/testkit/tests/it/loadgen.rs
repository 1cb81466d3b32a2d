//! `loadgen` before a function on a real Nomad, and its fleet there, found through Consul.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use drover_testkit::process::free_ports;
use drover_testkit::{Gateway, Instance, Scrape, built, eventually};
use http::Response;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::cluster::{Cluster, READY};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A server that answers at once, and counts.
async fn server() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let counted = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&counted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            let answer = service_fn(move |_| {
                count.fetch_add(1, Ordering::Relaxed);
                async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("ok"))) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    (address, counted)
}

/// Returns the ids of the allocations of a group, the newest first.
async fn allocations(cluster: &Cluster, group: &str) -> Vec<String> {
    let all = cluster.nomad.get("/v1/job/loadgen/allocations").await;
    let all = all.as_array().cloned().unwrap_or_default().into_iter().filter(|one| one["TaskGroup"] == group);
    all.map(|one| one["ID"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn workers_are_scaled_and_lost_while_a_run_goes_on() {
    let Some(cluster) = Cluster::start(&["loadgen"]).await else { return };
    let (address, counted) = server().await;
    cluster.nomad(&["var", "put", "nomad/jobs/loadgen", &format!("key={KEY}")]);
    let binary = format!("binary={}", built(&["loadgen"]).join("loadgen").display());
    let consul = format!("consul={}", cluster.nomad.consul.url);
    let args = format!(r#"args=["--rate", "100", "-t", "30s", "--threads", "1", "http://{address}/"]"#);
    let job = ["job", "run", "-detach", "-var", &binary, "-var", &consul, "-var", &args, "jobs/loadgen.nomad"];
    cluster.nomad(&job);
    let master = eventually("two workers send", READY, || async {
        let master = allocations(&cluster, "master").await.pop()?;
        (counted.load(Ordering::Relaxed) > 100).then_some(master)
    })
    .await;
    let says = async |what: &str, n: usize| {
        eventually(&format!("the master says {what} {n} times"), READY, || async {
            let log = cluster.nomad.run(&drover_testkit::checkout(), &["alloc", "logs", "-stderr", &master, "master"]);
            let log = String::from_utf8_lossy(&log.stdout).into_owned();
            assert!(!log.contains(KEY), "{log}");
            (log.matches(what).count() >= n).then_some(())
        })
        .await;
    };
    cluster.nomad(&["job", "scale", "-detach", "loadgen", "worker", "3"]);
    says("is there", 3).await;
    let lost = allocations(&cluster, "worker").await.pop().unwrap();
    cluster.nomad(&["alloc", "signal", "-s", "SIGKILL", &lost, "worker"]);
    says("is lost", 1).await;
    // Nomad starts it again, and it takes part again.
    says("is there", 4).await;

    let report: Value = eventually("there is a report", READY, || async {
        let args = ["alloc", "fs", &master, "alloc/report.json"];
        let file = cluster.nomad.run(&drover_testkit::checkout(), &args);
        serde_json::from_slice(&file.stdout).ok()
    })
    .await;
    let workers = report["workers"].as_array().unwrap();
    let lost = workers.iter().filter(|one| one["lost"] == true).count();
    assert_eq!((workers.len(), lost), (4, 1), "{workers:?}");
    assert!(report["invalid"].to_string().contains("it was lost"), "{}", report["invalid"]);
    let (seen, real) = (report["total"]["requests"].as_u64().unwrap(), counted.load(Ordering::Relaxed));
    let told: u64 = workers.iter().map(|one| one["requests"].as_u64().unwrap()).sum();
    assert!(seen == told && seen <= real && real - seen < 200, "{seen} of {real}");
    eventually("all have ended with the run", READY, || async {
        let all = cluster.nomad.get("/v1/job/loadgen/allocations").await;
        let ended = ["complete", "failed"];
        let is_ended = |one: &Value| ended.contains(&one["ClientStatus"].as_str().unwrap_or_default());
        all.as_array().is_some_and(|all| all.iter().all(is_ended)).then_some(())
    })
    .await;
}

/// What a new user does, with everything on Nomad and Consul: the gateway counts what the generator counts.
#[tokio::test]
async fn a_function_on_nomad_is_loaded_by_its_name() {
    let Some(cluster) = Cluster::start(&["penguins", "drover-cli", "loadgen"]).await else { return };
    let binaries = built(&["penguins", "drover-cli", "loadgen"]);
    let [port] = free_ports();
    let gateway = Gateway::new(&format!("http://127.0.0.1:{port}"), "penguins");
    cluster.run("penguins", &[]);
    cluster.run_gateway(port, &[]);
    gateway.serves(1).await;

    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("report.json");
    let before = Scrape::of(&gateway.url).await;
    let mut command = Command::from(Instance::command(&binaries.join("loadgen")));
    command.args(["--headless", "--users", "50", "--run-time", "5s", "--gateway", &gateway.url, "penguins"]);
    let output = command.arg("--json").arg(&json).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let (total, label) = (&report["total"], r#"function="penguins""#);
    let (requests, failures) = (total["requests"].as_u64().unwrap(), total["failures"].as_u64().unwrap());
    assert!(requests > 50 && failures == 0, "{report:#}");
    let grown = Scrape::of(&gateway.url).await.since(&before);
    let counted = |labels: &[&str]| grown.sum("drover_gateway_requests_total", &[&[label], labels].concat());
    // One more asked what a request looks like.
    let (all, good) = (counted(&[]), counted(&[r#"code="200""#]));
    assert_eq!((all, good), (requests as f64 + 1.0, requests as f64 + 1.0), "the gateway's own count");
    assert!(report["instances"][0]["cpu_percent"]["max"].as_f64() > Some(0.0), "{report:#}");
}
