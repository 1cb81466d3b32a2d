//! Functions that have no instance: a request waits, one is started, the count is decided.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use drover_engine::InstanceState::{Ready, Starting};
use drover_gateway::Settings;

use crate::house::{Backend, House, eventually};

#[tokio::test]
async fn a_request_to_nobody_wakes_an_instance_and_is_answered() {
    let (house, backend) = (Arc::new(House::start(Settings::default()).await), Backend::start().await);
    house.script.scales.store(true, Ordering::SeqCst);
    house.script.set_count(0);
    house.script.show(&[]);
    let waits: Vec<_> = (0..500)
        .map(|_| {
            let house = Arc::clone(&house);
            tokio::spawn(async move { house.post("/functions/penguins/predict", "{}").await })
        })
        .collect();
    eventually("an instance is asked for", || async {
        let asked = house.script.asked.lock().unwrap().clone();
        asked.first().is_some_and(|(name, n)| name == "penguins" && *n >= 1).then_some(())
    })
    .await;
    // It answers before the catalog says that it is ready.
    house.script.show(&[(backend.address, Starting)]);
    let mut timings = Vec::new();
    for answer in waits {
        let (status, headers, _) = answer.await.unwrap();
        assert_eq!(status, 200);
        timings.push(headers["server-timing"].to_str().unwrap().to_owned());
    }
    assert!(timings.iter().any(|t| t.starts_with("cold;dur=") && t.contains(", upstream;dur=")), "{timings:?}");
    eventually("the cold start is measured by phase", || async {
        let (_, _, metrics) = house.get("/metrics").await;
        let phases = ["schedule", "start", "load", "register", "first_byte", "total"];
        let has = |phase: &&str| {
            let line = format!(r#"drover_gateway_cold_start_seconds_count{{function="penguins",phase="{phase}"}} 1"#);
            metrics.contains(&line)
        };
        phases.iter().all(has).then_some(())
    })
    .await;
}

#[tokio::test]
async fn decisions_say_why_and_a_person_s_count_is_left_alone() {
    let settings = Settings { scale_interval: Duration::from_millis(20), ..Settings::default() };
    let (house, backend) = (House::start(settings).await, Backend::start().await);
    house.script.scales.store(true, Ordering::SeqCst);
    house.script.show(&[(backend.address, Ready)]);
    eventually("it has been decided", || async {
        let (_, _, metrics) = house.get("/metrics").await;
        metrics.contains(r#"drover_gateway_instances_asked{function="penguins"} 1"#).then_some(())
    })
    .await;
    // Somebody sets another count.
    house.script.set_count(4);
    let decisions = eventually("it is noticed", || async {
        let (_, _, decisions) = house.get("/api/decisions").await;
        decisions.contains("set by somebody else, left alone for 300s").then_some(decisions)
    })
    .await;
    assert!(decisions.contains(r#""from":1,"to":4"#), "{decisions}");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(*house.script.asked.lock().unwrap(), [], "it is not fought");
}

#[tokio::test]
async fn a_person_s_zero_right_after_a_wake_is_left_alone_until_somebody_asks() {
    let settings = Settings { scale_interval: Duration::from_millis(20), ..Settings::default() };
    let (house, backend) = (Arc::new(House::start(settings).await), Backend::start().await);
    house.script.scales.store(true, Ordering::SeqCst);
    house.script.set_count(0);
    house.script.show(&[]);
    for n_asked in [1, 2] {
        let waits = tokio::spawn({
            let house = Arc::clone(&house);
            async move { house.post("/functions/penguins/predict", "{}").await.0 }
        });
        eventually("an instance is asked for", || async {
            (house.script.asked.lock().unwrap().len() == n_asked).then_some(())
        })
        .await;
        house.script.show(&[(backend.address, Ready)]);
        assert_eq!(waits.await.unwrap(), 200);
        // Perhaps before the gateway has seen its own change.
        house.script.set_count(0);
        house.script.show(&[]);
        eventually("it is noticed", || async {
            let (_, _, decisions) = house.get("/api/decisions").await;
            (decisions.matches("set by somebody else, left alone for 300s").count() == n_asked).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(house.script.asked.lock().unwrap().len(), n_asked, "it is not fought");
    }
}

#[tokio::test]
async fn host_names_and_model_names_lead_to_functions() {
    let (house, backend) = (House::start(Settings::default()).await, Backend::start().await);
    house.script.show(&[(backend.address, Ready)]);
    house.script.tag(&["host=my.own.api"]);
    for (host, path, seen_path) in [
        ("penguins.localhost:8080", "/predict", "/predict"),
        ("my.own.api", "/predict?x=1", "/predict?x=1"),
        ("MY.OWN.API:80", "/", "/"),
        ("localhost", "/v2/models/penguins/infer", "/v2/models/penguins/infer"),
        ("localhost", "/functions/penguins", "/"),
    ] {
        let seen = eventually(path, || async {
            let request = http::Request::get(path).header("host", host);
            let (status, _, seen) = house.send(request, Vec::new()).await;
            (status == 200).then_some(seen)
        })
        .await;
        assert!(seen.starts_with(&format!("GET {seen_path}\n")), "{host}{path}: {seen}");
    }
    let request = http::Request::get("/predict").header("host", "pengins.localhost");
    let (status, _, problem) = house.send(request, Vec::new()).await;
    assert!(status == 404 && problem.contains("near: `penguins`"), "{problem}");
}
