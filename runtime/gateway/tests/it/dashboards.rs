//! Dashboards as consoles are given them, with a Prometheus, without, and with one that has gone.

use drover_gateway::Settings;
use drover_testkit::Prometheus;
use drover_testkit::process::free_ports;
use serde_json::Value;

use crate::house::House;

const PANEL: &str = "/api/dashboards/drover-overview/1";

async fn house(prometheus: Option<String>) -> House {
    House::start(Settings { prometheus, ..Settings::default() }).await
}

/// Returns the status, and the kind and detail of a problem.
async fn refused(house: &House, path: &str) -> (u16, String, String) {
    let (status, _, text) = house.get(path).await;
    let problem: Value = serde_json::from_str(&text).unwrap();
    let word = |key: &str| problem[key].as_str().unwrap().to_owned();
    (status, word("kind"), word("detail"))
}

#[tokio::test]
async fn without_prometheus_they_are_listed_and_say_how_to_get_one() {
    let house = house(None).await;
    let (status, _, text) = house.get("/api/dashboards").await;
    let listed: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &listed["prometheus"]), (200, &Value::Bool(false)));
    let boards = listed["dashboards"].as_array().unwrap();
    let uids: Vec<_> = boards.iter().map(|board| board["uid"].as_str().unwrap()).collect();
    assert_eq!(uids, ["drover-overview", "drover-function", "drover-load", "drover-cluster"]);
    assert_eq!(boards[0]["panels"][0]["title"], "Requests per minute");
    assert!(!text.contains("drover_gateway_requests_total"), "what is asked of Prometheus stays here");
    let (status, kind, detail) = refused(&house, PANEL).await;
    assert_eq!((status, kind.as_str()), (503, "not_ready"));
    assert!(detail.contains("drover up --observe") && detail.contains("prometheus.url"), "{detail}");
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_is_refused() {
    let house = house(None).await;
    for (path, wanted) in [
        ("/api/dashboards/drover-nothing/1", (404, "unknown_route")),
        ("/api/dashboards/drover-overview/99", (404, "unknown_route")),
        ("/api/dashboards/drover-overview/01", (404, "unknown_route")),
        ("/api/dashboards/drover-function/1", (400, "bad_request")),
        ("/api/dashboards/drover-overview/1?function=%22%7D", (400, "bad_request")),
        ("/api/dashboards/drover-overview/1?query=up", (400, "bad_request")),
        ("/api/dashboards/drover-overview/1?minutes=100000", (400, "bad_request")),
    ] {
        let (status, kind, detail) = refused(&house, path).await;
        assert_eq!((status, kind.as_str()), wanted, "{path}: {detail}");
    }
    assert_eq!(house.post("/api/dashboards", "{}").await.0, 405);
    assert_eq!(house.post(PANEL, "{}").await.0, 405);
}

#[tokio::test]
async fn one_that_has_gone_is_named() {
    let [port] = free_ports();
    let url = format!("http://127.0.0.1:{port}");
    let (status, kind, detail) = refused(&house(Some(url.clone())).await, PANEL).await;
    assert_eq!((status, kind.as_str()), (502, "upstream_failed"));
    assert!(detail.contains(&url), "{detail}");
}

#[tokio::test]
async fn every_panel_is_something_that_prometheus_understands() {
    let Some(prometheus) = Prometheus::start("grafana/prometheus/prometheus.yml", &[]).await else { return };
    let house = house(Some(prometheus.url.clone())).await;
    let listed: Value = serde_json::from_str(&house.get("/api/dashboards").await.2).unwrap();
    let mut n_panels = 0;
    for board in listed["dashboards"].as_array().unwrap() {
        for panel in board["panels"].as_array().unwrap() {
            let (uid, id) = (board["uid"].as_str().unwrap(), &panel["id"]);
            let path = format!("/api/dashboards/{uid}/{id}?function=penguins&minutes=15");
            let (status, _, text) = house.get(&path).await;
            assert_eq!(status, 200, "{path}: {text}");
            let seen: Value = serde_json::from_str(&text).unwrap();
            assert_eq!((&seen["step"], &seen["n_left_out"]), (&5.into(), &0.into()), "{path}: {text}");
            n_panels += 1;
        }
    }
    assert!(n_panels > 40, "{n_panels} panels");
    // One that is known whatever runs: no alert, as a line at zero.
    let seen: Value = serde_json::from_str(&house.get("/api/dashboards/drover-overview/12").await.2).unwrap();
    assert_eq!(seen["series"][0]["legend"], "Alerts", "{seen}");
    let points = seen["series"][0]["points"].as_array().unwrap();
    assert_eq!((points.len(), &points[0][1]), (241, &0.0.into()), "{seen}");
}
