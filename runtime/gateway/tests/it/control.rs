//! The control API.

use std::time::Duration;

use drover_engine::InstanceState::{Failed, Ready};
use drover_gateway::Settings;
use http::Request;
use http_body_util::BodyExt;
use serde_json::json;

use crate::house::{Backend, House, eventually};

#[tokio::test]
async fn functions_and_instances_are_listed() {
    let (house, backend) = (House::start(Settings::default()).await, Backend::start().await);
    house.script.show(&[(backend.address, Ready)]);
    let functions = eventually("it has been decided", || async {
        let (_, _, functions) = house.get("/api/functions").await;
        functions.contains(r#""wanted":"#).then_some(functions).filter(|f| !f.contains(r#""wanted":null"#))
    })
    .await;
    let (before, after) = functions.split_once(r#""why":"no request for "#).unwrap();
    assert_eq!(before, r#"[{"name":"penguins","engine":"local","size":null,"count":1,"held_s":null,"wanted":1,"#);
    let rest = concat!(
        r#"s, to 0 after 60s","min":0,"max":5,"scales":false,"n_ready":1,"n_instances":1,"in_flight":0,"#,
        r#""waiting":0,"requests_total":0,"feedback":null,"trouble":null,"url":"/functions/penguins/"}]"#
    );
    assert!(after.ends_with(rest), "{after}");
    let (_, _, one) = house.get("/api/functions/penguins").await;
    assert!(one.starts_with(r#"{"name":"penguins","engine":"local","#) && one.ends_with('}'), "{one}");
    let (_, _, instances) = house.get("/api/instances").await;
    assert!(instances.contains(r#""id":"i0","function":"penguins","index":0"#), "{instances}");
    assert_eq!(house.get("/health").await.2, r#"{"status":"ok","n_functions":1}"#);
    assert!(house.get("/").await.2.contains("/functions/penguins/predict"));
}

#[tokio::test]
async fn what_can_be_scraped_is_listed_for_prometheus() {
    let (house, backend) = (House::start(Settings::default()).await, Backend::start().await);
    let gone = "127.0.0.1:1".parse().unwrap();
    house.script.show(&[(backend.address, Ready), (gone, Failed)]);
    let (status, headers, text) = house.get("/api/sd").await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "application/json"));
    let found: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let [gateway, instance] = found.as_slice() else { panic!("{text}") };
    assert_eq!((&gateway["targets"], &gateway["labels"]["job"]), (&json!(["localhost"]), &json!("gateways")));
    assert_eq!((&gateway["labels"]["__scheme__"], gateway["labels"].get("function")), (&json!("http"), None));
    let labels = json!({"job": "functions", "function": "penguins", "instance": "i0", "node": "here"});
    assert_eq!(*instance, json!({"targets": [backend.address.to_string()], "labels": labels}));
    assert_eq!(house.post("/api/sd", "{}").await.0, 405);
}

#[tokio::test]
async fn scaling_is_passed_on_and_its_refusal_too() {
    let house = House::start(Settings::default()).await;
    house.script.show(&[]);
    assert_eq!(house.post("/api/functions/penguins/scale", r#"{"count":3}"#).await.0, 200);
    assert_eq!(house.post("/api/functions/penguins/stop", "{}").await.0, 200);
    assert_eq!(*house.script.asked.lock().unwrap(), [("penguins".into(), 3), ("penguins".into(), 0)]);
    for (path, body, wanted, words) in [
        ("/api/functions/penguins/scale", r#"{"count":6}"#, 422, "`penguins` scales from 0 to 5, not to 6"),
        ("/api/functions/penguins/scale", r#"{"count":-1}"#, 422, "invalid value: integer `-1`"),
        ("/api/functions/penguins/scale", r#"{"n":1}"#, 422, "unknown field `n`"),
        ("/api/functions/nobody/scale", r#"{"count":1}"#, 404, "no function is called `nobody`"),
        ("/api/functions", "{}", 405, "/api/functions does not take POST"),
        ("/api/nothing", "{}", 404, "nothing is at `/api/nothing`"),
    ] {
        let (status, _, problem) = house.post(path, body).await;
        assert_eq!(status, wanted, "{problem}");
        assert!(problem.contains(words), "{words} is not in {problem}");
    }
}

#[tokio::test]
async fn another_size_is_passed_on_and_shown() {
    let house = House::start(Settings::default()).await;
    house.script.show(&[]);
    let resize = async |body: &str| house.post("/api/functions/penguins/resize", body).await;
    let (status, _, answer) = resize(r#"{"cpu":0.35,"memory":64,"memory_max":96}"#).await;
    assert_eq!(
        (status, &*answer),
        (200, r#"{"name":"penguins","size":{"cpu_cores":0.35,"memory_mib":64,"memory_max_mib":96}}"#)
    );
    let (_, _, one) = house.get("/api/functions/penguins").await;
    assert!(one.contains(r#""size":{"cpu_cores":0.35,"memory_mib":64,"memory_max_mib":96}"#), "{one}");
    for (body, words) in [
        (r#"{"cpu":0,"memory":64}"#, "0 CPU: an instance has 0.01 to 4096 cores"),
        (r#"{"cpu":1,"memory":64,"disk":1}"#, "unknown field `disk`"),
        (r#"{"cpu":1}"#, "missing field `memory`"),
    ] {
        let (status, _, problem) = resize(body).await;
        assert_eq!(status, 422, "{problem}");
        assert!(problem.contains(words), "{words} is not in {problem}");
    }
}

#[tokio::test]
async fn a_count_that_is_held_is_left_alone_until_it_is_given_back() {
    let settings =
        Settings { hold_for: Duration::ZERO, scale_interval: Duration::from_millis(5), ..Settings::default() };
    let house = House::start(settings).await;
    house.script.show(&[]);
    house.script.scales.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(house.post("/api/functions/penguins/scale", r#"{"count":4,"hold_s":60}"#).await.0, 200);
    let (_, _, one) = house.get("/api/functions/penguins").await;
    assert!(one.contains(r#""held_s":59"#) || one.contains(r#""held_s":60"#), "{one}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(*house.script.asked.lock().unwrap(), [("penguins".into(), 4)]);
    assert_eq!(house.post("/api/functions/penguins/scale", r#"{"count":3,"hold_s":0}"#).await.0, 200);
    eventually("it is scaled again", || async { (house.script.asked.lock().unwrap().len() > 2).then_some(()) }).await;
}

#[tokio::test]
async fn logs_are_streamed_until_the_gateway_stops() {
    let house = House::start(Settings::default()).await;
    house.script.show(&[]);
    let (_, headers, lines) = house.get("/api/functions/penguins/logs?tail=2").await;
    assert_eq!((headers["content-type"].to_str().unwrap(), lines.lines().count()), ("application/x-ndjson", 2));
    assert_eq!(house.get("/api/functions/penguins/logs?tail=x").await.0, 400);
    let request = Request::get("/api/functions/penguins/logs?follow=true").header("host", "localhost");
    let mut body = house.open(request, Vec::new()).await.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("line 0"));
    house.stop.cancel();
    tokio::time::timeout(std::time::Duration::from_secs(10), body.collect()).await.unwrap().unwrap();
}

#[tokio::test]
async fn another_site_s_page_cannot_use_it() {
    let house = House::start(Settings::default()).await;
    house.script.show(&[]);
    let ask = |headers: &[(&str, &str)]| {
        let mut request = Request::post("/api/functions/penguins/scale");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        house.send(request, br#"{"count":1}"#.to_vec())
    };
    let json = ("content-type", "application/json");
    assert_eq!(ask(&[("host", "rebound.example"), json]).await.0, 403);
    assert_eq!(ask(&[("host", "localhost"), ("origin", "https://evil.example"), json]).await.0, 403);
    assert_eq!(ask(&[("host", "localhost"), ("content-type", "text/plain")]).await.0, 415);
    assert!(house.script.asked.lock().unwrap().is_empty());
    assert_eq!(ask(&[("host", "localhost"), json]).await.0, 200);
}
